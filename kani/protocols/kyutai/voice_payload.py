"""Speaker embeddings packed into the numbers of a ``Voice`` message.

``/api/voice`` returns such a message, and a client sends it on the speech WebSocket. moshi-server's encoder
was never published, so its numbers cannot be computed. These are a container of the same shape,
[1, 512, 125]: each number carries 16 bits as a fraction of 32,768, which single and double floats hold
exactly, so that it survives a client that decodes and encodes the message.

The bits, as little-endian bytes: 8 of ``MAGIC``, 2 of ``VERSION``, 4 of the content's length, 16 of its
digest (BLAKE2b), the content, zeros. The content is MessagePack: the embedding of each engine.
"""

import hashlib
import struct
from collections.abc import Iterable
from typing import Annotated

import msgspec
import numpy as np

from kani.core.errors import InvalidRequest
from kani.core.types import MAX_EMBEDDING_VALUES, Embedding, Samples, Similarity
from kani.protocols.kyutai.messages import EMBEDDING_CHANNELS
from kani_text import foreign

MAX_RECORDING_S = 10.0
"""Seconds of a recording that are used: 125 frames of 80 ms."""

FRAMES = 125
VERSION = 1
MAGIC = b"kanitts\0"

MAX_EMBEDDINGS = 7
"""Most embeddings of one container: seven of 4,096 values fit. ``pack`` refuses embeddings that are longer
than the container, as VoxCPM's may be."""

_SCALE = 32_768
_BYTES = 2 * EMBEDDING_CHANNELS * FRAMES
_HEAD = struct.Struct("<8sHI16s")

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Language = Annotated[str, msgspec.Meta(min_length=2, max_length=8)]
_Cosine = Annotated[float, msgspec.Meta(ge=-1.0, le=1.0)]


class _PackedEmbedding(msgspec.Struct, frozen=True, array_like=True):
    """An embedding; values: single floats, little-endian; similarity: (before, now, measured) by language."""

    engine: _Name
    model: _Name
    values: Annotated[bytes, msgspec.Meta(min_length=4, max_length=4 * MAX_EMBEDDING_VALUES)]
    similarity: Annotated[dict[_Language, tuple[_Cosine, _Cosine, bool]], msgspec.Meta(max_length=64)]


_Content = Annotated[list[_PackedEmbedding], msgspec.Meta(max_length=MAX_EMBEDDINGS)]
_decoder = msgspec.msgpack.Decoder(_Content)


def pack(embeddings: Iterable[Embedding]) -> Samples:
    """Pack at most ``MAX_EMBEDDINGS`` embeddings into numbers [1, 512, 125], float32 in [-1, 1).

    Raises InvalidRequest for ``recording`` if they do not fit.
    """
    content = msgspec.msgpack.encode([_packed(embedding) for embedding in embeddings])
    if _HEAD.size + len(content) > _BYTES:
        raise InvalidRequest("recording", "too long for a voice of this server's engine: send a shorter one")
    head = _HEAD.pack(MAGIC, VERSION, len(content), _digest(content))
    words = np.frombuffer((head + content).ljust(_BYTES, b"\0"), "<i2")
    values: Samples = (words.astype(np.float32) / np.float32(_SCALE)).reshape(1, EMBEDDING_CHANNELS, FRAMES)
    return values


def unpack(values: Samples) -> tuple[Embedding, ...] | None:
    """Unpack the embeddings from numbers [1, 512, T]; None unless they are an intact container.

    Voices of other software, or of another version of this server, are none. Each engine checks the values
    of its own embedding.
    """
    if values.shape != (1, EMBEDDING_CHANNELS, FRAMES):
        return None
    scaled = values.reshape(-1).astype(np.float64) * _SCALE
    words = np.clip(np.rint(scaled), -_SCALE, _SCALE - 1)
    if not np.array_equal(words, scaled):
        return None
    packed = words.astype("<i2").tobytes()
    magic, version, length, digest = _HEAD.unpack_from(packed)
    content, rest = packed[_HEAD.size : _HEAD.size + length], packed[_HEAD.size + length :]
    if (magic, version) != (MAGIC, VERSION) or any(rest) or _digest(content) != digest:
        return None
    try:
        return tuple(_embedding(each) for each in foreign.decode_pack(_decoder, content))
    except ValueError:
        # The digest is right: the container was crafted by hand.
        return None


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _packed(embedding: Embedding) -> _PackedEmbedding:
    similarity = {
        language: (_cosine(known.before), _cosine(known.now), known.measured)
        for language, known in sorted(embedding.similarity.items())
    }
    return _PackedEmbedding(
        embedding.engine, embedding.model, embedding.values.astype("<f4").tobytes(), similarity
    )


def _cosine(computed: float) -> float:
    """Clip a rounding error beyond ±1, which ``unpack`` would refuse."""
    return min(max(float(computed), -1.0), 1.0)


def _embedding(packed: _PackedEmbedding) -> Embedding:
    """Unpack one embedding. Raises ValueError if its values are not finite."""
    values = np.frombuffer(packed.values, "<f4").astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("the values are not finite")
    similarity = {language: Similarity(*known) for language, known in packed.similarity.items()}
    return Embedding(packed.engine, packed.model, values, similarity)
