"""Transcripts: each recording has its own, what is undone comes back, what is corrected is kept."""

import json
import re
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.page.conftest import TEXT, Visit
from tests.page.listening.answers import ENGLISH, events, transcribe

WORDS = "Good morning, Mr. Brown!"
"""The first words of ``ENGLISH``."""

SEARCH = "#listen-search"
TRANSCRIPTIONS = "**/v1/audio/transcriptions"


def record(page: Page, recording: Path) -> None:
    page.click("#listen")
    expect(page.locator("#listen-text")).to_have_text("Stop listening")


def clear(page: Page, recording: Path) -> None:
    page.click("#listen-clear")
    expect(page.locator("#transcript")).to_be_hidden()


def test_words_of_a_file_and_of_the_microphone_are_two_transcripts(visit: Visit, recording: Path) -> None:
    """While a file is transcribed the round button ends that, and begins no recording beside it."""
    visitor = visit()
    visitor.network_may_fail = True
    page = visitor.page
    held: list[Route] = []
    page.route(TRANSCRIPTIONS, lambda route: held.append(route))
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


def test_a_correction_that_is_being_typed_lasts(visit: Visit, recording: Path) -> None:
    page = transcribe(visit(), recording, events(ENGLISH))
    page.click("#listen-edit")
    page.get_by_role("textbox", name="0:02").fill("The moon is out.")
    page.reload()
    page.wait_for_selector("#line[data-state=open]")
    page.click("#tab-listen")
    expect(page.locator("#transcript")).to_contain_text("The moon is out.")
    expect(page.locator("#history .excerpt")).to_contain_text("The moon is out.")


def test_speakers_that_became_one_are_two_again(visit: Visit, recording: Path) -> None:
    page = transcribe(visit(), recording, events(ENGLISH, "AB"))
    page.click("#listen-edit")
    name = page.get_by_role("textbox", name="Speaker").last
    name.fill("A")
    name.press("Tab")
    expect(page.locator("#toast-text")).to_have_text("Two speakers are now one: A.")
    page.click("#toast-undo")
    expect(page.locator("#transcript b")).to_have_text(["A:", "B:"])


ENDLESS = """(body) => {
    const { fetch } = window;
    const start = (stream) => stream.enqueue(new TextEncoder().encode(body));
    const answer = (way) => new ReadableStream({ start }).pipeThrough(new TransformStream(), way);
    window.fetch = async (url, options) =>
        `${url}`.includes("transcriptions") ? new Response(answer(options)) : fetch(url, options);
}"""


def test_files_that_were_not_heard_to_their_end_are_kept(visit: Visit, recording: Path) -> None:
    page = visit().page
    page.evaluate(ENDLESS, events(ENGLISH))
    page.click("#tab-listen")
    page.wait_for_selector("#listen:enabled")
    page.set_input_files("#listen-file", [recording, recording])
    status, cut = page.locator("#listen-status"), re.compile(r"^0:0\d / 0:0\d, stopped$")
    expect(page.locator("#history .excerpt", has_text=WORDS)).to_have_count(1)
    page.click("#listen")
    expect(status).to_have_text(cut)
    expect(page.locator("#toast-text")).to_have_text("Not transcribed to the end: speech.wav, speech.wav")
    page.click("#toast-undo")
    expect(page.locator("#history li")).to_have_count(3)
    page.locator("#history li", has_text="stopped").get_by_role("button", name="Open").click()
    expect(status).to_have_text(cut)
    page.click("#toast-undo")
    page.reload()
    page.wait_for_selector("#line[data-state=open]")
    page.click("#tab-listen")
    expect(status).to_have_text(cut)
    whole = events(ENGLISH)
    page.route(TRANSCRIPTIONS, lambda route: route.fulfill(content_type="text/event-stream", body=whole))
    page.click("#listen-rest")
    expect(status).to_have_text("Done")
