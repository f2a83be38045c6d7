"""Nothing that was made is lost by a click, a reload, a wrong file or a server that is gone.

Whatever is done in whatever state, what was there is still shown, or in the history, or one undo away.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, Route, expect

from tests.page.conftest import TEXT, Visit
from tests.page.listening.answers import ENGLISH, events, transcribe

WORDS = "Good morning, Mr. Brown!"
"""The first words of ``ENGLISH``."""
OTHER = (("Something else was said here.", 0.1),)

NOTES: FilePayload = {"name": "notes.mp3", "mimeType": "audio/mpeg", "buffer": b"no audio" * 99}
SEARCH = "#listen-search"


def answer_with(page: Page, answer: Callable[[Route], None]) -> None:
    page.unroute_all()
    page.route("**/v1/audio/transcriptions", answer)


def refuse(route: Route) -> None:
    error = {"message": "file: is not audio", "param": "file", "code": "invalid_value", "type": "x"}
    route.fulfill(status=400, content_type="application/json", body=json.dumps({"error": error}))


def choose_wrong_file(page: Page, recording: Path) -> None:
    answer_with(page, refuse)
    page.set_input_files("#listen-file", NOTES)
    expect(page.locator("#listen-problem")).not_to_be_empty()


def lose_the_server(page: Page, recording: Path) -> None:
    answer_with(page, lambda route: route.abort())
    page.set_input_files("#listen-file", recording)
    expect(page.locator("#listen-problem")).not_to_be_empty()


def transcribe_another(page: Page, recording: Path) -> None:
    body = events(OTHER)
    answer_with(page, lambda route: route.fulfill(content_type="text/event-stream", body=body))
    page.set_input_files("#listen-file", recording)
    expect(page.locator("#transcript")).to_contain_text("Something else")


def cancel_another(page: Page, recording: Path) -> None:
    held: list[Route] = []
    answer_with(page, lambda route: held.append(route))
    page.set_input_files("#listen-file", recording)
    expect(page.locator("#listen-text")).to_have_text("Stop")
    page.click("#listen")
    expect(page.locator("#listen-text")).to_have_text("New recording")


def record(page: Page, recording: Path) -> None:
    page.click("#listen")
    expect(page.locator("#listen-text")).to_have_text("Stop listening")


def record_and_stop(page: Page, recording: Path) -> None:
    record(page, recording)
    page.click("#listen")
    expect(page.locator("#listen")).to_be_enabled()


def leave_while_recording(page: Page, recording: Path) -> None:
    record(page, recording)
    page.click("#tab-speak")
    expect(page.locator("#listen")).to_be_enabled()
    page.click("#tab-listen")


def clear(page: Page, recording: Path) -> None:
    page.click("#listen-clear")
    expect(page.locator("#transcript")).to_be_hidden()


def reload(page: Page, recording: Path) -> None:
    page.reload()
    page.wait_for_selector("#line[data-state=open]")
    page.click("#tab-listen")
    expect(page.locator("#transcript")).to_contain_text(WORDS)


def delete_from_the_history(page: Page, recording: Path) -> None:
    page.click("#history li button >> nth=-1")
    expect(page.locator("#history li")).to_have_count(0)


def clear_and_delete(page: Page, recording: Path) -> None:
    clear(page, recording)
    delete_from_the_history(page, recording)


def empty_a_row(page: Page, recording: Path) -> None:
    page.click("#listen-edit")
    row = page.get_by_role("textbox", name="0:00")
    row.fill("")
    row.blur()
    expect(page.locator("#transcript")).not_to_contain_text(WORDS)


ACTS = (
    *(choose_wrong_file, lose_the_server, transcribe_another, cancel_another, record, record_and_stop),
    *(leave_while_recording, clear, reload, delete_from_the_history, clear_and_delete, empty_a_row),
)


def is_there(page: Page) -> bool:
    """Return true if the transcript is shown or in the history."""
    return page.locator("#transcript:visible, #history .excerpt", has_text=WORDS).count() > 0


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_a_transcript_is_never_lost(visit: Visit, recording: Path, act: Callable[[Page, Path], None]) -> None:
    visitor = visit()
    visitor.network_may_fail = True
    page = transcribe(visitor, recording, events(ENGLISH))
    expect(page.locator("#history .excerpt")).to_contain_text(WORDS)
    act(page, recording)
    while not is_there(page):
        # One undo after the other: false once there is none.
        assert page.is_visible("#toast-undo")
        page.click("#toast-undo")
        page.wait_for_timeout(100)


def test_words_of_a_file_and_of_the_microphone_are_two_transcripts(visit: Visit, recording: Path) -> None:
    """While a file is transcribed the round button ends that, and begins no recording beside it."""
    visitor = visit()
    visitor.network_may_fail = True
    page = visitor.page
    held: list[Route] = []
    page.route("**/v1/audio/transcriptions", lambda route: held.append(route))
    page.click("#tab-listen")
    page.wait_for_selector("#listen:enabled")
    page.set_input_files("#listen-file", recording)
    expect(page.locator("#listen")).to_have_accessible_name("Stop")
    expect(page.locator("#listen-progress")).to_be_visible()
    page.click("#listen")
    expect(page.locator("#listen")).to_have_accessible_name("Start listening")
    expect(page.locator("#listen-progress")).to_be_hidden()


def test_undo_goes_back_by_more_than_one_step(visit: Visit, recording: Path) -> None:
    visitor = visit()
    page = visitor.page
    for text in (TEXT, "Another one.", "A third."):
        visitor.speak(text, "en")
        visitor.wait_for_end()
    expect(page.locator("#history li")).to_have_count(3)
    for left in (2, 1, 0):
        page.click("#history li button >> nth=3")
        expect(page.locator("#history li")).to_have_count(left)
    for back in (1, 2, 3):
        page.click("#toast-undo")
        expect(page.locator("#history li")).to_have_count(back)
    expect(page.locator("#toast")).to_be_hidden()
    expect(page.locator("#history .excerpt")).to_have_text(["A third.", "Another one.", TEXT])


def test_undo_ends_a_recording_and_keeps_its_words(visit: Visit, recording: Path) -> None:
    page = transcribe(visit(), recording, events(ENGLISH))
    clear(page, recording)
    record(page, recording)
    page.click("#toast-undo")
    expect(page.locator("#transcript")).to_contain_text(WORDS)
    expect(page.locator("#listen")).to_have_accessible_name("New recording")


def test_transcript_is_corrected_searched_and_saved_as_it_is_then(visit: Visit, recording: Path) -> None:
    visitor = visit()
    page = transcribe(visitor, recording, events(ENGLISH, "AB"))
    before = json.loads(visitor.download("#listen-json"))["words"]
    page.click("#listen-edit")
    row = page.get_by_role("textbox", name="0:02")
    row.fill("The big sun is out.")
    name = page.get_by_role("textbox", name="Speaker").last
    name.fill("Berta")
    name.press("Tab")
    page.click("#listen-edit")
    expect(page.locator("#transcript .sentence").nth(1)).to_contain_text("Berta: The big sun is out.")
    after = json.loads(visitor.download("#listen-json"))["words"]
    assert [word["word"] for word in after][4:9] == ["The", "big", "sun", "is", "out."]
    times = {word["word"]: (word["start"], word["end"]) for word in before}
    assert all(times[word["word"]] == (word["start"], word["end"]) for word in after if word["word"] in times)
    assert "Berta: The big sun is out." in visitor.download("#listen-txt").decode()
    assert "Berta: The big sun is out." in visitor.download("#listen-srt").decode()

    page.fill(SEARCH, "berta")
    expect(page.locator("#transcript .sentence:visible")).to_have_count(2)
    page.fill(SEARCH, "0:04")
    expect(page.locator("#transcript .sentence:visible")).to_have_count(3)
    page.press(SEARCH, "Enter")
    expect(page.locator("#transcript .sentence").last.locator(".now")).to_have_count(1)
    page.click("#heard-play")
    # It lasts as it was corrected.
    page.reload()
    page.wait_for_selector("#line[data-state=open]")
    page.click("#tab-listen")
    expect(page.locator("#transcript")).to_contain_text(re.compile("Berta: The big sun"))
    assert visitor.violations() == ""
