"""The page's third tab: a question in the browser's microphone is answered by a scripted language model."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import expect

from tests.conftest import ServerProcess, StartServer
from tests.page.conftest import Visit, in_both, microphone_file
from tests.support.chat.endpoint import Answer, ChatEndpoint, SpeakingModel, chat_endpoint

pytestmark = [pytest.mark.heard, in_both]

QUESTION = "What is the capital of France?"
SILENCE_S = 8
"""After the question; then it is asked again."""
ANSWER = " ".join(
    f"This is sentence number {number} of an answer that goes on for long."
    for number in ("one", "two", "three", "four", "five", "six", "seven", "eight")
)


@pytest.fixture(scope="module")
def recording(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the microphone hears: the question in a voice that is understood."""
    return microphone_file(server.http_url, tmp_path_factory.mktemp("microphone"), QUESTION, SILENCE_S)


@pytest.fixture
def model() -> SpeakingModel:
    return SpeakingModel(ANSWER, Answer(status=401, error={"error": {"message": "no such key"}}))


@pytest.fixture
def endpoint(model: SpeakingModel) -> Iterator[ChatEndpoint]:
    """Its server, beside the browser's driver, which is not asynchronous here."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(chat_endpoint(model)) as served:
        yield served


def test_question_is_answered_interrupted_and_refused(
    visit: Visit, start_server: StartServer, endpoint: ChatEndpoint, model: SpeakingModel
) -> None:
    visitor = visit(start_server("--engine", "espeak", "--llm", endpoint.url))
    page = visitor.page
    page.click("#tab-talk")
    page.click("#talk")
    asked = re.compile("capital", re.IGNORECASE)
    # A busy machine garbles the first.
    expect(page.locator(".you").filter(has_text=asked).first).to_be_attached()
    page.wait_for_selector(".answer .now")
    # A busy machine's garbled question has an answer of its own, which the next question ends.
    page.wait_for_function(
        "() => [...document.querySelectorAll('.answer')].at(-1).querySelectorAll('.said').length > 4"
    )
    number = page.locator(".answer").count() - 1
    answer = page.locator(".answer").nth(number).locator("p").first
    assert visitor.violations() == ""

    # The question comes again, into the answer.
    model.refuses = True
    expect(page.locator("#talk-problem")).to_have_text(re.compile("^The language model did not accept"))
    expect(answer).to_have_text(re.compile(" —$"))
    shown = answer.inner_text().removesuffix(" —").split()
    told = [text for role, text in endpoint.said[-1] if role == "assistant"][number].split()
    # The page shows what was heard, and so the model is told.
    assert 4 < len(shown) < len(ANSWER.split())
    assert ANSWER.split()[: len(shown)] == shown
    assert ANSWER.split()[: len(told)] == told and abs(len(told) - len(shown)) <= 2

    model.refuses = False
    page.click("#talk")
    expect(page.locator("#talk-status")).to_have_text("")
    page.click("#talk-fresh")
    visitor.choose("#talk-mode", "hold")
    page.click("#talk")
    expect(page.locator("#talk-status")).to_have_text(re.compile("^Hold the button"))
    page.focus("#talk")
    page.keyboard.down(" ")
    expect(page.locator("#talk")).to_have_text("Release to send")
    expect(page.locator(".you").first).to_contain_text(asked)
    page.keyboard.up(" ")
    page.wait_for_selector(".answer .now")
    page.keyboard.press("Escape")
    expect(page.locator(".answer p").first).to_have_text(re.compile(" —$"))
    page.click("#talk-end")
    expect(page.locator("#talk")).to_have_text("Go on")


MARKED = "**Sure!** See [the page](https://example.org/x) and call `print('x')` now.\n\n- One.\n- Two."
PLAIN = "Sure! See the page and call print('x') now.\n\n• One.\n• Two."


def test_written_question_is_answered_without_marks_and_kept(
    visit: Visit, start_server: StartServer, endpoint: ChatEndpoint, model: SpeakingModel
) -> None:
    visitor = visit(start_server("--engine", "espeak", "--llm", endpoint.url))
    page = visitor.page
    model.answer = MARKED
    # As over plain http, where no browser gives a page the microphone.
    page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    page.click("#tab-talk")
    expect(page.locator("#talk")).to_be_disabled()
    page.fill("#talk-persona", "A pirate.")
    page.fill("#talk-text", "What is it?")
    page.press("#talk-text", "Enter")
    expect(page.locator(".you p")).to_have_text("What is it?")
    expect(page.locator(".answer p")).to_have_text(PLAIN)
    assert endpoint.said[-1] == [("system", "A pirate."), ("user", "What is it?")]
    expect(page.locator("#history .excerpt")).to_have_text(f"You: What is it? Answer: {PLAIN}")
    # After a reload it is there, and goes on.
    visitor.arrive()
    page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    page.click("#tab-talk")
    expect(page.locator(".answer p")).to_have_text(PLAIN)
    assert visitor.violations() == ""
    page.fill("#talk-text", "And then?")
    page.press("#talk-text", "Enter")
    expect(page.locator(".answer p")).to_have_text([PLAIN, PLAIN])
    earlier = [("user", "What is it?"), ("assistant", PLAIN)]
    assert endpoint.said[-1] == [("system", "A pirate."), *earlier, ("user", "And then?")]
    expect(page.locator("#history li")).to_have_count(1)
    # A new one leaves it in the history, as far as it was heard.
    expect(page.locator("#talk-stop")).to_be_disabled()
    page.click("#talk-end")
    page.click("#talk-fresh")
    expect(page.locator(".talk-lines")).to_be_hidden()
    page.click("#history li button >> nth=0")
    expect(page.locator(".answer p")).to_have_text([PLAIN, PLAIN])


MICROPHONE = """() => {
  const { mediaDevices: devices } = navigator;
  const open = devices.getUserMedia.bind(devices);
  window.asked = 0;
  window.refuses = true;
  devices.getUserMedia = (wanted) => {
    asked++;
    return refuses ? Promise.reject(new DOMException("no", "NotAllowedError")) : open(wanted);
  };
}"""
"""Counts how often the microphone is asked for, and refuses it until ``refuses`` is false."""


def test_who_writes_needs_no_microphone_and_may_open_it_later(
    visit: Visit, start_server: StartServer, endpoint: ChatEndpoint, model: SpeakingModel
) -> None:
    page = visit(start_server("--engine", "espeak", "--llm", endpoint.url)).page
    model.answer = "Yes."

    def write(answers: int) -> None:
        page.fill("#talk-text", "Is it?")
        page.press("#talk-text", "Enter")
        expect(page.locator(".answer p")).to_have_text(["Yes."] * answers)
        expect(page.locator("#talk-status")).to_be_empty()

    page.evaluate(MICROPHONE)
    page.click("#tab-talk")
    page.click("#talk")
    expect(page.locator("#talk-problem")).to_have_text(re.compile("^The microphone cannot be used"))
    expect(page.locator("#talk-end")).to_be_hidden()
    write(1)
    assert page.evaluate("asked") == 1
    page.click("#talk")
    expect(page.locator("#talk-problem")).to_have_text(re.compile("^The microphone cannot be used"))
    write(2)
    assert page.evaluate("asked") == 2
    page.evaluate("refuses = false")
    page.click("#talk")
    expect(page.locator("#talk")).to_have_text("End the conversation")
    expect(page.locator(".you").filter(has_text=re.compile("capital", re.IGNORECASE)).first).to_be_attached()
    assert page.evaluate("asked") == 3
