"""Audio formats by their names in the API, ``response_format``."""

from dataclasses import replace

from kani.core.audio.encoding import AudioFormat
from kani.core.request import Range
from kani.protocols.shared.errors import field_error

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

_BIT_RATES = {"mp3": 128_000, "opus": 64_000, "aac": 96_000, "flac": None, "wav": None, "pcm": None}
FORMATS = {codec: AudioFormat(codec, SAMPLE_RATE, bit_rate, codec) for codec, bit_rate in _BIT_RATES.items()}
"""All formats by name; ``opus`` is Ogg Opus, ``aac`` is ADTS."""


def resolve_format(name: str | None, sample_rate: float | None = None) -> AudioFormat:
    """Look up a format by name, None for the API's default, at a rate in hertz. Raises RequestError.

    Opus has one rate, whatever the client names.
    """
    audio_format = FORMATS.get((name or DEFAULT_FORMAT).lower())
    if audio_format is None:
        raise field_error("response_format", f"must be one of {', '.join(FORMATS)}")
    if sample_rate is None:
        return audio_format
    known_rates = _RATES.get(audio_format.codec)
    if not SAMPLE_RATES.low <= sample_rate <= SAMPLE_RATES.high or sample_rate % 1:
        limits = f"between {SAMPLE_RATES.low} and {SAMPLE_RATES.high}"
        raise field_error("sample_rate", f"must be a whole number {limits}")
    if known_rates is not None and sample_rate not in known_rates:
        known = ", ".join(map(str, known_rates))
        raise field_error("sample_rate", f"must be one of {known} with {audio_format.name}")
    if audio_format.codec == "opus":
        return audio_format
    return replace(audio_format, sample_rate=int(sample_rate))
