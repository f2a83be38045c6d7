"""Voices that are added from the page: a file or the microphone, with the speaker's consent."""

from __future__ import annotations

import io
import json
import re
import struct
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.conftest import ServerProcess
from tests.page.conftest import Visit
from tests.page.stored_voices import delete_all, list_stored, store
from tests.page.visitor import Visitor

CONSENT = (
    "I am the person who speaks, or have that person’s permission, to keep this recording on this computer "
    "and to speak with a voice made from it."
)


@pytest.fixture
def visitor(visit: Visit, espeak_server: ServerProcess) -> Iterator[Visitor]:
    """A user with the dialog open; all voices are deleted in the end."""
    visitor = visit()
    visitor.page.click("#add-voice")
    yield visitor
    delete_all(espeak_server)


def seconds_of(recording: Path, seconds: float) -> bytes:
    """The beginning of a WAV file."""
    file = io.BytesIO()
    with wave.open(str(recording)) as whole, wave.open(file, "wb") as out:
        out.setparams(whole.getparams())
        out.writeframes(whole.readframes(round(whole.getframerate() * seconds)))
    return file.getvalue()


def give(visitor: Visitor, audio: bytes, name: str = "ana") -> None:
    """Fill in the form with a file."""
    visitor.page.fill("#voice-name", name)
    visitor.page.set_input_files("#voice-file", {"name": "ana.wav", "mimeType": "audio/wav", "buffer": audio})
    visitor.page.check("#voice-consent")


def focused(visitor: Visitor) -> str:
    """The id of what has the focus."""
    found: str = visitor.page.evaluate("document.activeElement.id")
    return found


def test_a_file_becomes_a_voice_that_is_chosen_and_spoken_with(
    visitor: Visitor, espeak_server: ServerProcess, recording: Path
) -> None:
    give(visitor, recording.read_bytes())
    visitor.page.select_option("#voice-language", "en")
    visitor.page.click("#voice-keep")
    visitor.wait_for("#kept-list li")
    (voice,) = list_stored(espeak_server)
    assert (voice["name"], voice["language"]) == ("ana", "en")
    (facts,) = (espeak_server.folder / "data").rglob("voice.json")
    assert json.loads(facts.read_text(encoding="utf-8"))["consent"] == CONSENT
    assert facts.with_name("recording").read_bytes() == recording.read_bytes()
    assert visitor.page.is_hidden("#voice-dialog")
    visitor.wait_for("#kept-state:not(:empty)")
    assert visitor.text("#kept-state") == "ana is saved and selected."
    assert visitor.value("#voice") == "custom:ana"
    visitor.speak("Hi there.")
    visitor.wait_for_end()
    assert visitor.requests[-1]["voice"] == "custom:ana"
    assert visitor.text("#problem") == ""
    assert "this voice engine cannot imitate recordings" in visitor.text("#told")


def test_a_voice_is_recorded_with_the_microphone(visitor: Visitor, espeak_server: ServerProcess) -> None:
    page = visitor.page
    page.fill("#voice-name", "rec")
    page.check("#voice-consent")
    page.click("#record")
    page.wait_for_selector("#record[aria-pressed=true]")
    page.evaluate(
        """() => new Promise((heard) => {
            const level = document.querySelector("#record-level");
            const look = () => (level.value > 0.1 ? heard() : requestAnimationFrame(look));
            look();
        })"""
    )
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
    page.click("#voice-keep")
    visitor.wait_for("#kept-list li")
    assert [voice["name"] for voice in list_stored(espeak_server)] == ["rec"]
    (facts,) = (espeak_server.folder / "data").rglob("voice.json")
    with wave.open(str(facts.with_name("recording"))) as sound:
        heard = sound.readframes(sound.getnframes())
    assert max(abs(value) for (value,) in struct.iter_unpack("<h", heard)) > 1000


