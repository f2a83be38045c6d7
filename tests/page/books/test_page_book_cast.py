"""Voices of a story on the page: dialogue, and persons that the language model proposes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import Page, Route, expect

from tests.conftest import StartServer
from tests.page.books.test_page_books import choose, give, reload
from tests.page.conftest import Visit
from tests.page.visitor import Visitor
from tests.support.chat.endpoint import Answer, ChatEndpoint, SpeakingModel, chat_endpoint

STORY = "“It is cold,” said Tom. “Come in!”\n\n“Why?” Ann asked him.\n\nNobody spoke."


def story(page: Page, folder: Path) -> None:
    path = folder / "Story.txt"
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
            "“Come in!”\n\n“Why?”",
        ]
    # It was read in the places of the text.
    visitor.assert_lit(["Come", "in", "Why", "Ann", "asked", "him", "Nobody", "spoke"])


@pytest.fixture
def model() -> SpeakingModel:
    told = {"lines": {"1": "Tom", "2": "Tom", "3": "Ann"}, "genders": {"Ann": "female", "Tom": "male"}}
    return SpeakingModel(json.dumps(told), Answer(status=401, error={"error": {"message": "no such key"}}))


@pytest.fixture
def endpoint(model: SpeakingModel) -> Iterator[ChatEndpoint]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(chat_endpoint(model)) as served:
        yield served


def test_who_speaks_is_proposed_heard_and_changed(
    visit: Visit, start_server: StartServer, endpoint: ChatEndpoint, model: SpeakingModel, tmp_path: Path
) -> None:
    visitor = visit(start_server("--engine", "espeak", "--llm", endpoint.url), network_may_fail=True)
    page = visitor.page
    story(page, tmp_path)
    choose(page, "Voices of the story")
    model.refuses = True
    propose = page.get_by_role("button", name="Propose who speaks")
    propose.click()
    expect(page.locator("#cast-state")).to_contain_text("requires a key")
    model.refuses = False
    propose.click()
    persons = page.locator("#cast-list li")
    expect(persons).to_have_count(3)
    expect(page.locator("#cast-state")).to_contain_text("This is a proposal")
    tom, ann = (persons.filter(has_text=name).locator("select").input_value() for name in ("Tom", "Ann"))
    assert tom and ann and tom != ann
    page.click("#cast-lines summary")
    page.locator("#cast-said li", has_text="“Come in!”").locator("select").select_option("Ann")
    assert visitor.violations() == ""
    # The choice that is made while the model reads stays, and an answer about other parts is refused.
    routes: list[Route] = []
    page.route("**/v1/books/speakers", lambda route: routes.append(route))
    for lines in ([0, 0, 1], [0]):
        with page.expect_request("**/v1/books/speakers"):
            propose.click()
        persons.first.locator("select").select_option(tom if len(lines) == 3 else ann)
        speakers = [{"name": name, "gender": ""} for name in ("Tom", "Ann")]
        routes.pop().fulfill(json={"speakers": speakers, "lines": lines})
        expect(propose).to_be_enabled()
        expect(page.locator("#cast-state")).to_contain_text("proposal" if len(lines) == 3 else "1 ≠ 3")
        expect(persons.first.locator("select")).to_have_value(tom if len(lines) == 3 else ann)
    persons.first.locator("select").select_option(index=0)
    page.locator("#cast-said li", has_text="“Come in!”").locator("select").select_option("Ann")
    # A phone's Back closes the book, and what is open above it.
    page.go_back()
    expect(page.locator("#book-cast")).to_be_hidden()
    page.get_by_role("button", name="Undo").click()
    narrator = page.inner_text("#voice-chip-name")
    page.click("#pause")
    visitor.wait_for_sound()
    visitor.wait_for_end()
    asked = [(request["text"].strip(), request.get("voice")) for request in visitor.requests]
    assert page.inner_text("#voice-chip-name") == narrator
    assert [each for each in asked if each[1]] == [("“It is cold,”", tom), ("“Come in!”\n\n“Why?”", ann)]
