"""Turns of speakers, and the transcript divided among them."""

import bisect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kani.core.transcriber import TranscribedSegment, TranscribedWord
from kani_text.writing import ends_sentence

_REST_S = 0.25
"""A pause between two words at which the speaker may change, as at the end of a sentence."""

_STRAY_S = 1.0
"""Time of words without such a rest up to which they are not another speaker's: a window is as wide."""


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

    turns: in order. A word belongs to the turn that it shares most time with, or else to the nearest; a few
    words that no rest parts from others are those others' speaker's. The texts together stay the transcript.
    Without any turn all are the first speaker's; None leaves the segments without speakers.
    """
    if turns is None:
        return tuple(segments)
    if not turns:
        return tuple(replace(segment, speaker=0) for segment in segments)
    ends = [turn.end_s for turn in turns]
    words = [word for segment in segments for word in segment.words]
    speakers = _settled(words, [_speaker(word.start_s, word.end_s, turns, ends) for word in words])
    divided, at = list[TranscribedSegment](), 0
    for segment in segments:
        own = speakers[at : at + len(segment.words)]
        at += len(own)
        if own:
            divided += _divided(segment, own)
        else:
            divided.append(replace(segment, speaker=_speaker(segment.start_s, segment.end_s, turns, ends)))
    return tuple(divided)


def _settled(words: Sequence[TranscribedWord], speakers: list[int]) -> list[int]:
    """Return the speakers of ``words``: of those between two rests one, unless another has more of them."""
    first = 0
    for at, word in enumerate(words, 1):
        goes_on = at < len(words) and words[at].start_s - word.end_s < _REST_S
        if goes_on and not ends_sentence(word.text.rstrip()):
            continue
        times = defaultdict[int, float](float)
        for one, speaker in zip(words[first:at], speakers[first:at], strict=True):
            times[speaker] += one.end_s - one.start_s
        most = max(times, key=times.__getitem__)
        if sum(times.values()) - times[most] < _STRAY_S:
            speakers[first:at] = [most] * (at - first)
        first = at
    return speakers


def _divided(segment: TranscribedSegment, speakers: Sequence[int]) -> Iterator[TranscribedSegment]:
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