def test_short_recording_is_reported_at_once(visitor: Visitor, espeak_server: ServerProcess) -> None:
    page = visitor.page
    page.fill("#voice-name", "rec")
    page.check("#voice-consent")
    page.evaluate(
        """() => new Promise((stopped) => {
            const button = document.querySelector("#record");
            const begun = new MutationObserver(() => {
              begun.disconnect();
              button.click();
              stopped();
            });
            begun.observe(button, { attributeFilter: ["aria-pressed"] });
            button.click();
        })"""
    )
    visitor.wait_for("#voice-file-problem:not(:empty)")
    assert "At least 3 seconds" in visitor.text("#voice-file-problem")
    page.click("#voice-keep")
    assert "At least 3 seconds" in visitor.text("#voice-file-problem")
    assert list_stored(espeak_server) == []
    page.click("#record")
    page.wait_for_selector("#record[aria-pressed=true]")
    assert visitor.text("#voice-file-problem") == ""


def test_closing_the_dialog_ends_a_recording(visitor: Visitor) -> None:
    visitor.page.evaluate(
        """() => {
            const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async (what) => (window.microphone = await ask(what));
        }"""
    )
    visitor.page.click("#record")
    visitor.page.wait_for_selector("#record[aria-pressed=true]")
    visitor.page.keyboard.press("Escape")
    visitor.page.wait_for_selector("#voice-dialog", state="hidden")
    visitor.page.wait_for_function("() => microphone.getTracks()[0].readyState === 'ended'")


@pytest.mark.parametrize(
    ("left_out", "field", "words"),
    [
        ("name", "voice-name", "Give the voice a name."),
        ("recording", "voice-file", "Record something, or choose a file."),
        ("consent", "voice-consent", "Without the consent of the person who speaks no voice can be kept."),
    ],
)
def test_missing_fields_are_marked(
    left_out: str, field: str, words: str, visitor: Visitor, espeak_server: ServerProcess, recording: Path
) -> None:
    give(visitor, recording.read_bytes(), name="" if left_out == "name" else "ana")
    if left_out == "recording":
        visitor.page.set_input_files("#voice-file", [])
    visitor.page.set_checked("#voice-consent", left_out != "consent")
    visitor.page.click("#voice-keep")
    assert visitor.text(f"#{field}-problem") == words
    assert visitor.page.get_attribute(f"#{field}", "aria-invalid") == "true"
    assert focused(visitor) == field
    assert list_stored(espeak_server) == []


@pytest.mark.parametrize(
    ("name", "seconds", "field", "words"),
    [
        ("ana", 1.0, "voice-file", "Too short: at least 3 s are needed."),
        ("../etc", 6.0, "voice-name", "1 to 64 letters, digits, - and _"),
        ("luis", 6.0, "voice-name", "There is a voice of this name already."),
    ],
)
def test_the_servers_reasons_stand_at_their_field(
    name: str,
    seconds: float,
    field: str,
    words: str,
    visitor: Visitor,
    espeak_server: ServerProcess,
    recording: Path,
) -> None:
    store(espeak_server, "luis", recording)
    visitor.network_may_fail = True
    give(visitor, seconds_of(recording, seconds), name)
    sent: list[str] = []
    visitor.page.on("request", lambda request: sent.append(request.method))
    visitor.page.click("#voice-keep")
    visitor.wait_for(f"#{field}-problem:not(:empty)")
    # A name that cannot be one is told before anything is uploaded.
    assert ("POST" in sent) == (name != "../etc")
    assert visitor.text(f"#{field}-problem") == words
    assert focused(visitor) == field
    assert visitor.value("#voice-name") == name
    assert visitor.page.is_checked("#voice-consent")
    assert [voice["name"] for voice in list_stored(espeak_server)] == ["luis"]


def test_file_without_audio_is_reported(visitor: Visitor, espeak_server: ServerProcess) -> None:
    visitor.network_may_fail = True
    give(visitor, b"These are only words. " * 100)
    visitor.page.click("#recording-play")
    visitor.wait_for("#voice-file-problem:not(:empty)")
    assert visitor.text("#voice-file-problem") == "This browser cannot play the recording’s format."
    visitor.page.click("#voice-keep")
    visitor.wait_for("#voice-keep:enabled")
    readable = "The server cannot read this file. WAV, MP3, M4A, Ogg and FLAC work."
    assert visitor.text("#voice-file-problem") == readable
    assert list_stored(espeak_server) == []
