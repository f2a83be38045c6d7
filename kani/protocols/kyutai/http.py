"""HTTP endpoints: whole recordings and texts, the making of voices, and information about the server."""

import asyncio
import base64
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from io import BytesIO
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from kani.core.audio import synthetic_mark
from kani.core.audio.decoding import RECORDING_POOL, run_in_pool
from kani.core.audio.encoding import AudioFormat
from kani.core.audio.pcm import REFERENCE_RATE, decode_recording, open_wav_header, pcm16
from kani.core.errors import SpeechError
from kani.core.service import SpeechService
from kani.core.session.context import Terms
from kani.core.session.session import SpeechSession
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import OPTION_RANGES, Samples, Sampling, SpeechChunk, SpeechRequest
from kani.protocols.kyutai import messages, voice_payload
from kani.protocols.kyutai.connection import endpoint
from kani.protocols.kyutai.messages import SAMPLE_RATE
from kani.protocols.kyutai.metrics import KyutaiMetrics
from kani.protocols.kyutai.output import Frames
from kani.protocols.kyutai.query import MAX_SEQ_LEN_RANGE, build_request, read_language, read_prompt
from kani.protocols.kyutai.speech_in import PROTOCOL as RECOGNITION_PROTOCOL
from kani.protocols.kyutai.speech_out import PROTOCOL
from kani.protocols.kyutai.words import TextFeeder
from kani.protocols.shared.calls.bodies import Seed, Temperature, TopK, about, object_of, read, within
from kani.protocols.shared.client_languages import accept_languages
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.errors import BadMessage
from kani.protocols.shared.protocol import MAX_MESSAGE_BYTES
from kani.protocols.shared.recordings.transcript import Segments, transcribing
from kani.protocols.shared.streamed_answer import ByteStream, begun_answer
from kani.protocols.shared.tasks import cancel_on_disconnect
from kani.protocols.shared.whole_answer import MAX_WHOLE_ANSWER_S, WholeAnswer
from kani_text import foreign

MAX_RECORDING_S = 600.0
"""Longest recording that is recognized."""


def recording_routes(service: SpeechService, metrics: KyutaiMetrics) -> list[BaseRoute]:
    """Return ``POST /api/asr-streaming`` and ``POST /api/voice``."""

    async def recognize(request: Request) -> Response:
        query = request.query_params
        language, prompt = read_language(query, service.recognition), read_prompt(query)
        body = await request.body()
        options = TranscriptionOptions(language=language, prompt=prompt)
        given = request, service, RECOGNITION_PROTOCOL, BytesIO(body), options
        async with transcribing(*given, max_s=MAX_RECORDING_S) as (_, segments):
            return JSONResponse(await cancel_on_disconnect(request, _words(segments)))

    async def make_voice(request: Request) -> Response:
        began = time.perf_counter()
        body = await request.body()
        recording = await run_in_pool(
            RECORDING_POOL,
            decode_recording,
            body,
            MAX_MESSAGE_BYTES,
            voice_payload.MAX_RECORDING_S,
            truncate=True,
            sample_rate=REFERENCE_RATE,
        )
        embedding = service.cloning.embed_with_all_engines(recording)
        embeddings = await cancel_on_disconnect(request, embedding)
        metrics.voice_embedded(time.perf_counter() - began)
        voice = messages.voice(voice_payload.pack(embeddings))
        return Response(voice, media_type="application/octet-stream")

    return [
        Route("/api/asr-streaming", endpoint(recognize), methods=["POST"]),
        Route("/api/voice", endpoint(make_voice), methods=["POST"]),
    ]


async def _words(segments: Segments) -> list[dict[str, Any]]:
    """Return every word of a recording as the messages ``Word`` and ``EndWord``."""
    words: list[dict[str, Any]] = []
    async for segment in segments:
        for word in segment.words:
            if any(map(str.isalnum, word.text)):
                words.append({"type": "Word", "text": word.text, "start_time": word.start_s})
                words.append({"type": "EndWord", "stop_time": word.end_s})
    return words


T = TypeVar("T", bound=msgspec.Struct)

SPEECH_PATHS = ("/api/tts_streaming", "/api/tts-streaming")
"""Paths of speech; LiveKit's plugin uses the second."""

# Its clients may take the header for 44 bytes.
_WAV = AudioFormat("wav", SAMPLE_RATE, marked=False)


MaxSeqLen = Annotated[int, within(MAX_SEQ_LEN_RANGE)]
CfgAlpha = Annotated[float, within(OPTION_RANGES["cfg_alpha"])]
_VOICE = about("Name of a voice of Kyutai's or of this server; empty for the default one.")


class StreamedBody(msgspec.Struct):
    """Both fields are needed."""

    text: Annotated[str, about("The text.")]
    voice: Annotated[str, _VOICE]


class LegacyBody(msgspec.Struct):
    """A null equals a missing field."""

    text: Annotated[list[str], about("Parts of the text.")]
    seed: Annotated[Seed, about("Seed of the sampling, for engines that sample.")]
    temperature: Annotated[Temperature, about("Sampling temperature, for engines that sample.")]
    top_k: Annotated[TopK, about("Number of tokens to sample from, for engines that sample.")]
    voice: Annotated[str | None, _VOICE] = None
    voices: Annotated[list[str], about("Names of voices; the first is used where voice is missing.")] = []
    max_seq_len: Annotated[MaxSeqLen | None, about("Frames of 80 ms after which the speech ends.")] = None
    return_timestamps: Annotated[
        bool, about("Whether the answer is JSON with the times of the words, instead of a WAV file.")
    ] = False
    cfg_alpha: Annotated[
        CfgAlpha | None, about("Guidance of Kyutai's model; without effect on most engines.")
    ] = None


