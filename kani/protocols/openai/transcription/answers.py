"""A transcript in each of the API's formats."""

import math
from collections.abc import Sequence
from typing import Any

from babel import Locale

from kani.core.subtitles import WRITERS, segment_cues, speaker_name
from kani.core.transcriber import TranscribedSegment, TranscribedWord
from kani.protocols.openai.transcription.params import TranscriptionParams
from kani.protocols.shared.recordings.transcript import Transcript
from kani_text.languages import english_name

FRAMES_PER_SECOND = 100
"""Unit of ``seek``: Whisper's frames."""

MEDIA_TYPES = {
    "text": "text/plain; charset=utf-8",
    "srt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}
"""Content types of the formats that are no JSON."""

TOKENS_A_SECOND = 10
"""OpenAI's measure of audio that it hears: a token each 100 ms."""


def plain_answer(transcript: Transcript, params: TranscriptionParams) -> str:
    if (write := WRITERS.get(params.response_format)) is not None:
        return write(segment_cues(transcript.segments, params.known_speakers.names))
    return f"{transcript.text}\n"


def json_answer(transcript: Transcript, params: TranscriptionParams) -> dict[str, Any]:
    if params.response_format == "verbose_json":
        return _verbose(transcript, params)
    if params.response_format == "diarized_json":
        return _diarized(transcript, params)
    answer: dict[str, Any] = {"text": transcript.text}
    if not params.options.translate:
        answer["languages"] = _languages(transcript)
    if params.log_probabilities:
        answer["logprobs"] = log_probabilities(transcript.segments)
    return answer | {"usage": _duration_usage(transcript)}


def delta_event(segment: TranscribedSegment, params: TranscriptionParams, *, first: bool) -> dict[str, Any]:
    """Return the event of more text; the deltas together are the whole text.

    With verbose_json, which OpenAI's service does not stream, it has the times that were asked for as well.
    """
    delta = segment.text.lstrip() if first else segment.text
    event: dict[str, Any] = {"type": "transcript.text.delta", "delta": delta}
    if params.response_format == "verbose_json":
        event |= {"segment": _times(segment)} if params.segments else {}
        event |= {"words": [_word(word) for word in segment.words]} if params.words else {}
    return event | ({"logprobs": log_probabilities([segment])} if params.log_probabilities else {})


def done_event(transcript: Transcript, params: TranscriptionParams) -> dict[str, Any]:
    heard = math.ceil(round(transcript.duration_s * TOKENS_A_SECOND, 3))
    written = sum(len(segment.tokens) for segment in transcript.segments)
    usage: dict[str, Any] = {"type": "tokens", "input_tokens": heard, "output_tokens": written}
    usage |= {"total_tokens": heard + written}
    usage |= {"input_token_details": {"text_tokens": 0, "audio_tokens": heard}}
    event: dict[str, Any] = {"type": "transcript.text.done", "text": transcript.text}
    # SubtitleEdit takes the times of its subtitles from here.
    event["segments"] = [{"id": number} | _times(each) for number, each in enumerate(transcript.segments)]
    if not params.options.translate:
        event["languages"] = _languages(transcript)
    if params.log_probabilities:
        event["logprobs"] = log_probabilities(transcript.segments)
    return event | {"usage": usage}


def segment_events(transcript: Transcript, params: TranscriptionParams) -> list[dict[str, Any]]:
    """Return the segments of diarized_json, which are events of a stream as well.

    With verbose_json, which OpenAI's service does not stream, they have the words that were asked for.
    """
    words = params.words and params.response_format == "verbose_json"
    return [
        {
            "type": "transcript.text.segment",
            "id": f"seg_{number:03}",
            **_times(segment),
            "speaker": _speaker(segment, params),
        }
        | ({"words": [_word(word) for word in segment.words]} if words else {})
        for number, segment in enumerate(transcript.segments, 1)
    ]


def _speaker(segment: TranscribedSegment, params: TranscriptionParams) -> str:
    return speaker_name(segment.speaker or 0, params.known_speakers.names)


def _diarized(transcript: Transcript, params: TranscriptionParams) -> dict[str, Any]:
    return {
        "task": "transcribe",
        "duration": round(transcript.duration_s, 3),
        "text": transcript.text,
        "segments": segment_events(transcript, params),
        "usage": _duration_usage(transcript),
    }


def log_probabilities(segments: Sequence[TranscribedSegment]) -> list[dict[str, Any]]:
    """Return the log probability of each word, in the form that the API has for tokens."""
    words = (word for segment in segments for word in segment.words)
    return [log_probability(word.text, word.log_probability) for word in words]


def log_probability(text: str, value: float | None) -> dict[str, Any]:
    """Return the log probability of a word, in the form that the API has for a token."""
    logprob = None if value is None else round(value, 4)
    return {"token": text, "bytes": list(text.encode()), "logprob": logprob}


def _verbose(transcript: Transcript, params: TranscriptionParams) -> dict[str, Any]:
    translated = params.options.translate
    answer: dict[str, Any] = {
        "task": "translate" if translated else "transcribe",
        "language": language_name("en" if translated else transcript.language),
        "duration": round(transcript.duration_s, 3),
        "text": transcript.text,
    }
    if params.segments:
        answer["segments"] = [
            segment_fields(number, segment)
            | ({"speaker": _speaker(segment, params)} if params.diarize else {})
            for number, segment in enumerate(transcript.segments)
        ]
    if params.words:
        answer["words"] = [_word(word) for segment in transcript.segments for word in segment.words]
    return answer | {"usage": _duration_usage(transcript)}


def segment_fields(number: int, segment: TranscribedSegment) -> dict[str, Any]:
    """Return a segment as Whisper's own program describes it."""
    return {
        "id": number,
        "seek": round(segment.seek_s * FRAMES_PER_SECOND),
        "start": round(segment.start_s, 3),
        "end": round(segment.end_s, 3),
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature,
        "avg_logprob": round(segment.log_probability, 4),
        "compression_ratio": round(segment.compression_ratio, 4),
        "no_speech_prob": round(segment.no_speech_probability, 4),
    }


def _times(segment: TranscribedSegment) -> dict[str, Any]:
    return {"start": round(segment.start_s, 3), "end": round(segment.end_s, 3), "text": segment.text}


def _word(word: TranscribedWord) -> dict[str, Any]:
    return {"word": word.bare, "start": round(word.start_s, 3), "end": round(word.end_s, 3)}


def _languages(transcript: Transcript) -> list[dict[str, str]]:
    return [{"code": code} for code in transcript.languages]


def language_name(code: str | None) -> str:
    """Return the API's name of a language: English, in lower case; "" for none."""
    return (english_name(code) or Locale("en").languages.get(code, code)).lower() if code else ""


def _duration_usage(transcript: Transcript) -> dict[str, Any]:
    """Return the length in whole seconds, as OpenAI's service bills it: some clients take no others."""
    return {"type": "duration", "seconds": math.ceil(round(transcript.duration_s, 3))}
