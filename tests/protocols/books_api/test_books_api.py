"""POST /v1/books: chapters of a file; a hostile one is refused, and nothing stays on the disk."""

import asyncio
import base64
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from kani.books import as_json
from kani.protocols.books_api import files
from kani.protocols.books_api import protocol as books_api
from kani.runtime.child_process import run_process
from tests.books.epubs import COVER, epub, png
from tests.support.patience import WITHIN_S
from tests.support.servers.serving import serving
from tests.support.sessions import build


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, which is empty again after each test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
async def client(temporary: Path, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(Starlette(routes=books_api.routes(build(tmp_path / "voices"))))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=None) as client:
        yield client
    assert names_in(temporary) == []


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def read(client: httpx2.AsyncClient, name: str, content: Any) -> httpx2.Response:
    return await client.post(books_api.PATH, params={"name": name}, content=content)


async def test_epub_has_its_chapters(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    answer = await read(client, "C:\\books\\río.EPUB", epub(tmp_path / "b").read_bytes())
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.json() == {
        "title": "La casa & el río",
        "author": "Ana Ruiz, Bo Li",
        "language": "es",
        "cover": {"type": "image/png", "data": base64.b64encode(COVER).decode()},
        "chapters": [
            {
                "title": "Uno",
                "text": "Capítulo uno\n\nEl perro duerme en la casa.",
                "emphases": [[23, 29]],
            },
            {"title": "Dos", "text": "Capítulo dos\n\nLa niña come pan."},
            {"title": "Tres", "text": "El tren sale tarde."},
        ],
        "start": 0,
        "left_out": {},
        "images": [],
    }


async def test_epub_has_its_pictures_where_they_stand(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    shown = """<html><body><p>😀 <em>One</em> day.</p><figure><img src="../p.png" alt="A grey square"/>
      <figcaption>A <i>map</i></figcaption></figure><p><img src="../p.png" alt=""/></p></body></html>"""
    away = "".join(
        f'<img src="{source}"/>'
        for source in (
            "../q.svg",
            "https://example.com/a.png",
            "../../../x.png",
            "data:image/png,",
            "../dot.png",
        )
    )
    files = {
        "OEBPS/text/one.xhtml": shown,
        "OEBPS/text/two b.xhtml": f"<html><body>{away}<p>End.</p></body></html>",
        "OEBPS/p.png": (picture := png(80, 64)),
        "OEBPS/dot.png": png(8, 64),
        "OEBPS/q.svg": "<svg onload='alert(1)'/>",
    }
    book = (await read(client, "b.epub", epub(tmp_path / "b", files).read_bytes())).json()
    first, last = book["chapters"]
    assert first["text"] == "😀 One day.\n\nA map" and first["emphases"] == [[3, 6], [15, 18]]
    same = {"image": 0, "width": 80, "height": 64}
    assert first["pictures"] == [
        {"at": 13, "description": "A grey square", **same},
        {"at": 18, "description": "", **same},
    ]
    assert last == {"title": "Tres", "text": "End."} and book["left_out"] == {"pictures": 2}
    assert book["images"] == [{"type": "image/png", "data": base64.b64encode(picture).decode()}]


async def test_plain_text_is_called_as_its_file(client: httpx2.AsyncClient) -> None:
    for name, title in (
        ("Mi diario.txt", "Mi diario"),
        ("../../etc/passwd.txt", "passwd"),
        ("..\\x\\a/b.txt", "b"),
        ("a\0b:c*d.TXT", "a_b_c_d"),
        (f"{'書' * 200}.txt", "書" * 60),
        ("¿ ?.txt", "_ _"),
    ):
        book = (await read(client, name, b"Una frase.\n\nOtra.")).json()
        assert (book["title"], book["chapters"]) == (title, [{"title": title, "text": "Una frase.\n\nOtra."}])


async def test_what_is_no_book_or_a_slow_one_is_refused(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, limit_s, fault in (
        ("b.epub", files.READ_WITHIN_S, "b.epub is no EPUB, or was cut off"),
        ("", files.READ_WITHIN_S, "has to end with one of .epub"),
        ("b.txt", 0.0, "takes more than 0 s"),
    ):
        monkeypatch.setattr(files, "READ_WITHIN_S", limit_s)
        answer = await read(client, name, b"")
        error = answer.json()["error"]
        assert answer.status_code == 400 and fault in error["message"]
        assert error["reason"]["code"] == "unreadable_book"
        assert error["message"].endswith(error["reason"]["values"]["fault"])
    answer = await read(client, "a" * 252 + ".txt", b"text")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name")


@pytest.mark.parametrize(
    ("text", "before", "chapters", "found"),
    [
        (
            "word.\n\n" * 2_000_000,
            "as_json.MAX_MEMORY_BYTES = 150 << 20",
            "chapters",
            (as_json.UNREADABLE, b"b.txt takes more than 150 MiB of memory to read: divide it"),
        ),
        ("text", "import resource; resource.setrlimit(resource.RLIMIT_CPU, (30, 30))", "chapters", (0, b"")),
        ("text", "pass", "/dev/full", (as_json.UNWRITABLE, b"No space left on device")),
    ],
    ids=["too large", "a lower limit of the system", "a full disk"],
)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, or no limits")
async def test_process_that_reads_keeps_to_limits_and_says_what_is_wrong(
    tmp_path: Path, text: str, before: str, chapters: str, found: tuple[int, bytes]
) -> None:
    (tmp_path / "b.txt").write_text(text, encoding="ascii")
    program = f"import sys; from kani.books import as_json; {before}; sys.exit(as_json.main(sys.argv[1:]))"
    paths = str(tmp_path / "b.txt"), str(tmp_path / chapters)
    assert await run_process([sys.executable, "-c", program, *paths], WITHIN_S) == found


async def test_folder_that_takes_no_book_is_named(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: Any
) -> None:
    with monkeypatch.context() as changed:
        changed.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        answer = await read(client, "b.txt", b"text")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "temporary folder: No such file or directory" in answer.json()["error"]["message"]
    assert "Traceback" not in caplog.text


async def test_few_are_read_and_a_gone_client_makes_room(client: httpx2.AsyncClient, temporary: Path) -> None:
    complete = asyncio.Event()

    async def slow(begun: asyncio.Event) -> AsyncIterator[bytes]:
        yield b"text"
        begun.set()
        await complete.wait()

    begun = [asyncio.Event() for _ in range(books_api.MAX_AT_ONCE)]
    reading = [asyncio.create_task(read(client, "b.txt", slow(each))) for each in begun]
    for each in begun:
        await each.wait()
    assert len(names_in(temporary)) == books_api.MAX_AT_ONCE
    refused = await read(client, "b.txt", b"text")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    reading[0].cancel()
    await asyncio.wait([reading[0]])
    assert (await read(client, "b.txt", b"text")).status_code == 200
    complete.set()
    assert (await reading[1]).status_code == 200


async def test_server_refuses_a_larger_file(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(books_api.MAX_BYTES >> 20):
            yield b"a" * (1 << 20)
        yield b"a"

    async with serving(tmp_path) as server, httpx2.AsyncClient(base_url=server.http_url) as client:
        answer = await read(client, "b.txt", pieces())
    assert answer.status_code == 413
    assert answer.json() == {"error": {"message": "the body is too large (at most 67108864 bytes)"}}
