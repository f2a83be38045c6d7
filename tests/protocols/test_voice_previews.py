"""Previews of the voices: what is spoken, how often, in what format, and for which clients."""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import av
import httpx
import pytest

from kani.protocols.voices_api.preview import PreviewCache
from tests.protocols.test_voices_api import recording
from tests.support.app_server import KEY

if TYPE_CHECKING:
    from tests.support.app_server import AppServer, StartApp

VOICES = "/v1/audio/voices"
PROXIED = {"via": "1.1 proxy"}


def preview(
    server: AppServer, voice: str, headers: dict[str, str] | None = None, **query: str
) -> httpx.Response:
    """Answer of the call."""
    return httpx.get(f"{server.http_url}{VOICES}/{voice}/preview", params=query, headers=headers, timeout=120)


def seconds(audio: bytes) -> float:
    """Length of an audio file."""
    with av.open(io.BytesIO(audio)) as file:
        return sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))


def test_voice_is_heard_in_both_formats_and_spoken_once(start_app: StartApp) -> None:
    server = start_app()
    opened = []
    open_session = server.service.open

    def counting(*args: object, **options: object) -> object:
        opened.append(options["protocol"])
        return open_session(*args, **options)  # type: ignore[arg-type]

    server.service.open = counting  # type: ignore[method-assign, assignment]
    with ThreadPoolExecutor(3) as pool:
        answers = [*pool.map(lambda _: preview(server, "espeak:de"), range(3))]
    assert opened == ["voices"]
    assert {answer.content for answer in answers} == {answers[0].content}
    assert answers[0].headers["content-type"] == "audio/mpeg"
    assert answers[0].headers["cache-control"].startswith("private")
    wav = preview(server, "espeak:de", format="wav")
    assert wav.headers["content-type"] == "audio/wav"
    assert seconds(wav.content) == pytest.approx(seconds(answers[0].content), abs=0.06)
    assert seconds(wav.content) > 2


@pytest.mark.parametrize(
    ("voice", "query", "status", "param"),
    [
        ("nobody", {}, 404, "voice"),
        ("espeak:de", {"format": "ogg"}, 400, "format"),
        ("ana", {"language": "xx"}, 400, "language"),
    ],
)
def test_invalid_request_names_its_field(
    start_app: StartApp, voice: str, query: dict[str, str], status: int, param: str
) -> None:
    server = start_app()
    server.service.store.add("ana", recording(), "It is mine.", origin="test")
    answer = preview(server, voice, **query)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_client_without_a_key_hears_built_in_voices_alone(start_app: StartApp) -> None:
    server = start_app(KANI_API_KEYS=KEY)
    server.service.store.add("ana", recording(), "It is mine.", origin="test")
    assert preview(server, "espeak:de", PROXIED).status_code == 200
    assert preview(server, "custom:ana", PROXIED).status_code == 404
    assert preview(server, "ana", PROXIED).status_code == 404
    assert preview(server, "espeak:de", PROXIED | {"authorization": "Bearer wrong"}).status_code == 401
    keyed = PROXIED | {"authorization": f"Bearer {KEY}"}
    assert preview(server, "custom:ana", keyed, language="es").status_code == 200
    closed = httpx.get(f"{server.http_url}{VOICES}/custom:ana/sample", headers=PROXIED)
    assert closed.status_code == 401


async def test_cache_forgets_the_least_recently_used_and_no_failure() -> None:
    cache, made = PreviewCache(max_bytes=10), []

    async def make(name: str) -> bytes:
        made.append(name)
        await asyncio.sleep(0)
        if name == "bad":
            raise ValueError(name)
        return b"12345"

    for name in ("a", "b", "a", "c", "a", "b"):
        await cache.get((name,), lambda name=name: make(name))
    assert made == ["a", "b", "c", "b"]
    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            await cache.get(("bad",), lambda: make("bad"))
    assert made[4:] == ["bad", "bad"]


async def test_preview_is_made_to_its_end_though_its_caller_is_gone() -> None:
    cache, go, made = PreviewCache(), asyncio.Event(), []

    async def make() -> bytes:
        made.append("begun")
        await go.wait()
        return b"audio"

    gone = asyncio.create_task(cache.get(("a",), make))
    staying = asyncio.create_task(cache.get(("a",), make))
    while not made:
        await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    go.set()
    assert gone.cancelled()
    assert await staying == b"audio"
    assert made == ["begun"]