def speech_routes(service: SpeechService) -> list[BaseRoute]:
    """Return ``POST`` on ``SPEECH_PATHS`` and moshi-server's older ``POST /api/tts``."""

    async def streamed(request: Request) -> Response:
        body = _read(await request.body(), StreamedBody)
        speech_request = build_request(body.voice, Sampling(), None, service)
        return await _streamed(request, service, speech_request, body.text, None)

    async def legacy(request: Request) -> Response:
        body = _read(await request.body(), LegacyBody)
        sampling = Sampling(temperature=body.temperature, top_k=body.top_k, seed=body.seed)
        voice = body.voice or next(iter(body.voices), None)
        speech_request = build_request(voice, sampling, body.cfg_alpha, service)
        text = " ".join(body.text)
        if not body.return_timestamps:
            return await _streamed(request, service, speech_request, text, body.max_seq_len)
        with service.budgets.whole_answers.share("leave out return_timestamps") as memory:
            async with _open(service, speech_request, request, low_latency=False) as session:
                feeder = TextFeeder(session, service.limits.max_text)
                feeder.feed(text)
                session.finish()
                max_s = MAX_WHOLE_ANSWER_S if body.max_seq_len is None else None
                whole = WholeAnswer(memory, _WAV, max_s=max_s)
                answer = _answer(session, feeder, whole, body.max_seq_len)
                return JSONResponse(await cancel_on_disconnect(request, answer))

    return [
        *(Route(path, endpoint(streamed, "voice"), methods=["POST"]) for path in SPEECH_PATHS),
        Route("/api/tts", endpoint(legacy, "voice"), methods=["POST"]),
    ]


def _read(body: bytes, kind: type[T]) -> T:
    given = object_of(body, "is not JSON", lambda reason: BadMessage(f"body: {reason}"))
    return read(foreign.without_halves(given), kind)


def _open(
    service: SpeechService, speech_request: SpeechRequest, request: Request, *, low_latency: bool
) -> SpeechSession:
    speech_request = replace(speech_request, languages=accept_languages(request.headers))
    client = client_address(request)
    return service.open(
        speech_request, protocol=PROTOCOL, client=client, terms=Terms(low_latency=low_latency)
    )


async def _streamed(
    request: Request, service: SpeechService, speech_request: SpeechRequest, text: str, max_frames: int | None
) -> Response:
    """Return a response that starts with the first audio: an error before that still gets its status."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(_open(service, speech_request, request, low_latency=True))
        TextFeeder(session, service.limits.max_text).feed(text)
        session.finish()
        pieces, headers = _wav_pieces(session, max_frames), synthetic_mark.headers
        return await begun_answer(request, pieces, stack, headers=headers, media_type="audio/wav")


async def _wav_pieces(session: SpeechSession, max_frames: int | None) -> ByteStream:
    """Yield a WAV file; its header leaves the length open."""
    header = open_wav_header(SAMPLE_RATE)
    frames = Frames(max_frames)
    try:
        async for chunk in session:
            if ready := frames.feed(chunk):
                yield header + pcm16(np.concatenate(ready))
                header = b""
            if frames.left == 0:
                return
    except SpeechError:
        if header:
            raise
        # The status is sent, and the session has logged the error: the audio ends here.
        return
    yield header + b"".join(map(pcm16, frames.finish()))


async def _answer(
    session: SpeechSession, feeder: TextFeeder, whole: WholeAnswer, max_frames: int | None
) -> dict[str, Any]:
    """Return ``{"wav": base64, "transcript": [{"text", "start_s", "stop_s"}, …]}``."""
    frames, words = Frames(max_frames), []

    async def add(ready: list[Samples]) -> None:
        for frame in ready:
            await whole.add(SpeechChunk(frame, SAMPLE_RATE, whole.samples / SAMPLE_RATE))

    async for chunk in session:
        words += feeder.aligner.align(chunk.spans)
        await add(frames.feed(chunk))
        if frames.overflowed:
            break
    else:
        await add(frames.finish())
    data = await asyncio.to_thread(lambda: base64.b64encode(whole.finish()))
    return {"wav": data.decode(), "transcript": [asdict(word) for word in words]}


BUILD_FIELDS = (
    "build_timestamp build_date git_branch git_timestamp git_date git_hash git_describe rustc_host_triple "
    "rustc_version cargo_target_triple".split()
)
"""Fields of moshi-server's build info, all of them strings."""


def info_routes(service: SpeechService, version: str, metrics: KyutaiMetrics) -> list[BaseRoute]:
    """Return the routes; version: of this server, in the field for moshi-server's commit."""

    async def build(request: Request) -> Response:
        fields = dict.fromkeys(BUILD_FIELDS, "")
        return JSONResponse(fields | {"git_describe": f"kani-tts {version}"})

    async def modules(request: Request) -> Response:
        total = str(service.limits.max_connections)
        speech = {
            "type": "py",
            "path": "/api/tts_streaming",
            "script": "tts.py",
            "used_slots": str(metrics.speaking),
            "total_slots": total,
        }
        recognition = {
            "type": "batched_asr",
            "path": "/api/asr-streaming",
            "lm": service.recognition.recognizer.info.name if service.recognition.recognizer else "",
            "audio_tokenizer": "",
            "used_slots": str(metrics.listening),
            "total_slots": total,
        }
        return JSONResponse([speech, recognition] if service.recognition.hears_live else [speech])

    return [
        Route("/api/build_info", build, methods=["GET"]),
        Route("/api/modules_info", modules, methods=["GET"]),
    ]
