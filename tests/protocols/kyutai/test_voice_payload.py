"""A voice in the numbers of a ``Voice``: what comes back is what went out, and nothing else is taken."""

from __future__ import annotations

import hashlib
import struct

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kani.core.errors import InvalidRequest
from kani.core.types import MAX_EMBEDDING_VALUES, Embedding, Samples, Similarity
from kani.protocols.kyutai import messages, voice_payload
from kani.protocols.kyutai.messages import Voice, read_speech_message
from kani.protocols.kyutai.voice_payload import MAGIC, MAX_EMBEDDINGS, VERSION, pack, unpack

COSINE = st.floats(-1, 1)
EMBEDDINGS = st.lists(
    st.builds(
        Embedding,
        engine=st.text(min_size=1, max_size=20),
        model=st.text(min_size=1, max_size=20),
        values=arrays.arrays(
            np.float32,
            st.integers(1, 300),
            elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
        ),
        similarity=st.dictionaries(
            st.sampled_from(["es", "en", "fr", "yue"]), st.builds(Similarity, COSINE, COSINE, st.booleans())
        ),
    ),
    max_size=3,
).map(tuple)
ONE = (Embedding("kokoro", "mix 1", np.array([0.1, -3.0], np.float32), {"es": Similarity(0.5, 0.75, True)}),)


def facts(embeddings: tuple[Embedding, ...] | None) -> list[object]:
    assert embeddings is not None
    return [(one.engine, one.model, one.values.tobytes(), dict(one.similarity)) for one in embeddings]


def container(content: bytes, magic: bytes = MAGIC, version: int = VERSION, rest: bytes = b"") -> Samples:
    digest = hashlib.blake2b(content, digest_size=16).digest()
    packed = struct.pack("<8sHI16s", magic, version, len(content), digest) + content + rest
    words = np.frombuffer(packed.ljust(128_000, b"\0"), "<i2")
    return (words.astype(np.float32) / np.float32(32768)).reshape(1, 512, 125)


@settings(max_examples=25, deadline=None)
@given(embeddings=EMBEDDINGS)
def test_payload_round_trips(embeddings: tuple[Embedding, ...]) -> None:
    values = pack(embeddings)
    assert values.shape == (1, 512, 125) and values.dtype == np.float32
    assert np.abs(values).max() <= 1
    assert facts(unpack(values)) == facts(embeddings)
    assert np.array_equal(pack(embeddings), values)


def test_largest_payload_fits() -> None:
    values = np.random.default_rng(1).normal(size=4096).astype(np.float32)
    nearness = {f"{first}{second}": Similarity(0.1, 0.2, False) for first in "abcd" for second in "abcd"}
    largest = tuple(Embedding("e" * 200, f"{n}" * 200, values, nearness) for n in range(MAX_EMBEDDINGS))
    assert facts(unpack(pack(largest))) == facts(largest)


def test_embeddings_that_do_not_fit_are_refused() -> None:
    (one,) = ONE
    longest = Embedding(one.engine, one.model, np.zeros(MAX_EMBEDDING_VALUES, np.float32))
    with pytest.raises(InvalidRequest, match="recording: too long"):
        pack([longest])


def test_payload_survives_reencoding() -> None:
    sent = messages.voice(pack(ONE))
    decoded = msgspec.msgpack.decode(sent)
    doubles = decoded["embeddings"]
    assert {type(value) for value in doubles} == {float}
    integers = [int(value) if value == int(value) else float(value) for value in doubles]
    for message in (
        sent,
        msgspec.msgpack.encode(decoded | {"embeddings": doubles}),
        msgspec.msgpack.encode(decoded | {"embeddings": integers}),
    ):
        voice = read_speech_message(message)
        assert isinstance(voice, Voice)
        assert facts(unpack(voice.embeddings)) == facts(ONE)


def changed(index: int, by: float) -> Samples:
    values = pack(ONE)
    values.reshape(-1)[index] += np.float32(by)
    return values


NOISE = np.random.default_rng(7).normal(0, 0.7, (1, 512, 125)).astype(np.float32)
GOOD = ["kokoro", "mix 1", b"\0\0\0\0", {}]


@pytest.mark.parametrize(
    "values",
    [
        NOISE,
        np.zeros((1, 512, 125), np.float32),
        np.full((1, 512, 125), 1e30, np.float32),
        np.round(NOISE * 32768).astype(np.float32) / np.float32(32768),
        np.zeros((1, 512, 400), np.float32),
        pack(ONE)[:, :, :124],
        np.concatenate([pack(ONE), pack(ONE)], axis=2),
        changed(0, 1 / 32768),
        changed(20, 1 / 32768),
        changed(20, 1 / 65536),
        changed(63_999, 1 / 32768),
        pack(ONE) * np.float32(2),
        pack(ONE).reshape(1, 125, 512).transpose(0, 2, 1),
        container(msgspec.msgpack.encode([GOOD]), magic=b"somebody"),
        container(msgspec.msgpack.encode([GOOD]), version=VERSION + 1),
        container(msgspec.msgpack.encode([GOOD]), rest=b"more"),
        container(msgspec.msgpack.encode([GOOD]) + b"\xc0"),
        container(b"\xc1"),
        container(b""),
        container(msgspec.msgpack.encode({"engine": "kokoro"})),
        container(msgspec.msgpack.encode([GOOD] * (MAX_EMBEDDINGS + 1))),
        container(msgspec.msgpack.encode([["", *GOOD[1:]]])),
        container(msgspec.msgpack.encode([["e" * 201, *GOOD[1:]]])),
        container(msgspec.msgpack.encode([["kokoro", "m" * 201, *GOOD[2:]]])),
        container(msgspec.msgpack.encode([["kokoro", "mix 1", b"", {}]])),
        container(msgspec.msgpack.encode([["kokoro", "mix 1", bytes(5), {}]])),
        container(msgspec.msgpack.encode([["kokoro", "mix 1", struct.pack("<f", np.nan), {}]])),
        container(msgspec.msgpack.encode([["kokoro", "mix 1", struct.pack("<f", np.inf), {}]])),
        container(msgspec.msgpack.encode([[*GOOD[:3], {"es": [0.5, 1.5, True]}]])),
        container(msgspec.msgpack.encode([[*GOOD[:3], {"es": [0.5, float("nan"), True]}]])),
        container(msgspec.msgpack.encode([[*GOOD[:3], {"e" * 9: [0.5, 0.5, True]}]])),
        container(msgspec.msgpack.encode([[*GOOD[:3], {f"a{n}": [0.5, 0.5, True] for n in range(65)}]])),
    ],
)
def test_foreign_numbers_are_no_payload(values: Samples) -> None:
    assert unpack(values) is None


def test_crafted_payload_is_valid() -> None:
    made = unpack(container(msgspec.msgpack.encode([GOOD])))
    assert facts(made) == [("kokoro", "mix 1", bytes(4), {})]
    assert unpack(container(msgspec.msgpack.encode([]))) == ()


def test_rounded_cosine_is_clipped() -> None:
    nearness = {"es": Similarity(-1.0000001, 1.0000001, True)}
    made = voice_payload.unpack(pack((Embedding("kokoro", "mix 1", ONE[0].values, nearness),)))
    assert made is not None and made[0].similarity["es"] == Similarity(-1.0, 1.0, True)
