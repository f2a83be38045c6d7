"""What somebody may do on the page, wanted or not: nothing that was made may be lost by it.

Each act takes a ``Stage``; those that close the page or lose the server are given the table's last columns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import BrowserContext, Error, FilePayload, Page, Route, expect

from tests.books.epubs import epub
from tests.conftest import ServerProcess
from tests.page.listening.answers import events
from tests.page.visitor import Visitor
from tests.support.chat.endpoint import SpeakingModel

TRANSCRIPTIONS = "**/v1/audio/transcriptions"
OTHER = (("Something else was said here.", 0.1),)
NOTES: FilePayload = {"name": "notes.mp3", "mimeType": "audio/mpeg", "buffer": b"no audio" * 99}
SOUND: FilePayload = {"name": "other.wav", "mimeType": "audio/wav", "buffer": b"RIFF"}
"""The answer to it is the test's own."""


@dataclass
class Stage:
    """A visitor, and what the acts need beside the page."""

    visitor: Visitor
    server: ServerProcess
    model: SpeakingModel
    folder: Path

    @property
    def page(self) -> Page:
        return self.visitor.page

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    def come_back(self) -> None:
        """Open the page in a new tab, with what this browser has kept."""
        seen = Visitor(self.context.new_page(), self.visitor.url)
        seen.network_may_fail = True
        self.visitor = seen
        seen.arrive()


Act = Callable[[Stage], None]


def clicking(selector: str) -> Act:
    return lambda stage: stage.page.click(selector)


# Of the browser and the server.


def reload(stage: Stage) -> None:
    stage.page.reload()
    stage.visitor.wait_for("#line[data-state=open]")


def crash(stage: Stage) -> None:
    with stage.page.expect_event("crash"):
        with suppress(Error):
            stage.page.goto("chrome://crash")
    stage.come_back()


def lose_the_server(stage: Stage) -> None:
    stage.server.kill()
    stage.visitor.wait_for("#line[data-state=offline]")


def lose_the_server_and_reload(stage: Stage) -> None:
    """Then the page itself is the browser's own."""
    stage.page.unroute_all()
    stage.page.evaluate("async () => void (await navigator.serviceWorker.ready)")
    lose_the_server(stage)
    stage.page.reload()
    stage.visitor.wait_for("#line[data-state=offline]")


def switch_tabs(stage: Stage) -> None:
    for tab in ("talk", "listen", "speak"):
        stage.page.click(f"#tab-{tab}")
        expect(stage.page.locator(f"#tab-{tab}")).to_have_attribute("aria-selected", "true")


# Of all three tabs.


def delete_the_latest(stage: Stage) -> None:
    stage.page.click("#history li >> nth=0 >> button >> nth=-1")
    expect(stage.page.locator("#toast")).to_be_visible()


def delete_all(stage: Stage) -> None:
    stage.page.click("#history-clear")
    expect(stage.page.locator("#history li")).to_have_count(0)


# Of speech.


def speak_again(stage: Stage) -> None:
    stage.page.press("#text", "Control+Enter")


def speak_another_text(stage: Stage) -> None:
    stage.visitor.speak("Something else.", "en")


def stop(stage: Stage) -> None:
    stage.page.keyboard.press("Escape")


take_another_voice = clicking("#gallery [role=option] >> nth=1")
take_an_emotion = clicking("#emotions [value=happy]")
use_an_older_text = clicking("#history li >> nth=-1 >> button >> nth=1")


def choose_a_language(stage: Stage) -> None:
    stage.visitor.choose("#language", "es")


def open_a_link(stage: Stage) -> None:
    stage.page.evaluate("location.hash = '#t=A+link.'")
    expect(stage.page.locator("#text")).to_have_value("A link.")


def open_a_book(stage: Stage) -> None:
    stage.page.set_input_files("#book-file", epub(stage.folder / "b.epub"))
    expect(stage.page.locator("#text")).to_have_value(re.compile("Capítulo uno"))


