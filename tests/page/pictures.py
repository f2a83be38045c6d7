"""The pictures of the page in docs/page.md, drawn anew by Chromium.

``python -m tests.page.pictures [NAME ...]`` writes docs/page_NAME.png; without a name all.
Look at each before it is committed: it shows whatever the page showed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

from benchmarks.server_process import HOST, ROOT, Server
from tests.page.conftest import microphone_file
from tests.page.visitor import Visitor, find_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TEXTS = {
    "ar": "صباح الخير! الشمس مشرقة والطيور تغرد في الحديقة. عمَّ نتحدث اليوم؟",
    "en": "Good morning! The ticket costs $12.50, and the train leaves at 9:45. "
    "Who would like to come along?",
    "es": "¡Buenos días! Ha salido el sol y los pájaros cantan en el jardín. ¿De qué hablamos hoy?",
    "hi": "सुप्रभात! धूप निकल आई है और बगीचे में चिड़ियाँ गा रही हैं। आज हम किस बारे में बात करें?",
    "ja": "おはようございます。太陽が出て、庭で鳥が歌っています。今日は何を話しましょうか。",
    "zh": "早上好！太阳出来了，鸟儿在花园里歌唱。我们今天聊些什么呢？",
}
SAID = (
    "The birds are singing in the garden this morning. What shall we talk about today, while the sun is out? "
    "The train to the coast leaves at half past nine, and she closed the book, looked out of the window, and "
    "began to laugh. If the rain stops before noon, we could still walk up to the old castle."
)
SILENCE_S = 6
"""What the microphone hears, and the silence after it."""

WORDS = 4
"""Words that have been said when a picture of speech is taken."""

HEARD = 24
"""The same of those that have been recognised."""

SPEAKING = """
  (words) =>
    document.querySelector("#words .now") && document.querySelectorAll("#words .said").length >= words
"""
LISTENED = "(words) => document.querySelectorAll('#transcript span').length >= words"


DRAWN = "() => Number(document.querySelector('#heard-waveform').ariaValueMax) > 1"
"""The recording of a transcript is drawn."""


class Photographer:
    """Visits the page and takes pictures; folder: where they are written."""

    def __init__(self, browser: Browser, server: Server, folder: Path) -> None:
        self._browser = browser
        self._server = server
        self._folder = folder

    def visit(self, locale: str, width: int, height: int, **options: Any) -> Visitor:
        """Open the page; options: playwright's of a context."""
        context = self._browser.new_context(
            locale=locale, viewport={"width": width, "height": height}, **options
        )
        visitor = Visitor(context.new_page(), f"http://{HOST}:{self._server.port}/")
        visitor.arrive()
        visitor.wait_for("#gallery [role=option]")
        return visitor

    def speak(self, visitor: Visitor, language: str) -> None:
        """Have the page speak, and wait until some words are said."""
        visitor.speak(TEXTS[language])
        # A button that the mouse rests on looks otherwise.
        visitor.page.mouse.move(2, 2)
        visitor.page.wait_for_function(SPEAKING, arg=WORDS)

    def take(self, visitor: Visitor, name: str) -> None:
        """Take the picture of what is in view: the player is at the bottom of that."""
        path = self._folder / f"page_{name}.png"
        visitor.page.screenshot(path=path)
        visitor.page.context.close()
        print(path, flush=True)


SPOKEN = {
    "arabic": ("ar-EG", 1280, 800, "light"),  # from right to left
    "dark": ("es-ES", 1280, 800, "dark"),  # with an emotion
    "hindi": ("hi-IN", 820, 1180, "dark"),  # on a tablet
    "japanese": ("ja-JP", 820, 1180, "light"),
    "light": ("en-US", 1280, 800, "light"),  # the first picture of all
    "narrow": ("zh-CN", 390, 844, "light"),  # on a phone
}
"""Pictures of speech: the browser's language, the size of the window, and the colours."""


def spoken(name: str, photographer: Photographer) -> None:
    locale, width, height, scheme = SPOKEN[name]
    visitor = photographer.visit(locale, width, height, color_scheme=scheme)
    if name == "dark":
        visitor.feel("happy")
    photographer.speak(visitor, locale[:2])
    photographer.take(visitor, name)


def listen(photographer: Photographer) -> None:
    """The second tab: a finished transcript, heard again from a word."""
    visitor = photographer.visit("en-US", 1280, 800)
    page = visitor.page
    page.click("#tab-listen")
    page.click("#listen")
    page.wait_for_function(LISTENED, arg=HEARD)
    page.click("#listen")
    page.wait_for_function(DRAWN)
    page.locator("#transcript span").nth(HEARD // 2).click()
    page.mouse.move(2, 2)
    page.wait_for_selector("#transcript .now")
    photographer.take(visitor, "listen")


def voice(photographer: Photographer) -> None:
    """The dialog that adds a voice, on a small phone."""
    visitor = photographer.visit("en-US", 360, 800)
    visitor.page.click("#add-voice")
    visitor.wait_for("#voice-dialog[open]")
    photographer.take(visitor, "voice")


PICTURES: dict[str, Callable[[Photographer], None]] = {
    **{name: partial(spoken, name) for name in SPOKEN},
    "listen": listen,
    "voice": voice,
}


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(prog="python -m tests.page.pictures", description=__doc__)
    options.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(PICTURES)}")
    options.add_argument("--folder", type=Path, default=ROOT / "docs", help="where they are written")
    given = options.parse_args()
    if unknown := set(given.names) - PICTURES.keys():
        options.error(f"no picture is called {', '.join(sorted(unknown))}")
    with (
        tempfile.TemporaryDirectory() as folder,
        Server() as server,
        sync_playwright() as playwright,
    ):
        microphone = microphone_file(f"http://{HOST}:{server.port}", Path(folder), SAID, SILENCE_S)
        arguments = [
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone}",
        ]
        browser = playwright.chromium.launch(executable_path=find_browser(), args=arguments)
        photographer = Photographer(browser, server, given.folder)
        for name in given.names or PICTURES:
            PICTURES[name](photographer)
        browser.close()


if __name__ == "__main__":
    main()
