"""Wire format of Kyutai's protocol: MessagePack maps with ``type`` as the first key.

Messages are written byte for byte as moshi-server (rmp-serde) writes them: single floats for samples and
probabilities, doubles for times, bytes of Ogg Opus as an array of small integers. Whatever moshi-server
reads is read: any kind of number, keys in any order, unknown keys; and bytes as ``bin`` too.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from kani.core.types import Samples
from kani.protocols.shared.calls.bodies import wrong_fields
from kani.protocols.shared.errors import BadMessage
from kani_text import foreign

SAMPLE_RATE = 24_000
FRAME_SAMPLES = 1920
MAX_AMPLITUDE = 0.99
"""Samples are clipped to ± this before they are sent."""

NO_FREE_CHANNELS = "no free channels"
EOS_BYTE = b"\0"
"""``Eos`` of clients without MessagePack: one zero byte."""

EMBEDDING_CHANNELS = 512
MAX_EMBEDDING_FRAMES = 400
"""Frames of a voice: 32 s, which fit into a message of ``_BYTES_UNPACKED``."""

_BYTES_UNPACKED = 2**20
"""Bytes of a message other than ``Audio``, and of a list of numbers that are not all floats of one kind.
Those become Python objects, which take 30 times the memory."""

_AUDIO_FIRST = b"\x82\xa4type\xa5Audio\xa3pcm"
_AUDIO_LAST = (b"\x82\xa3pcm", b"\xa4type\xa5Audio")
_FLOATS: Final = {
    0xCA: np.dtype([("kind", "u1"), ("value", ">f4")]),
    0xCB: np.dtype([("kind", "u1"), ("value", ">f8")]),
}


class _Tagged(msgspec.Struct, frozen=True, tag_field="type", tag=True):
    """Base of the messages; ``tag`` is the value of ``type``."""


class Text(_Tagged, frozen=True, tag="Text"):
    """From the client: a word, or several."""

    text: str


class _Voice(_Tagged, frozen=True, tag="Voice"):
    embeddings: msgspec.Raw
    shape: list[int]


class Eos(_Tagged, frozen=True, tag="Eos"):
    """From the client: the end of the text."""


class Init(_Tagged, frozen=True, tag="Init"):
    """From the client: restart recognition."""


class Marker(_Tagged, frozen=True, tag="Marker"):
    """Both ways: a position in the audio, sent back once every word before it is final."""

    id: int


class Audio(_Tagged, frozen=True, tag="Audio"):
    """Both ways: samples, mono, 24 kHz."""

    pcm: msgspec.Raw


class OggOpus(_Tagged, frozen=True, tag="OggOpus"):
    """Both ways: the next bytes of an Ogg Opus stream."""

    data: bytes | list[int]


class Ready(_Tagged, frozen=True, tag="Ready"):
    """To the client: its first message."""


class Error(_Tagged, frozen=True, tag="Error"):
    """To the client: why the connection ends."""

    message: str


class Word(_Tagged, frozen=True, tag="Word"):
    """To the client: a recognized word and its start, in seconds of the audio that the client sent."""

    text: str
    start_time: float


class EndWord(_Tagged, frozen=True, tag="EndWord"):
    """To the client: the end of the last ``Word``, in seconds."""

    stop_time: float


class SpokenText(_Tagged, frozen=True, tag="Text"):
    """To the client: a word of its text and its times, in seconds of the audio sent."""

    text: str
    start_s: float
    stop_s: float


class _Step(_Tagged, frozen=True, tag="Step"):
    step_idx: int
    prs: msgspec.Raw
    buffered_pcm: int


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """From the client: the embeddings that ``/api/voice`` returned, [1, 512, T] finite numbers."""

    embeddings: Samples


T = TypeVar("T")
SpeechMessage = Text | Voice | Eos
RecognitionMessage = Init | Marker | Audio | OggOpus

encode = msgspec.msgpack.Encoder().encode
_speech_decoder: msgspec.msgpack.Decoder[Text | _Voice | Eos] = msgspec.msgpack.Decoder(Text | _Voice | Eos)
_recognition_decoder: msgspec.msgpack.Decoder[RecognitionMessage] = msgspec.msgpack.Decoder(
    RecognitionMessage
)
_numbers_decoder = msgspec.msgpack.Decoder(list[float])


def read_speech_message(message: bytes | str) -> SpeechMessage:
    """Parse a message of a speech connection. Raises BadMessage.

    A text frame is text to speak, whatever it holds.
    """
    if len(message) > _BYTES_UNPACKED:
        raise BadMessage(f"message: too large (at most {_BYTES_UNPACKED} bytes)")
    if isinstance(message, str):
        return Text(message)
    if message == EOS_BYTE:
        return Eos()
    decoded = _decoded(_speech_decoder, message)
    return _checked(decoded) if isinstance(decoded, _Voice) else decoded


def read_recognition_message(message: bytes) -> RecognitionMessage:
    """Parse a message of a recognition connection. Raises BadMessage.

    A message longer than ``_BYTES_UNPACKED`` has to be an ``Audio`` of nothing but ``type`` and ``pcm``.
    ``audio_samples`` and ``ogg_bytes`` read the content.
    """
    if len(message) <= _BYTES_UNPACKED:
        return _decoded(_recognition_decoder, message)
    # msgspec would walk through all of it, blocking the event loop.
    if message.startswith(_AUDIO_FIRST):
        return Audio(msgspec.Raw(memoryview(message)[len(_AUDIO_FIRST) :]))
    first, last = _AUDIO_LAST
    if message.startswith(first) and message.endswith(last):
        return Audio(msgspec.Raw(memoryview(message)[len(first) : -len(last)]))
    raise BadMessage(f"message: too large (at most {_BYTES_UNPACKED} bytes for all but Audio)")


def _decoded(decoder: msgspec.msgpack.Decoder[T], message: bytes) -> T:
    try:
        return foreign.decode_pack(decoder, message)
    except foreign.Unreadable as error:
        if error.formed:
            raise BadMessage(str(wrong_fields(error, decoder.type, whole="message"))) from error
        raise BadMessage("message: is not MessagePack") from error


def _checked(voice: _Voice) -> Voice:
    """Unpack a voice. Raises BadMessage unless it is [1, 512, T] finite numbers."""
    shape = voice.shape
    if len(shape) != 3 or shape[:2] != [1, EMBEDDING_CHANNELS] or not 1 <= shape[2] <= MAX_EMBEDDING_FRAMES:
        raise BadMessage(f"shape: must be [1, {EMBEDDING_CHANNELS}, 1 to {MAX_EMBEDDING_FRAMES}]")
    values = unpack_floats(voice.embeddings, "embeddings")
    if len(values) != EMBEDDING_CHANNELS * shape[2]:
        raise BadMessage(
            f"embeddings: {len(values)} numbers, and the shape says {EMBEDDING_CHANNELS * shape[2]}"
        )
    return Voice(values.reshape(shape))


def audio_samples(audio: Audio) -> Samples:
    """Return the samples of an ``Audio``, clipped to [-1, 1]. Raises BadMessage.

    Takes 0.1 s for the longest (64 MiB): call it in a thread if ``audio.pcm`` is large.
    """
    return np.clip(unpack_floats(audio.pcm, "pcm"), -1.0, 1.0)


def unpack_floats(packed: msgspec.Raw, field: str) -> Samples:
    """Unpack an array of finite numbers. Raises BadMessage, which names ``field``."""
    view = memoryview(packed)
    count, start = _array_head(view, field)
    body = view[start:]
    kind = _FLOATS.get(body[0]) if count and len(body) else None
    if kind is not None and len(body) == count * kind.itemsize:
        rows = np.frombuffer(body, kind)
        if (rows["kind"] == body[0]).all():
            return _finite(_singles(rows["value"]), field)
    if len(view) > _BYTES_UNPACKED:
        raise BadMessage(f"{field}: more than {_BYTES_UNPACKED} bytes have to be floats of one kind")
    try:
        values = np.array(foreign.decode_pack(_numbers_decoder, view), np.float64)
    except foreign.Unreadable as error:
        wrong = f"{field}: has to be an array of numbers" if error.formed else "message: is not MessagePack"
        raise BadMessage(wrong) from error
    return _finite(_singles(values), field)


def _array_head(view: memoryview, field: str) -> tuple[int, int]:
    """Return the number of elements of a packed array, and the offset of the first."""
    first = view[0] if len(view) else 0
    if first & 0xF0 == 0x90:
        return first & 0x0F, 1
    if first == 0xDC and len(view) >= 3:
        return int.from_bytes(view[1:3]), 3
    if first == 0xDD and len(view) >= 5:
        return int.from_bytes(view[1:5]), 5
    raise BadMessage(f"{field}: has to be an array of numbers")


def _singles(values: npt.NDArray[np.floating[Any]]) -> Samples:
    """Convert to float32; a number too large becomes infinite, without numpy's warning."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _finite(values: Samples, field: str) -> Samples:
    if not np.isfinite(values).all():
        raise BadMessage(f"{field}: has to be finite numbers")
    return values


