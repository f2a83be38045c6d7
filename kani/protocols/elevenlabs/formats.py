"""Audio formats by their names in the protocol, ``output_format``."""

from kani.core.audio.encoding import AudioFormat
from kani.core.errors import InvalidRequest

DEFAULT_FORMAT = "mp3_44100_128"

_LINEAR_RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
_KBITS = (32, 64, 96, 128, 192)


_ROWS: tuple[tuple[str, int, int | None], ...] = (
    ("mp3", 22050, 32),
    ("mp3", 24000, 48),
    *(("mp3", 44100, kbits) for kbits in _KBITS),
    *(("opus", 48000, kbits) for kbits in _KBITS),
    *(("pcm", rate, None) for rate in _LINEAR_RATES),
    ("ulaw", 8000, None),
    ("alaw", 8000, None),
    *(("wav", rate, None) for rate in _LINEAR_RATES),
)


def _format(codec: str, rate: int, kbits: int | None) -> AudioFormat:
    name = f"{codec}_{rate}" if kbits is None else f"{codec}_{rate}_{kbits}"
    return AudioFormat(codec, rate, None if kbits is None else kbits * 1000, name)


FORMATS = {each.name: each for each in (_format(*row) for row in _ROWS)}
"""All formats by name."""

STREAMABLE_FORMATS = {
    name: audio_format for name, audio_format in FORMATS.items() if audio_format.codec != "wav"
}
"""Formats other than WAV, as its header holds the length of the audio."""


def resolve_format(name: str | None, *, streamed: bool = True) -> AudioFormat:
    """Look up a format by name; None is the protocol's default.

    streamed: whether the audio is sent while it is synthesized. Raises InvalidRequest.
    """
    allowed = STREAMABLE_FORMATS if streamed else FORMATS
    audio_format = allowed.get(name or DEFAULT_FORMAT)
    if audio_format is None:
        raise InvalidRequest("output_format", f"must be one of {', '.join(allowed)}")
    return audio_format
