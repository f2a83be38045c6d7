"""Turns of a written conversation: what is done with them, and buttons that stay."""

from collections.abc import Iterator

import pytest
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import expect

from tests.conftest import StartServer
from tests.page.conftest import Visit
from tests.support.chat.endpoint import Answer, ChatEndpoint, SpeakingModel, chat_endpoint

ANSWER = " ".join(f"This is sentence number {n} of an answer." for n in range(9))

HALO = """box => {
  const { width, height } = getComputedStyle(box, "::before");
  const frames = box.getAnimations({ subtree: true }).flatMap(({ effect }) => effect.getKeyframes());
  const scales = frames.map(({ transform }) => new DOMMatrix(transform).a);
  return [width, height].map((side) => Math.max(1, ...scales) * parseFloat(side) - box.clientHeight);
}"""
"""Pixels by which the halo swells beyond the button's box."""


@pytest.fixture
def endpoint() -> Iterator[ChatEndpoint]:
    """A language model's server, beside the browser's driver, which is not asynchronous here."""
    model = SpeakingModel(ANSWER, Answer(status=401))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(chat_endpoint(model)) as served:
        yield served


def test_turns_are_copied_said_again_and_written_anew_and_buttons_stay(
    visit: Visit, start_server: StartServer, endpoint: ChatEndpoint
) -> None:
    page = visit(start_server("--engine", "espeak", "--llm", endpoint.url)).page
    page.click("#tab-talk")
    # Who answers is told before and while it does.
    expect(page.locator("#talk-who")).to_have_text("tiny")
    page.eval_on_selector("#talk-room", "room => { room.dataset.state = 'hearing'; }")
    assert max(page.eval_on_selector(".talk .microphone", HALO)) <= 0
    page.fill("#talk-persona", "A pirate.")
    page.fill("#talk-text", "What is it?")
    page.press("#talk-text", "Enter")
    page.wait_for_selector(".answer .now")
    expect(page.locator("#talk-who")).to_have_text("tiny · A pirate.")
    # One label for what goes on, and buttons that stay where they are.
    expect(page.locator("#talk-status")).to_have_text("Speaking")
    expect(page.locator("#talk-invitation")).to_be_hidden()
    assert max(page.eval_on_selector(".talk .microphone", HALO)) <= 0
    places = [page.locator(name).bounding_box() for name in ("#talk", "#talk-stop", "#talk-end")]
    page.press("#talk-stop", "Enter")
    expect(page.locator("#talk-stop")).to_be_disabled()
    expect(page.locator("#talk-stop")).to_be_focused()
    assert places == [page.locator(name).bounding_box() for name in ("#talk", "#talk-stop", "#talk-end")]
    # A phone on its side has all of it.
    page.set_viewport_size({"width": 844, "height": 390})
    page.evaluate("scrollTo(0, 0)")
    for name in ("#tab-talk", "#talk-lines", "#talk", "#talk-end", "#talk-text", "#talk-more > summary"):
        expect(page.locator(name)).to_be_in_viewport(ratio=1)
    page.set_viewport_size({"width": 1280, "height": 720})
    # An answer is said again, over which the conversation rests; and a question is written anew.
    said = page.locator(".answer p").inner_text()
    with page.expect_request("**/v1/audio/speech") as asked:
        page.locator(".answer").get_by_role("button", name="Play again").click()
    assert asked.value.post_data_json["input"] == " ".join(said.removesuffix("—").split())
    expect(page.locator("#talk-status")).to_have_text("Paused")
    expect(page.locator("#talk-status")).to_have_text("")
    page.locator(".you").get_by_role("button", name="Edit").click()
    expect(page.locator("#talk-text")).to_have_value("What is it?")
    expect(page.locator(".talk-lines > div")).to_have_count(0)
    # Its last turn is in view, in whatever room.
    lines = page.locator("#talk-lines")
    lines.evaluate("box => { box.style.height = '60px'; }")
    page.click("#toast-undo")
    expect(page.locator(".talk-lines > div")).to_have_count(2)
    end = "box => box.lastElementChild.getBoundingClientRect().bottom - box.getBoundingClientRect().bottom"
    assert lines.evaluate(end) <= 0
    lines.evaluate("box => { box.style.height = ''; }")
    page.locator(".you").get_by_role("button", name="Edit").click()
    page.fill("#talk-text", "Where is it?")
    page.press("#talk-text", "Enter")
    page.wait_for_selector(".answer .now")
    assert endpoint.said[-1] == [("system", "A pirate."), ("user", "Where is it?")]
    expect(page.locator("#history li")).to_have_count(1)
