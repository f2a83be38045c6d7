"""Kept voices on the page: what is known of them, and speaking with, hearing, renaming and deleting them."""

from __future__ import annotations

import re
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Dialog, Locator, expect

from tests.conftest import ServerProcess
from tests.page.conftest import KEYS, Visit
from tests.page.stored_voices import delete_all, list_stored, store
from tests.page.visitor import Visitor


@pytest.fixture
def visitor(visit: Visit, espeak_server: ServerProcess, recording: Path) -> Iterator[Visitor]:
    """A user who finds two voices, ana and luis; both are deleted in the end."""
    store(espeak_server, "ana", recording, language="es", description="warm")
    store(espeak_server, "luis", recording)
    visitor = visit()
    visitor.wait_for("#kept-list li")
    yield visitor
    delete_all(espeak_server)


def button(visitor: Visitor, name: str) -> Locator:
    """A voice's button, by what a screen reader calls it."""
    return visitor.page.get_by_role("button", name=name, exact=True)


def names(visitor: Visitor) -> list[str]:
    """The voices that are listed."""
    return visitor.page.locator("#kept-list h3").all_inner_texts()


def test_voice_is_described(visitor: Visitor) -> None:
    assert names(visitor) == ["ana", "luis"]
    ana, luis = visitor.page.locator("#kept-list > li").all_inner_texts()
    assert "Spanish · " in ana and " s · " in ana and "warm" in ana
    assert "any language" in luis
    for voice in (ana, luis):
        assert "No engine here can imitate recordings" in voice
    assert visitor.page.is_hidden("#kept-empty")


