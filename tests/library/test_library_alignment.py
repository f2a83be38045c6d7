"""``Recognizer.align`` and ``kani-tts align``: the words of a given text in a recording."""

import json
import re
import resource
import sys
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pytest

import kani
from benchmarks.sentences import texts
from kani.cli.main import main
from kani.core.audio.pcm import wav
from kani.core.session import alignment
from kani.core.timing.recording_aligner import RecordingAligner
from kani.core.types import Samples
from tests.library.recorded_texts import RATE, RecordedText, errors_ms, music, recorded

OTHER = "Cuando el barco zarpó nadie sabía que volvería sin velas, sin capitán y con la bodega llena. Al día"
READ_ALOUD = "Cada mañana leo en voz alta una página entera, despacio y con cuidado, para quien quiera oírla."
PER_LANGUAGE = 2


@pytest.fixture(scope="module")
def recognizer() -> Iterator[kani.Recognizer]:
    with kani.Recognizer() as opened:
        yield opened


@pytest.fixture(scope="module")
def story(speech: kani.Speech) -> RecordedText:
    """espeak-ng's speech, a fifth faster than its reference voice, which is an easy case."""
    lines = texts("everyday")["es"][:4]
    return recorded([speech.say(line, voice="espeak:es-419", language="es", speed=1.2) for line in lines], 1)


@pytest.mark.parametrize("gain", [1.0, 0.005])
def test_words_are_found_between_silence_noise_and_music(
    recognizer: kani.Recognizer, story: RecordedText, gain: float
) -> None:
    aligned = recognizer.align((story.samples * np.float32(gain), RATE), story.text)
    assert (aligned.language, aligned.fits) == ("es", True) and aligned.confidence > 0.8
    assert np.percentile(errors_ms(aligned.words, story), 95) < 60
    assert aligned.duration_s == pytest.approx(len(story.samples) / RATE, abs=0.01)
    ends = [word.end_s for word in aligned.words]
    starts = [word.start_s for word in aligned.words]
    assert all(start <= end <= after for start, end, after in zip(starts, ends, starts[1:], strict=False))


@pytest.mark.parametrize("heard", [0, 1])
def test_words_are_found_where_the_detector_hears_hardly_a_voice(
    recognizer: kani.Recognizer, story: RecordedText, monkeypatch: pytest.MonkeyPatch, heard: int
) -> None:
    def hard_of_hearing(voices: Callable[[Samples], list[float]]) -> RecordingAligner:
        chunks = chain(repeat(0.0, 20), repeat(1.0, heard), repeat(0.0))
        return RecordingAligner(lambda samples: [next(chunks) for _ in voices(samples)])

    monkeypatch.setattr(alignment, "RecordingAligner", hard_of_hearing)
    aligned = recognizer.align((story.samples, RATE), story.text)
    assert aligned.fits and np.median(errors_ms(aligned.words, story)) < 60


def test_text_that_is_not_spoken_is_said_not_to_fit(recognizer: kani.Recognizer, story: RecordedText) -> None:
    aligned = recognizer.align((story.samples, RATE), OTHER)
    assert not aligned.fits and aligned.confidence < 0.45
    sounds = recognizer.align((music(8), RATE), OTHER)
    assert not sounds.fits


def test_a_like_voice_makes_no_other_text_fit_and_a_telephone_leaves_the_right_one(
    recognizer: kani.Recognizer, speech: kani.Speech
) -> None:
    """The reference voice's own sentence, like which any text sounds in part; and one in a narrow band."""
    said = speech.say(READ_ALOUD, voice="espeak:es", language="es")
    other = "Seven grey horses drew the heavy waggon slowly across the frozen river before nightfall."
    assert not recognizer.align((said.samples, said.sample_rate), other).fits
    spectrum = np.fft.rfft(said.samples)
    hertz = np.fft.rfftfreq(len(said.samples), 1 / said.sample_rate)
    spectrum[(hertz < 300) | (hertz > 3400)] = 0
    noise = np.random.default_rng(1).normal(0, 0.01, len(said.samples))
    narrow = (np.fft.irfft(spectrum, len(said.samples)) + noise).astype(np.float32)
    assert recognizer.align((narrow, said.sample_rate), READ_ALOUD).fits


def test_part_that_is_not_spoken_has_low_confidence_and_the_rest_its_times(
    recognizer: kani.Recognizer, story: RecordedText
) -> None:
    aligned = recognizer.align((story.samples, RATE), f"{story.text}{OTHER}")
    count = len(story.starts)
    assert np.median(errors_ms(aligned.words[:count], story)) < 40
    said, unsaid = (
        np.mean([word.confidence for word in words])
        for words in (aligned.words[:count], aligned.words[count:])
    )
    assert said > 0.7 and unsaid < 0.3


