"""The transcript of a recording: a row for each sentence, its time beside it, and the row that is played."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.page.conftest import Visit, in_both
from tests.page.listening.answers import ARABIC, ENGLISH, events, transcribe

ROW = "#transcript .sentence"
BOX = "element => { const { left, right } = element.getBoundingClientRect(); return [left, right]; }"
BACKGROUND = "element => getComputedStyle(element).backgroundColor"


def rows(page: Page) -> list[tuple[str, str]]:
    script = "rows => rows.map((row) => [...row.children].map((part) => part.innerText))"
    return [(time, text) for time, text in page.locator(ROW).evaluate_all(script)]


def sides(element: Locator) -> tuple[float, float]:
    left, right = element.evaluate(BOX)
    return left, right


@in_both
def test_each_sentence_is_a_row_that_is_played_from_its_time(visit: Visit, recording: Path) -> None:
    page = transcribe(visit(), recording, events(ENGLISH))
    # A title ends no sentence.
    assert rows(page) == [
        ("0:00", "Good morning, Mr. Brown!"),
        ("0:02", "The sun is out."),
        ("0:04", "Shall we go?"),
    ]
    last = page.locator(ROW).last
    quiet = last.evaluate(BACKGROUND)
    last.locator("time").click()
    expect(last.locator("span").first).to_have_class("now")
    assert float(page.get_attribute("#heard-waveform", "aria-valuenow") or 0) >= 3.5
    page.click("#heard-play")
    assert last.evaluate(BACKGROUND) != quiet
    page.locator(f"{ROW} span", has_text="sun").click()
    expect(page.locator(ROW).nth(1).locator(".now")).to_have_count(1)
    expect(last).to_have_css("background-color", quiet)


def test_each_turn_begins_with_its_speaker(visit: Visit, recording: Path) -> None:
    page = transcribe(visit(), recording, events(ENGLISH, "AB"))
    assert rows(page) == [
        ("0:00", "A: Good morning, Mr. Brown!"),
        ("0:02", "B: The sun is out."),
        ("0:04", "Shall we go?"),
    ]
    assert [name.inner_text() for name in page.locator(f"{ROW} b").all()] == ["A:", "B:"]


@in_both
def test_gutter_is_narrow_on_a_phone(visit: Visit, recording: Path) -> None:
    page = transcribe(visit(viewport={"width": 360, "height": 800}), recording, events(ENGLISH))
    times = [sides(time) for time in page.locator(f"{ROW} time").all()]
    texts = [sides(text) for text in page.locator(f"{ROW} p").all()]
    assert len({left for left, _ in texts}) == 1
    for (left, right), (begin, _) in zip(times, texts, strict=True):
        assert right < begin <= left + 48
    expect(page.locator(f"{ROW} time").first).to_have_css("font-variant-numeric", "tabular-nums")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_row_is_high_enough_for_a_finger(visit: Visit, recording: Path) -> None:
    visitor = visit(viewport={"width": 360, "height": 800}, has_touch=True, is_mobile=True)
    page = transcribe(visitor, recording, events(ENGLISH))
    row = page.locator(ROW).first
    height = row.evaluate("row => row.getBoundingClientRect().height")
    assert height >= 44
    # Beside the time, in its gutter.
    row.tap(position={"x": 5, "y": height - 2})
    expect(row.locator(".now")).to_have_count(1)
    assert visitor.violations() == ""


@in_both
@pytest.mark.parametrize("locale", ["ar-EG", "en-US"])
def test_arabic_has_its_gutter_at_the_right(visit: Visit, recording: Path, locale: str) -> None:
    # A speaker's letter is no Arabic one.
    page = transcribe(
        visit(locale=locale, viewport={"width": 360, "height": 800}), recording, events(ARABIC, "AB")
    )
    assert [text for _, text in rows(page)] == [f"A: {ARABIC[0][0]}", f"B: {ARABIC[1][0]}"]
    for row in page.locator(ROW).all():
        (left, _), (_, right) = sides(row.locator("time")), sides(row.locator("p"))
        assert left > right
    last = page.locator(ROW).last
    last.locator("time").click()
    expect(last.locator(".now")).to_have_text(re.compile("الشمس|مشرقة"))
