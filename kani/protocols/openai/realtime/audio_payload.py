"""Audio of client events: base64 to samples."""

from kani.core.audio.decoding import STREAM_POOL, run_in_pool
from kani.core.audio.encoding import AudioFormat, decode_g711
from kani.core.audio.pcm import from_pcm16
from kani.core.types import Samples
from kani.protocols.openai.realtime.client_events import EventError, decoded

MAX_AUDIO_BYTES = 15 * 2**20
"""Decoded bytes of one event."""

MAX_MESSAGE_BYTES = 24 * 2**20
"""Bytes of a message on the WebSocket; audio that is a little beyond its own limit is still answered."""

DECODE_IN_THREAD_CHARACTERS = 2**16
"""Longer payloads are decoded in a thread: they would block the event loop."""


async def read_audio(given: str, audio_format: AudioFormat, param: str = "audio") -> Samples:
    """Return the samples of base64, at the format's rate; param: name of the field. Raises EventError."""
    if len(given) > DECODE_IN_THREAD_CHARACTERS:
        return await run_in_pool(STREAM_POOL, _decode_audio, given, audio_format, param)
    return _decode_audio(given, audio_format, param)


def _decode_audio(given: str, audio_format: AudioFormat, param: str) -> Samples:
    if len(given) * 3 // 4 - given[-2:].count("=") > MAX_AUDIO_BYTES:
        limit = f"{MAX_AUDIO_BYTES >> 20} MiB"
        raise EventError(f"{param}: too large (at most {limit} in one event)", "audio_too_large", param)
    data = decoded(given, param)
    match audio_format.codec:
        case "ulaw" | "alaw" as codec:
            return decode_g711(data, codec)
    if len(data) % 2:
        reason = f"{param}: 16-bit samples need an even number of bytes ({len(data)} were sent)"
        raise EventError(reason, "invalid_value", param)
    return from_pcm16(data)
