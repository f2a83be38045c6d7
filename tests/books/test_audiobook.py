"""Books as one file: chapters, tags, cover, voices and subtitles in it, resumed after a failure."""

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

import kani
from kani.books.audio_file import CHAPTER_PAUSE_S
from kani.books.audiobook import Made, Progress, make_audiobook
from kani.books.book import Book, Chapter
from kani.books.plan import Manner
from kani.books.reading import read_book
from kani.books.work_folder import AlreadyRunning, WorkFolder
from kani.cli.speech_commands import main
from kani.core.audio import synthetic_mark
from kani.core.types import Samples
from kani.library.results import Audio
from tests.books.epubs import COVER, PACKAGE, epub, jpeg
from tests.conftest import ROOT
from tests.support.programs import python

BOOK = Book(
    "The house",
    "Ann Lee",
    "en",
    tuple(Chapter(f"Chapter {n}", (f"Chapter {n}.", f"The dog sleeps {n} hours.")) for n in (1, 2, 3)),
)
MANNER = Manner("espeak", "1", language="en")


class Speaker:
    """Speaks with espeak-ng, and fails once it has spoken ``most`` texts."""

    def __init__(self, speech: kani.Speech, most: int = 100) -> None:
        self._speech, self._most = speech, most
        self.spoken: list[tuple[str, str | None]] = []

    def __call__(self, text: str, voice: str | None) -> Audio:
        if len(self.spoken) == self._most:
            raise ConnectionError("the machine stops")
        self.spoken.append((text, voice))
        return self._speech.say(text, voice=voice, language=None if voice else "en")


def decoded(path: Path) -> tuple[Samples, int]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(stream)]), stream.rate


def marks(path: Path) -> list[tuple[str, float, float]]:
    """Return the chapters as FFmpeg reads them: title, start and end in seconds."""
    with av.open(str(path)) as container:
        return [
            (each["metadata"]["title"], *(float(each[end] * each["time_base"]) for end in ("start", "end")))
            for each in container.chapters()
        ]


@pytest.mark.parametrize("ending", [".m4b", ".m4a", ".mp3"])
def test_chapters_begin_where_their_sound_does(tmp_path: Path, speech: kani.Speech, ending: str) -> None:
    path = tmp_path / f"b{ending}"
    made = make_audiobook(BOOK, path, MANNER, Speaker(speech), report=io.StringIO())
    samples, rate = decoded(path)
    found = marks(path)
    assert [title for title, _, _ in found] == ["Chapter 1", "Chapter 2", "Chapter 3"]
    assert [start for _, start, _ in found[1:]] == [end for _, _, end in found[:-1]]
    for _, start, end in found:
        loud = np.flatnonzero(np.abs(samples[int(start * rate) : int(end * rate)]) > 0.01) / rate
        assert loud[0] < 0.1, "the sound begins at the mark"
        if end != found[-1][2]:
            assert loud[-1] < end - start - CHAPTER_PAUSE_S + 0.1, "and is followed by the pause"
    assert found[-1][2] == pytest.approx(made.duration_s, abs=0.01)
    assert len(samples) / rate == pytest.approx(made.duration_s, abs=0.1)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_ffprobe_reads_the_same_chapters_and_tags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "b.m4b"
    arguments = [str(epub(tmp_path / "b.epub")), "-o", str(path), "--engine", "espeak", "--subtitles", "vtt"]
    assert main("say", [*arguments, "--chapter-voice", "2-3=espeak:en-us"]) == 0
    told = capsys.readouterr().err
    assert "chapter 2 of 3: Dos · " in told and " left\n" in told and ", 3 chapters\n" in told
    command = "ffprobe -v error -of json -show_chapters -show_format -show_streams".split()
    shown = json.loads(subprocess.run([*command, path], check=True, capture_output=True).stdout)
    tags = shown["format"]["tags"]
    assert (tags["title"], tags["artist"], tags["major_brand"]) == (
        "La casa & el río",
        "Ana Ruiz, Bo Li",
        "M4B ",
    )
    assert tags["comment"] == synthetic_mark.TAGS["comment"]
    assert [each["tags"]["title"] for each in shown["chapters"]] == ["Uno", "Dos", "Tres"]
    for each, (_, start, end) in zip(shown["chapters"], marks(path), strict=True):
        assert float(each["start_time"]) == pytest.approx(start, abs=0.002)
        assert float(each["end_time"]) == pytest.approx(end, abs=0.002)
    pictures = [each for each in shown["streams"] if each["disposition"]["attached_pic"]]
    assert [(each["codec_name"], each["width"], each["height"]) for each in pictures] == [("png", 8, 6)]
    assert COVER in path.read_bytes()
    cues = (tmp_path / "b.vtt").read_text(encoding="utf-8")
    assert cues.startswith("WEBVTT\n\n")
    assert "\nCapítulo uno\n\n" in cues and "\nCapítulo dos\n\n" in cues, "a heading is a caption"
    minute, second = re.findall(r"^00:(\d\d):(\d\d\.\d+) --> .*\nEl tren sale tarde\.", cues, re.MULTILINE)[0]
    assert 60 * int(minute) + float(second) == pytest.approx(marks(path)[2][1], abs=0.1)


