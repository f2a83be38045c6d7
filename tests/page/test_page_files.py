"""The page's files as they are served, and what may stand in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from server import page

if TYPE_CHECKING:
    from tests.conftest import ServerProcess, StartServer

WEB = Path(page.__file__).parent / "web"
LANGUAGES = ("en", "es", "zh")


def texts(language: str) -> dict[str, str]:
    """A language's words, by name."""
    source = (WEB / f"texts-{language}.js").read_text(encoding="utf-8")
    return dict(re.findall(r'^  "([^"]+)": "(.*)",$', source, re.MULTILINE))


@pytest.mark.parametrize("path", sorted(page.PATHS))
def test_every_file_is_served_with_the_headers_of_a_page_that_trusts_nobody(
    path: str, espeak_server: ServerProcess
) -> None:
    """Each file has its media type, the policy that nothing else is loaded, and the rest of the headers."""
    answer = httpx.get(espeak_server.http_url + path)
    assert answer.status_code == 200
    suffix = Path(path).suffix or ".html"
    assert answer.headers["content-type"] == page.MEDIA_TYPES[suffix]
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-cache"


def test_a_file_that_the_browser_has_is_not_sent_again(espeak_server: ServerProcess) -> None:
    """The ETag a file came with is answered by 304 and no body; another one by the file."""
    url = espeak_server.http_url + "/static/app.js"
    first = httpx.get(url)
    for known in (first.headers["etag"], f'"x", W/{first.headers["etag"]}', "*"):
        again = httpx.get(url, headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    assert httpx.get(url, headers={"if-none-match": '"other"'}).content == first.content


def test_only_the_heads_are_sent_to_head(espeak_server: ServerProcess) -> None:
    """HEAD says the length and sends nothing."""
    answer = httpx.head(espeak_server.http_url + "/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == (WEB / "index.html").stat().st_size


@pytest.mark.parametrize("path", ["/static/", "/static/none.js", "/static/%2e%2e/page.py"])
def test_nothing_but_the_pages_files_is_there(path: str, espeak_server: ServerProcess) -> None:
    """Any other name below /static is not found."""
    assert httpx.get(espeak_server.http_url + path).status_code == 404


def test_the_page_is_open_where_everything_else_needs_a_key(start_server: StartServer) -> None:
    """Without a key the page and its files come, the voices and the socket on the page's own path do not."""
    server = start_server("--engine", "espeak", "--host", "0.0.0.0", KANI_API_KEYS="secret")
    at = f"http://127.0.0.1:{server.port}"
    assert {httpx.get(at + path).status_code for path in page.PATHS} == {200}
    assert httpx.get(f"{at}/v1/audio/voices").status_code == 401
    upgrade = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    assert httpx.get(f"{at}/", headers=upgrade).status_code == 401


def test_nothing_in_the_page_comes_from_elsewhere() -> None:
    """No file names another host; the name space of SVG is a name, not a place."""
    for file in WEB.iterdir():
        found = re.findall(
            r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\"')\s]*", file.read_text(encoding="utf-8")
        )
        assert set(found) <= {"http://www.w3.org/2000/svg"}, file.name


def test_every_script_that_is_named_is_there() -> None:
    """What a file imports or loads stands beside it."""
    for file in WEB.glob("*.[hj]*"):
        named = re.findall(r'(?:from |URL\()"(?:\./)?([\w-]+\.js)"', file.read_text(encoding="utf-8"))
        named += re.findall(r'(?:src|href)="static/([^"]+)"', file.read_text(encoding="utf-8"))
        assert {name for name in named if not (WEB / name).is_file()} == set(), file.name


def test_the_page_says_the_same_in_each_language() -> None:
    """Every language has words for every name, with the same places to fill in."""
    english = texts("en")
    assert len(english) > 100
    for language in LANGUAGES:
        there = texts(language)
        assert there.keys() == english.keys()
        for name, words in there.items():
            assert set(re.findall(r"\{\w+\}", words)) == set(re.findall(r"\{\w+\}", english[name])), name


def test_all_words_that_the_page_asks_for_are_there_and_all_are_asked_for() -> None:
    """No name is missing, and none is left over."""
    english = texts("en")
    asked: set[str] = set()
    for file in WEB.glob("*.[hj]*"):
        if file.name.startswith("texts-"):
            continue
        source = file.read_text(encoding="utf-8")
        asked.update(re.findall(r'data-t(?:-label)?="([^"]+)"', source))
        # Whatever stands in quotes and is a name here; and the beginnings of names that are put together.
        asked.update(name for name in english if f'"{name}"' in source)
        starts = re.findall(r"`([a-z]+\.(?:need-)?)\$\{", source)
        asked.update(name for name in english if name.startswith(tuple(starts)))
    assert asked == english.keys()


def test_every_language_of_the_server_has_an_example(espeak_server: ServerProcess) -> None:
    """The page has a sentence in each language that the voices speak."""
    source = (WEB / "examples.js").read_text(encoding="utf-8")
    examples = dict(re.findall(r'^  (\w+): "(.+)",$', source, re.MULTILINE))
    spoken = httpx.get(espeak_server.http_url + "/health").json()["languages"]
    assert set(spoken) <= examples.keys()
