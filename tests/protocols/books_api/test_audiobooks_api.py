"""POST /v1/books/audio: a book as an audiobook, with its progress; what is spoken outlives the connection."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import httpx2
import pytest

from kani.protocols.books_api import audiobooks
from kani.protocols.books_api.protocol import AUDIO_PATH
from tests.books.epubs import epub
from tests.support.patience import WITHIN_S, happens
from tests.support.servers.serving import InProcessServer, serving
from tests.support.tone import RATE, ToneEngine

Events = AsyncIterator[dict[str, Any]]
TEXT = "# Uno\n\nHola.\n\n# Dos\n\nAdiós."


class Engine(ToneEngine):
    """Tones at a rate that a file can have."""

    def __init__(self) -> None:
        super().__init__()
        self.info = replace(self.info, sample_rate=8 * RATE)


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[InProcessServer]:
    """A server whose temporary folder is empty once it has ended."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    async with serving(tmp_path, engine=Engine()) as running:
        yield running


@pytest.fixture
async def client(house: InProcessServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=house.http_url, timeout=None) as client:
        yield client


@asynccontextmanager
async def made(
    client: httpx2.AsyncClient, content: bytes | str = TEXT, **query: str
) -> AsyncIterator[Events]:
    query = {"name": "Mi diario.md"} | query
    async with client.stream("POST", AUDIO_PATH, params=query, content=content) as answer:
        assert answer.status_code == 200, await answer.aread()
        lines = answer.aiter_lines()
        yield (json.loads(line[6:]) async for line in lines if line.startswith("data: "))


async def last(events: Events) -> dict[str, Any]:
    return [event async for event in events][-1]


async def test_book_is_made_with_chapters_and_cover(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    async with made(client, epub(tmp_path / "b").read_bytes(), name="b.epub") as events:
        told = [event async for event in events]
    done = told[-1]
    assert done["stage"] == "done" and {event["stage"] for event in told[:-1]} <= {"speaking", "writing"}
    shares = [event["share"] for event in told if event["stage"] == "speaking"]
    assert shares == sorted(shares) and all(0 <= share <= 1 for share in shares)
    answer = await client.get(f"{AUDIO_PATH}/{done['id']}")
    assert answer.headers["content-type"] == "audio/mp4" and len(answer.content) == done["bytes"]
    assert 'filename="audiobook.m4b"' in answer.headers["content-disposition"]
    part = await client.get(f"{AUDIO_PATH}/{done['id']}", headers={"range": "bytes=-1000"})
    assert (part.status_code, part.content) == (206, answer.content[-1000:])
    assert part.headers["etag"] == answer.headers["etag"]
    with av.open(BytesIO(answer.content)) as file:
        assert file.metadata["title"] == "La casa & el río"
        assert [mark["metadata"]["title"] for mark in file.chapters()] == ["Uno", "Dos", "Tres"]
        assert len(file.streams.video) == 1


async def test_what_was_spoken_is_spoken_once(client: httpx2.AsyncClient, house: InProcessServer) -> None:
    house.engine.allow = 2
    async with made(client) as events:
        await anext(events)
        await happens(lambda: house.engine.under_way and house.engine.steps == 2)
    await happens(lambda: not house.engine.under_way)
    await house.engine.permit(None)
    before = len(house.engine.words)
    async with made(client) as events:
        done = await last(events)
    assert house.engine.words[:before] == ["Uno", "Hola"]
    assert house.engine.words[before:] == ["Dos", "Adiós"]
    # And not at all, once it is whole; in another manner it is another book.
    async with made(client) as events:
        assert await last(events) == done
    assert len(house.engine.words) == before + 2
    async with made(client, speed="2", format="mp3") as events:
        other = await last(events)
    assert other["id"] != done["id"]
    answer = await client.get(f"{AUDIO_PATH}/{other['id']}")
    assert answer.headers["content-type"] == "audio/mpeg"


async def test_quotations_are_in_their_language_unless_that_is_not_wanted(
    client: httpx2.AsyncClient, house: InProcessServer
) -> None:
    text = "# Uno\n\nNos lo dijo ayer: [we will never go back to that house]. Y no volvimos a verlo."
    ids = set()
    for query, languages in (({}, {"es", "en"}), ({"quotations": "false"}, {"es"})):
        async with made(client, text, language="es", **query) as events:
            ids.add((await last(events))["id"])
        assert {segment.language for segment in house.engine.segments} == languages
        house.engine.segments.clear()
    assert len(ids) == 2


async def test_share_grows_while_a_piece_is_spoken(
    client: httpx2.AsyncClient, house: InProcessServer
) -> None:
    house.engine.allow = 3
    async with made(client, "# Uno\n\nHola y adiós. Hasta mañana. Buenas noches.") as events:
        shares = list[float]()
        async for event in events:
            shares.append(event["share"])
            if shares[-1]:
                break
        assert shares[0] == 0 and 0 < shares[-1] < 0.5
        await house.engine.permit(None)
        assert (await last(events))["stage"] == "done"


async def test_what_cannot_be_is_refused_at_once_and_an_engine_that_fails_is_told(
    client: httpx2.AsyncClient,
) -> None:
    wrong = {"format": "wav", "speed": "9", "voice": "nobody", "emotion": "bored", "language": "xx"}
    wrong |= {"quotations": "maybe"}
    for param, value in [*wrong.items(), ("speed", "fast"), ("name", "b.exe")]:
        answer = await client.post(AUDIO_PATH, params={"name": "b.md"} | {param: value}, content=TEXT)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    async with made(client, "# Uno\n\nkaputt") as events:
        told = await last(events)
    assert told["error"]["code"] == "service_unavailable"


async def test_few_are_made_at_once_and_the_same_one_once(
    client: httpx2.AsyncClient, house: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audiobooks, "WAIT_S", 0.05)
    house.engine.allow = 0
    async with made(client) as one:
        await anext(one)
        same = await client.post(AUDIO_PATH, params={"name": "Mi diario.md"}, content=TEXT)
        assert same.status_code == 503 and "is being made already" in same.json()["error"]["message"]
        async with made(client, name="other.md") as other:
            await anext(other)
            third = await client.post(AUDIO_PATH, params={"name": "third.md"}, content=TEXT)
            assert (third.status_code, third.headers["retry-after"]) == (503, "1")


async def test_few_are_kept_and_a_long_book_is_refused(
    client: httpx2.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audiobooks, "MAX_KEPT", 2)
    ids = []
    for number in range(3):
        async with made(client, name=f"{number}.md") as events:
            ids.append((await last(events))["id"])
    statuses = [(await client.get(f"{AUDIO_PATH}/{key}")).status_code for key in ids]
    assert statuses == [404, 200, 200]
    assert (await client.get(f"{AUDIO_PATH}/..%2f..")).status_code == 404
    monkeypatch.setattr(audiobooks, "MAX_CHARACTERS", 10)
    answer = await client.post(AUDIO_PATH, params={"name": "b.md"}, content=TEXT)
    assert answer.status_code == 400 and "more than 10 characters" in answer.json()["error"]["message"]


async def test_server_that_stops_ends_it(client: httpx2.AsyncClient, house: InProcessServer) -> None:
    house.engine.allow = 1
    async with made(client) as events:
        await happens(lambda: house.engine.steps == 1)
        house.stop.set()
        async with asyncio.timeout(WITHIN_S):
            while (await client.get("/health")).status_code != 503:
                pass
        await house.engine.permit(None)
        assert "shutting down" in (await last(events))["error"]["message"]
