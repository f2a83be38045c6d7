"""Cases of the parsers of every protocol's messages."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import msgspec
import numpy as np
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request

from kani.core.errors import InvalidRequest, SpeechError
from kani.core.types import Embedding
from kani.core.voices.mix import parse_mix
from kani.protocols import livekit_tokens
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
from kani.protocols.kyutai import query as kyutai_query
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
from kani.protocols.shared import client_languages
from kani.protocols.shared.recordings.upload import AudioUploads
from kani.protocols.voices_api.forms import VoiceRequestError, read_form
from kani.protocols.voxcpm import messages as voxcpm
from kani.protocols.voxcpm.params import read_params
from kani.text import languages
from tests.fuzzing.mutator import Case, Mutator, as_json, as_json_bytes

TEXT = "Hola, ¿qué tal? Son las 10:30. 你好 \U0001f600"
OPENAI = {
    "model": "tts-1",
    "input": f"{TEXT} [pause:1.5s] [voice:alloy] [rate:0.8] Hi.",
    "voice": {"id": "alloy"},
    "response_format": "opus",
    "speed": 1.25,
    "instructions": "Speak very slowly, in a cheerful tone.",
    "stream_format": "sse",
    "lang_code": "e",
    "allow_voice_tags": True,
    "sample_rate": 48000,
    "volume_multiplier": 1.5,
    "voice_aliases": {"narrator": {"voice": "alloy", "rate": 0.8}},
}
CONFIG = {
    "voice_id": "a",
    "language": "spanish",
    "emotion": "happy",
    "speed": 1.0,
    "temperature": 0.7,
    "top_p": 0.9,
    "max_tokens": 1200,
    "seed": 1,
}
SPEAK = {
    "type": "tts_request",
    "data": {"text": TEXT, "config": CONFIG, "stream": True, "chunk_size": 10, "reference_audio": "UklGRg=="},
}
VOXCPM = {
    "type": "tts_request",
    "request_id": "r1",
    "timestamp": 1.5,
    "params": {"text": TEXT, "mode": "streaming", "voice_id": "es", "cfg_value": 2.0, "seed": 3},
}
SETTINGS = {"stability": 0.5, "similarity_boost": 0.8, "style": 0.1, "use_speaker_boost": True, "speed": 1.0}
ELEVENLABS = {
    "text": TEXT,
    "model_id": "eleven_multilingual_v2",
    "voice_settings": SETTINGS,
    "seed": 1,
    "language_code": "es",
    "apply_text_normalization": "auto",
    "pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "a", "version_id": "b"}],
}
DIALOGUE = {
    "inputs": [{"text": "[laughs] Hola.", "voice_id": "espeak:es"}, {"text": "Hi.", "voice_id": "default"}],
    "model_id": "eleven_v3",
    "settings": {"stability": 0.4, "similarity": 0.5},
    "seed": 4,
    "language_code": "es",
    "apply_text_normalization": "auto",
    "future_text": "",
    "audio_effects": {},
}
TURN = {
    "context_id": "a",
    "voices": ["espeak:es", "default"],
    "voice_settings": {"stability": 0.5},
    "inputs": [{"text": "Hola. ", "voice_id": "espeak:es", "new_turn": True}],
    "flush": True,
    "close_context": False,
    "xi_api_key": "k",
}
CONTEXT = {
    "text": TEXT,
    "voice_settings": SETTINGS,
    "generation_config": {"chunk_length_schedule": [120, 160, 250, 290]},
    "xi_api_key": "key",
    "context_id": "c",
    "flush": True,
    "close_context": False,
}
TOKEN = {
    "room_name": "room",
    "participant_identity": "me",
    "participant_name": "Me",
    "participant_metadata": "{}",
    "participant_attributes": {"a": "b"},
    "room_config": {"agents": [{"agent_name": "x"}]},
}
BOUNDARY = "b0undary"


def packed(mutator: Mutator, sample: Any) -> bytes:
    """MessagePack with wrong values or wrong bytes."""
    try:
        packed = msgspec.msgpack.encode(mutator.object(sample))
    except (UnicodeEncodeError, OverflowError):
        # What MessagePack has no way to write.
        packed = msgspec.msgpack.encode(sample)
    return mutator.bytes(packed) if mutator.sometimes() else packed


def _read_openai(body: bytes) -> None:
    read = openai_body.parse_body(openai_body.read_object(body), 100_000)
    split_turns(read.text, marks=True)


def _read_marks(text: str) -> None:
    split_turns(text, marks=True)


def _query(mutator: Mutator, sample: dict[str, str]) -> QueryParams:
    return QueryParams(mutator.query(sample))


def _form(fields: dict[str, str], recording: bytes = b"RIFF") -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'
        for n, v in fields.items()
    ]
    file = 'Content-Disposition: form-data; name="files"; filename="a.wav"\r\nContent-Type: audio/wav'
    head = f"--{BOUNDARY}\r\n{file}\r\n\r\n"
    return "".join(parts).encode() + head.encode() + recording + f"\r\n--{BOUNDARY}--\r\n".encode()


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
            (b"x-consent", body[:40].replace(b"\r", b"").replace(b"\n", b"")),
        ],
    }
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in split]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    return Request(scope, receive)


def _posted(mutator: Mutator, sample: bytes) -> Request:
    body = mutator.bytes(sample)
    return _request(body, mutator.pieces(body))


def _posted_json(mutator: Mutator, sample: Any) -> Request:
    body = as_json_bytes(mutator, sample)
    return _request(body, mutator.pieces(body), "application/json")


def _read_kani(message: str) -> None:
    read = kani.read_message(message)
    if isinstance(read, kani.SpeakRequest):
        _asked(read)


def _asked(speak: kani.Speak) -> None:
    _ = speak.frame_samples
    speak.to_request(None)
    if speak.reference is not None:
        kani.reference_bytes(speak.reference)


def _read_voxcpm(message: str) -> None:
    read = voxcpm.read(message)
    if isinstance(read, voxcpm.TtsRequest):
        read_params(read.params, 5000, read.request_id).to_request(None, None, "")


REALTIME_SESSION = {
    "type": "transcription",
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": {"model": "m", "language": "es", "languages": ["es", "en"], "prompt": TEXT},
            "turn_detection": {"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 500},
        },
        "output": {"format": {"type": "audio/pcmu"}, "voice": {"id": "alloy"}, "speed": 1.0},
    },
    "tools": [],
}
REALTIME_BETA = {
    "input_audio_format": "pcm16",
    "input_audio_transcription": {"model": "m"},
    "turn_detection": {"type": "semantic_vad", "eagerness": "low"},
    "modalities": ["audio", "text"],
    "voice": "alloy",
}
REALTIME_ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": TEXT}]}
REALTIME_RESPONSE = {"conversation": "none", "input": [REALTIME_ITEM], "metadata": {"a": "b"}, "voice": "x"}


REALTIME_ANSWERS = {
    "instructions": TEXT,
    "tools": [{"type": "function", "name": "t", "description": "x", "parameters": {"type": "object"}}],
    "tool_choice": {"type": "function", "name": "t"},
    "output_modalities": ["text"],
    "max_output_tokens": 100,
}
REALTIME_CALL = {"type": "function_call", "id": "i", "call_id": "c", "name": "t", "arguments": "{}"}
REALTIME_RESULT = {"type": "function_call_output", "call_id": "c", "output": TEXT}


def _read_realtime(message: str) -> None:
    """Read an event as the connection does, whatever its type, where no model answers."""
    _read_realtime_event(message, SessionConfig())


def _read_conversation(message: str) -> None:
    """Read an event where a model answers."""
    _read_realtime_event(message, SessionConfig(answers=True))


def _read_realtime_event(message: str, config: SessionConfig) -> None:
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
    audio = {"type": "Audio", "pcm": [0.0, 0.5, -0.25] * 20}
    pages = {"type": "OggOpus", "data": list(b"OggS" + struct.pack("<BBqIIIB", 0, 2, 0, 1, 0, 0, 0))}
    speak = [{"type": "Text", "text": TEXT}, {"type": "Eos"}]
    voice = {"type": "Voice", "embeddings": [0.0] * 512, "shape": [1, 512, 1]}
    speak_query = {
        "format": "PcmMessagePack",
        "voice": "espeak:es",
        "temperature": "0.7",
        "top_k": "250",
        "seed": "1",
        "max_seq_len": "100",
        "cfg_alpha": "1.5",
        "language": "es",
    }
    elevenlabs_query = {
        "model_id": "eleven_flash_v2_5",
        "language_code": "es",
        "output_format": "pcm_24000",
        "inactivity_timeout": "20",
        "seed": "4",
        "sync_alignment": "true",
        "auto_mode": "true",
        "apply_text_normalization": "auto",
    }
    form = _form({"name": "Mi voz", "labels": '{"language":"es","consent":"Soy yo"}', "description": "d"})

    def posted(request: Request) -> None:
        loop.run_until_complete(read_voice_form(request, files_needed=True))

    uploads = AudioUploads(1 << 20)
    transcribe = {"model": "m", "language": "es", "response_format": "verbose_json", "languages[]": "en"}
    transcribe |= {"timestamp_granularities[]": "word", "temperature": "0.5", "chunking_strategy": "auto"}
    spoken_json = transcribe | {"input_audio": {"data": "UklGRg==", "format": "wav"}, "keywords": ["a", "b"]}
    convert = {
        "model_id": "m",
        "language_code": "spa",
        "additional_formats": '[{"format":"srt"}]',
        "seed": "1",
    }

    async def transcribed(request: Request) -> None:
        async with uploads.receive(request) as upload:
            parse_params(upload, languages.resolve, translate=False)

    async def converted(request: Request) -> None:
        async with uploads.receive(request) as upload:
            parse_form(upload, languages.resolve)

    async def kept(request: Request) -> None:
        await (await read_form(request, "fields")).close()

    return [
        Case(
            "kani message",
            (SPEAK, {"type": "ping", "data": {}}),
            as_json,
            _read_kani,
            (kani.BadMessage, SpeechError),
        ),
        Case(
            "kani body",
            (SPEAK["data"],),
            as_json_bytes,
            lambda body: _asked(kani.read_body(body)),
            (kani.BadMessage, SpeechError),
        ),
        Case("voxcpm message", (VOXCPM,), as_json, _read_voxcpm, (voxcpm.BadMessage,)),
        Case("kyutai to speak", (*speak, voice), packed, kyutai.read_speech_message, (kyutai.BadMessage,)),
        Case(
            "kyutai to hear",
            (audio, pages, {"type": "Marker", "id": 1}),
            packed,
            _read_heard,
            (kyutai.BadMessage,),
        ),
        Case(
            "kyutai query",
            (speak_query,),
            _query,
            lambda query: kyutai_query.read_speech_query(query, service),
            (kyutai.BadMessage,),
        ),
        Case(
            "kyutai body",
            ({"text": TEXT, "voice": "es"},),
            as_json_bytes,
            lambda body: http_out._read(body, http_out.StreamedBody),
            (kyutai.BadMessage,),
        ),
        Case(
            "realtime event",
            (
                {"type": "session.update", "session": REALTIME_SESSION},
                {"type": "session.update", "session": REALTIME_BETA},
                {"type": "response.create", "response": REALTIME_RESPONSE},
                {"type": "conversation.item.create", "item": REALTIME_ITEM},
                {"type": "input_audio_buffer.append", "event_id": "e", "audio": "AAAA////"},
            ),
            as_json,
            _read_realtime,
            (EventError,),
        ),
        Case(
            "openai conversation",
            (
                {"type": "session.update", "session": REALTIME_ANSWERS},
                {"type": "response.create", "response": REALTIME_RESPONSE | REALTIME_ANSWERS},
                {"type": "conversation.item.create", "item": REALTIME_CALL},
                {"type": "conversation.item.create", "item": REALTIME_RESULT},
            ),
            as_json,
            _read_conversation,
            (EventError,),
        ),
        Case("kyutai voice payload", (_embedding_content(),), _payload, voice_payload.unpack),
        Case(
            "elevenlabs body",
            (ELEVENLABS,),
            as_json_bytes,
            lambda body: elevenlabs_body.parse_body(body, 40_000).speech_request(None, ("es",)),
            (Unprocessable, SpeechError),
        ),
        Case(
            "elevenlabs dialogue",
            (DIALOGUE,),
            as_json_bytes,
            lambda body: parse_dialogue(body, 40_000).unused_fields([]),
            (Unprocessable, SpeechError),
        ),
        Case(
            "elevenlabs dialogue message",
            (TURN,),
            as_json,
            parse_dialogue_message,
            (elevenlabs_ws.BadMessage, SpeechError),
        ),
        Case(
            "elevenlabs message",
            (CONTEXT,),
            as_json,
            elevenlabs_ws.parse_message,
            (elevenlabs_ws.BadMessage, SpeechError),
        ),
        Case(
            "elevenlabs query",
            (elevenlabs_query,),
            _query,
            lambda query: parse_query(query, service),
            (SpeechError,),
        ),
        Case(
            "elevenlabs form",
            (form,),
            _posted,
            posted,
            (Unprocessable, FieldTooLarge, InvalidRequest, HTTPException),
        ),
        Case(
            "transcription form",
            (_form(transcribe).replace(b'name="files"', b'name="file"'),),
            _posted,
            lambda request: loop.run_until_complete(transcribed(request)),
            (ApiError, InvalidRequest),
            0.5,
        ),
        Case(
            "transcription json",
            (spoken_json,),
            _posted_json,
            lambda request: loop.run_until_complete(transcribed(request)),
            (ApiError, InvalidRequest),
            0.5,
        ),
        Case(
            "elevenlabs transcription form",
            (_form(convert).replace(b'name="files"', b'name="file"'),),
            _posted,
            lambda request: loop.run_until_complete(converted(request)),
            (Unprocessable, InvalidRequest),
            0.5,
        ),
        Case(
            "voices form",
            (form,),
            _posted,
            lambda request: loop.run_until_complete(kept(request)),
            (VoiceRequestError,),
        ),
        Case("openai body", (OPENAI,), as_json_bytes, _read_openai, (ApiError, SpeechError)),
        Case("openai marks", (OPENAI["input"],), Mutator.text, _read_marks, (ApiError,)),
        Case("mix of voices", ("af_bella(2)+af_sky(1)",), Mutator.text, parse_mix, (InvalidRequest,)),
        Case(
            "relay message",
            ({"action": "start_tts", "text": TEXT},),
            as_json,
            relay.parse_command,
            (relay.BadMessage,),
        ),
        Case(
            "accept-language",
            ("es-419,es;q=0.9,en-GB;q=0.8,*;q=0.1",),
            Mutator.text,
            lambda header: client_languages.accept_languages({"accept-language": header}),
        ),
        Case("livekit token", (TOKEN,), as_json_bytes, _read_token, (livekit_tokens.TokenRequestError,)),
    ]
