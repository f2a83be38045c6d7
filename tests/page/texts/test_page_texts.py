"""The text before it is spoken: its length, clearing it, long lines, and files that are dropped on it."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import Visit
from tests.page.visitor import Visitor

SENTENCE = "The quick brown fox jumps over the lazy dog. "
DROP = """([name, type, bytes]) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([Uint8Array.from(bytes)], name, { type }));
    const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
    document.querySelector("#compose").dispatchEvent(drop);
}"""


def test_length_is_told_before_it_is_spoken_and_the_text_is_cleared(visitor: Visitor, page: Page) -> None:
    # The first text is there to be written over.
    expect(page.locator("#clear")).to_be_hidden()
    text = (SENTENCE * 40).strip()
    page.fill("#text", text)
    expect(page.locator("#count")).to_have_text("1,799 characters · ~2:00")
    page.click("#clear")
    expect(page.locator("#text")).to_have_value("")
    expect(page.locator("#count")).to_be_empty()
    page.click("#toast-undo")
    expect(page.locator("#text")).to_have_value(text)


@pytest.mark.parametrize("sign", ["I <3 it. ", "When x < y, go. "])
def test_a_sign_takes_no_place_away(visitor: Visitor, page: Page, sign: str) -> None:
    visitor.begin((SENTENCE * 3 + sign) * 20, "en")
    page.wait_for_function("() => document.querySelectorAll('#words .said').length > 60")
    page.reload()
    visitor.wait_for("#line[data-state=open]")
    expect(page.locator("#pause")).to_have_accessible_name("Resume")
    assert page.inner_text("#clock") > "0:00"


@pytest.mark.parametrize(("name", "type"), [("talk.mp3", "audio/mpeg"), ("talk.m4a", "")])
def test_a_recording_that_is_dropped_on_the_text_is_transcribed(
    visit: Visit, recording: Path, name: str, type: str
) -> None:
    visitor = visit()
    page = visitor.page
    with page.expect_request("**/v1/audio/transcriptions"):
        page.evaluate(DROP, [name, type, [*recording.read_bytes()]])
    expect(page.locator("#tab-listen")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#transcript, #listen-problem").first).to_be_attached()


def test_a_long_line_is_written_in_pieces_and_stays_whole(visitor: Visitor, page: Page) -> None:
    text = f"{SENTENCE * 150}\nThe end. {SENTENCE * 30}"
    visitor.begin(text.strip(), "en")
    page.wait_for_function("() => document.querySelectorAll('#words .said').length > 30")
    assert page.eval_on_selector("#words", "e => e.textContent") == text.strip()
    # What is written anew with each word is a piece of the line.
    pieces = page.eval_on_selector_all("#words > *", "all => all.map((one) => one.textContent.length)")
    assert max(pieces) < 1200
    lines = page.evaluate(
        """() => {
            const words = document.querySelector("#words");
            const line = Number.parseFloat(getComputedStyle(words).lineHeight);
            return Math.round((words.scrollHeight - words.clientHeight) / line);
        }"""
    )
    page.keyboard.press("Escape")
    shown = page.eval_on_selector("#words", "e => getComputedStyle(e).display")
    assert lines > 10 and shown != "none"
    assert re.search("fox", page.inner_text("#words"))
