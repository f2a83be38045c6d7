"""A book's file on the page: its chapters, one of which is the text to speak."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.books.epubs import NAV, epub
from tests.page.conftest import Visit

CHAPTERS = ["1. Uno", "2. Dos", "3. Tres"]
ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'


def give(page: Page, path: Path) -> None:
    """Choose a file."""
    page.set_input_files("#book-file", path)


def test_chapter_is_chosen_and_spoken(visit: Visit, tmp_path: Path) -> None:
    visitor = visit()
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


def test_file_is_dropped_on_the_text(visit: Visit) -> None:
    page = visit().page
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


@pytest.mark.only_in("chromium")  # Firefox' driver reports no file chooser.
def test_button_asks_for_a_file(visit: Visit, tmp_path: Path) -> None:
    page = visit().page
    page.click("#parameters summary")
    with page.expect_file_chooser() as choosing:
        page.press("#book", "Enter")
    choosing.value.set_files(epub(tmp_path / "b.epub"))
    expect(page.locator("#chapter option")).to_have_text(CHAPTERS)


@pytest.mark.only_in("chromium")
def test_chapters_are_accessible_in_each_language(visit: Visit, tmp_path: Path) -> None:
    visitor = visit(viewport={"width": 360, "height": 640}, reduced_motion="reduce")
    page, book = visitor.page, epub(tmp_path / "b.epub")
    labels = set()
    for language in page.eval_on_selector_all("#page-language option", "all => all.map((one) => one.value)"):
        page.evaluate("(language) => localStorage.setItem('kani.locale', language)", language)
        visitor.arrive()
        page.fill("#text", "")  # all buttons of the text are there
        give(page, book)
        page.wait_for_selector("#chapter")
        labels.add(page.inner_text("#chapters label"))
        assert page.eval_on_selector("html", "html => html.scrollWidth <= html.clientWidth"), language
        page.eval_on_selector_all(
            "#gallery [role=option]", "all => all.slice(2).forEach((one) => one.remove())"
        )
        assert visitor.violations() == "", language
    assert len(labels) == 8 and all("La casa & el río" in label for label in labels)
