"""Audio formats by their names in the API, ``response_format``."""

from dataclasses import replace

from kani.core.audio.encoding import AudioFormat
from kani.core.request import Range
from kani.protocols.openai.errors import ApiError

SAMPLE_RATE = 24_000
"""Hertz of a format unless the request names others, whatever the engine's rate: clients read ``pcm`` so."""

SAMPLE_RATES = Range(8_000, 48_000)
OPUS_RATE = 48_000
"""Hertz at which every Opus stream is decoded."""

_RATES: dict[str, tuple[int, ...]] = {
    "mp3": (16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
    "aac": (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
}
"""The rates that a format has names for; others have any."""

DEFAULT_FORMAT = "mp3"

_ROWS: tuple[tuple[str, int | None, str], ...] = (
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


def resolve_format(name: str | None, sample_rate: float | None = None) -> AudioFormat:
    """Look up a format by name, None for the API's default, at a rate in hertz. Raises ApiError.

    Opus has one rate, whatever the client names.
    """
    audio_format = FORMATS.get((name or DEFAULT_FORMAT).lower())
    if audio_format is None:
        known = ", ".join(FORMATS)
        raise ApiError(400, f"response_format: must be one of {known}", "response_format", "invalid_value")
    if sample_rate is None:
        return audio_format
    known_rates = _RATES.get(audio_format.codec)
    if not SAMPLE_RATES.low <= sample_rate <= SAMPLE_RATES.high or sample_rate % 1:
        raise _rate_error(f"a whole number between {SAMPLE_RATES.low} and {SAMPLE_RATES.high}")
    if known_rates is not None and sample_rate not in known_rates:
        raise _rate_error(f"one of {', '.join(map(str, known_rates))} with {audio_format.name}")
    if audio_format.codec == "opus":
        return audio_format
    return replace(audio_format, sample_rate=int(sample_rate))


def _rate_error(allowed: str) -> ApiError:
    return ApiError(400, f"sample_rate: must be {allowed}", "sample_rate", "invalid_value")