def test_advice_is_in_the_pages_language(
    visit: Visit, espeak_server: ServerProcess, recording: Path, tmp_path: Path
) -> None:
    with wave.open(str(recording)) as loud, wave.open(str(tmp_path / "quiet.wav"), "wb") as quiet:
        quiet.setparams(loud.getparams())
        samples = np.frombuffer(loud.readframes(loud.getnframes()), "<i2")
        quiet.writeframes((samples // 200).astype("<i2").tobytes())
    try:
        store(espeak_server, "ana", tmp_path / "quiet.wav")
        (voice,) = list_stored(espeak_server)
        assert any(sentence.startswith("It is very quiet, ") for sentence in voice["advice"])
        page = visit(locale="es-ES").page
        expect(page.locator(".advice li")).to_have_count(len(voice["advice"]))
        told = page.locator(".advice li").all_inner_texts()
        assert any(sentence.startswith("Se oye muy bajo (") for sentence in told), told
        assert page.locator(".advice [lang=en]").count() == 0
    finally:
        delete_all(espeak_server)


def test_a_voice_is_chosen_by_its_button(visitor: Visitor) -> None:
    button(visitor, "Use: luis").click()
    assert visitor.value("#voice") == "custom:luis"
    assert visitor.text("#kept-state") == "luis is chosen."
    assert visitor.page.evaluate("document.activeElement.id") == "speak"


@pytest.mark.heard
def test_a_recording_is_heard_until_it_ends_or_is_stopped(visitor: Visitor) -> None:
    listen, stop = button(visitor, "Listen: ana"), button(visitor, "Stop: ana")
    listen.click()
    expect(stop).to_have_attribute("aria-pressed", "true")
    stop.click()
    expect(listen).to_be_visible()
    listen.click()
    expect(stop).to_be_visible()
    expect(listen).to_be_visible()


def test_only_one_thing_is_heard_at_a_time(visitor: Visitor) -> None:
    button(visitor, "Listen: ana").click()
    expect(button(visitor, "Stop: ana")).to_be_visible()
    button(visitor, "Listen: luis").click()
    expect(button(visitor, "Stop: luis")).to_be_visible()
    expect(button(visitor, "Listen: ana")).to_be_visible()
    visitor.speak("One small step for a man, one giant leap for mankind, and so on.", "en")
    expect(button(visitor, "Listen: luis")).to_be_visible()
    visitor.wait_for_sound()
    button(visitor, "Listen: luis").click()
    visitor.wait_for_end()
    expect(button(visitor, "Stop: luis")).to_be_visible()
    visitor.page.keyboard.press("Escape")
    expect(button(visitor, "Listen: luis")).to_be_visible()


def test_a_voice_is_renamed_and_stays_chosen(visitor: Visitor, espeak_server: ServerProcess) -> None:
    button(visitor, "Use: ana").click()
    button(visitor, "Rename: ana").click()
    visitor.page.get_by_label("New name of ana").fill("anna")
    visitor.page.keyboard.press("Enter")
    expect(button(visitor, "Rename: anna")).to_be_visible()
    assert names(visitor) == ["anna", "luis"]
    assert visitor.value("#voice") == "custom:anna"
    assert visitor.text("#kept-state") == "Renamed to anna."
    assert [voice["id"] for voice in list_stored(espeak_server)] == ["custom:anna", "custom:luis"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("luis", "There is a voice of this name already."),
        ("a/b", "1 to 64 letters, digits, - and _"),
        ("", "1 to 64 letters, digits, - and _"),
    ],
)
def test_invalid_name_is_reported_at_its_field(name: str, words: str, visitor: Visitor) -> None:
    visitor.network_may_fail = True
    button(visitor, "Rename: ana").click()
    field = visitor.page.get_by_label("New name of ana")
    field.fill(name)
    visitor.page.keyboard.press("Enter")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(words)
    expect(field).to_be_focused()
    visitor.page.keyboard.press("Escape")
    expect(field).to_be_hidden()
    expect(button(visitor, "Rename: ana")).to_be_focused()
    assert names(visitor) == ["ana", "luis"]


def test_deletion_needs_confirmation(visitor: Visitor, espeak_server: ServerProcess) -> None:
    asked = []

    def refuse(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    button(visitor, "Use: ana").click()
    visitor.page.once("dialog", refuse)
    button(visitor, "Delete: ana").click()
    assert asked == ["Delete the voice ana, its recording and everything made from it?"]
    assert len(list_stored(espeak_server)) == 2
    visitor.page.once("dialog", lambda dialog: dialog.accept())
    button(visitor, "Delete: ana").click()
    visitor.page.wait_for_selector("#kept-state >> text=ana is deleted.")
    assert names(visitor) == ["luis"]
    assert visitor.value("#voice") == ""
    assert [voice["name"] for voice in list_stored(espeak_server)] == ["luis"]


def test_missing_voice_is_reported(visitor: Visitor, espeak_server: ServerProcess) -> None:
    visitor.network_may_fail = True
    delete_all(espeak_server)
    button(visitor, "Listen: ana").click()
    visitor.wait_for("#kept-list .problem:not(:empty)")
    assert (
        visitor.text("#kept-list .problem:not(:empty)") == "That voice is not there any more. Choose another."
    )
    expect(button(visitor, "Listen: ana")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_voice_list_is_accessible(
    scheme: str, visit: Visit, espeak_server: ServerProcess, recording: Path
) -> None:
    try:
        store(espeak_server, "m" * 64, recording)
        store(espeak_server, "ana", recording)
        visitor = visit(locale="es-ES", color_scheme=scheme, viewport={"width": 360, "height": 640})
        visitor.network_may_fail = True
        button(visitor, "Renombrar: ana").click()
        visitor.page.get_by_label("Nuevo nombre de ana").fill("m" * 64)
        visitor.page.keyboard.press("Enter")
        visitor.wait_for("#kept-list [aria-invalid]")
        assert visitor.violations() == ""
        assert visitor.page.eval_on_selector("html", "html => html.scrollWidth <= html.clientWidth")
    finally:
        delete_all(espeak_server)


@pytest.mark.parametrize("key", [KEYS[0], pytest.param(KEYS[1], marks=pytest.mark.slow)])
def test_voices_are_looked_after_with_the_servers_key(
    key: str, visit: Visit, keyed_server: ServerProcess, recording: Path
) -> None:
    visitor = visit(url=f"http://localhost:{keyed_server.port}/", ready=False)
    visitor.network_may_fail = True
    page = visitor.page
    page.goto(visitor.url)
    page.fill("#key", key)
    page.click("#key-form button[type=submit]")
    visitor.wait_for("#line[data-state=open]")
    assert visitor.text("#kept-empty").startswith("Ten seconds of recording are enough.")
    page.click("#add-voice")
    page.fill("#voice-name", "ana")
    page.set_input_files("#voice-file", recording)
    page.check("#voice-consent")
    page.click("#voice-keep")
    button(visitor, "Listen: ana").click()
    expect(button(visitor, "Stop: ana")).to_be_visible()
    button(visitor, "Rename: ana").click()
    page.get_by_label("New name of ana").fill("eva")
    page.keyboard.press("Enter")
    page.once("dialog", lambda dialog: dialog.accept())
    button(visitor, "Delete: eva").click()
    page.wait_for_selector("#kept-list li", state="detached")
    visitor.wait_for("#kept-empty")


@pytest.mark.heard
def test_a_voice_that_comes_near_says_how_near_and_comes_nearer(
    visit: Visit, server: ServerProcess, recording: Path
) -> None:
    visitor = visit(server)
    page = visitor.page
    try:
        store(server, "ana", recording, language="es")
        page.reload()
        visitor.wait_for(".refining")
        near = visitor.text(".nearness")
        assert re.fullmatch(
            r"kokoro imitates it with its own voices\. Match: Spanish \d\d% \(expected\)\.", near
        )
        # It comes nearer while nobody asks; the page asks by itself.
        page.wait_for_selector(".refining", state="detached")
        assert visitor.text("#kept-state") == "ana is ready."
        assert re.search(r"Match: Spanish \d\d%\.$", visitor.text(".nearness"))
        button(visitor, "Use: ana").click()
        visitor.speak("Hola, esta voz se parece a la mía.", "es")
        visitor.wait_for_end()
        assert re.search(r"A similar voice, not the same: \d\d% match\.", visitor.text("#told"))
    finally:
        delete_all(server)
