"""Audio formats by their names in the API, ``response_format``."""

from __future__ import annotations

from protocols.openai.errors import ApiError
from speech.audio.encoding import AudioFormat, Codec

SAMPLE_RATE = 24_000
"""Hertz of every format, whatever the engine's own rate: clients read ``pcm`` at this rate without asking."""

DEFAULT_FORMAT = "mp3"

_ROWS: tuple[tuple[Codec, int | None, str], ...] = (
    ("mp3", 128_000, "audio/mpeg"),
    ("opus", 64_000, "audio/opus"),
    ("aac", 96_000, "audio/aac"),
    ("flac", None, "audio/flac"),
    ("wav", None, "audio/wav"),
    ("pcm", None, "audio/pcm"),
)
FORMATS: dict[str, AudioFormat] = {
    codec: AudioFormat(codec, codec, SAMPLE_RATE, bit_rate, content_type)
    for codec, bit_rate, content_type in _ROWS
}
"""All formats by name; ``opus`` is Ogg Opus, ``aac`` is ADTS."""


def resolve_format(name: str | None) -> AudioFormat:
    """Look up a format by name; None is the API's default. Raises ApiError."""
    audio_format = FORMATS.get((name or DEFAULT_FORMAT).lower())
    if audio_format is None:
        known = ", ".join(FORMATS)
        raise ApiError(400, f"response_format: must be one of {known}", "response_format", "invalid_value")
    return audio_format
