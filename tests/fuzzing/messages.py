"""Cases of the parsers of every protocol's messages."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request

from kani.core.errors import InvalidRequest, SpeechError
from kani.core.types import Embedding
from kani.core.voices.names.mix import parse_mix
from kani.protocols.elevenlabs.errors import FieldTooLarge, Unprocessable
from kani.protocols.elevenlabs.http import body as elevenlabs_body
from kani.protocols.elevenlabs.http.dialogue_body import parse_dialogue
from kani.protocols.elevenlabs.http.transcription_form import parse_form
from kani.protocols.elevenlabs.http.voice_form import read_voice_form
from kani.protocols.elevenlabs.relay import messages as relay
from kani.protocols.elevenlabs.websocket import messages as elevenlabs_ws
from kani.protocols.elevenlabs.websocket.dialogue_messages import parse_dialogue_message
from kani.protocols.elevenlabs.websocket.query import parse_query
from kani.protocols.kani import messages as kani
from kani.protocols.kyutai import http_out, voice_payload
from kani.protocols.kyutai import messages as kyutai
from kani.protocols.kyutai.query import read_speech_query
from kani.protocols.livekit_tokens import protocol as livekit_tokens
from kani.protocols.openai.errors import ApiError
from kani.protocols.openai.realtime.answers.fields import read_response
from kani.protocols.openai.realtime.audio_payload import decode_audio
from kani.protocols.openai.realtime.client_events import EventError, read_event
from kani.protocols.openai.realtime.conversation import item_json, read_item
from kani.protocols.openai.realtime.session_config import FORMATS, SessionConfig
from kani.protocols.openai.realtime.session_update import updated_config
from kani.protocols.openai.speech import body as openai_body
from kani.protocols.openai.speech.tags import split_turns
from kani.protocols.openai.transcription.params import parse_params
from kani.protocols.shared.client_languages import accept_languages
from kani.protocols.shared.errors import RequestError
from kani.protocols.shared.recordings.upload import AudioUploads
from kani.protocols.voices_api.forms import read_form
from kani.protocols.voxcpm import messages as voxcpm
from kani.protocols.voxcpm.params import read_params
from kani.text import languages
from tests.fuzzing.mutator import Case, Mutator, as_json, as_json_bytes

SAMPLES: dict[str, list[Any]] = json.loads(Path(__file__).with_name("samples.json").read_text("utf-8"))
"""Valid messages by the names of the cases; of forms their fields."""

BOUNDARY = "b0undary"
Make = Callable[[Mutator, Any], Any]


def packed(mutator: Mutator, sample: Any) -> bytes:
    """MessagePack with wrong values or wrong bytes."""
    try:
        packed = msgspec.msgpack.encode(mutator.object(sample))
    except (UnicodeEncodeError, OverflowError):
        # What MessagePack has no way to write.
        packed = msgspec.msgpack.encode(sample)
    return mutator.bytes(packed) if mutator.sometimes() else packed


def _read_openai(body: bytes) -> None:
    read = openai_body.parse_speech(openai_body.read_object(body), 100_000)
    split_turns(read.given.input, marks=True)


def _query(mutator: Mutator, sample: dict[str, str]) -> QueryParams:
    return QueryParams(mutator.query(sample))


def _form(fields: dict[str, str], file: str) -> bytes:
    named = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
    parts = [f'{named}"{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    audio = f'{named}"{file}"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n'
    return f"{''.join(parts)}{audio}--{BOUNDARY}--\r\n".encode()


def _request(
    body: bytes, split: list[bytes], content_type: str = f"multipart/form-data; boundary={BOUNDARY}"
) -> Request:
    scope = {
        "type": "http",
        # As on a server: what cannot be parsed is an HTTPException.
        "app": None,
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [
            (b"content-type", content_type.encode()),
            (b"x-consent", body[:40].translate(None, b"\r\n")),
        ],
    }
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in split]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    return Request(scope, receive)


def _posted(file: str) -> Make:
    """A form with a recording in the field ``file``."""

    def make(mutator: Mutator, fields: dict[str, str]) -> Request:
        body = mutator.bytes(_form(fields, file))
        return _request(body, mutator.pieces(body))

    return make


def _posted_json(mutator: Mutator, sample: Any) -> Request:
    body = as_json_bytes(mutator, sample)
    return _request(body, mutator.pieces(body), "application/json")


def _read_kani(message: str) -> None:
    read = kani.read_message(message)
    if isinstance(read, kani.SpeakRequest):
        _asked(read)


def _asked(speak: kani.SpeakRequest) -> None:
    _ = speak.frame_samples
    speak.to_request(None)
    if speak.reference is not None:
        kani.reference_bytes(speak.reference)


def _read_voxcpm(message: str) -> None:
    read = voxcpm.read(message)
    if isinstance(read, voxcpm.TtsRequest):
        read_params(read.params, 5000, read.request_id).to_request(None, None, "")


def _read_realtime(config: SessionConfig, message: str) -> None:
    """Read an event as the connection does, whatever its type."""
    event = read_event(message)
    match event.type:
        case "session.update":
            config = updated_config(config, event.object("session"), frozenset({"es", "en"}))
            assert config.as_json("sess", 0) and config.as_beta_json("sess", 0)
        case "response.create":
            given, _ = read_response(event.object("response"), config)
            for item in given.input or ():
                read_item(item, "response.input", answers=config.answers)
        case "conversation.item.create":
            assert item_json(read_item(event.fields.get("item"), "item", answers=config.answers))
        case _:
            decode_audio(event.required_text("audio"), FORMATS["audio/pcm"])


def _read_heard(message: bytes) -> None:
    match kyutai.read_recognition_message(message):
        case kyutai.Audio() as audio:
            kyutai.audio_samples(audio)
        case kyutai.OggOpus() as pages:
            kyutai.ogg_bytes(pages)


def _payload(mutator: Mutator, sample: bytes) -> np.ndarray:
    """Numbers of a voice with a wrong container, though its digest may be right."""
    content = mutator.bytes(sample)[: voice_payload._BYTES - voice_payload._HEAD.size]
    digest = voice_payload._digest(content) if mutator.sometimes() else bytes(16)
    head = voice_payload._HEAD.pack(voice_payload.MAGIC, voice_payload.VERSION, len(content), digest)
    words = np.frombuffer((head + content).ljust(voice_payload._BYTES, b"\0"), "<i2").astype(np.float32)
    shape = (1, kyutai.EMBEDDING_CHANNELS, voice_payload.FRAMES)
    return (words / np.float32(voice_payload._SCALE)).reshape(shape)


def _embedding_content() -> bytes:
    values = voice_payload.pack([Embedding("tone", "tone 1", np.ones(4, np.float32), {})])
    packed = (values.reshape(-1).astype(np.float64) * voice_payload._SCALE).astype("<i2").tobytes()
    _, _, length, _ = voice_payload._HEAD.unpack_from(packed)
    return packed[voice_payload._HEAD.size :][:length]


def _read_token(body: bytes) -> None:
    wanted = livekit_tokens._TokenRequest(body)
    wanted.name("room_name")
    wanted.name("participant_identity")
    wanted.claims()


def cases(service: Any, loop: asyncio.AbstractEventLoop) -> list[Case]:
    """All cases of this file; service: resolves the voices and languages of addresses."""
    uploads = AudioUploads(1 << 20)

    def case(name: str, make: Make, parse: Callable[[Any], object], *errors: type[Exception]) -> Case:
        return Case(name, tuple(SAMPLES[name]), make, parse, errors)

    def awaited(read: Callable[[Request], Coroutine[Any, Any, object]]) -> Callable[[Request], None]:
        return lambda request: loop.run_until_complete(read(request)) and None

    async def transcribed(request: Request) -> None:
        async with uploads.receive(request) as upload:
            parse_params(upload, languages.resolve, translate=False)

    async def converted(request: Request) -> None:
        async with uploads.receive(request) as upload:
            parse_form(upload, languages.resolve)

    async def kept(request: Request) -> None:
        await (await read_form(request, "fields")).close()

    def kyutai_body(body: bytes) -> object:
        return http_out._read(body, http_out.StreamedBody)

    def elevenlabs_speech(body: bytes) -> object:
        return elevenlabs_body.parse_body(body, 40_000).speech_request(None, ("es",))

    def dialogue(body: bytes) -> object:
        return parse_dialogue(body, 40_000).unused_fields([])

    voice_errors = (Unprocessable, FieldTooLarge, InvalidRequest, HTTPException)
    answering = SessionConfig(answers=True)
    message_errors = (elevenlabs_ws.BadMessage, SpeechError)
    return [
        case("kani message", as_json, _read_kani, kani.BadMessage, SpeechError),
        case("kani body", as_json_bytes, lambda b: _asked(kani.read_body(b)), kani.BadMessage, SpeechError),
        case("voxcpm message", as_json, _read_voxcpm, voxcpm.BadMessage),
        case("kyutai to speak", packed, kyutai.read_speech_message, kyutai.BadMessage),
        case("kyutai to hear", packed, _read_heard, kyutai.BadMessage),
        case("kyutai query", _query, lambda query: read_speech_query(query, service), kyutai.BadMessage),
        case("kyutai body", as_json_bytes, kyutai_body, kyutai.BadMessage, InvalidRequest),
        Case("kyutai voice payload", (_embedding_content(),), _payload, voice_payload.unpack),
        case("realtime event", as_json, partial(_read_realtime, SessionConfig()), EventError),
        case("openai conversation", as_json, partial(_read_realtime, answering), EventError),
        case("elevenlabs body", as_json_bytes, elevenlabs_speech, Unprocessable, SpeechError),
        case("elevenlabs dialogue", as_json_bytes, dialogue, Unprocessable, SpeechError),
        case("elevenlabs dialogue message", as_json, parse_dialogue_message, *message_errors),
        case("elevenlabs message", as_json, elevenlabs_ws.parse_message, *message_errors),
        case("elevenlabs query", _query, lambda query: parse_query(query, service), SpeechError),
        case(
            "elevenlabs form",
            _posted("files"),
            awaited(partial(read_voice_form, files_needed=True)),
            *voice_errors,
        ),
        case("transcription form", _posted("file"), awaited(transcribed), ApiError, InvalidRequest),
        case("transcription json", _posted_json, awaited(transcribed), ApiError, InvalidRequest),
        case("elevenlabs transcription form", _posted("file"), awaited(converted), *voice_errors[::2]),
        case("voices form", _posted("files"), awaited(kept), RequestError),
        case("openai body", as_json_bytes, _read_openai, ApiError, SpeechError),
        case("openai marks", Mutator.text, lambda text: split_turns(text, marks=True), ApiError),
        case("mix of voices", Mutator.text, parse_mix, InvalidRequest),
        case("relay message", as_json, relay.parse_command, relay.BadMessage),
        case("accept-language", Mutator.text, lambda text: accept_languages({"accept-language": text})),
        case("livekit token", as_json_bytes, _read_token, livekit_tokens.TokenRequestError),
    ]
