"""Rows of a transcript: divided, joined, given to another speaker, and played by the keyboard."""

import json
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.page.conftest import Visit
from tests.page.listening.answers import ENGLISH, events, transcribe
from tests.page.visitor import Visitor

ROW = "#transcript .sentence"


def texts(page: Page) -> list[str]:
    return [line.inner_text() for line in page.locator(f"{ROW} p").all()]


def put_cursor(page: Page, row: int, presses: int) -> None:
    line = page.locator(f"{ROW} [contenteditable]").nth(row)
    line.focus()
    page.keyboard.press("Home")
    for _ in range(presses):
        page.keyboard.press("ArrowRight")


def corrected(visit: Visit, recording: Path, speakers: str = "") -> tuple[Visitor, Page]:
    visitor = visit()
    page = transcribe(visitor, recording, events(ENGLISH, speakers))
    page.click("#listen-edit")
    return visitor, page


def test_a_row_is_divided_and_joined_again(visit: Visit, recording: Path) -> None:
    visitor, page = corrected(visit, recording)
    before = json.loads(visitor.download("#listen-json"))["words"]
    put_cursor(page, 0, len("Good morning, "))
    page.keyboard.press("Enter")
    assert texts(page) == ["Good morning,", "Mr. Brown!", "The sun is out.", "Shall we go?"]
    # The cursor is where the row was divided, and the row has the time of its first word.
    page.keyboard.type("Dear ")
    assert page.locator(f"{ROW} time").all_inner_texts()[:2] == ["0:00", "0:01"]
    put_cursor(page, 1, 0)
    page.keyboard.press("Backspace")
    assert texts(page)[0] == "Good morning, Dear Mr. Brown!"
    page.keyboard.type(" very")
    page.keyboard.press("Enter")
    after = {word["word"]: word["start"] for word in json.loads(visitor.download("#listen-json"))["words"]}
    assert all(after[word["word"]] == word["start"] for word in before)
    page.reload()
    visitor.wait_for("#line[data-state=open]")
    page.click("#tab-listen")
    expect(page.locator("#transcript")).to_contain_text("Good morning,")
    expect(page.locator(ROW).nth(1)).to_contain_text("Dear Mr. Brown!")


def test_an_emptied_row_is_left_by_backspace_and_the_next_one_stays(visit: Visit, recording: Path) -> None:
    _, page = corrected(visit, recording)
    page.locator(f"{ROW} [contenteditable]").nth(1).focus()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    expect(page.locator(ROW)).to_have_count(2)
    expect(page.locator(f"{ROW} [contenteditable]").first).to_be_focused()
    page.locator(f"{ROW} [contenteditable]").last.focus()
    assert texts(page) == ["Good morning, Mr. Brown!", "Shall we go?"]
    page.click("#toast-undo")
    expect(page.locator(ROW)).to_have_count(3)


def test_a_speaker_that_was_renamed_has_that_name_when_it_is_opened_again(
    visit: Visit, recording: Path
) -> None:
    visitor, page = corrected(visit, recording, "AB")
    page.locator(f"{ROW} input").first.fill("Ana")
    page.locator(f"{ROW} input").first.press("Tab")
    page.click("#listen-clear")
    page.locator("#history button", has_text="Open").click()
    expect(page.locator(f"{ROW} b").first).to_have_text("Ana:")
    assert b"Ana: Good" in visitor.download("#history button:has-text('Download')")


def test_a_row_is_given_to_another_speaker(visit: Visit, recording: Path) -> None:
    visitor, page = corrected(visit, recording, "AB")
    page.locator(f"{ROW} [contenteditable]").nth(1).focus()
    who = page.locator(f"{ROW} select")
    expect(who).to_have_value("B")
    who.select_option("A")
    page.click("#listen-edit")
    expect(page.locator(f"{ROW} b")).to_have_text(["A:", "B:"])
    assert "B: Shall we go?" in visitor.download("#listen-txt").decode()
    page.click("#listen-edit")
    page.locator(f"{ROW} [contenteditable]").nth(1).focus()
    who.select_option("C")
    page.click("#listen-edit")
    expect(page.locator(f"{ROW} b")).to_have_text(["A:", "C:", "B:"])
    assert visitor.violations() == ""


def test_a_row_is_played_by_the_keyboard(visit: Visit, recording: Path) -> None:
    visitor = visit()
    page = transcribe(visitor, recording, events(ENGLISH))
    page.locator(f"{ROW} time").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="Play 0:04")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(ROW).last.locator(".now")).to_have_count(1)
    # The keyboard stops at one of them.
    assert page.locator(f'{ROW} time[tabindex="0"]').count() == 1
    assert visitor.violations() == ""