def open_a_book_and_close_it_after_a_reload(stage: Stage) -> None:
    open_a_book(stage)
    reload(stage)
    stage.page.get_by_role("button", name="Close the book").click()


def open_a_book_and_close_it_after_a_crash(stage: Stage) -> None:
    open_a_book(stage)
    crash(stage)
    stage.page.get_by_role("button", name="Close the book").click()


def open_what_is_no_book(stage: Stage) -> None:
    stage.page.set_input_files("#book-file", {**NOTES, "name": "notes.epub"})
    expect(stage.page.locator("#problem")).not_to_be_empty()


# Of transcripts.


def answer_with(stage: Stage, answer: Callable[[Route], None]) -> None:
    stage.page.unroute_all()
    stage.page.route(TRANSCRIPTIONS, answer)


def choose_wrong_file(stage: Stage) -> None:
    error = {"message": "file: is not audio", "param": "file", "code": "invalid_value", "type": "x"}
    body = json.dumps({"error": error})
    answer_with(stage, lambda route: route.fulfill(status=400, content_type="application/json", body=body))
    give(stage, NOTES)
    expect(stage.page.locator("#listen-problem")).not_to_be_empty()


def transcribe_another(stage: Stage) -> None:
    body = events(OTHER)
    answer_with(stage, lambda route: route.fulfill(content_type="text/event-stream", body=body))
    give(stage, SOUND)
    expect(stage.page.locator("#history .excerpt").first).to_contain_text("Something else")


def cancel_another(stage: Stage) -> None:
    held: list[Route] = []
    answer_with(stage, lambda route: held.append(route))
    give(stage, SOUND)
    expect(stage.page.locator("#listen-drop")).to_have_attribute("data-state", "transcribing")
    stage.page.click("#listen")
    expect(stage.page.locator("#listen-drop")).not_to_have_attribute("data-state", "transcribing")


def give(stage: Stage, file: FilePayload) -> None:
    """Drop a file, which can be done at any time."""
    stage.page.evaluate(
        """({ name, bytes }) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([Uint8Array.from(bytes)], name));
            const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
            document.querySelector("#listen-drop").dispatchEvent(drop);
        }""",
        {"name": file["name"], "bytes": [*file["buffer"]]},
    )


def press_the_round_button(stage: Stage) -> None:
    stage.page.click("#listen")
    expect(stage.page.locator("#listen")).to_be_enabled()


def press_it_twice(stage: Stage) -> None:
    press_the_round_button(stage)
    press_the_round_button(stage)


def clear(stage: Stage) -> None:
    stage.page.click("#listen-clear")
    expect(stage.page.locator("#transcript")).to_be_hidden()


def clear_and_delete(stage: Stage) -> None:
    clear(stage)
    delete_the_latest(stage)


def empty_a_row(stage: Stage) -> None:
    stage.page.click("#listen-edit")
    row = stage.page.locator("#transcript [contenteditable]").first
    row.fill("")
    row.blur()


# Of conversations.


end, stop_the_answer = clicking("#talk-end"), clicking("#talk-stop")


def go_on(stage: Stage) -> None:
    if stage.page.is_visible("#talk-end"):
        end(stage)
    stage.page.click("#talk")
    expect(stage.page.locator("#talk-end")).to_be_visible()


def begin_anew(stage: Stage) -> None:
    if stage.page.is_visible("#talk-end"):
        end(stage)
    stage.page.click("#talk-fresh")
    expect(stage.page.locator(".talk-lines")).to_be_hidden()


def write_another(stage: Stage) -> None:
    stage.page.fill("#talk-text", "And then?")
    stage.page.press("#talk-text", "Enter")
    expect(stage.page.locator(".you").last).to_contain_text("And then?")


def write_when_the_model_is_gone(stage: Stage) -> None:
    stage.model.refuses = True
    write_another(stage)
    expect(stage.page.locator("#talk-problem")).not_to_be_empty()


def take_another_persona(stage: Stage) -> None:
    stage.visitor.unfold("#talk-persona")
    stage.page.fill("#talk-persona", "A pirate.")
    stage.page.press("#talk-persona", "Tab")
