"""A transcript in the forms of other Whisper servers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from kani.core.subtitles import WRITERS, segment_cues
from kani.core.transcriber import TranscribedSegment
from kani.protocols.openai.transcription.answers import language_name, segment_fields
from kani.protocols.shared.recordings.transcript import Transcript

UNKNOWN = ("Unknown", "und")
"""Name and code of the language of a recording without speech."""


def as_text(transcript: Transcript, output: str) -> str:
    """Return a file of the kind ``output``: srt, vtt, tsv, or lines of text."""
    cues = segment_cues(transcript.segments)
    if (write := WRITERS.get(output)) is not None:
        return write(cues)
    if output == "tsv":
        times = ((round(cue.start_s * 1000), round(cue.end_s * 1000), cue.lines[0]) for cue in cues)
        rows = (f"{start}\t{end}\t{' '.join(line.split())}\n" for start, end, line in times)
        return "start\tend\ttext\n" + "".join(rows)
    return "".join(f"{cue.lines[0]}\n" for cue in cues)


def as_lines(transcript: Transcript) -> str:
    """Return the text as whisper.cpp writes it: each segment with a blank before it, and a line end."""
    return "".join(f" {segment.text.strip()}\n" for segment in transcript.segments)


def whisper_result(transcript: Transcript, *, words: bool) -> dict[str, Any]:
    """Return the result as Whisper's own program writes it; words: whether segments have theirs."""
    segments = [_segment(*each, words=words) for each in enumerate(transcript.segments)]
    return {"text": transcript.text, "segments": segments, "language": transcript.language}


def whisper_cpp_result(transcript: Transcript, *, translate: bool) -> dict[str, Any]:
    """Return whisper.cpp's verbose_json."""
    name, code = language(transcript)
    probability = round(transcript.language_probability, 4)
    return {
        "task": "translate" if translate else "transcribe",
        "language": name,
        "duration": round(transcript.duration_s, 3),
        "text": as_lines(transcript),
        "segments": [_segment(*each, words=True) for each in enumerate(transcript.segments)],
        "detected_language": name,
        "detected_language_probability": probability,
        "language_probabilities": {code: probability},
    }


def language(transcript: Transcript) -> tuple[str, str]:
    """Return the name and the code of what is spoken."""
    code = transcript.language
    return (language_name(code), code) if code else UNKNOWN


def _segment(number: int, segment: TranscribedSegment, *, words: bool) -> dict[str, Any]:
    speaker = {} if segment.speaker is None else {"speaker": f"SPEAKER_{segment.speaker:02}"}
    return segment_fields(number, segment) | speaker | ({"words": [*_words(segment)]} if words else {})


def _words(segment: TranscribedSegment) -> Iterator[dict[str, Any]]:
    """Yield the words; together they are the segment's text."""
    at = 0
    for word in segment.words:
        end = max(segment.text.find(word.text, at), at) + len(word.text)
        yield {
            "word": segment.text[at:end],
            "start": round(word.start_s, 3),
            "end": round(word.end_s, 3),
            "probability": round(math.exp(word.log_probability), 4),
        }
        at = end
