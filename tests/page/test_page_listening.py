"""The page's second tab and its dictation: Kokoro's speech in the browser's microphone is understood."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.conftest import ServerProcess, StartServer
from tests.page.conftest import Visit, in_both, microphone_file
from tests.page.listening.answers import ENGLISH, events
from tests.page.visitor import Visitor

pytestmark = [pytest.mark.heard, in_both]

SAID = "The birds are singing in the garden this morning. What shall we talk about today?"
WORDS = re.findall(r"\w+", SAID.lower())
ALL = re.compile("birds.*today", re.DOTALL)
"""Its first word and its last one."""
SILENCE_S = 8


@pytest.fixture(scope="module")
def recording(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The microphone's recording, repeated: two sentences and a silence."""
    return microphone_file(server.http_url, tmp_path_factory.mktemp("microphone"), SAID, SILENCE_S)


@pytest.fixture
def visitor(browser: Browser, server: ServerProcess) -> Iterator[Visitor]:
    with browser.new_context(locale="en-US") as context:
        visitor = Visitor(context.new_page(), f"{server.http_url}/")
        visitor.arrive()
        yield visitor
    # The page is given a file that is no audio, which the server refuses.
    refused = "Failed to load resource: the server responded with a status of 400"
    assert [words for words in visitor.complaints if not words.startswith(refused)] == []


AFTER_2_S = re.compile(r"^([2-9]|\d\d)")


def is_understood(text: str) -> bool:
    """Return true if nearly all that was said is in a text."""
    return len(set(WORDS) & set(re.findall(r"\w+", text.lower()))) > 0.8 * len(set(WORDS))


def assert_heard_from_a_word(page: Page) -> None:
    """Assert that a click on a word plays the recording from there, and that the next words light up."""
    # The last one: in Firefox the recording may begin with the end of what is said.
    word = page.locator("#transcript span", has_text="today").last
    expect(page.locator("#heard-play")).to_have_accessible_name("Play")
    word.click()
    expect(word).to_have_class("now")
    expect(page.locator("#heard-play")).to_have_accessible_name("Pause")
    # The sound follows when it has found the place.
    expect(page.locator("#heard-waveform")).to_have_attribute("aria-valuenow", AFTER_2_S)
    page.click("#heard-play")
    expect(page.locator("#heard-play")).to_have_accessible_name("Play")


def test_sample_is_spoken_transcribed_cleared_and_brought_back(visitor: Visitor, page: Page) -> None:
    page.click("#tab-listen")
    page.click("#listen-sample")
    expect(page.locator("#listen-sample")).to_be_hidden()
    expect(page.locator("#listen-results")).to_be_visible()
    expect(page.locator("#transcript")).to_contain_text(ALL)
    assert_heard_from_a_word(page)
    # Its player has what that of speech has.
    page.select_option("#heard-tempo", "0.5")
    page.locator("#heard-tempo").blur()
    page.keyboard.press("Space")
    expect(page.locator("#heard-play")).to_have_accessible_name("Pause")
    page.click("#heard .step >> nth=0")
    page.wait_for_function("() => document.querySelector('#heard-waveform').ariaValueNow < 1.5")
    page.keyboard.press("Space")
    expect(page.locator("#heard-play")).to_have_accessible_name("Play")
    page.click("#listen-clear")
    expect(page.locator("#heard")).to_be_hidden()
    expect(page.locator("#listen-sample")).to_be_visible()
    page.click("#toast-undo")
    assert_heard_from_a_word(page)
    # What is spoken is not heard beside it.
    page.click("#heard-play")
    page.click("#listen-use")
    visitor.wait_for_sound()
    expect(page.locator("#heard-play")).to_have_attribute("data-act", "resume")


def test_sample_is_not_said_to_be_cut_off(page: Page) -> None:
    answer = {"content_type": "text/event-stream", "body": events(ENGLISH)}
    page.route("**/v1/audio/transcriptions", lambda route: route.fulfill(**answer))
    page.click("#tab-listen")
    page.click("#listen-sample")
    expect(page.locator("#listen-results")).to_be_visible()
    assert page.is_hidden("#toast")


def test_a_file_above_the_servers_limit_is_told_of(visit: Visit, start_server: StartServer) -> None:
    page = visit(start_server("--engine", "espeak", KANI_MAX_UPLOAD="1")).page
    page.click("#tab-listen")
    # A file is given to a panel that listens already; a click would wait for that.
    expect(page.locator("#listen-panel")).not_to_have_attribute("inert", "")
    large = {"name": "notes.mp3", "mimeType": "audio/mpeg", "buffer": bytes(2**20 + 1)}
    page.set_input_files("#listen-file", large)
    expect(page.locator("#listen-problem")).to_have_text("Too large: at most 1 MB are allowed.")


def test_panel_takes_no_click_before_it_can(page: Page) -> None:
    held: list[Route] = []
    page.route(re.compile("listen-panel"), lambda route: held.append(route))
    with page.expect_request(re.compile("listen-panel")):
        page.click("#tab-listen")
    for part in ("#listen-panel", "#recording-card", "#repeat-card"):
        expect(page.locator(part)).to_have_attribute("inert", "")
    held[0].continue_()
    expect(page.locator("#listen-panel")).not_to_have_attribute("inert", "")
    page.click("#listen-sample")
    expect(page.locator("#transcript")).not_to_be_empty()


