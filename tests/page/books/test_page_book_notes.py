"""Places of a book on the page: all that a search finds, bookmarks and notes."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.page.books.test_page_books import LONG, choose, give, long_book, reload
from tests.page.visitor import Visitor


def test_search_lists_all_places_and_leads_to_each(page: Page, tmp_path: Path) -> None:
    give(page, long_book(tmp_path, times=3))
    expect(page.locator("#chapter option")).to_have_count(2)
    page.click("#book-menu summary")
    page.fill("#book-search", "IS  paragraph")
    expect(page.locator("#book-none")).to_have_text("places: 180")
    found = page.locator("#book-found button")
    expect(found.locator("mark").first).to_have_text("is paragraph")
    # More is listed for who comes near the end, by mouse or keyboard.
    for count in (60, 120, 180):
        expect(found).to_have_count(count)
        found.last.focus()
    found.last.click()
    whole = page.text_content("#words") or ""
    assert page.text_content("#words .said") == whole[: whole.rindex(LONG[-1])]


def test_bookmark_has_a_note_leads_to_its_place_and_is_saved(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.page
    give(page, long_book(tmp_path))
    page.click("#book-menu summary")
    page.fill("#book-search", "number 31,")
    page.locator("#book-found button").click()
    choose(page, "Bookmark, note")
    page.keyboard.type("A thought\nof two lines.")
    page.keyboard.press("Escape")
    # The focus is where it can go on.
    expect(page.locator("#book-menu summary")).to_be_focused()
    # The same place is kept once, and its note stays.
    choose(page, "Bookmark, note")
    page.keyboard.press("Escape")
    reload(visitor)
    choose(page, "From the chapter’s beginning")
    choose(page, "Bookmarks and notes")
    expect(page.locator("#book-marks li")).to_have_count(1)
    expect(page.locator("#book-marks textarea")).to_have_value("A thought\nof two lines.")
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save as text").click()
    saved = saving.value.path().read_text("utf-8")
    assert saving.value.suggested_filename == "Long.txt" and LONG[31] in saved and "of two lines." in saved
    assert visitor.violations() == ""
    remove = page.locator("#book-marks li button").last
    remove.click()
    expect(remove).to_have_text("Undo")
    remove.click()
    page.evaluate("""() => {
        const [name] = Object.keys(localStorage).filter((key) => key.startsWith("kani.notes."));
        const marks = Array.from({ length: 500 }, (_, n) => ({ at: 0, from: n + 900, words: "", note: "" }));
        const { marks: own } = JSON.parse(localStorage[name]);
        localStorage[name] = JSON.stringify({ marks: [...own, ...marks.slice(1)] });
    }""")
    page.keyboard.press("Escape")
    choose(page, "Bookmark, note")
    expect(page.locator("#book-marks-told")).to_contain_text("No more than 500")
    expect(page.locator("#book-marks li")).to_have_count(500)
    page.locator("#book-marks li", has=page.locator("q", has_text=LONG[31][:20])).locator(
        "button"
    ).first.click()
    expect(page.locator("#book-notes")).to_be_hidden()
    whole = page.text_content("#words") or ""
    assert page.text_content("#words .said") == whole[: whole.index(LONG[31])]


RING = """button => {
    const { top, right } = button.getBoundingClientRect();
    const { outlineWidth, outlineOffset } = getComputedStyle(button);
    const box = button.closest("ol").getBoundingClientRect();
    const ring = parseFloat(outlineWidth) + parseFloat(outlineOffset);
    return ring > 0 && top - ring >= box.top && right + ring <= box.right;
}"""


def test_quotation_ends_after_a_word_and_rings_are_whole(page: Page, tmp_path: Path) -> None:
    book = tmp_path / "Notes.md"
    book.write_text(said := " ".join(["Wednesday"] * 40), "utf-8")
    give(page, book)
    choose(page, "Bookmark, note")
    quotation = page.inner_text("#book-marks q").strip("“”")
    assert quotation.endswith("Wednesday…") and said.startswith(quotation.removesuffix("…"))
    page.keyboard.press("Shift+Tab")
    assert page.eval_on_selector("#book-marks :focus-visible", RING)
    page.keyboard.press("Escape")
    page.click("#book-menu summary")
    page.fill("#book-search", "sday Wednes")
    found = page.locator("#book-found button").nth(9)
    expect(found).to_have_text(re.compile(r"^1 · …(Wednesday )+Wednesday Wednesday( Wednesday)+…$"))
