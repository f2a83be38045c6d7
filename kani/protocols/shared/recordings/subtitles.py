"""Segments of a transcript as subtitles: SubRip and WebVTT."""

from __future__ import annotations

from collections.abc import Sequence

from kani.core.transcriber import TranscribedSegment


def srt(segments: Sequence[TranscribedSegment]) -> str:
    """Return a SubRip file."""
    return "".join(
        f"{number}\n{_time(segment.start_s, ',')} --> {_time(segment.end_s, ',')}\n{segment.text.strip()}\n\n"
        for number, segment in enumerate(segments, 1)
    )


def vtt(segments: Sequence[TranscribedSegment]) -> str:
    """Return a WebVTT file."""
    return "WEBVTT\n\n" + "".join(
        f"{_time(segment.start_s, '.')} --> {_time(segment.end_s, '.')}\n{_escaped(segment.text.strip())}\n\n"
        for segment in segments
    )


def _time(seconds: float, decimal_mark: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    whole_seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{whole_seconds:02}{decimal_mark}{milliseconds:03}"


def _escaped(text: str) -> str:
    """Return ``text`` with the characters that WebVTT has for marks escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
