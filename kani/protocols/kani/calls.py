"""Descriptions of Kani's two REST calls."""

from __future__ import annotations

from kani.core.request import RANGES as SPEECH_RANGES
from kani.core.request import TOKENS_PER_SECOND, Range
from kani.protocols.kani.messages import MAX_NAME_LENGTH, RANGES, Config
from kani.protocols.shared.calls.call import Answer, Body, Call, CallGroup, audio_answer
from kani.protocols.shared.calls.schemas import Schema, fields, struct_fields, text
from kani.protocols.shared.client_languages import MAX_LANGUAGES, MAX_TAG_LENGTH

_ABOUT = {
    "language": "Name or BCP 47 tag of the text's language; detected from the text by default.",
    "languages": "Languages of the reader, in order of preference, between which detection decides.",
    "emotion": "An emotion, or a blend of several: happy, or happy:0.7+calm:0.3.",
    "emotion_strength": "Strength of the emotion.",
    "speed": "Speed of the speech; 1 is normal.",
    "duration": "Seconds that the whole speech shall last, instead of a speed.",
    "lexicon": "Pronunciations by word.",
    "normalize": "Whether numbers, abbreviations and the like are spelled out.",
    "ssml": "Whether the text is SSML; by default it is where it begins with <speak>.",
    "voice_id": "Id of a voice; GET /v1/audio/voices lists them.",
    "temperature": "Sampling temperature of the Kani model.",
    "max_tokens": f"Longest speech, in tokens: {TOKENS_PER_SECOND} are one second.",
    "top_p": "Nucleus sampling of the Kani model.",
    "top_k": "Number of tokens that the Kani model samples from.",
    "repetition_penalty": "Repetition penalty of the Kani model.",
    "seed": "Seed of the Kani model's sampling.",
    "chunk_size": "Frames of 80 ms of one chunk, on the WebSocket; without effect here.",
    "lookback_frames": "Without effect on this server.",
}
_LIMITS = SPEECH_RANGES | RANGES | {"duration": SPEECH_RANGES["duration_s"], "emotion_strength": Range(0, 1)}
_HEADERS = {
    "X-Cloning": "Kind of cloning, for a reference_audio or a stored voice.",
    "X-Similarity": "Similarity of the voice to its recording, as JSON, where it was measured.",
    "X-Cloning-Note": "A sentence about the cloning.",
}
_FORMAT_HEADERS = {
    "X-Sample-Rate": "Samples in a second.",
    "X-Channels": "Channels: 1.",
    "X-Bit-Depth": "Bits of a sample: 16.",
}
_ERRORS = (400, 500, 503, 504)


def call_group(max_text: int) -> CallGroup:
    """Return the calls; max_text: characters of a text."""
    body = Body(_body(max_text), {"text": "Hola, ¿cómo estás?", "language": "es"}, name="KaniSpeech")
    packets = (
        "Packets of audio: a length of 4 bytes, little endian, and that many bytes of 16-bit samples. "
        "A length of 0 ends the audio, 0xFFFFFFFF reports a failure."
    )
    return CallGroup(
        "Kani",
        "The REST calls of Kani-TTS' original server. Its WebSocket is on /.",
        "KaniError",
        fields(detail=text("The error: field and limit.")),
        (
            Call(
                method="POST",
                path="/tts",
                summary="Speak a text as a WAV file",
                body=body,
                answers={200: audio_answer("The whole speech.", "audio/wav", headers=_HEADERS)},
                errors=_ERRORS,
            ),
            Call(
                method="POST",
                path="/stream-tts",
                summary="Speak a text while it is synthesized",
                body=body,
                answers={200: Answer(packets, {"application/octet-stream": {}}, _FORMAT_HEADERS | _HEADERS)},
                errors=_ERRORS,
            ),
        ),
    )


def _body(max_text: int) -> Schema:
    config = struct_fields(Config, _ABOUT, _LIMITS)
    for name in ("language", "emotion", "voice_id"):
        config[name] = {**config[name], "maxLength": MAX_NAME_LENGTH}
    tags = {"items": text(longest=MAX_TAG_LENGTH), "maxItems": MAX_LANGUAGES}
    config["languages"] = {**config["languages"], **tags}
    return fields(
        "A null equals a missing field.",
        ["text"],
        text=text("The text.", longest=max_text),
        reference_audio=text(
            "A recording of the voice to imitate, in base64, or the name of a stored voice."
        ),
        **config,
    )
