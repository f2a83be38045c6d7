"""``kani-tts say -o -`` and ``listen -``: sound from standard input, and to standard output."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import av
import pytest

from tests.conftest import ROOT
from tests.support.patience import WITHIN_S

TEXT = "Hello there."


def kani(
    *arguments: str, stdout: int | IO[Any] = subprocess.PIPE, given: bytes = b""
) -> tuple[int, bytes, str]:
    """Run a command; return its exit code, its standard output, and what it says."""
    command = [sys.executable, "-m", "kani", *arguments]
    ended = subprocess.run(
        command, cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, input=given, timeout=WITHIN_S, check=False
    )
    return ended.returncode, ended.stdout, ended.stderr.decode()


def container(sound: bytes) -> tuple[str, float, list[str]]:
    """The name of its format, its seconds, and the titles of its chapters."""
    with av.open(BytesIO(sound), "r") as file:
        stream = file.streams.audio[0]
        samples = sum(frame.samples for frame in file.decode(stream))
        titles = [mark["metadata"]["title"] for mark in file.chapters()]
        return file.format.name, samples / stream.sample_rate, titles


@pytest.mark.parametrize(
    ("output", "form", "name"), [("-", None, "wav"), ("/dev/stdout", "mp3", "mp3"), ("-", "ogg", "ogg")]
)
def test_speech_goes_to_standard_output(output: str, form: str | None, name: str) -> None:
    options = ["--format", form] if form else []
    code, sound, said = kani("say", TEXT, "--engine", "espeak", "-o", output, *options)
    assert (code, said) == (0, "")
    found, seconds, _ = container(sound)
    assert found == name and 0.5 < seconds < 2.0


def test_redirected_wav_tells_its_length(tmp_path: Path) -> None:
    with (tmp_path / "a.wav").open("wb") as file:
        assert kani("say", TEXT, "--engine", "espeak", "-o", "-", stdout=file)[0] == 0
    sound = (tmp_path / "a.wav").read_bytes()
    begin = sound.index(b"data") + 8
    assert int.from_bytes(sound[begin - 4 : begin], "little") == len(sound) - begin


@pytest.mark.parametrize(("form", "name"), [("mp3", "mp3"), ("m4b", "mov,mp4,m4a,3gp,3g2,mj2")])
def test_book_goes_to_standard_output(tmp_path: Path, form: str, name: str) -> None:
    (tmp_path / "book.md").write_text("# One\n\nHello there.\n\n# Two\n\nGoodbye.\n")
    book = str(tmp_path / "book.md")
    code, sound, said = kani("say", book, "--engine", "espeak", "-o", "-", "--format", form)
    found, seconds, chapters = container(sound)
    assert (code, found, chapters) == (0, name, ["One", "Two"]) and seconds > 1
    assert "standard output: " in said and "2 chapters" in said
    assert [path.name for path in tmp_path.iterdir()] == ["book.md"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("-o", "-", "--format", "m4b"), "made of a book only"),
        (("-o", "speech.wav", "--format", "wav"), "--format is for -o -"),
        (("--format", "wav"), "--format is for -o -"),
    ],
)
def test_wrong_use_is_named(arguments: tuple[str, ...], reason: str) -> None:
    code, sound, said = kani("say", TEXT, "--engine", "espeak", *arguments)
    assert (code, sound) == (2, b"") and reason in said


@pytest.mark.parametrize("source", ["-", "/dev/stdin"])
def test_recording_comes_from_standard_input(source: str) -> None:
    code, text, said = kani("listen", source, given=b"no sound")
    assert (code, text) == (2, b"") and "damaged, or not audio" in said


@pytest.mark.heard
def test_what_is_said_is_heard_through_a_pipe() -> None:
    _, sound, _ = kani("say", "Good morning, my friend.", "--voice", "af_heart", "-o", "-")
    code, text, said = kani("listen", "-", "--language", "en", given=sound)
    assert (code, text.decode().strip(" .!\n"), said) == (0, "Good morning, my friend", "")
