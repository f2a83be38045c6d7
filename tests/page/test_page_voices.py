"""Voices of the page: added by a file or the microphone, chosen, heard, renamed and deleted."""

import io
import json
import re
import struct
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from playwright.sync_api import Locator, expect

from tests.conftest import ServerProcess
from tests.page.conftest import KEYS, Visit, in_both
from tests.page.visitor import Visitor

CONSENT = (
    "I am the person who speaks, or have that person’s permission, to keep this recording on this computer "
    "and to speak with a voice made from it."
)
WHOSE = "the consent of the person who speaks"
VOICES = "/v1/audio/voices"


def list_stored(server: ServerProcess) -> list[dict[str, Any]]:
    voices: list[dict[str, Any]] = httpx2.get(server.http_url + VOICES).json()["voices"]
    return [voice for voice in voices if voice["kept"]]


def store(server: ServerProcess, name: str, recording: Path, **fields: str) -> None:
    given = {"name": name, "consent": "A machine's voice.", **fields}
    files = {"audio": ("speech.wav", recording.read_bytes(), "audio/wav")}
    httpx2.post(server.http_url + VOICES, data=given, files=files).raise_for_status()


def delete_all(server: ServerProcess) -> None:
    for voice in list_stored(server):
        httpx2.delete(f"{server.http_url}{VOICES}/{voice['id']}").raise_for_status()


@pytest.fixture
def voiceless(espeak_server: ServerProcess) -> Iterator[ServerProcess]:
    """A server whose voices are deleted in the end."""
    yield espeak_server
    delete_all(espeak_server)


@pytest.fixture
def adding(visit: Visit, voiceless: ServerProcess) -> Visitor:
    """A user with the dialog open."""
    visitor = visit()
    visitor.page.click("#add-voice")
    return visitor


def seconds_of(recording: Path, seconds: float) -> bytes:
    file = io.BytesIO()
    with wave.open(str(recording)) as whole, wave.open(file, "wb") as out:
        out.setparams(whole.getparams())
        out.writeframes(whole.readframes(round(whole.getframerate() * seconds)))
    return file.getvalue()


def give(visitor: Visitor, audio: bytes, name: str = "ana") -> None:
    visitor.page.fill("#voice-name", name)
    visitor.page.set_input_files("#voice-file", {"name": "ana.wav", "mimeType": "audio/wav", "buffer": audio})
    visitor.page.check("#voice-consent")


@in_both
def test_file_becomes_a_voice_that_speaks(adding: Visitor, voiceless: ServerProcess, recording: Path) -> None:
    give(adding, recording.read_bytes())
    adding.page.select_option("#voice-language", "en")
    adding.page.click("#voice-keep")
    adding.wait_for("#kept-list li")
    (voice,) = list_stored(voiceless)
    assert (voice["name"], voice["language"]) == ("ana", "en")
    (facts,) = (voiceless.folder / "data").rglob("voice.json")
    assert json.loads(facts.read_text(encoding="utf-8"))["consent"] == CONSENT
    assert facts.with_name("recording").read_bytes() == recording.read_bytes()
    assert adding.page.is_hidden("#voice-dialog")
    adding.wait_for("#kept-state:not(:empty)")
    assert adding.text("#kept-state") == "ana is saved and selected."
    group = adding.page.locator("#voice optgroup").first
    expect(group).to_have_attribute("label", adding.text("#kept-title"))
    assert adding.value("#voice") == "custom:ana"
    adding.say("Hi there.")
    assert adding.requests[-1]["voice"] == "custom:ana"
    assert adding.text("#problem") == ""
    assert "this voice engine cannot imitate recordings" in adding.text("#told")


SLIP = """() => new Promise((stopped) => {
    const button = document.querySelector("#record");
    const begun = new MutationObserver(() => {
      begun.disconnect();
      button.click();
      stopped();
    });
    begun.observe(button, { attributeFilter: ["aria-pressed"] });
    button.click();
})"""