@pytest.mark.parametrize("ending", [".m4b", ".mp3"])
def test_jpeg_cover_is_in_the_file(tmp_path: Path, speech: kani.Speech, ending: str) -> None:
    picture, path = jpeg(48, 64), tmp_path / f"b{ending}"
    package = PACKAGE.replace("cover.png", "cover.jpg").replace("image/png", "image/jpeg")
    changes = {"OEBPS/book.opf": package, "OEBPS/cover.png": None, "OEBPS/cover.jpg": picture}
    book = read_book(epub(tmp_path / "b.epub", changes))
    make_audiobook(book, path, MANNER, Speaker(speech), report=io.StringIO())
    with av.open(str(path)) as container:
        (video,) = container.streams.video
        assert video.disposition & Disposition.attached_pic
        assert (video.codec_context.name, video.width, video.height) == ("mjpeg", 48, 64)
        assert [bytes(packet) for packet in container.demux(video) if packet.size] == [picture]
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert isinstance(frame, av.VideoFrame)
        assert np.abs(frame.to_ndarray(format="gray").astype(int) - 99).max() < 4
    assert len(decoded(path)[0]), "the sound is there, too"


def make(
    path: Path, speech: kani.Speech, book: Book = BOOK, manner: Manner = MANNER, most: int = 100
) -> tuple[Made, Speaker, str]:
    """Make a book; returns with it who spoke and what was reported."""
    report, speaker = io.StringIO(), Speaker(speech, most)
    return make_audiobook(book, path, manner, speaker, report=report), speaker, report.getvalue()


@pytest.fixture
def interrupted(tmp_path: Path, speech: kani.Speech) -> Path:
    """The path of ``BOOK``; two pieces of it are spoken."""
    path = tmp_path / "b.m4b"
    with pytest.raises(ConnectionError):
        make(path, speech, most=2)
    assert not path.exists()
    return path


def test_a_second_run_speaks_only_what_is_missing(
    tmp_path: Path, speech: kani.Speech, interrupted: Path
) -> None:
    make(tmp_path / "whole.m4b", speech)
    made, speaker, report = make(interrupted, speech)
    assert (made.reused, len(speaker.spoken)) == (2, 1)
    assert report.startswith("2 of 3 pieces are spoken already\n") and "changed" not in report
    assert np.array_equal(decoded(interrupted)[0], decoded(tmp_path / "whole.m4b")[0])


def test_a_text_that_comes_twice_is_spoken_and_counted_once(tmp_path: Path, speech: kani.Speech) -> None:
    said = [f"The {animal} sleeps." for animal in ("dog", "dog", "cat")]
    book = Book("Twice", "", "en", tuple(Chapter(str(n), (text,)) for n, text in enumerate(said)))
    _, speaker, report = make(tmp_path / "b.m4b", speech, book)
    assert [text for text, _ in speaker.spoken] == ["The dog sleeps.", "The cat sleeps."]
    assert "3 of 3: 2 · 50 %" in report


def test_readings_of_words_are_in_no_subtitle(tmp_path: Path, speech: kani.Speech) -> None:
    path = tmp_path / "b.m4b"
    book = Book("B", "", "en", (Chapter("1", ("｜NASA《ナサ》 came. The dog sleeps.",)),))
    make_audiobook(book, path, MANNER, Speaker(speech), subtitles="srt", report=io.StringIO())
    written = path.with_suffix(".srt").read_text(encoding="utf-8")
    assert "\nNASA came.\n" in written and "《" not in written


