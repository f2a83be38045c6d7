"""Voices of recordings in Kyutai's protocol: made by ``/api/voice``, packed as numbers, spoken with."""

import hashlib
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

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
from kani.protocols.kyutai.voice_payload import MAGIC, MAX_EMBEDDINGS, VERSION
from tests.clients.kyutai.speaking import cloned, opened, rest_of
from tests.clients.kyutai.wire import EOS, KEY, text_message, unpack
from tests.protocols.cloning_server import NO_SPEECH, CloningServer, cloning_server, hum, loudness

TEXT = "uno dos tres"


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[CloningServer]:
    async with cloning_server(tmp_path) as serving:
        yield serving


async def say(app: CloningServer, *sent: bytes, **query: str) -> tuple[Samples, list[dict[str, Any]]]:
    """Send messages at once; return the audio, and all other messages but the words."""
    async with opened(app, **query) as socket:  # type: ignore[arg-type]
        for message in sent:
            await socket.send(message)
        heard = await rest_of(socket)
    return heard.samples, [*heard.others, {"close": heard.code}]


ENDED = [{"type": "Ready"}, {"close": 1000}]


async def test_recorded_voice_speaks(app: CloningServer) -> None:
    voice = await cloned(app.http_url, hum(level=0.25))
    for sent, loud_as in (((), 1.0), ((voice,), 0.25), ((voice,), 0.25)):
        samples, others = await say(app, *sent, *map(text_message, TEXT.split()), EOS)
        assert loudness(samples) == loud_as and others == ENDED
    # Without a voice the first engine speaks.
    assert (len(app.server.engine.segments), len(app.echo.segments)) == (1, 2)
    assert len(app.echo.embedded) == 1


async def test_first_ten_seconds_of_recording_are_used_and_give_the_same_voice(app: CloningServer) -> None:
    long, cut, short = [await cloned(app.http_url, hum(seconds)) for seconds in (70, 10, 0.5)]
    assert long == cut
    voice = unpack(short)
    assert list(voice) == ["type", "embeddings", "shape"]
    assert (voice["type"], voice["shape"], len(voice["embeddings"])) == ("Voice", [1, 512, 125], 64_000)
    assert [one.duration_s for one in app.echo.embedded] == [10.0, 0.5]
    samples, _ = await say(app, short, text_message(TEXT), EOS)
    assert loudness(samples) == 0.25


@pytest.mark.parametrize(
    ("recording", "reason"),
    [
        (hum(0.4), "body: too short (at least 0.5 s)"),
        (hum(level=0.0), f"body: {NO_SPEECH}"),
        (b"no sound in here", "body: is not audio that this server reads (WAV, MP3, Ogg, FLAC or M4A)"),
    ],
)
async def test_unusable_recording_is_refused(app: CloningServer, recording: bytes, reason: str) -> None:
    answer = await app.post("/api/voice", content=recording)
    assert answer.status_code == 400
    assert answer.json() == {"error": {"message": reason}}
    assert (await app.post("/api/voice", content=hum())).status_code == 200


async def test_last_voice_before_first_word_is_used(app: CloningServer) -> None:
    loud, soft = [await cloned(app.http_url, hum(level=n)) for n in (0.75, 0.25)]
    tag = '<break time="0.5s"/>'
    for sent, loud_as in (
        ([loud, soft, text_message(TEXT), EOS], 0.25),
        ([text_message(" "), loud, text_message(tag), soft, text_message(TEXT), EOS], 0.25),
        ([soft, text_message("uno"), loud, text_message("dos"), EOS], 0.25),
        ([text_message("uno"), loud, text_message("dos"), loud, EOS], 1.0),
        ([text_message("uno"), EOS, loud], 1.0),
    ):
        for query in ({}, {"voice": "tone_es"}):
            samples, others = await say(app, *sent, **query)
            assert loudness(samples) == loud_as
            assert others == ENDED
    samples, others = await say(app, soft, EOS)
    assert not len(samples) and others == ENDED


async def test_foreign_embeddings_are_ignored(app: CloningServer, caplog: pytest.LogCaptureFixture) -> None:
    ours = await cloned(app.http_url, hum(level=0.25))
    noise = np.random.default_rng(3).normal(0, 0.7, (1, 512, 125)).astype(np.float32)
    foreign = messages.voice(noise)
    samples, others = await say(app, foreign, text_message(TEXT), EOS)
    assert loudness(samples) == 1.0 and others == ENDED
    told = [each.levelname for each in caplog.records if each.name == "kani.protocols.kyutai.speech_out"]
    assert told == ["INFO"]
    samples, others = await say(app, ours, foreign, text_message(TEXT), EOS)
    assert loudness(samples) == 0.25 and others == ENDED
    # So are those of no engine, and of one that has changed.
    for made in ((), (Embedding("echo", "tone 0", np.ones(1, np.float32)),)):
        voice = messages.voice(voice_payload.pack(made))
        samples, others = await say(app, voice, text_message(TEXT), EOS)
        assert loudness(samples) == 1.0 and others == ENDED