@in_both
def test_a_voice_is_recorded_with_the_microphone(adding: Visitor, voiceless: ServerProcess) -> None:
    page = adding.page
    page.fill("#voice-name", "rec")
    page.check("#voice-consent")
    page.click("#record")
    page.wait_for_selector("#record[aria-pressed=true]")
    page.wait_for_function("() => document.querySelector('#record-level').value > 0.1")
    expect(page.locator("#record-text")).to_have_text(re.compile(r"\((3\.[2-9]|[4-9]\.\d|\d\d\.\d) s\)"))
    page.click("#record")
    recorded = page.locator("#recording-state", has_text=re.compile(r"Recorded: \d+\.\d s")).inner_text()
    page.evaluate(
        """() => {
            const start = AudioBufferSourceNode.prototype.start;
            AudioBufferSourceNode.prototype.start = function () {
              document.body.dataset.played = this.buffer.duration;
              start.call(this);
            };
        }"""
    )
    page.click("#recording-play")
    page.wait_for_selector("body[data-played]")
    seconds = float(re.findall(r"\d+\.\d", recorded)[0])
    assert float(page.get_attribute("body", "data-played") or 0) == pytest.approx(seconds, abs=0.06)
    page.evaluate(SLIP)
    expect(page.locator("#voice-file-problem")).to_contain_text("The recording before it stays.")
    page.click("#voice-keep")
    adding.wait_for("#kept-list li")
    assert [voice["name"] for voice in list_stored(voiceless)] == ["rec"]
    (facts,) = (voiceless.folder / "data").rglob("voice.json")
    with wave.open(str(facts.with_name("recording"))) as sound:
        heard = sound.readframes(sound.getnframes())
    assert max(abs(value) for (value,) in struct.iter_unpack("<h", heard)) > 1000


@in_both
def test_short_recording_is_reported_at_once(adding: Visitor, voiceless: ServerProcess) -> None:
    page = adding.page
    page.fill("#voice-name", "rec")
    page.check("#voice-consent")
    page.evaluate(SLIP)
    adding.wait_for("#voice-file-problem:not(:empty)")
    assert "At least 3 seconds" in adding.text("#voice-file-problem")
    page.click("#voice-keep")
    assert "At least 3 seconds" in adding.text("#voice-file-problem")
    assert list_stored(voiceless) == []
    page.click("#record")
    page.wait_for_selector("#record[aria-pressed=true]")
    assert adding.text("#voice-file-problem") == ""


@in_both
def test_closing_the_dialog_ends_a_recording(adding: Visitor) -> None:
    adding.page.evaluate(
        """() => {
            const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async (what) => (window.microphone = await ask(what));
        }"""
    )
    adding.page.click("#record")
    adding.page.wait_for_selector("#record[aria-pressed=true]")
    adding.page.keyboard.press("Escape")
    adding.page.wait_for_selector("#voice-dialog", state="hidden")
    adding.page.wait_for_function("() => microphone.getTracks()[0].readyState === 'ended'")


@pytest.mark.parametrize(
    ("name", "seconds", "consents", "field", "words", "uploads"),
    [
        ("", 6, True, "voice-name", "Give the voice a name.", False),
        ("../etc", 6, True, "voice-name", "1 to 64 letters, digits, - and _", False),
        ("luis", 6, True, "voice-name", "There is a voice of this name already.", True),
        ("ana", 0, True, "voice-file", "Record something, or choose a file.", False),
        ("ana", 1, True, "voice-file", "Too short: at least 3 s are needed.", True),
        ("ana", 6, False, "voice-consent", f"Without {WHOSE} no voice can be kept.", False),
    ],
)
def test_what_is_wrong_stands_at_its_field(
    adding: Visitor,
    voiceless: ServerProcess,
    recording: Path,
    name: str,
    seconds: float,
    field: str,
    words: str,
    *,
    consents: bool,
    uploads: bool,
) -> None:
    """As the page knows it before anything is uploaded, or as the server says."""
    page = adding.page
    store(voiceless, "luis", recording)
    adding.network_may_fail = True
    give(adding, seconds_of(recording, seconds), name)
    if not seconds:
        page.set_input_files("#voice-file", [])
    page.set_checked("#voice-consent", consents)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.click("#voice-keep")
    adding.wait_for(f"#{field}-problem:not(:empty)")
    assert ("POST" in sent) == uploads
    assert adding.text(f"#{field}-problem") == words
    assert page.get_attribute(f"#{field}", "aria-invalid") == "true"
    expect(page.locator(f"#{field}")).to_be_focused()
    assert (adding.value("#voice-name"), page.is_checked("#voice-consent")) == (name, consents)
    assert [voice["name"] for voice in list_stored(voiceless)] == ["luis"]


