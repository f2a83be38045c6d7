"""Times of a given text's words, of speech and of speakers in a recording.

The calls of the last two are Speaches'.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import PurePath
from typing import IO, Annotated, Any, Literal

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core.diarization.diarizer import MAX_SPEAKERS
from kani.core.diarization.turns import SpeakerTurn
from kani.core.request import Range
from kani.core.service import SpeechService
from kani.core.session.alignment import MAX_TEXT, Alignment
from kani.core.session.transcription import TranscriptionSession
from kani.core.subtitles import WRITERS, words_and_cues
from kani.core.turns.speech_spans import speech_spans
from kani.protocols.openai.errors import endpoint
from kani.protocols.openai.transcription.answers import MEDIA_TYPES
from kani.protocols.openai.transcription.known_speakers import KnownSpeakers
from kani.protocols.shared.calls.bodies import about, within
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.errors import json_response
from kani.protocols.shared.recordings.upload import MAX_RECORDING_S, AudioUploads
from kani.protocols.shared.tasks import cancel_on_disconnect
from kani_text.languages import english_name, primary

PATH = "/v1/audio/alignments"


class AlignmentFields(Struct, kw_only=True):
    text: Annotated[str, about("What is said in the recording.", max_length=MAX_TEXT)]
    language: Annotated[str | None, about("Code, tag or name of its language; detected by default.")] = None
    model: Annotated[str, about("Any name; without effect.")] = ""
    response_format: Literal["json", "verbose_json", "srt", "vtt"] = "json"


def alignment_route(service: SpeechService, uploads: AudioUploads) -> BaseRoute:
    """Return the call for a text's words."""

    async def align(request: Request) -> Response:
        async with uploads.receive(request, service.budgets.recordings) as upload:
            file, fields, unused = upload.read(AlignmentFields)
            opening = service.recognition.open_alignment(
                "openai", client_address(request), fields.text, fields.language
            )
            async with await opening as session:
                found = await cancel_on_disconnect(request, session.align(file, MAX_RECORDING_S))
        # An hour of words takes a while to be written.
        return await asyncio.to_thread(_answer, found, fields.response_format, unused)

    return Route(PATH, endpoint(align, {}), methods=["POST"])


def _answer(found: Alignment, response_format: str, headers: Mapping[str, str]) -> Response:
    words, cues = words_and_cues(found.text, found.spans)
    if (write := WRITERS.get(response_format)) is not None:
        return Response(write(cues), headers=headers, media_type=MEDIA_TYPES[response_format])
    described = {
        "text": found.text,
        "language": english_name(primary(found.language)) or found.language,
        "duration": round(found.duration_s, 3),
        "sample_rate": found.sample_rate,
        "confidence": round(1 - found.loss, 3),
        "words": [
            {
                "word": word.text,
                "start": round(word.start_s, 3),
                "end": round(word.end_s, 3),
                "start_sample": round(word.start_s * found.sample_rate),
                "end_sample": round(word.end_s * found.sample_rate),
                "confidence": round(1 - found.loss_of(word.start, word.end), 3),
            }
            for word in words
        ],
    }
    return json_response(described, headers=headers)


SPEECH_PATH, SPEAKERS_PATH = "/v1/audio/speech/timestamps", "/v1/audio/diarization"
RTTM_TYPE = "text/plain"

Probability = Annotated[float, within(Range(0, 1))]
Seconds = Annotated[float, Meta(ge=0)]
Milliseconds = Annotated[int, within(Range(0, int(MAX_RECORDING_S) * 1000))]


class VoiceFields(Struct, kw_only=True):
    model: Annotated[str, about("Any name; without effect.")] = ""
    threshold: Annotated[Probability, about("Probability of a voice at which speech begins.")] = 0.75
    neg_threshold: Annotated[Probability | None, about("Below it speech ends; 0.15 less by default.")] = None
    min_speech_duration_ms: Annotated[Milliseconds, about("Shorter speech is left out.")] = 0
    max_speech_duration_s: Annotated[
        Seconds | None, about("Longer speech is cut, in a silence if it has one; inf for no limit.")
    ] = None
    min_silence_duration_ms: Annotated[Milliseconds, about("Shorter silence is part of speech.")] = 1000
    speech_pad_ms: Annotated[Milliseconds, about("Added on both sides.")] = 0


class SpeakerFields(Struct, kw_only=True):
    model: Annotated[str, about("Any name; without effect.")] = ""
    known_speaker_names: Annotated[list[str], about("As of transcriptions.")] = []
    known_speaker_references: Annotated[list[str], about("As of transcriptions.")] = []
    response_format: Literal["json", "rttm"] = "json"


def voice_routes(service: SpeechService, uploads: AudioUploads) -> list[BaseRoute]:
    """Return the calls for speech and speakers."""

    async def answer(request: Request) -> Response:
        diarize = request.url.path == SPEAKERS_PATH
        async with uploads.receive(request, service.budgets.recordings) as upload:
            kind: type[SpeakerFields | VoiceFields] = SpeakerFields if diarize else VoiceFields
            file, fields, headers = upload.read(kind)
            known = KnownSpeakers.of(upload) if diarize else KnownSpeakers()
            voices, opened = service.recognition.open_voices(
                "openai", client_address(request), diarize=diarize
            )
            async with opened as session:
                turns = await cancel_on_disconnect(request, _hear(session, file, known))
        if isinstance(fields, VoiceFields):
            content: Any = await asyncio.to_thread(_speech, voices.probabilities, fields)
            return json_response(content, headers=headers)
        names = [*known.names, *(f"SPEAKER_{number:02}" for number in range(MAX_SPEAKERS))]
        told = [(round(turn.start_s, 3), round(turn.end_s, 3), names[turn.speaker]) for turn in turns]
        if fields.response_format == "rttm":
            recording = "_".join(PurePath(upload.name).stem.split()) or "audio"
            lines = (
                f"SPEAKER {recording} 1 {a:.3f} {b - a:.3f} <NA> <NA> {'_'.join(who.split())} <NA> <NA>"
                for a, b, who in told
            )
            return Response("\n".join(lines), headers=headers, media_type=RTTM_TYPE)
        segments = [{"start": start, "end": end, "speaker": who} for start, end, who in told]
        content = {"duration": round(session.duration_s, 3), "segments": segments}
        return json_response(content, headers=headers)

    return [Route(path, endpoint(answer), methods=["POST"]) for path in (SPEECH_PATH, SPEAKERS_PATH)]


async def _hear(
    session: TranscriptionSession, file: IO[bytes], known: KnownSpeakers
) -> tuple[SpeakerTurn, ...]:
    await known.introduce(session)
    async with aclosing(session.segments(file, MAX_RECORDING_S)) as segments:
        async for _ in segments:
            pass
    return await session.speaker_turns(None) or ()


def _speech(voices: Sequence[float], fields: VoiceFields) -> list[dict[str, int]]:
    off = max(0.01, fields.threshold - 0.15) if fields.neg_threshold is None else fields.neg_threshold
    longest_s = math.inf if fields.max_speech_duration_s is None else fields.max_speech_duration_s
    silence_s, shortest_s = fields.min_silence_duration_ms / 1000, fields.min_speech_duration_ms / 1000
    lengths = silence_s, shortest_s, longest_s, fields.speech_pad_ms / 1000
    spans = speech_spans(voices, fields.threshold, off, *lengths)
    return [{"start": round(start * 1000), "end": round(end * 1000)} for start, end in spans]
