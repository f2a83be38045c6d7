"""A visitor of the page: actions, the page's texts, and the messages that the browser received."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from axe_playwright_python.sync_playwright import Axe

from tests.support.patience import WITHIN_S

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Error, Page, WebSocket

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
"""What the system's Chromium may be called."""

PATIENCE_MS = 1000 * WITHIN_S

NETWORK = (
    *("Failed to load resource", "WebSocket connection to"),
    *("Firefox can’t establish a connection to", "The connection to "),
)
"""How the browsers' own complaints begin when a server is away or says no: Chromium's, and Firefox's."""

LIT = """
  window.lit = [];
  window.statuses = [];
  addEventListener("DOMContentLoaded", () => {
    const words = document.querySelector("#words");
    const status = document.querySelector("#status");
    if (!words) return;
    new MutationObserver(() => statuses.push(status.textContent)).observe(status, { childList: true });
    new MutationObserver(() => {
      const now = words.querySelector(".now")?.textContent ?? null;
      if (now !== null && lit.at(-1) !== now) lit.push(now);
    }).observe(words, { subtree: true, childList: true, attributes: true });
  });
"""
"""Notes every word that is lit and every status, in order."""


SOCKETS = """
  window.WebSocket = class extends WebSocket {
    #watched;
    constructor(...given) {
      super(...given);
      this.#watched = new URL(this.url).pathname.endsWith("/tts");
      if (this.#watched) this.addEventListener("message", ({ data }) => {
        if (typeof data !== "string") noted("received", new Uint8Array(data).toBase64());
      });
    }
    send(data) {
      if (this.#watched) noted("sent", data);
      super.send(data);
    }
  };
"""
"""Notes what playwright does not see in Firefox: messages of the sockets that speak."""

ENVIRONMENT = os.environ | {"TMPDIR": "/tmp"}
"""Chromium's, which makes a Unix socket there: a long path of TMPDIR would end it."""


def find_browser() -> str | None:
    """The path of the system's Chromium, None where there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@dataclass(frozen=True, slots=True)
class Frame:
    """A binary frame, taken apart by other code than the page's."""

    metadata: dict[str, Any]
    payload: bytes


def frame(data: bytes) -> Frame:
    magic, _, _, length = struct.unpack_from(">HBBI", data)
    assert magic == 0xAA55
    (size,) = struct.unpack_from(">I", data, 8 + length)
    payload = data[12 + length :]
    assert len(payload) == size
    return Frame(json.loads(data[8 : 8 + length]), payload)


