"""Subtitles as SubRip and WebVTT, of captions and of transcripts."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kani.core.transcriber import TranscribedSegment

VTT_HEADER = "WEBVTT\n\n"


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: its lines, and the seconds of audio from when to when it is shown."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


def segment_cues(segments: Sequence[TranscribedSegment], known: Sequence[str] = ()) -> list[Cue]:
    """Return a cue of one line for each segment of a transcript, after its speaker's name if it has one.

    known: names of the first speakers.
    """
    return [Cue(segment.start_s, segment.end_s, (_line(segment, known),)) for segment in segments]


def _line(segment: TranscribedSegment, known: Sequence[str]) -> str:
    text = segment.text.strip()
    return text if segment.speaker is None else f"{speaker_name(segment.speaker, known)}: {text}"


def speaker_name(speaker: int, known: Sequence[str] = ()) -> str:
    """Return the name of a speaker as OpenAI's service gives it: one of ``known``, or A to Z, then AA."""
    if speaker < len(known):
        return known[speaker]
    first, last = divmod(speaker - len(known), 26)
    return (speaker_name(first - 1) if first else "") + chr(ord("A") + last)


def srt(cues: Iterable[Cue]) -> str:
    return "".join(srt_cue(number, cue) for number, cue in enumerate(cues, 1))


def vtt(cues: Iterable[Cue]) -> str:
    return VTT_HEADER + "".join(map(vtt_cue, cues))


def srt_cue(number: int, cue: Cue) -> str:
    """Write a cue as SubRip, ``number`` from 1."""
    return "\n".join([str(number), _times(cue, ","), *cue.lines, "", ""])


def vtt_cue(cue: Cue) -> str:
    """Write a cue as WebVTT, without the header."""
    return "\n".join([_times(cue, "."), *(html.escape(line, quote=False) for line in cue.lines), "", ""])


def _times(cue: Cue, point: str) -> str:
    return f"{_clock(cue.start_s, point)} --> {_clock(cue.end_s, point)}"


def _clock(seconds: float, point: str) -> str:
    """Write a time as hours, minutes, seconds and thousandths."""
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{thousandths:03}"
