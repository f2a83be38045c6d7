"""The relay's example page in a browser: letters light up in order while they are heard."""

import functools
import http.server
import itertools
import json
import threading
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page

from tests.conftest import ROOT, ServerProcess
from tests.page.visitor import PATIENCE_MS

SPANISH = "Hola. ¿Qué tal estás?"
ARABIC = "مَرْحَبًا بِكُمْ فِي هَذَا الْمَكَانِ 👋"

LIT = """
  window.lit = [];
  addEventListener("DOMContentLoaded", () => {
    const look = () => {
      const [range] = CSS.highlights.get("now") ?? [];
      const now = range && [range.startOffset, range.endOffset];
      if (now && String(lit.at(-1)) !== String(now)) lit.push(now);
      requestAnimationFrame(look);
    };
    look();
  });
"""
"""Notes every letter that is lit, by its place in the text, in order."""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None: ...


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Address of the examples, as ``python -m http.server`` serves them."""
    handler = functools.partial(Quiet, directory=str(ROOT / "examples"))
    with http.server.ThreadingHTTPServer(("localhost", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://localhost:{served.server_port}"
        served.shutdown()
        thread.join()


@pytest.fixture
def page(browser: Browser, site: str, espeak_server: ServerProcess) -> Iterator[Page]:
    """The page, open; it has nothing to complain of when the test ends."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(error.message))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.add_init_script(LIT)
    page.goto(f"{site}/relay.html?{urlencode({'server': espeak_server.url})}")
    yield page
    context.close()
    assert [text for text in complaints if "favicon" not in text and "404" not in text] == []


def speak(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.click("#speak")


def said(page: Page) -> tuple[int, int]:
    script = "() => [...CSS.highlights.get('said')].map((range) => [range.startOffset, range.endOffset])"
    (found,) = page.evaluate(script) or [(0, 0)]
    return tuple(found)


def utf16(text: str) -> int:
    """Length of a text in JavaScript."""
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize(
    ("text", "direction"), [(SPANISH, "ltr"), (ARABIC, "rtl")], ids=["spanish", "arabic"]
)
def test_letters_light_up_in_order(page: Page, text: str, direction: str) -> None:
    speak(page, text)
    page.wait_for_selector("#stop:disabled")
    lit: list[list[int]] = page.evaluate("lit")
    # A busy browser draws fewer frames, and then not each letter.
    assert lit == sorted(lit) and len(lit) >= 4
    assert all(end <= start for (_, end), (start, _) in pairwise(lit))
    assert said(page) == (0, utf16(text))
    nodes = "box => [...box.childNodes].map((node) => node.nodeType)"
    assert page.eval_on_selector("#words", nodes) == [3]
    assert page.inner_text("#words") == text
    assert page.eval_on_selector("#words", "box => getComputedStyle(box).direction") == direction
    edges = {text[at : at + 1] for at in itertools.chain(*lit)}
    assert not any(map(unicodedata.combining, edges - {""})), "a vowel sign is lit with its letter"


def test_stop_and_the_next_text(page: Page) -> None:
    speak(page, SPANISH * 20)
    page.wait_for_function("lit.length > 3")
    page.click("#stop")
    page.wait_for_selector("#stop:disabled")
    page.evaluate("lit.length = 0")
    speak(page, SPANISH)
    page.wait_for_selector("#stop:disabled")
    assert said(page) == (0, utf16(SPANISH))
    lit: list[list[int]] = page.evaluate("lit")
    assert lit and lit == sorted(lit) and lit[-1][1] <= utf16(SPANISH)


def test_a_text_instead_of_another(page: Page) -> None:
    sent: list[dict[str, Any]] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(json.loads(data))))
    page.reload()
    speak(page, SPANISH * 20)
    page.wait_for_function("lit.length > 3")
    speak(page, "Otra.")
    page.wait_for_selector("#stop:disabled")
    assert said(page) == (0, 5)
    assert {message["action"] for message in sent} <= {"start_tts", "stop"}


def test_an_error_is_shown(page: Page) -> None:
    speak(page, "")
    page.wait_for_function("document.querySelector('#status').textContent !== ''")
    assert page.inner_text("#status") == "No text provided"
    page.wait_for_selector("#stop:disabled")
