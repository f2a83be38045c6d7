"""Voices that are added from the page: a file or the microphone, with the speaker's consent."""

from __future__ import annotations

import io
import struct
import wave
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerProcess
    from tests.page.conftest import Visit
    from tests.page.visitor import Visitor

VOICES = "/v1/audio/voices"
CONSENT = "This is my own voice, or the person who speaks agreed to its use here."


def recording(seconds: float) -> bytes:
    """A WAV file of a sawtooth, 8 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"".join(struct.pack("<h", 100 * (n % 80)) for n in range(round(8000 * seconds))))
    return file.getvalue()


def kept(server: ServerProcess) -> list[dict[str, Any]]:
    """The voices that clients made."""
    voices: list[dict[str, Any]] = httpx.get(server.http_url + VOICES).json()["voices"]
    return [voice for voice in voices if voice["kept"]]


@pytest.fixture
def visitor(visit: Visit, espeak_server: ServerProcess) -> Iterator[Visitor]:
    """Somebody with the dialog open; no voice stays behind."""
    visitor = visit()
    visitor.page.click("#add-voice")
    yield visitor
    for voice in kept(espeak_server):
        httpx.delete(f"{espeak_server.http_url}{VOICES}/{voice['id']}")


def give(visitor: Visitor, name: str = "ana", seconds: float = 3.5) -> None:
    """Fill in the form with a file, all but the consent."""
    visitor.page.fill("#voice-name", name)
    visitor.page.set_input_files(
        "#voice-file", {"name": "ana.wav", "mimeType": "audio/wav", "buffer": recording(seconds)}
    )


def test_a_file_becomes_a_voice_that_is_chosen_and_spoken_with(
    visitor: Visitor, espeak_server: ServerProcess
) -> None:
    """An uploaded recording is kept with its language and the words of consent, chosen, and asked for."""
    give(visitor)
    visitor.page.select_option("#voice-language", "en")
    visitor.page.check("#voice-consent")
    visitor.page.click("#voice-keep")
    visitor.wait_for("#kept-list li")
    (voice,) = kept(espeak_server)
    assert (voice["name"], voice["language"]) == ("ana", "en")
    (facts,) = (espeak_server.folder / "data").rglob("voice.json")
    assert CONSENT in facts.read_text(encoding="utf-8")
    assert visitor.text("#recording-state") == "Kept. It is chosen now."
    visitor.page.click("#voice-close")
    assert visitor.value("#voice") == "custom:ana"
    visitor.speak("Hi there.")
    visitor.wait_for_end()
    assert visitor.sent[-1]["params"]["voice"] == "custom:ana"
    assert visitor.text("#problem") == ""


def test_a_voice_is_recorded_with_the_microphone(visitor: Visitor, espeak_server: ServerProcess) -> None:
    """What the microphone hears becomes a WAV file that the server keeps; the level moves meanwhile."""
    page = visitor.page
    page.fill("#voice-name", "rec")
    page.check("#voice-consent")
    page.click("#record")
    page.wait_for_selector("#record[aria-pressed=true]")
    page.wait_for_selector("#record-text >> text=/\\(3\\.[2-9] s\\)/")
    page.click("#record")
    page.wait_for_selector("#recording-state >> text=/Recorded: 3\\.\\d s/")
    page.click("#voice-keep")
    visitor.wait_for("#kept-list li")
    assert [voice["name"] for voice in kept(espeak_server)] == ["rec"]
    (facts,) = (espeak_server.folder / "data").rglob("voice.json")
    with wave.open(str(facts.with_name("recording"))) as sound:
        heard = sound.readframes(sound.getnframes())
    # Chromium's fake microphone beeps.
    assert max(abs(value) for (value,) in struct.iter_unpack("<h", heard)) > 1000


def test_closing_the_dialog_ends_a_recording(visitor: Visitor) -> None:
    """Nobody is recorded once the dialog is closed."""
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
    assert visitor.page.evaluate("microphone.getTracks()[0].readyState") == "ended"


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        ("name", "Give the voice a name."),
        ("recording", "Record something, or choose a file."),
        ("consent", "The consent of the person who speaks is needed."),
    ],
)
def test_what_is_missing_is_asked_for(
    left_out: str, words: str, visitor: Visitor, espeak_server: ServerProcess
) -> None:
    """Without a name, a recording or consent nothing is sent."""
    if left_out != "recording":
        give(visitor, name="" if left_out == "name" else "ana")
    else:
        visitor.page.fill("#voice-name", "ana")
    visitor.page.set_checked("#voice-consent", left_out != "consent")
    visitor.page.click("#voice-keep")
    assert visitor.text("#voice-problem") == words
    assert kept(espeak_server) == []


def test_the_servers_reasons_are_shown(visitor: Visitor, espeak_server: ServerProcess) -> None:
    """A recording that is too short is refused in the server's words, and nothing is lost of the form."""
    visitor.network_may_fail = True
    give(visitor, seconds=1)
    visitor.page.check("#voice-consent")
    visitor.page.click("#voice-keep")
    visitor.wait_for("#voice-problem:not(:empty)")
    assert "too short" in visitor.text("#voice-problem")
    assert visitor.value("#voice-name") == "ana"
    assert kept(espeak_server) == []


def test_a_kept_voice_is_deleted(visitor: Visitor, espeak_server: ServerProcess) -> None:
    """Whoever deletes a voice finds it gone from the list, the choice and the server."""
    give(visitor)
    visitor.page.check("#voice-consent")
    visitor.page.click("#voice-keep")
    visitor.wait_for("#kept-list li")
    visitor.page.click("#kept-list li button")
    visitor.page.wait_for_selector("#kept-list li", state="detached")
    assert kept(espeak_server) == []
    visitor.page.click("#voice-close")
    assert visitor.value("#voice") == ""
