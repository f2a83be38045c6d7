"""A book's text as it is shown: emphasis, pictures, and how the reader wants it."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.books.epubs import epub, png
from tests.page.books.test_page_books import give, reload
from tests.page.conftest import LONG, Visit
from tests.page.visitor import Visitor

SHOWN = """<html><body><p>It was the <i>best</i> of <em>all times</em>.</p>
<figure><img src="../p.png" alt="A red field."/><figcaption>The <i>field</i> of Ann.</figcaption></figure>
<p>The end of it.</p><p><img src="../p.png" alt="<b>Red</b>"/></p></body></html>"""
FILES: dict[str, str | bytes | None] = {
    "OEBPS/text/one.xhtml": SHOWN,
    "OEBPS/p.png": png(120, 90),
    "OEBPS/nav.xhtml": None,
}
WHOLE = "It was the best of all times.\n\nThe field of Ann.\n\nThe end of it."
EMPHASIZED = ["best", "all times", "field"]


def test_emphasis_and_pictures_stand_where_they_are_before_while_and_after_it_is_read(
    visitor: Visitor, page: Page, tmp_path: Path
) -> None:
    give(page, epub(tmp_path / "b.epub", FILES))
    expect(page.locator("#words img")).to_have_count(2)

    def check() -> None:
        assert page.text_content("#words") == WHOLE
        shown: list[str] = page.evaluate("[...words.querySelectorAll('em')].map((one) => one.textContent)")
        assert " ".join(shown).split() == " ".join(EMPHASIZED).split()
        before = """() => [...words.querySelectorAll("img")].map((one) => {
            const range = new Range(); range.setStart(words, 0); range.setEndBefore(one);
            return [one.alt, one.naturalWidth, range.toString().length]; })"""
        assert page.evaluate(before) == [["A red field.", 120, 31], ["<b>Red</b>", 120, len(WHOLE)]]

    page.wait_for_function("() => [...words.querySelectorAll('img')].every((one) => one.naturalWidth)")
    check()
    page.click("#pause")
    for word in ("best", "field", "end"):
        page.wait_for_function("(word) => lit.includes(word)", arg=word)
        check()
    assert visitor.requests[0]["text"] == WHOLE
    # A word that is emphasized is clicked as any other.
    page.locator("#words em").first.click()
    page.click("#stop")
    reload(visitor)
    page.wait_for_function("() => words.querySelectorAll('img').length === 2")
    assert "A red field." in page.locator("#words .picture").first.evaluate(
        "e => getComputedStyle(e, '::after').content"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_typeface_spacing_and_page_are_chosen_and_stay(visit: Visit, tmp_path: Path, scheme: str) -> None:
    visitor = visit(color_scheme=scheme, viewport={"width": 390, "height": 844})
    page = visitor.page
    give(page, epub(tmp_path / "b.epub", FILES))
    expect(page.locator("#words img")).to_have_count(2)
    look = """() => { const { fontFamily, lineHeight, letterSpacing } = getComputedStyle(words);
        const card = getComputedStyle(compose).backgroundColor;
        return [fontFamily, parseFloat(lineHeight), letterSpacing, card]; }"""
    before = page.evaluate(look)
    for name, value in (("face", "clear"), ("space", "wider"), ("page", "sepia")):
        visitor.choose(f"#book-{name}", value)
    reload(visitor)
    after = page.evaluate(look)
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert after[1] > 1.2 * before[1] and re.match(r'"?Atkinson', after[0])
    page.click("#book-menu summary")
    assert visitor.violations() == "" and visitor.is_wide_enough()
    box = page.locator("#book-menu .sheet").bounding_box()
    assert box and box["x"] >= 0


def test_a_heading_is_as_bold_once_it_was_read(page: Page, tmp_path: Path) -> None:
    book = tmp_path / "Notes.md"
    book.write_text(f"# The Lamp\n\n{LONG}\n\n# Two\n\nMore.")
    width = """() => {
        const texts = document.createTreeWalker(words, NodeFilter.SHOW_TEXT), range = new Range();
        while (texts.nextNode() && !texts.currentNode.data.includes("Lamp"));
        const at = texts.currentNode.data.indexOf("Lamp");
        range.setStart(texts.currentNode, at);
        range.setEnd(texts.currentNode, at + 4);
        return range.getBoundingClientRect().width; }"""
    give(page, book)
    page.wait_for_selector("#words.titled")
    bold = page.evaluate(width)
    # Before it is heard it is a page to read.
    colour = "e => getComputedStyle(e).color"
    assert page.eval_on_selector("#words > i:last-child", colour) == page.eval_on_selector("body", colour)
    page.click("#pause")
    page.wait_for_function("() => words.querySelectorAll('span.said').length > 12")
    assert page.evaluate(width) == pytest.approx(bold, rel=0.01)