def test_speech_is_shown_saved_spoken_and_dictated(visitor: Visitor, page: Page, recording: Path) -> None:
    page.click("#tab-listen")
    page.check("#listen-repeat")
    page.click("#listen")
    # The newest word is lit, and the time goes on.
    expect(page.locator("#transcript .now")).to_have_count(1)
    expect(page.locator("#listen-elapsed")).to_have_text(re.compile(r"0:(0[1-9]|[1-5]\d)"))
    # A transcript that is not whole cannot be taken.
    expect(page.locator("#listen-results")).to_be_hidden()
    # Red under the mouse, too.
    expect(page.locator("#listen")).to_have_css("background-color", "rgb(179, 56, 43)")
    # Firefox' microphone may be opened in the midst of the recording, which begins again.
    expect(page.locator("#transcript")).to_contain_text(ALL)
    # The recognised speech is spoken before anything else is recognised. The transcript lights it up.
    expect(page.locator("#words")).to_contain_text(ALL)
    expect(page.locator("#compose-panel")).to_be_hidden()
    expect(page.locator("#transcript .now", has_text="garden")).to_have_count(1)
    page.keyboard.press("Escape")
    page.uncheck("#listen-repeat")
    page.click("#listen")
    expect(page.locator("#listen-status")).to_have_text("Done")
    expect(page.locator("#listen-elapsed")).to_be_empty()
    expect(page.locator("#listen")).to_have_accessible_name("New recording")
    expect(page.locator("#transcript .now")).to_have_count(0)
    assert is_understood(visitor.text("#transcript"))
    assert is_understood(visitor.text("#words"))
    assert_heard_from_a_word(page)
    first, _ = re.findall(r"(\S+) --> (\S+)", visitor.download("#listen-srt").decode())[0]
    assert first.startswith("00:00:0")

    page.set_input_files("#listen-file", recording)
    expect(page.locator("#listen-progress")).to_be_visible()
    expect(page.locator("#listen-progress")).to_be_hidden()
    assert visitor.text("#listen-status") == "Done"
    assert is_understood(visitor.download("#listen-vtt").decode())
    assert_heard_from_a_word(page)
    notes = {"name": "notes.mp3", "mimeType": "audio/mpeg", "buffer": b"no audio" * 99}
    page.set_input_files("#listen-file", notes)
    expect(page.locator("#listen-problem")).to_have_text(
        re.compile(r"^notes\.mp3: This file cannot be transcribed: ")
    )
    page.check("#listen-speakers")
    page.set_input_files("#listen-file", recording)
    expect(page.locator("#listen-progress")).to_be_visible()
    expect(page.locator("#listen-progress")).to_be_hidden()
    # One voice: its letter stands before its first sentence, and before the first subtitle.
    assert re.fullmatch(r"0:0\d\s+A: [^:]*(0:0\d[^:]*)?", visitor.text("#transcript"))
    # Its words are heard each by itself, too.
    assert_heard_from_a_word(page)
    assert visitor.download("#listen-srt").decode().count("A: ") == 1
    page.click("#listen-use")
    assert is_understood(visitor.value("#text")) and "A:" not in visitor.value("#text")

    page.fill("#text", "One line.\n" * 40 + "Heard:")
    page.focus("#text")
    page.click("#dictate")
    expect(page.locator("#text")).to_have_value(re.compile(f"Heard: .*{ALL.pattern}", re.DOTALL))
    # The newest word is in sight.
    assert page.eval_on_selector("#text", "e => e.scrollHeight - e.scrollTop - e.clientHeight") < 2
    page.click("#dictate")
    expect(page.locator("#dictate")).to_have_text("Dictate")
    assert is_understood(visitor.value("#text"))


def test_button_that_ends_stays_where_it_is_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.click("#tab-listen")
    page.wait_for_selector("#listen:enabled")
    top = "button => button.getBoundingClientRect().top"
    before = page.eval_on_selector("#listen", top)
    page.click("#listen")
    expect(page.locator("#transcript .now")).to_have_count(1)
    assert page.eval_on_selector("#listen", top) == before
    page.set_viewport_size({"width": 844, "height": 390})
    assert page.eval_on_selector("#transcript", "e => e.clientHeight") > 150
    # What the button does has a line of its own, and no other control is covered.
    assert page.eval_on_selector("#listen-invitation", "words => words.clientHeight") < 40
    assert page.eval_on_selector(
        "#listen-language",
        """language => {
      const { bottom } = document.getElementById("listen").getBoundingClientRect();
      return bottom <= language.getBoundingClientRect().top;
    }""",
    )


HELD_MICROPHONE = """() => {
  const devices = navigator.mediaDevices;
  const open = devices.getUserMedia.bind(devices);
  const allowed = new Promise((resolve) => (window.allow = resolve));
  devices.getUserMedia = async (wanted) => {
    await allowed;
    return (window.stream = await open(wanted));
  };
}"""

CLOSED_MICROPHONE = """async () => {
  window.allow();
  const isClosed = () => window.stream?.getTracks().every(({ readyState }) => readyState === "ended");
  while (!isClosed()) await new Promise(requestAnimationFrame);
}"""


def test_microphone_opened_after_the_tab_was_left_is_closed(page: Page) -> None:
    page.click("#tab-listen")
    page.evaluate(HELD_MICROPHONE)
    page.click("#listen")
    page.click("#tab-speak")
    page.evaluate(CLOSED_MICROPHONE)
    page.click("#tab-listen")
    expect(page.locator("#listen")).not_to_have_attribute("aria-pressed", "true")
