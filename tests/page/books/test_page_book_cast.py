"""Voices of a story on the page: dialogue, and persons that the language model proposes."""

import json
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.page.books.test_page_books import choose, give, reload
from tests.page.visitor import Visitor

STORY = "# One\n\nThey went out. “It is cold,” said Tom. “Come in!”\n\n“Why?” Ann asked him.\n\nNobody spoke."


def story(page: Page, folder: Path) -> None:
    path = folder / "Story.md"
    path.write_text(STORY, "utf-8")
    give(page, path)
    expect(page.locator("#chapter option")).to_have_count(1)


def test_dialogue_has_a_voice_of_its_own(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.page
    story(page, tmp_path)
    choose(page, "Voices of the story")
    expect(page.locator("#cast-ask")).to_be_hidden()
    said = page.locator("#cast-list select")
    said.select_option(index=2)
    voice = said.input_value()
    with page.expect_request("**/v1/audio/speech") as asking:
        page.get_by_role("button", name="Listen: Dialogue").click()
    assert asking.value.post_data_json["input"] == "“It is cold,”"
    assert asking.value.post_data_json["voice"] == voice
    assert visitor.violations() == ""
    page.keyboard.press("Escape")
    for again in (lambda: None, lambda: reload(visitor)):
        again()
        before = len(visitor.requests)
        page.click("#pause")
        visitor.wait_for_sound()
        visitor.wait_for_end()
        whole = page.text_content("#words") or ""
        asked = visitor.requests[before:]
        assert "".join(request["text"] for request in asked) == whole
        assert [request["text"].strip() for request in asked if request.get("voice") == voice] == [
            "“It is cold,”",
            "“Come in!”",
            "“Why?”",
        ]
    # It was read in the places of the text.
    visitor.assert_lit(["Come", "in", "Why", "Ann", "asked", "him", "Nobody", "spoke"])
