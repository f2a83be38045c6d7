"""Speaches' calls about voices: when there is speech in a recording, and who speaks when."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from pathlib import PurePath
from typing import IO, Annotated, Literal

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core.diarization.turns import SpeakerTurn
from kani.core.errors import InvalidRequest
from kani.core.request import Range
from kani.core.service import SpeechService
from kani.core.session.transcription import TranscriptionSession
from kani.core.turns.speech_spans import SpeechRule, speech_spans
from kani.protocols.openai.errors import endpoint, json_response
from kani.protocols.openai.transcription.known_speakers import KnownSpeakers
from kani.protocols.shared.calls.bodies import about, read_form, unknown_fields, unused_header, within
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.recordings.upload import MAX_RECORDING_S, AudioUploads
from kani.protocols.shared.tasks import cancel_on_disconnect

SPEECH_PATH, SPEAKERS_PATH = "/v1/audio/speech/timestamps", "/v1/audio/diarization"
RTTM_TYPE = "text/plain"

Probability = Annotated[float, within(Range(0, 1))]
Milliseconds = Annotated[int, within(Range(0, int(MAX_RECORDING_S) * 1000))]


class VoiceFields(Struct, kw_only=True):
    model: Annotated[str, about("Any name; without effect.")] = ""
    threshold: Annotated[Probability, about("Probability of a voice at which speech begins.")] = 0.75
    neg_threshold: Annotated[Probability | None, about("One below which it ends, 0.15 less by default.")] = (
        None
    )
    min_speech_duration_ms: Annotated[Milliseconds, about("Shorter speech is left out.")] = 0
    max_speech_duration_s: Annotated[
        Annotated[float, Meta(ge=0)] | None, about("Longer speech is cut, in a silence if it has one.")
    ] = None
    min_silence_duration_ms: Annotated[Milliseconds, about("Shorter silence is part of speech.")] = 1000
    speech_pad_ms: Annotated[Milliseconds, about("Added on both sides.")] = 0


class SpeakerFields(Struct, kw_only=True):
    model: Annotated[str, about("Any name; without effect.")] = ""
    known_speaker_names: Annotated[list[str], about("As of transcriptions.")] = []
    known_speaker_references: Annotated[list[str], about("As of transcriptions.")] = []
    response_format: Literal["json", "rttm"] = "json"


def voice_routes(service: SpeechService, uploads: AudioUploads) -> list[BaseRoute]:
    """Return the calls."""

    async def answer(request: Request) -> Response:
        kind = SpeakerFields if request.url.path == SPEAKERS_PATH else VoiceFields
        async with uploads.receive(request) as upload:
            if upload.file is None:
                raise InvalidRequest("file", "is missing: send the recording as a form's file")
            fields = read_form(upload.fields, kind)
            known = KnownSpeakers.of(upload) if isinstance(fields, SpeakerFields) else None
            voices, opened = service.recognition.open_voices(
                "openai", client_address(request), diarize=known is not None
            )
            async with opened as session:
                hearing = _hear(session, upload.file, known)
                turns = await cancel_on_disconnect(request, hearing)
        given = (name for name, values in upload.fields.items() if any(values))
        headers = unused_header(unknown_fields(given, kind.__struct_fields__))
        if isinstance(fields, VoiceFields):
            return json_response(
                await asyncio.to_thread(_speech, voices.probabilities, fields), headers=headers
            )
        named = [(turn.start_s, turn.end_s, _name(turn.speaker, known)) for turn in turns]
        if fields.response_format == "rttm":
            return Response(_rttm(upload.name, named), headers=headers, media_type=RTTM_TYPE)
        segments = [
            {"start": round(start, 3), "end": round(end, 3), "speaker": name} for start, end, name in named
        ]
        described = {"duration": round(session.duration_s, 3), "segments": segments}
        return json_response(described, headers=headers)

    return [Route(path, endpoint(answer), methods=["POST"]) for path in (SPEECH_PATH, SPEAKERS_PATH)]


async def _hear(
    session: TranscriptionSession, file: IO[bytes], known: KnownSpeakers | None
) -> tuple[SpeakerTurn, ...]:
    if known is not None:
        await known.introduce(session)
    async with aclosing(session.segments(file, MAX_RECORDING_S)) as segments:
        async for _ in segments:
            pass
    return await session.speaker_turns(None) or ()


def _speech(voices: Sequence[float], fields: VoiceFields) -> list[dict[str, int]]:
    off = max(0.01, fields.threshold - 0.15) if fields.neg_threshold is None else fields.neg_threshold
    rule = SpeechRule(
        fields.threshold,
        off,
        fields.min_silence_duration_ms / 1000,
        fields.min_speech_duration_ms / 1000,
        math.inf if fields.max_speech_duration_s is None else fields.max_speech_duration_s,
        fields.speech_pad_ms / 1000,
    )
    return [
        {"start": round(start * 1000), "end": round(end * 1000)} for start, end in speech_spans(voices, rule)
    ]


def _name(speaker: int, known: KnownSpeakers | None) -> str:
    names = known.names if known is not None else ()
    return names[speaker] if speaker < len(names) else f"SPEAKER_{speaker - len(names):02}"


def _rttm(file: str, turns: Iterable[tuple[float, float, str]]) -> str:
    recording = "_".join(PurePath(file).stem.split()) or "audio"
    lines = (
        f"SPEAKER {recording} 1 {start:.3f} {end - start:.3f} <NA> <NA> {'_'.join(name.split())} <NA> <NA>"
        for start, end, name in turns
    )
    return "\n".join(lines)
