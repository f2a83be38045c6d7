"""Turns of speakers, and the transcript divided among them."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kani.core.transcriber import TranscribedSegment, TranscribedWord


@dataclass(frozen=True, slots=True)
class SpeakerTurn:
    """A span in which one speaker speaks; times in seconds since the recording began."""

    start_s: float
    end_s: float
    speaker: int
    """The place of a known speaker; the others follow, in the order in which they are first heard."""


def divide_by_speaker(
    segments: Sequence[TranscribedSegment], turns: Sequence[SpeakerTurn] | None
) -> tuple[TranscribedSegment, ...]:
    """Return ``segments`` with their speakers, cut where the speaker changes within one.

    turns: in order. A word belongs to the turn that it shares most time with, or else to the nearest. The
    texts together stay the transcript. Without any turn all are the first speaker's; None leaves the segments
    without speakers.
    """
    if turns is None:
        return tuple(segments)
    if not turns:
        return tuple(replace(segment, speaker=0) for segment in segments)
    ends = [turn.end_s for turn in turns]
    return tuple(part for segment in segments for part in _divided(segment, turns, ends))


def _divided(
    segment: TranscribedSegment, turns: Sequence[SpeakerTurn], ends: Sequence[float]
) -> Iterator[TranscribedSegment]:
    if not segment.words:
        yield replace(segment, speaker=_speaker(segment.start_s, segment.end_s, turns, ends))
        return
    speakers = [_speaker(word.start_s, word.end_s, turns, ends) for word in segment.words]
    cuts = [at for at in range(1, len(speakers)) if speakers[at] != speakers[at - 1]]
    if not cuts:
        yield replace(segment, speaker=speakers[0])
        return
    places = _places(segment.text, segment.words)
    for first, last in zip([0, *cuts], [*cuts, len(speakers)], strict=True):
        begin = places[first] if first else 0
        end = places[last] if last < len(speakers) else len(segment.text)
        words = segment.words[first:last]
        yield replace(
            segment,
            text=segment.text[begin:end],
            start_s=words[0].start_s,
            end_s=words[-1].end_s,
            words=words,
            # The tokens of a word are not known.
            tokens=() if first else segment.tokens,
            speaker=speakers[first],
        )


def _places(text: str, words: Sequence[TranscribedWord]) -> list[int]:
    """Return where each of ``words`` begins in ``text``, with the space before it."""
    places, at = list[int](), 0
    for word in words:
        found = max(text.find(word.text, at), at)
        places.append(at)
        at = min(found + len(word.text), len(text))
    return places


def _speaker(start_s: float, end_s: float, turns: Sequence[SpeakerTurn], ends: Sequence[float]) -> int:
    """Return the speaker of the turn with most of a span, or nearest to it."""
    first = max(bisect.bisect_right(ends, start_s) - 1, 0)
    best, most = turns[first].speaker, float("-inf")
    for turn in turns[first:]:
        # Negative for a turn that is only near.
        shared = min(end_s, turn.end_s) - max(start_s, turn.start_s)
        if shared > most:
            best, most = turn.speaker, shared
        if turn.start_s > end_s:
            break
    return best