@in_both
def test_file_without_audio_is_reported(adding: Visitor, voiceless: ServerProcess) -> None:
    adding.network_may_fail = True
    give(adding, b"These are only words. " * 100)
    adding.page.click("#recording-play")
    adding.wait_for("#voice-file-problem:not(:empty)")
    assert adding.text("#voice-file-problem") == "This browser cannot play the recording’s format."
    adding.page.click("#voice-keep")
    adding.wait_for("#voice-keep:enabled")
    readable = "The server cannot read this file. WAV, MP3, M4A, Ogg and FLAC work."
    assert adding.text("#voice-file-problem") == readable
    assert list_stored(voiceless) == []


@pytest.fixture
def visitor(visit: Visit, voiceless: ServerProcess, recording: Path) -> Visitor:
    """A user who finds two voices, ana and luis."""
    store(voiceless, "ana", recording, language="es", description="warm")
    store(voiceless, "luis", recording)
    visitor = visit()
    visitor.wait_for("#kept-list li")
    return visitor


def button(visitor: Visitor, name: str) -> Locator:
    """A voice's button, by what a screen reader calls it."""
    return visitor.page.get_by_role("button", name=name, exact=True)


def names(visitor: Visitor) -> list[str]:
    return visitor.page.locator("#kept-list h3").all_inner_texts()


def test_voice_is_described_and_chosen_by_its_button(visitor: Visitor) -> None:
    assert names(visitor) == ["ana", "luis"]
    ana, luis = visitor.page.locator("#kept-list > li").all_inner_texts()
    assert "Spanish · " in ana and " s · " in ana and "warm" in ana
    assert "any language" in luis
    for voice in (ana, luis):
        assert "No engine here can imitate recordings" in voice
    assert visitor.page.is_hidden("#kept-empty")
    button(visitor, "Use: luis").click()
    assert visitor.value("#voice") == "custom:luis"
    assert visitor.text("#kept-state") == "luis is chosen."
    assert visitor.page.evaluate("document.activeElement.id") == "speak"