@pytest.mark.parametrize(
    ("text", "language", "message"),
    [
        ("", None, "text: has no words"),
        ("¿…?", None, "text: has no words"),
        ("a " * 150_001, None, r"text: too long \(at most 300000 characters\)"),
        ("Hola.", "xyzzy!", "xyzzy!"),
        (5, None, "text: must be a text"),
    ],
)
def test_wrong_argument_is_named(
    recognizer: kani.Recognizer, text: str, language: str | None, message: str
) -> None:
    with pytest.raises(kani.InvalidRequest, match=message):
        recognizer.align((np.zeros(RATE, np.float32), RATE), text, language=language)


def test_text_that_takes_much_longer_than_its_recording_is_refused(
    recognizer: kani.Recognizer, story: RecordedText, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alignment, "MAX_UNSAID_S", 20.0)
    with pytest.raises(kani.InvalidRequest, match=r"text: takes too long to be said \(here at most 24 s\)"):
        recognizer.align((story.samples[:RATE], RATE), story.text * 5)


def test_words_with_odd_characters_keep_their_places(
    recognizer: kani.Recognizer, story: RecordedText
) -> None:
    odd = "\x00 \ue000\u202e <b>😀</b> \ufeff".join(story.text.split(" "))
    aligned = recognizer.align((story.samples, RATE), odd)
    found = [word for word in aligned.words if word.confidence > 0.5]
    assert len(found) > 0.8 * len(story.starts) and aligned.text == odd
    assert np.percentile([min(abs(word.start_s - at) for _, at in story.starts) for word in found], 80) < 0.1


def test_file_that_is_no_recording_is_named(recognizer: kani.Recognizer) -> None:
    with pytest.raises(kani.InvalidRequest, match="file: is damaged"):
        recognizer.align(b"no sound, " * 100, "Hola.")


@pytest.mark.parametrize("ending", ["srt", "vtt", "json"])
def test_command_writes_subtitles_and_words(story: RecordedText, tmp_path: Path, ending: str) -> None:
    (tmp_path / "a.wav").write_bytes(wav(story.samples, RATE))
    (tmp_path / "a.txt").write_text(story.text, "utf-8")
    output = tmp_path / f"a.{ending}"
    assert main(["align", str(tmp_path / "a.wav"), str(tmp_path / "a.txt"), "-o", str(output)]) == 0
    written = output.read_text("utf-8")
    if ending == "json":
        words = [
            kani.Word(word["text"], word["start_s"], word["end_s"]) for word in json.loads(written)["words"]
        ]
        assert np.median(errors_ms(words, story)) < 40
    else:
        assert written.count("-->") >= 4 and story.starts[0][0] in written


def test_command_says_what_does_not_fit(
    story: RecordedText, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.wav").write_bytes(wav(story.samples, RATE))
    assert main(["align", str(tmp_path / "a.wav"), OTHER]) == 0
    said = capsys.readouterr()
    assert re.search(r"a\.wav: the text does not fit: 0\.[0-4]\d of 1", said.err)
    assert "barco" in said.out
    assert main(["align", str(tmp_path / "a.wav"), OTHER, "-o", "a.doc"]) == 2


@pytest.mark.heard
def test_words_of_the_default_voices_are_found_in_six_languages(recognizer: kani.Recognizer) -> None:
    errors = list[float]()
    with kani.Speech() as speech:
        for seed, language in enumerate(("en", "es", "fr", "it", "pt", "hi")):
            lines = texts("everyday")[language][:PER_LANGUAGE]
            recording = recorded([speech.say(line, language=language) for line in lines], seed)
            aligned = recognizer.align((recording.samples, RATE), recording.text, language=language)
            errors += errors_ms(aligned.words, recording)
    assert np.median(errors) <= 40 and np.percentile(errors, 95) <= 120


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such measure of memory")
def test_length_costs_little_memory(recognizer: kani.Recognizer, story: RecordedText) -> None:
    recognizer.align((story.samples, RATE), story.text)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    repeats = round(400 * RATE / len(story.samples))
    aligned = recognizer.align((np.tile(story.samples, repeats), RATE), story.text * repeats)
    assert aligned.fits
    samples = 3 * aligned.duration_s * RATE * 4  # the given ones, and those of the file that they become
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < samples + (100 << 20)