def test_damaged_pieces_are_spoken_again(speech: kani.Speech, interrupted: Path) -> None:
    parts = interrupted.with_name("b.m4b.parts")
    sound = sorted(parts.glob("*.flac"))[0]
    sound.write_bytes(sound.read_bytes()[:-100])
    (parts / "manifest.json").write_text("{", encoding="utf-8")
    _, speaker, report = make(interrupted, speech)
    assert len(speaker.spoken) == 2
    assert report.startswith("changed since the last run: manifest\n1 of 3")


def test_only_a_changed_text_or_voice_is_spoken_again(speech: kani.Speech, interrupted: Path) -> None:
    changed = Book(*("The house", "", "en"), (Chapter("1", ("Another beginning.",)), *BOOK.chapters[1:]))
    manner = Manner("espeak", "1", language="en", voices={3: "espeak:en-us"})
    made, speaker, report = make(interrupted, speech, changed, manner)
    assert report.startswith("changed since the last run: text, voices\n1 of 3 pieces")
    assert [voice for _, voice in speaker.spoken] == [None, "espeak:en-us"]
    assert (speaker.spoken[0][0], made.reused) == ("Another beginning.", 1)


def test_two_processes_do_not_make_the_same_book(tmp_path: Path, speech: kani.Speech) -> None:
    path = tmp_path / "b.m4b"
    with WorkFolder(path), pytest.raises(AlreadyRunning, match="another kani-tts makes this book"):
        make(path, speech)


def test_chapters_are_listed_of_books_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("say", [str(epub(tmp_path / "b.epub")), "--chapters"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "La casa & el río, Ana Ruiz, Bo Li",
        "   1  Uno (39 characters)",
        "   2  Dos (29 characters)",
        "   3  Tres (19 characters)",
    ]
    with pytest.raises(SystemExit):
        main("say", ["Hola", "--chapters"])
    assert "are for books" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("b.epub", "a book needs a file to be written to, such as -o book.m4b"),
        ("b.epub -o b.wav", "b.wav: a book's file has to end with one of .m4b, .m4a, .mp3"),
        ("b.epub -o b.m4b --chapter-voice 9=x", "--chapter-voice 9=x: must be N=ID or N-M=ID, with chapters"),
        ("b.epub -o b.m4b --chapter-voice x", "with chapters from 1 to 3"),
        ("b.epub -o b.m4b --chapter-voice 1=nobody", "'nobody' is no voice; python -m kani voices lists"),
        ("missing.epub -o b.m4b", "missing.epub"),
    ],
)
def test_options_that_cannot_be_followed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    epub(tmp_path / "b.epub")
    assert main("say", [*command.split(), "--engine", "espeak"]) == 2
    assert message in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["b.epub"]


def test_progress_tells_the_time_left_by_what_this_run_has_spoken() -> None:
    now = [0.0]
    output = io.StringIO()
    progress = Progress(1_000, 500, output, lambda: now[0])
    progress.show("chapter 1")
    for seconds, place in ((10.0, "chapter 1"), (40.0, "chapter 1"), (50.0, "chapter 2")):
        progress.add(100)
        now[0] = seconds
        progress.show(place)
    assert output.getvalue().splitlines() == [
        "chapter 1 · 50 %",
        "chapter 1 · 70 % · 60 s left",
        "chapter 2 · 80 % · 33 s left",
    ]


@pytest.mark.server
def test_killed_at_any_time_it_goes_on(tmp_path: Path) -> None:
    book, whole, output = tmp_path / "b.txt", tmp_path / "whole.m4b", tmp_path / "b.m4b"
    chapters = (f"Chapter {n}\n\n" + f"The dog of house {n} sleeps. " * 6 for n in range(1, 9))
    book.write_text("\n\n".join(chapters), encoding="utf-8")
    command = ("-m", "kani", "say", book, "--engine", "espeak", "-o")
    python(*command, whole)
    for moment in ("chapter 3 of 8", "chapter 6 of 8", "writing b.m4b"):
        begun = [sys.executable, *command, output]
        with subprocess.Popen(begun, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert any(line.startswith(moment) for line in process.stderr), moment
            process.kill()
        assert not output.exists()
    reused = re.match(r"(\d+) of (\d+) pieces are spoken already", python(*command, output).stderr)
    assert reused is not None and reused[1] == reused[2]
    assert marks(output) == marks(whole)
    assert np.array_equal(decoded(output)[0], decoded(whole)[0])
    assert not (tmp_path / "b.m4b.parts").exists()