def ogg_bytes(message: OggOpus) -> bytes:
    """Return the bytes of an ``OggOpus``. Raises BadMessage."""
    if isinstance(message.data, bytes):
        return message.data
    try:
        return bytes(message.data)
    except ValueError as error:
        raise BadMessage("data: has to be bytes, 0 to 255") from error


def pack_floats(values: Samples) -> bytes:
    count = len(values)
    if count < 16:
        head = bytes([0x90 | count])
    elif count < 2**16:
        head = struct.pack(">BH", 0xDC, count)
    else:
        head = struct.pack(">BI", 0xDD, count)
    rows = np.empty(count, _FLOATS[0xCA])
    rows["kind"] = 0xCA
    rows["value"] = values
    return head + rows.tobytes()


def audio(frame: Samples) -> bytes:
    """Encode ``Audio``: samples within ± ``MAX_AMPLITUDE``."""
    return encode(Audio(msgspec.Raw(pack_floats(frame))))


def ogg_opus(data: bytes) -> bytes:
    """Encode ``OggOpus``, its bytes as an array of small integers."""
    return encode(OggOpus(list(data)))


def step(index: int, pauses: tuple[float, ...], buffered: int) -> bytes:
    """Encode ``Step``: probabilities of a pause of 0.5, 1, 2 and 3 s; samples not recognized yet."""
    packed = pack_floats(np.array(pauses, np.float32))
    return encode(_Step(index, msgspec.Raw(packed), buffered))


def voice(embeddings: Samples) -> bytes:
    packed = pack_floats(embeddings.reshape(-1))
    return encode(_Voice(msgspec.Raw(packed), list(embeddings.shape)))
