"""Parts of the page beside speech: a book's chapters, no conversations, and the page of HTTP calls."""

import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.books.epubs import NAV, epub
from tests.conftest import ServerProcess
from tests.page.conftest import Visit, in_both
from tests.page.visitor import Visitor
from tests.support.patience import WITHIN_S

CHAPTERS = ["1. Uno", "2. Dos", "3. Tres"]
ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'


def give(page: Page, path: Path) -> None:
    page.set_input_files("#book-file", path)


@in_both
def test_chapter_is_chosen_and_spoken(visitor: Visitor, tmp_path: Path) -> None:
    page, book = visitor.page, epub(tmp_path / "b.epub")
    text, chapter = page.locator("#text"), page.locator("#chapter")
    give(page, book)
    expect(text).to_have_value("Capítulo uno\n\nEl perro duerme en la casa.")
    assert chapter.locator("option").all_inner_texts() == CHAPTERS
    expect(page.get_by_label("Chapters of “La casa & el río”")).to_be_focused()
    # A closed list chooses with each arrow key, and keeps the focus.
    page.keyboard.press("ArrowDown")
    expect(text).to_have_value("Capítulo dos\n\nLa niña come pan.")
    page.keyboard.press("ArrowDown")
    expect(text).to_have_value("El tren sale tarde.")
    expect(chapter).to_be_focused()
    page.click("#speak")
    visitor.wait_for_end()
    assert visitor.requests[-1]["text"] == "El tren sale tarde."
    page.get_by_role("button", name="Close the book").click()
    expect(page.locator("#chapters")).to_be_hidden()
    expect(page.locator("#text")).to_be_focused()
    # The same file once more; what is typed over a chapter can be undone.
    give(page, book)
    expect(text).to_have_value("Capítulo uno\n\nEl perro duerme en la casa.")


@in_both
def test_file_is_dropped_on_the_text(visitor: Visitor) -> None:
    page = visitor.page
    page.evaluate(
        """() => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File(["# One\\n\\nFirst.\\n\\n# Two\\n\\nSecond."], "Notes.md"));
            const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
            document.querySelector("#text").dispatchEvent(drop);
        }"""
    )
    expect(page.locator("#chapter option")).to_have_text(["1. One", "2. Two"])
    expect(page.locator("#text")).to_have_value("One\n\nFirst.")


def test_what_is_no_book_is_explained_in_the_pages_language(visit: Visit, tmp_path: Path) -> None:
    visitor = visit(locale="es-ES")
    visitor.network_may_fail = True  # the browser's own words about a 400
    page, text = visitor.page, visitor.value("#text")
    give(page, epub(tmp_path / "b.epub", {"OEBPS/nav.xhtml": ENTITIES + NAV}))
    problem = page.locator("#problem")
    expect(problem).to_contain_text("No es un libro que se pueda leer: b.epub declares XML entities")
    expect(page.locator("#chapters")).to_be_hidden()
    large = tmp_path / "large.txt"
    with large.open("wb") as file:
        file.truncate((64 << 20) + 1)
    give(page, large)
    expect(problem).to_have_text("Demasiado grande: se admiten 64 MB como máximo.")
    assert visitor.value("#text") == text
    give(page, epub(tmp_path / "good.epub"))
    expect(page.locator("#chapter option")).to_have_text(CHAPTERS)
    expect(problem).to_be_empty()


def test_button_asks_for_a_file(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.page
    page.click("#parameters summary")
    with page.expect_file_chooser() as choosing:
        page.press("#book", "Enter")
    choosing.value.set_files(epub(tmp_path / "b.epub"))
    expect(page.locator("#chapter option")).to_have_text(CHAPTERS)


def test_chapters_are_accessible_in_each_language(visit: Visit, tmp_path: Path) -> None:
    visitor = visit(viewport={"width": 360, "height": 640}, reduced_motion="reduce")
    page, book = visitor.page, epub(tmp_path / "b.epub")
    labels = set()
    for language in visitor.each_language():
        page.fill("#text", "")  # all buttons of the text are there
        give(page, book)
        page.wait_for_selector("#chapter")
        labels.add(page.inner_text("#chapters label"))
        assert visitor.is_wide_enough(), language
        visitor.few_voices()
        assert visitor.violations() == "", language
    assert len(labels) == 8 and all("La casa & el río" in label for label in labels)


COMMAND = "python start_websocket_server.py --llm http://localhost:11434/v1"


def test_without_a_model_the_tab_says_what_to_start(visit: Visit) -> None:
    visitor = visit(viewport={"width": 390, "height": 844})
    page = visitor.page
    page.click("#tab-talk")
    expect(page.locator("#talk-command")).to_have_text(COMMAND)
    expect(page.locator("#talk")).to_be_hidden()
    page.click("#talk-copy")
    # A browser without a window may have no clipboard.
    expect(page.locator(".talk-setup [role=status]")).to_have_text(re.compile("^(Copied|Selected)"))
    assert visitor.is_wide_enough()


def test_recogniser_that_hears_no_live_speech_is_named(visit: Visit) -> None:
    def slow(route: Route) -> None:
        health = route.fetch().json()
        route.fulfill(json={**health, "recognizer": {**health["recognizer"], "live": False}})

    visitor = visit(ready=False)
    visitor.page.route("**/health", slow)
    visitor.arrive()
    visitor.page.click("#tab-talk")
    expect(visitor.page.locator(".talk-setup p").first).to_contain_text("too slow for live speech")
    expect(visitor.page.locator("#talk-command")).to_be_hidden()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1180), ("dark", 360)])
def test_docs_page_shows_calls_and_copies_a_command_that_works(
    visit: Visit, espeak_server: ServerProcess, tmp_path: Path, scheme: str, width: int
) -> None:
    url = f"{espeak_server.http_url}/docs"
    visitor = visit(
        url=url,
        ready=False,
        color_scheme=scheme,
        viewport={"width": width, "height": 800},
        permissions=["clipboard-read", "clipboard-write"],
    )
    page = visitor.page
    requested = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(url)
    visitor.wait_for(".call")
    assert visitor.violations() == ""
    page.fill("#filter", "post speak captioned")
    assert visitor.text("#state").startswith("1 of ")
    page.fill("#filter", "/tts")
    page.click("#post_tts > summary")
    expect(page.locator("#post_tts")).to_contain_text("duration")
    assert "0.1 to 300" in visitor.text("#post_tts")
    assert visitor.is_wide_enough()
    assert visitor.violations() == ""
    page.click("#post_tts .curl-head button")
    expect(page.locator("#state")).to_have_text(re.compile("^Copied"))
    command = page.evaluate("navigator.clipboard.readText()")
    subprocess.run(["sh", "-c", f"{command} --silent --fail"], cwd=tmp_path, check=True, timeout=WITHIN_S)
    assert (tmp_path / "answer").read_bytes().startswith(b"RIFF")
    assert {each.split("/")[2] for each in requested} == {url.split("/")[2]}
