"""Descriptions of ElevenLabs' calls that speak: texts and dialogues."""

from __future__ import annotations

from collections.abc import Mapping

from kani.core.audio.encoding import AudioFormat
from kani.protocols.elevenlabs.formats import DEFAULT_FORMAT, FORMATS, STREAMABLE_FORMATS
from kani.protocols.elevenlabs.http.body import DialogueFields, SpeechFields
from kani.protocols.elevenlabs.models import DEFAULT_MODEL
from kani.protocols.elevenlabs.settings import ElevenLabsSettings
from kani.protocols.shared.calls.call import (
    Answer,
    Body,
    Call,
    Parameter,
    audio_answer,
    path_parameter,
    query,
)
from kani.protocols.shared.calls.schemas import (
    Schema,
    choice,
    fields,
    items,
    nullable,
    number,
    struct,
    text,
    whole,
)

_ERRORS = (400, 404, 422, 429, 500, 503, 504)
VOICE = path_parameter("voice_id", "Id of a voice of ElevenLabs' or of this server.", "21m00Tcm4TlvDq8ikWAM")
"""The voice in a call's path."""

UNUSED_HEADER = "Names of the given fields without effect."
"""Description of ``x-unused``."""

_HEADERS = {
    "request-id": "Id of the request in the server's log.",
    "character-cost": "Characters of the text.",
    "x-unused": UNUSED_HEADER,
    "x-cloning": "Kind of cloning of a stored voice.",
}


def speech_calls(settings: ElevenLabsSettings) -> list[Call]:
    said = {"text": "Hello.", "model_id": DEFAULT_MODEL}
    inputs = [{"text": "Hello.", "voice_id": VOICE.schema["examples"][0]}]
    segment = fields(
        voice_id=text(),
        start_time_seconds=number(),
        end_time_seconds=number(),
        character_start_index=whole(),
        character_end_index=whole(),
        dialogue_input_index=whole(),
    )
    return [
        *_four_calls(
            "/v1/text-to-speech/{voice_id}",
            "a text",
            (VOICE,),
            Body(struct(SpeechFields, text=settings.max_text), said, name="ElevenLabsSpeech"),
            {},
        ),
        *_four_calls(
            "/v1/text-to-dialogue",
            "a dialogue",
            (),
            Body(struct(DialogueFields), {"inputs": inputs}, name="ElevenLabsDialogue"),
            {"voice_segments": items(segment)},
        ),
    ]


def _four_calls(
    path: str, what: str, parameters: tuple[Parameter, ...], body: Body, timed_fields: Mapping[str, Schema]
) -> list[Call]:
    """Return the calls for ``what``: whole and streamed, with and without times."""
    alignment = fields(
        characters=items(text()),
        character_start_times_seconds=items(number()),
        character_end_times_seconds=items(number()),
    )
    alignments = {name: nullable(alignment) for name in ("alignment", "normalized_alignment")}
    timed = fields("", None, audio_base64=text(), **alignments, **timed_fields)
    whole_audio = audio_answer("The audio.", *_content_types(FORMATS), headers=_HEADERS)
    streamed_audio = audio_answer(
        "The audio, sent while it is synthesized.", *_content_types(STREAMABLE_FORMATS), headers=_HEADERS
    )
    lines = Answer("A line of JSON for each block of audio.", {"application/x-ndjson": text()}, _HEADERS)
    rows = (
        ("", f"Speak {what}", FORMATS, whole_audio),
        (
            "/with-timestamps",
            f"Speak {what}, with the times of its characters",
            FORMATS,
            Answer("The audio and its times.", {"application/json": timed}, _HEADERS),
        ),
        ("/stream", f"Speak {what} while it is synthesized", STREAMABLE_FORMATS, streamed_audio),
        (
            "/stream/with-timestamps",
            f"Speak {what} while it is synthesized, with the times of its characters",
            STREAMABLE_FORMATS,
            lines,
        ),
    )
    return [
        Call(
            f"POST {path}{end}",
            summary,
            answer,
            parameters=(
                *parameters,
                *query(output_format=choice(formats, "Format of the audio.", default=DEFAULT_FORMAT)),
            ),
            body=body,
            errors=_ERRORS,
        )
        for end, summary, formats, answer in rows
    ]


def _content_types(formats: Mapping[str, AudioFormat]) -> list[str]:
    return [audio_format.content_type for audio_format in formats.values()]
