"""What the microphone hears is kept from its first second, however the recording ends."""

import io
import re
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.conftest import ServerProcess
from tests.page.conftest import Visit, microphone_file
from tests.page.listening.answers import ENGLISH, events
from tests.page.listening.line import Line, line_to
from tests.page.visitor import Visitor

pytestmark = pytest.mark.heard

SAID = "The birds are singing in the garden this morning. What shall we talk about today?"
SILENCE_S = 4
TRANSCRIPTIONS = "**/v1/audio/transcriptions"
AWAY = "The line is lost. The recording goes on, and so do the words once the line is back."
AFTER_3_S = re.compile(r"^0:(0[3-9]|[1-5]\d)")
AFTER_6_S = re.compile(r"^0:(0[6-9]|[1-5]\d)")


@pytest.fixture(scope="module")
def recording(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the microphone hears again and again."""
    return microphone_file(server.http_url, tmp_path_factory.mktemp("microphone"), SAID, SILENCE_S)


@pytest.fixture
def line(server: ServerProcess) -> Iterator[Line]:
    with line_to(int(server.http_url.rsplit(":", 1)[1])) as line:
        yield line


@pytest.fixture
def visitor(visit: Visit, line: Line) -> Visitor:
    visitor = visit(url=f"http://localhost:{line.port}/", network_may_fail=True)
    visitor.page.click("#tab-listen")
    visitor.page.wait_for_selector("#listen:enabled")
    return visitor


def record(page: Page) -> None:
    page.click("#listen")
    expect(page.locator("#listen-elapsed")).to_have_text(AFTER_3_S)


def recorded(visitor: Visitor) -> float:
    """Seconds of the recording, which can be heard, saved and transcribed."""
    page = visitor.page
    expect(page.locator("#heard")).to_be_visible()
    expect(page.locator("#listen-rest")).to_be_visible()
    with wave.open(io.BytesIO(visitor.download("#listen-audio"))) as file:
        return file.getnframes() / file.getframerate()


def test_a_recording_without_a_line_is_kept_and_transcribed_later(visitor: Visitor, line: Line) -> None:
    page = visitor.page
    line.cut()
    record(page)
    problem = page.locator("#listen-problem")
    expect(problem).to_have_text(AWAY)
    expect(page.locator("#listen-elapsed")).to_have_text(AFTER_6_S)
    page.click("#listen")
    expect(problem).to_contain_text("the recording is whole")
    assert recorded(visitor) > 5
    line.mend()
    visitor.wait_for("#line[data-state=open]")
    page.reload()
    visitor.wait_for("#line[data-state=open]")
    page.click("#tab-listen")
    assert recorded(visitor) > 5
    page.click("#listen-rest")
    expect(page.locator("#transcript")).to_contain_text(re.compile("garden", re.IGNORECASE))
    expect(page.locator("#listen-status")).to_have_text("Done")
    # It was one recording, and is one entry.
    expect(page.locator("#history li")).to_have_count(1)


def test_words_go_on_where_they_were_when_the_line_is_back(visitor: Visitor, line: Line) -> None:
    page = visitor.page
    page.click("#listen")
    transcript = page.locator("#transcript")
    expect(transcript).to_contain_text(re.compile("garden", re.IGNORECASE))
    line.cut()
    expect(page.locator("#listen-problem")).to_have_text(AWAY)
    line.mend()
    expect(page.locator("#listen-problem")).to_be_empty()
    # Nothing of what was said meanwhile is missing, and each time is that of the recording.
    expect(transcript).to_contain_text(re.compile("today.*birds.*today", re.IGNORECASE | re.DOTALL))
    page.click("#listen")
    expect(page.locator("#listen-status")).to_have_text("Done")
    expect(page.locator("#heard")).to_be_visible()
    times = page.locator("#transcript time").all_inner_texts()
    assert times == sorted(times) and len(set(times)) > 1
    again = page.locator("#transcript span", has_text=re.compile("birds", re.IGNORECASE)).last
    again.click()
    expect(again).to_have_class("now")


def test_a_recording_without_a_word_is_kept(visit: Visit, server: ServerProcess) -> None:
    visitor = visit(server)
    page = visitor.page
    page.click("#tab-listen")
    page.wait_for_selector("#listen:enabled")
    page.evaluate(SILENT)
    record(page)
    page.click("#listen")
    expect(page.locator("#listen-status")).to_have_text("No speech was recognized.")
    assert recorded(visitor) > 2
    expect(page.locator("#history .excerpt")).to_have_text("A recording")
    page.click("#listen-rest")
    expect(page.locator("#listen-status")).to_have_text("No speech was recognized.")
    assert recorded(visitor) > 2


SILENT = """() => {
  const devices = navigator.mediaDevices;
  devices.getUserMedia = async () => new AudioContext().createMediaStreamDestination().stream;
}"""


def test_a_page_that_crashes_keeps_what_was_heard_by_then(visitor: Visitor, line: Line) -> None:
    page = visitor.page
    line.cut()
    record(page)
    page.reload()
    line.mend()
    visitor.wait_for("#line[data-state=open]")
    page.click("#tab-listen")
    assert recorded(visitor) > 0.9


def test_each_file_has_an_outcome_of_its_own(visit: Visit, recording: Path) -> None:
    page = visit(network_may_fail=True).page
    page.click("#tab-listen")
    page.wait_for_selector("#listen:enabled")
    answer = events(ENGLISH)

    def answers(route: Route) -> None:
        if b"notes.mp3" in (route.request.post_data_buffer or b""):
            error = {"message": "file: is not audio", "param": "file", "code": "invalid_value", "type": "x"}
            route.fulfill(status=400, json={"error": error})
        else:
            route.fulfill(content_type="text/event-stream", body=answer)

    page.route(TRANSCRIPTIONS, answers)
    good = {"mimeType": "audio/wav", "buffer": recording.read_bytes()}
    notes = {"name": "notes.mp3", "mimeType": "audio/mpeg", "buffer": b"no audio" * 99}
    page.set_input_files("#listen-file", [{"name": "a.wav", **good}, notes, {"name": "c.wav", **good}])
    files = page.locator("#listen-queue li")
    expect(files).to_have_text(
        [
            "a.wavDone",
            re.compile("^notes.mp3This file cannot be transcribed"),
            "c.wavDone",
        ]
    )
    # On a phone on its side the words have room, too.
    page.set_viewport_size({"width": 844, "height": 390})
    assert page.eval_on_selector("#transcript", "words => words.clientHeight") > 70
    page.get_by_role("button", name="a.wav").click()
    expect(page.locator("#heard-of")).to_have_text("a.wav")
    # Of one file what is wrong is said with its name, below the transcript of another.
    page.set_input_files("#listen-file", [notes])
    expect(page.locator("#listen-problem")).to_have_text(re.compile("^notes.mp3: This file cannot"))