class Visitor:
    """A page in a browser.

    frames: what its sockets brought; sent: the messages it sent; complaints: what its console shows
    and should not, the network's own left out where ``network_may_fail``.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.network_may_fail = False
        self.frames: list[Frame] = []
        self.sent: list[dict[str, Any]] = []
        self._complaints: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(LIT)
        assert page.context.browser is not None
        if page.context.browser.browser_type.name == "firefox":
            page.expose_binding("noted", self._note)
            page.add_init_script(SOCKETS)
        else:
            page.on("websocket", self._watch)
        page.on("console", self._listen)
        page.on("pageerror", self._fail)

    @property
    def complaints(self) -> list[str]:
        may = NETWORK if self.network_may_fail else ()
        return [words for words in self._complaints if not words.startswith(may)]

    def arrive(self) -> None:
        """Open the page and wait until it can do everything."""
        self.page.goto(self.url)
        self.wait_for("#line[data-state=open]")
        self.page.wait_for_selector("#language option:nth-of-type(2), #language optgroup", state="attached")

    def wait_for(self, selector: str) -> None:
        self.page.wait_for_selector(selector)

    def line(self, state: str) -> str:
        """Wait until the connection is in a state, which may last half a second; what the page says of it."""
        shown = self.page.wait_for_function(
            "(state) => { const line = document.querySelector('#line');"
            " return line?.dataset.state === state && line.innerText; }",
            arg=state,
        )
        words: str = shown.json_value()
        return words

    def text(self, selector: str) -> str:
        """Text of an element, which may be folded away."""
        self.unfold(selector)
        return self.page.inner_text(selector)

    def value(self, selector: str) -> str:
        return self.page.input_value(selector)

    def speak(self, text: str, language: str = "") -> None:
        if language:
            self.choose("#language", language)
        self.page.fill("#text", text)
        if self.page.is_visible("#stop"):
            self.page.press("#text", "Control+Enter")
        else:
            self.page.click("#speak")

    def begin(self, text: str, language: str = "") -> None:
        """Speak a text until a word of it is lit."""
        self.speak(text, language)
        self.wait_for_sound()

    def say(self, text: str, language: str = "") -> None:
        """Speak a text to its end."""
        self.speak(text, language)
        self.wait_for_end()

    def unfold(self, selector: str) -> None:
        """Open the menus and folded parts that hold an element."""
        self.page.eval_on_selector(
            selector, "e => { for (; e; e = e.parentElement) if (e.localName === 'details') e.open = true; }"
        )

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a menu, which may be folded away."""
        self.unfold(selector)
        self.page.select_option(selector, value)

    def feel(self, emotion: str) -> None:
        """Choose an emotion for a text that is typed later: one that is there would be spoken."""
        self.page.fill("#text", "")
        self.page.click(f"#emotions [value={emotion}]")

    def emotion(self) -> str:
        return self.value("#emotions :checked")

    def wait_for_sound(self) -> None:
        """Wait until a word is lit; of a text that is long enough for a busy browser to draw it."""
        self.wait_for("#words .now")

    def wait_for_end(self) -> None:
        """Wait until nothing is heard and nothing will come."""
        self.page.wait_for_selector("#stop", state="hidden")

    def each_language(self) -> Iterator[str]:
        """Open the page anew in each of its languages; their names."""
        options = self.page.eval_on_selector_all(
            "#page-language option", "all => all.map((one) => one.value)"
        )
        for language in options:
            self.page.evaluate("(language) => localStorage.setItem('kani.locale', language)", language)
            self.arrive()
            yield language

    def few_voices(self) -> None:
        """Leave two: voices of a kind look alike, and axe takes its time for each."""
        rest = "all => all.slice(2).forEach((one) => one.remove())"
        self.page.eval_on_selector_all("#gallery [role=option]", rest)

    def is_wide_enough(self) -> bool:
        """True if nothing has to be scrolled sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))

    def violations(self, *rules: str) -> str:
        """Violations of ``rules``, all by default, that axe-core finds; "" if there are none.

        Colours that are still in transition would count as too pale.
        """
        self.page.wait_for_function("() => !document.getAnimations().some((one) => one.transitionProperty)")
        only = {"runOnly": {"type": "rule", "values": rules}} if rules else {}
        results = Axe().run(self.page, options=only)
        return results.generate_report() if results.violations_count else ""

    def lit(self) -> list[str]:
        return list(self.page.evaluate("lit"))

    def statuses(self) -> list[str]:
        return list(self.page.evaluate("statuses"))

    def backgrounds(self) -> tuple[str, str]:
        """Background of the word that is heard, once there is one, and of the text."""
        now, unsaid = self.page.wait_for_function(
            """() => {
                const [now, words] = ["#words .now", "#words"].map((one) => document.querySelector(one));
                return now && [now, words].map((one) => getComputedStyle(one).backgroundColor);
            }"""
        ).json_value()
        return now, unsaid

    def assert_lit(self, words: list[str]) -> None:
        """Assert that ``words`` are the last ones that were lit, in order.

        A busy browser draws fewer frames: a word that begins and ends between two frames is never lit.
        """
        lit = self.lit()
        rest = reversed(words)
        found = list(itertools.takewhile(lambda word: word in rest, reversed(lit)))
        assert len(found) >= len(words) / 2, lit

    def download(self, selector: str = "#download") -> bytes:
        """Press a button that saves a file; the file."""
        self.unfold(selector)
        with self.page.expect_download() as saving:
            self.page.click(selector)
        return saving.value.path().read_bytes()

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [message["params"] for message in self.sent if message["type"] == "tts_request"]

    def pcm(self) -> bytes:
        return b"".join(frame.payload for frame in self.frames)

    def _watch(self, socket: WebSocket) -> None:
        if not socket.url.split("?")[0].endswith("/tts"):
            # Speech recognition has a protocol of its own.
            return
        socket.on("framereceived", self._received)
        socket.on("framesent", self._sent)

    def _note(self, source: object, kind: str, data: str) -> None:
        if kind == "sent":
            self._sent(data)
        else:
            self._received(base64.b64decode(data))

    def _sent(self, data: str) -> None:
        self.sent.append(json.loads(data))

    def _received(self, data: str | bytes) -> None:
        if isinstance(data, bytes):
            self.frames.append(frame(data))

    def _fail(self, error: Error) -> None:
        # Firefox's own complaints have no name.
        self._complaints.append(f"{error.name}: {error.message}".removeprefix(": "))

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._complaints.append(message.text)
