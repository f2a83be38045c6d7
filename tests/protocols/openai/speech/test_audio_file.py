"""Samples become a file of every format, as long as they are; a body that is none is refused."""

import asyncio
import io
from collections.abc import AsyncIterator

import av
import httpx2
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from kani.protocols.openai.errors import endpoint
from kani.protocols.openai.speech import audio_file
from kani.protocols.openai.speech.formats import FORMATS

RATE = 24_000
TONE = np.rint(9000 * np.sin(np.arange(31_337) / 17)).astype("<i2")


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application that only makes files."""
    route = Route(audio_file.PATH, endpoint(audio_file.AudioFiles().create), methods=["POST"])
    transport = httpx2.ASGITransport(Starlette(routes=[route]))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=None) as client:
        yield client


async def make(client: httpx2.AsyncClient, content: object, **params: str) -> httpx2.Response:
    return await client.post(audio_file.PATH, params=params, content=content)  # type: ignore[arg-type]


def decoded(file: bytes) -> tuple[np.ndarray, int]:
    """Samples as a player plays them, and their rate in hertz."""
    with av.open(io.BytesIO(file), "r") as container:
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
        return np.concatenate(frames), container.streams.audio[0].codec_context.sample_rate


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "pcm"])
async def test_a_file_is_as_long_as_its_samples(client: httpx2.AsyncClient, name: str) -> None:
    answer = await make(client, TONE.tobytes(), response_format=name, sample_rate=str(RATE))
    assert answer.status_code == 200 and answer.headers["content-type"] == FORMATS[name].content_type
    samples, rate = decoded(answer.content)
    # An ADTS stream has no place for its length: it begins and ends with whole frames.
    most = 2 * 1024 if name == "aac" else 1
    assert abs(len(samples) * RATE / rate - len(TONE)) <= most


async def test_samples_are_those_that_came_in_any_pieces(client: httpx2.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        data = TONE.tobytes()
        for start in range(0, len(data), 4095):
            yield data[start : start + 4095]
            await asyncio.sleep(0)

    answer = await make(client, pieces(), response_format="wav", sample_rate="22050")
    samples, rate = decoded(answer.content)
    assert rate == 22_050
    assert np.array_equal(samples, TONE)


async def test_a_place_is_free_again_after_a_fault(client: httpx2.AsyncClient) -> None:
    for _ in range(2 * audio_file.MAX_AT_ONCE):
        assert (await make(client, b"1")).status_code == 400
    assert (await make(client, TONE.tobytes())).status_code == 200
