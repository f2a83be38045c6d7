"""Descriptions of the HTTP calls of Kyutai's moshi-server."""

from kani.core.expected_words import MAX_TEXT
from kani.protocols.kyutai.http import BUILD_FIELDS, MAX_RECORDING_S, SPEECH_PATHS, LegacyBody, StreamedBody
from kani.protocols.kyutai.voice_payload import MAX_RECORDING_S as MAX_VOICE_S
from kani.protocols.shared.calls.call import Answer, Body, Call, CallGroup, audio_answer, json_answer, query
from kani.protocols.shared.calls.schemas import Schema, choice, fields, items, number, struct, text

_WAV = audio_answer("A WAV file; its header leaves the length open.", "audio/wav")
_ERRORS = (400, 500, 503, 504)
_RECORDING: Schema = {"description": "A recording: any audio file that FFmpeg reads."}


def call_group() -> CallGroup:
    word = fields(
        "",
        ["type"],
        type=choice(("Word", "EndWord")),
        text=text(),
        start_time=number("Seconds."),
        stop_time=number("Seconds."),
    )
    module = fields(
        "", ["type", "path"], type=text(), path=text(), used_slots=text(), total_slots=text(), lm=text()
    )
    words = "The words and their ends, as the messages of the WebSocket, with seconds since the start."
    return CallGroup(
        "Kyutai",
        "The HTTP calls of moshi-server. Its WebSockets are on /api/tts_streaming and /api/asr-streaming.",
        "KyutaiError",
        fields(error=fields(message=text("The error: field and limit."))),
        (
            *(_streamed(path) for path in SPEECH_PATHS),
            _legacy(),
            Call(
                "POST /api/asr-streaming",
                "Transcribe a recording into words with their times",
                json_answer(words, items(word)),
                about=f"At most {MAX_RECORDING_S:g} seconds of audio.",
                parameters=query(
                    language=text("Name or tag of the spoken language; detected by default."),
                    prompt=text("Words to expect, names above all.", longest=MAX_TEXT),
                ),
                body=Body(_RECORDING, "@recording.wav", "application/octet-stream"),
                errors=_ERRORS,
            ),
            Call(
                "POST /api/voice",
                "Make a voice of a recording",
                audio_answer(
                    "The voice, as a client sends it back when it opens the WebSocket.",
                    "application/octet-stream",
                ),
                about=f"Audio after {MAX_VOICE_S:g} seconds is ignored.",
                body=Body(_RECORDING, "@recording.wav", "application/octet-stream"),
                errors=_ERRORS,
            ),
            *(_upgrade(path) for path in (*SPEECH_PATHS, "/api/asr-streaming")),
            Call(
                "GET /api/build_info",
                "Show the version of the server",
                json_answer("The version.", fields("", None, **dict.fromkeys(BUILD_FIELDS, text()))),
            ),
            Call(
                "GET /api/modules_info",
                "Show the modules with their used slots",
                json_answer("A module for each direction.", items(module)),
            ),
        ),
    )


def _streamed(path: str) -> Call:
    return Call(
        f"POST {path}",
        "Speak a text as a WAV file while it is synthesized",
        _WAV,
        body=Body(struct(StreamedBody), {"text": "Hello.", "voice": ""}),
        errors=_ERRORS,
    )


def _legacy() -> Call:
    word = fields(text=text(), start_s=number("Seconds."), stop_s=number("Seconds."))
    timed = fields(wav=text("The WAV file in base64."), transcript=items(word))
    answer = Answer("The speech.", {"audio/wav": {}, "application/json": timed})
    return Call(
        "POST /api/tts",
        "Speak a text, with the times of its words if asked for",
        answer,
        body=Body(
            struct(LegacyBody),
            {"text": ["Hello."], "seed": 1, "temperature": 0.6, "top_k": 100, "return_timestamps": True},
        ),
        errors=_ERRORS,
    )


def _upgrade(path: str) -> Call:
    return Call(
        f"GET {path}",
        "Open the WebSocket",
        {
            101: Answer("The WebSocket is open."),
            400: Answer("The request asks for no upgrade.", {"text/plain": text()}),
        },
    )
