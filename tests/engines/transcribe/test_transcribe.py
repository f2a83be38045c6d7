"""GGUF files by transcribe.cpp, of the judges' environment: the embedded Whisper base."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kani.core.errors import EngineUnavailable
from kani.core.transcriber import TranscribedSegment
from kani.engines.plugin import Resources
from kani.engines.plugin_settings import PluginSettings
from kani.engines.transcribe.plugin import find
from kani.engines.transcribe.recognizer import TranscribeRecognizer
from kani.runtime.recognition.heard_words import after, cut, is_speech, text_of, timed
from tests.engines.packages.life import resources, started
from tests.engines.transcribe.gguf_models import whisper_base
from tests.judges.judged import JUDGE_PYTHON, needs
from tests.runtime.test_hub import Hub
from tests.runtime.test_hub import hub as hub

RATE = 16_000


def heard(text: str, start_s: float = 0.0, end_s: float = 4.0) -> TranscribedSegment:
    return TranscribedSegment(text, start_s, end_s, language="en")


@pytest.mark.parametrize(
    ("known", "now", "left"),
    [
        ("", "the old bakery", "the old bakery"),
        ("The old", "the old bakery opens", "bakery opens"),
        ("the old bakery", "The Old Bakery. Opens early", "Opens early"),
        ("the old bakery", "the bold bakery opens", "opens"),
        ("the old bakery", "the bakery opens the door", "opens the door"),
        ("very very", "very very very good", "very good"),
        ("the old bakery", "", ""),
        # A number's digits are grouped anew as it goes on.
        ("8 1 4", "814-259", "259"),
        ("call 814-259", "call 814 259 603", "603"),
        ("814 259", "814-259,603 now", "603 now"),
        ("814 259", "814259.", ""),
        # It is spelled out, or no longer.
        ("19", "nineteen people", "people"),
        ("2024", "twenty twenty-four was a", "twenty-four was a"),
        ("nineteen", "19", ""),
    ],
)
def test_decided_words_are_left_out(known: str, now: str, left: str) -> None:
    words = timed([heard(now)], "en", [at / 10 for at in range(41)], 0.0)
    rest = after(cut(known, "en"), words)
    assert [one.word for one in rest] == cut(left, "en")
    assert all(one.start_s < one.end_s for one in rest)


def test_rest_of_a_number_keeps_to_the_spaces_of_its_language() -> None:
    for language, text in (("en", " 259"), ("ja", "259")):
        (rest,) = after(cut("814", language), timed([heard("814-259")], language, [0.0, 1.0], 0.0))
        assert (rest.word.text, text_of(rest.word.tokens)) == ("259", text)


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        (" Bonjour ! Vous « allez » bien ?", "fr", ["Bonjour!", "Vous", "«", "allez»", "bien?"]),
        ("今日は、いい。", "ja", ["今", "日", "は、", "い", "い。"]),
        ("これは machine learning です", "ja", [*"これは", "machine", "learning", *"です"]),
        ("ស្តី", "km", ["ស្", "តី"]),
    ],
)
def test_words_keep_their_text(text: str, language: str, words: list[str]) -> None:
    found = cut(text, language)
    assert [word.text for word in found] == words
    assert text_of([token for word in found for token in word.tokens]).strip() == text.strip()


def test_words_without_times_share_the_voice_of_their_sentence() -> None:
    voiced_s = [0.5, 1.0, 1.5, 3.0, 3.5]
    words = timed([heard("aa bb.", 0.0, 2.0), heard("cccc", 2.0, 4.0)], "en", voiced_s, 0.25)
    assert [(word.start_s, word.end_s) for word in words] == [(0.5, 0.5), (0.5, 1.5), (3.0, 3.5)]
    assert {word.probability for word in words} == {0.25}


@pytest.mark.parametrize(
    ("text", "seconds", "speech"),
    [("so it is", 0.5, True), ("word " * 40, 3.0, False), ("la" * 30, 60.0, False), ("", 1.0, True)],
)
def test_answers_that_nobody_says_are_dropped(text: str, seconds: float, *, speech: bool) -> None:
    assert is_speech([heard(text)], seconds) is speech


@pytest.mark.parametrize("names", [("a-Q8_0.gguf",), (), ("a-Q8_0.gguf", "b-q8_0.gguf")])
def test_repository_has_one_file_in_q8_0(
    tmp_path: Path, names: Sequence[str], hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    """The model has to be named."""
    hub.files = dict.fromkeys((*names, "a-F16.gguf"), b"weights")
    chosen, given = PluginSettings(), Resources(tmp_path, model="owner/name", may_fetch=True)
    for model, reason in ((None, "needs KANI_RECOGNIZER_MODEL"), ("nothing.gguf", "here nor a model's name")):
        with pytest.raises(EngineUnavailable, match=reason):
            TranscribeRecognizer(chosen, replace(given, model=model))
    if len(names) != 1:
        with pytest.raises(EngineUnavailable, match=rf"holds {len(names)} files .*q.*KANI_RECOGNIZER_MODEL"):
            find(chosen, given)
        # It is listed first.
        assert not any("/resolve/" in path for path in hub.asked)
        return
    assert Path(find(chosen, given)["file"]).name == names[0]
    assert "(1 MB, licence: an-open-licence" in caplog.text
    assert not any("F16" in path for path in hub.asked)
    # A larger one has more cores, and fewer copies.
    many = replace(given, threads=10_000)
    assert find(chosen, many) == find(chosen, given) | {"cores": os.cpu_count(), "copies": 1}


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("transcribe_cpp")
    return whisper_base(tmp_path_factory.mktemp("gguf") / "whisper-base.gguf")


def built(folder: Path, model: Path) -> TranscribeRecognizer:
    given = resources(folder, model=str(model), pythons={"transcribe": JUDGE_PYTHON}, threads=1)
    return TranscribeRecognizer(PluginSettings(), given)


def cut_off(folder: Path, base: Path, kept: float) -> Path:
    whole, path = base.read_bytes(), folder / "cut.gguf"
    path.write_bytes(whole[: int(len(whole) * kept)])
    return path


@pytest.mark.server
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
async def test_cut_file_is_refused(tmp_path: Path, base: Path, kept: float) -> None:
    with pytest.raises(EngineUnavailable, match=r"cut\.gguf.*name another one \(KANI_RECOGNIZER_MODEL"):
        async with started(built(tmp_path, cut_off(tmp_path, base, kept))):
            pass