def test_advice_is_localised(visit: Visit, voiceless: ServerProcess, recording: Path, tmp_path: Path) -> None:
    with wave.open(str(recording)) as loud, wave.open(str(tmp_path / "quiet.wav"), "wb") as quiet:
        quiet.setparams(loud.getparams())
        samples = np.frombuffer(loud.readframes(loud.getnframes()), "<i2")
        quiet.writeframes((samples // 200).astype("<i2").tobytes())
    store(voiceless, "ana", tmp_path / "quiet.wav")
    (voice,) = list_stored(voiceless)
    assert any(sentence.startswith("It is very quiet, ") for sentence in voice["advice"])
    page = visit(locale="es-ES").page
    expect(page.locator(".advice li")).to_have_count(len(voice["advice"]))
    told = page.locator(".advice li").all_inner_texts()
    assert any(sentence.startswith("Se oye muy bajo (") for sentence in told), told
    assert page.locator(".advice [lang=en]").count() == 0


@in_both
def test_a_recording_is_heard_until_it_ends_is_stopped_or_something_else_is_heard(visitor: Visitor) -> None:
    listen, stop = button(visitor, "Listen: ana"), button(visitor, "Stop: ana")
    # At once, so that a second press stops it.
    assert listen.evaluate("shown => { shown.click(); return shown.ariaPressed; }") == "true"
    stop.click()
    expect(listen).to_be_visible()
    listen.click()
    expect(stop).to_be_visible()
    expect(listen).to_be_visible()
    listen.click()
    expect(stop).to_be_visible()
    button(visitor, "Listen: luis").click()
    expect(button(visitor, "Stop: luis")).to_be_visible()
    expect(listen).to_be_visible()
    visitor.speak("One small step for a man, one giant leap for mankind, and so on.", "en")
    expect(button(visitor, "Listen: luis")).to_be_visible()
    visitor.wait_for_sound()
    # Speech rests meanwhile.
    button(visitor, "Listen: luis").click()
    expect(button(visitor, "Stop: luis")).to_be_visible()
    expect(visitor.page.locator("#pause")).to_have_accessible_name("Resume")
    visitor.page.keyboard.press("Escape")
    expect(button(visitor, "Listen: luis")).to_be_visible()
    visitor.wait_for_end()


def test_a_voice_is_renamed_and_stays_chosen(visitor: Visitor, voiceless: ServerProcess) -> None:
    button(visitor, "Use: ana").click()
    button(visitor, "Rename: ana").click()
    visitor.page.get_by_label("New name of ana").fill("anna")
    visitor.page.keyboard.press("Enter")
    expect(button(visitor, "Rename: anna")).to_be_visible()
    assert names(visitor) == ["anna", "luis"]
    assert visitor.value("#voice") == "custom:anna"
    assert visitor.text("#kept-state") == "Renamed to anna."
    assert [voice["id"] for voice in list_stored(voiceless)] == ["custom:anna", "custom:luis"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("luis", "There is a voice of this name already."), ("a/b", "1 to 64 letters, digits, - and _")],
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


@in_both
def test_deletion_needs_confirmation(visitor: Visitor, voiceless: ServerProcess) -> None:
    page = visitor.page
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    button(visitor, "Use: ana").click()
    opener, sure = button(visitor, "Delete: ana"), button(visitor, "Delete")
    question = page.locator("#kept-list .problem:not(:empty)")

    def turn_away() -> None:
        page.focus("#text")

    def press_another() -> None:
        button(visitor, "Listen: ana").click()
        button(visitor, "Stop: ana").click()

    for leave in (turn_away, press_another, lambda: page.keyboard.press("Escape")):
        opener.click()
        expect(question).to_contain_text("Delete the voice ana, its recording and everything made from it?")
        expect(sure).to_be_focused()
        # Whoever does something else has not meant it.
        leave()
        expect(question).to_have_count(0)
    expect(opener).to_be_focused()
    opener.dblclick()
    opener.focus()
    # A key that is held is pressed again and again.
    for _ in range(3):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    expect(sure).to_be_focused()
    assert "DELETE" not in sent
    page.keyboard.press("Enter")
    page.wait_for_selector("#kept-state >> text=ana is deleted.")
    assert names(visitor) == ["luis"]
    assert visitor.value("#voice") == ""
    assert [voice["name"] for voice in list_stored(voiceless)] == ["luis"]
    # One that is gone without the page is missing.
    visitor.network_may_fail = True
    delete_all(voiceless)
    button(visitor, "Listen: luis").click()
    missing = "That voice is not there any more. Choose another."
    expect(visitor.page.locator("#kept-list .problem:not(:empty)")).to_have_text(missing)
    expect(button(visitor, "Listen: luis")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_voices_are_accessible(scheme: str, visit: Visit, voiceless: ServerProcess, recording: Path) -> None:
    store(voiceless, "m" * 64, recording)
    store(voiceless, "ana", recording)
    visitor = visit(
        locale="es-ES", color_scheme=scheme, viewport={"width": 360, "height": 640}, network_may_fail=True
    )
    button(visitor, "Renombrar: ana").click()
    visitor.page.get_by_label("Nuevo nombre de ana").fill("m" * 64)
    visitor.page.keyboard.press("Enter")
    visitor.wait_for("#kept-list [aria-invalid]")
    assert visitor.violations() == ""
    assert visitor.is_wide_enough()


def test_servers_key_looks_after_voices(visit: Visit, keyed_server: ServerProcess, recording: Path) -> None:
    """A key that may not be the name of a sub-protocol."""
    visitor = visit(url=f"http://localhost:{keyed_server.port}/", ready=False, network_may_fail=True)
    page = visitor.page
    page.goto(visitor.url)
    page.fill("#key", KEYS[1])
    page.click("#key-form button[type=submit]")
    visitor.wait_for("#line[data-state=open]")
    assert visitor.text("#kept-empty").startswith("No engine here can imitate recordings")
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
    button(visitor, "Delete: eva").click()
    button(visitor, "Delete").click()
    page.wait_for_selector("#kept-list li", state="detached")
    visitor.wait_for("#kept-empty")


def test_button_that_keeps_a_voice_stays_in_view(visit: Visit) -> None:
    page = visit(viewport={"width": 1100, "height": 560}).page
    page.click("#add-voice")
    expect(page.locator("#voice-name")).to_be_in_viewport(ratio=1)
    expect(page.locator("#voice-keep")).to_be_in_viewport(ratio=1)


@pytest.mark.heard
def test_voice_that_comes_near_says_how_near(visit: Visit, server: ServerProcess, recording: Path) -> None:
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
        visitor.say("Hola, esta voz se parece a la mía.", "es")
        assert re.search(r"A similar voice, not the same: \d\d% match\.", visitor.text("#told"))
    finally:
        delete_all(server)