async def test_stored_voice_is_selected_by_id(app: CloningServer) -> None:
    await app.keep("ana", 0.25)
    for voice, loud_as in (("custom:ana", 0.25), ("custom:eva", 1.0)):
        samples, others = await say(app, text_message(TEXT), EOS, voice=voice)
        assert loudness(samples) == loud_as and others == ENDED
        posted = await app.post("/api/tts_streaming", json={"text": TEXT, "voice": voice}, headers=KEY)
        heard = np.frombuffer(posted.content[44:], "<i2").astype(np.float32) / np.float32(32768)
        assert loudness(heard) == loud_as


async def test_unusable_stored_voice_is_reported_as_voice(app: CloningServer) -> None:
    await app.keep("nobody", 0.0)
    reason = f"voice: {NO_SPEECH}"
    samples, others = await say(app, text_message(TEXT), EOS, voice="custom:nobody")
    assert not len(samples)
    assert others[1:] == [{"type": "Error", "message": reason}, {"close": 1007}]
    asked = {"text": TEXT, "voice": "custom:nobody"}
    posted = await app.post("/api/tts_streaming", json=asked, headers=KEY)
    assert (posted.status_code, posted.json()) == (400, {"error": {"message": reason}})


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


@settings(max_examples=25)
@given(embeddings=EMBEDDINGS)
def test_payload_round_trips(embeddings: tuple[Embedding, ...]) -> None:
    values = voice_payload.pack(embeddings)
    assert values.shape == (1, 512, 125) and values.dtype == np.float32
    assert np.abs(values).max() <= 1
    assert facts(voice_payload.unpack(values)) == facts(embeddings)
    assert np.array_equal(voice_payload.pack(embeddings), values)


def test_largest_payload_fits_and_a_larger_one_is_refused() -> None:
    values = np.random.default_rng(1).normal(size=4096).astype(np.float32)
    nearness = {f"{first}{second}": Similarity(0.1, 0.2, False) for first in "abcd" for second in "abcd"}
    largest = tuple(Embedding("e" * 200, f"{n}" * 200, values, nearness) for n in range(MAX_EMBEDDINGS))
    assert facts(voice_payload.unpack(voice_payload.pack(largest))) == facts(largest)
    (one,) = ONE
    longest = Embedding(one.engine, one.model, np.zeros(MAX_EMBEDDING_VALUES, np.float32))
    with pytest.raises(InvalidRequest, match="recording: too long"):
        voice_payload.pack([longest])


def test_payload_survives_reencoding() -> None:
    sent = messages.voice(voice_payload.pack(ONE))
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
        assert facts(voice_payload.unpack(voice.embeddings)) == facts(ONE)


def changed(index: int, by: float) -> Samples:
    values = voice_payload.pack(ONE)
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
        voice_payload.pack(ONE)[:, :, :124],
        np.concatenate([voice_payload.pack(ONE), voice_payload.pack(ONE)], axis=2),
        changed(0, 1 / 32768),
        changed(20, 1 / 32768),
        changed(20, 1 / 65536),
        changed(63_999, 1 / 32768),
        voice_payload.pack(ONE) * np.float32(2),
        voice_payload.pack(ONE).reshape(1, 125, 512).transpose(0, 2, 1),
        container(msgspec.msgpack.encode([GOOD]), magic=b"somebody"),
        container(msgspec.msgpack.encode([GOOD]), version=VERSION + 1),
        container(msgspec.msgpack.encode([GOOD]), rest=b"more"),
        container(msgspec.msgpack.encode([GOOD]) + b"\xc0"),
        container(b"\xc1"),
        container(b""),
        *(
            container(msgspec.msgpack.encode(packed))
            for packed in (
                *({"engine": "kokoro"}, [GOOD] * (MAX_EMBEDDINGS + 1)),
                *([["", *GOOD[1:]]], [["e" * 201, *GOOD[1:]]], [["kokoro", "m" * 201, *GOOD[2:]]]),
                *([["kokoro", "mix 1", b"", {}]], [["kokoro", "mix 1", bytes(5), {}]]),
                *([["kokoro", "mix 1", struct.pack("<f", value), {}]] for value in (np.nan, np.inf)),
                *([[*GOOD[:3], {"es": [0.5, value, True]}]] for value in (1.5, float("nan"))),
                [[*GOOD[:3], {"e" * 9: [0.5, 0.5, True]}]],
                [[*GOOD[:3], {f"a{n}": [0.5, 0.5, True] for n in range(65)}]],
            )
        ),
    ],
)
def test_foreign_numbers_are_no_payload(values: Samples) -> None:
    assert voice_payload.unpack(values) is None


def test_crafted_payload_is_valid_and_its_cosine_clipped() -> None:
    made = voice_payload.unpack(container(msgspec.msgpack.encode([GOOD])))
    assert facts(made) == [("kokoro", "mix 1", bytes(4), {})]
    assert voice_payload.unpack(container(msgspec.msgpack.encode([]))) == ()
    nearness = {"es": Similarity(-1.0000001, 1.0000001, True)}
    made = voice_payload.unpack(voice_payload.pack((Embedding("kokoro", "mix 1", ONE[0].values, nearness),)))
    assert made is not None and made[0].similarity["es"] == Similarity(-1.0, 1.0, True)
