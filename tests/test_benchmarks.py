"""The benchmarks' own arithmetic; nothing here takes time or judges it."""

import ast

import numpy as np
import pytest

from benchmarks import sentences
from benchmarks.playback_client import first_audible_s, leading_silence, playback_starts, stalls
from benchmarks.recognition import clips
from benchmarks.report import median, percentile
from tests.running.sources import ROOT
from tests.support.programs import python, ran


def test_a_percentile_is_a_value_that_was_measured():
    values = [float(value) for value in range(100)]
    assert percentile(values, 99) == 98.0
    assert percentile([3.0, 1.0], 99) == 3.0
    assert median([1.0, 2.0]) == 1.5


def test_a_piece_is_played_when_it_is_there_and_the_one_before_it_was_heard():
    arrivals, durations = [1.0, 1.1, 4.0, 4.1], [1.0, 1.0, 1.0, 1.0]
    assert playback_starts(arrivals, durations) == [1.0, 2.0, 4.0, 5.0]
    assert stalls(arrivals, durations) == [0.0, 1.0, 0.0]


def test_silence_before_the_first_sound_is_waited_for():
    samples = np.zeros(1000, np.float32)
    samples[100:] = 0.01
    samples[700:] = 1.0
    assert leading_silence(samples) == 700
    assert first_audible_s(samples, 1000, [2.0], [1.0]) == pytest.approx(2.7)
    assert first_audible_s(samples, 1000, [2.0, 9.0], [0.5, 0.5]) == pytest.approx(9.2)
    assert first_audible_s(np.zeros(1000, np.float32), 1000, [2.0], [1.0]) == float("inf")


@pytest.mark.parametrize("group", [sentences.WITH_EARLY_PHRASE, sentences.WITHOUT_EARLY_PHRASE])
def test_sentences_begin_as_their_group_says(group):
    for _, text in sentences.mixed(group):
        early = any(word.endswith((",", ";", ":")) for word in text.split()[:6])
        assert early == (group is sentences.WITH_EARLY_PHRASE), text


def test_held_out_sentences_stand_nowhere_else():
    held_out = [text for _, text in sentences.mixed(sentences.HELD_OUT)]
    assert len(held_out) == len(set(held_out)) == 40
    tracked = ran("git", "ls-files", "-z")
    kinds = (".py", ".md", ".toml", ".txt", ".html", ".js", ".json", ".yml")
    files = [ROOT / name for name in tracked.stdout.split("\0") if name.endswith(kinds)]
    assert len(files) > 500
    for file in files:
        if file.name != "held_out.txt":
            content = file.read_text(encoding="utf-8")
            assert not [text for text in held_out if text in content], file


def test_held_out_sentences_are_imported_by_judging_programs_alone():
    judging = {"kokoro/student/__main__", "kokoro/words", "recognition/alignment", "recognition/clips"}
    files = [
        file for room in ("benchmarks", "kani", "kani_text", "tools") for file in (ROOT / room).rglob("*.py")
    ]
    importing = {
        file.relative_to(ROOT).with_suffix("").as_posix().removeprefix("benchmarks/")
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and any(name.name == "HELD_OUT" for name in node.names)
    }
    assert importing == judging


@pytest.mark.parametrize("language", ["es", "en", "fr"])
def test_the_recogniser_is_tuned_on_none_of_the_sentences_that_are_held_out(language):
    tuned_on = set(clips.sentences(language))
    judged_on = {text for _, text in sentences.mixed(sentences.HELD_OUT)}
    judged_on |= {*sentences.EVERYDAY[language], sentences.ARTICLE_1[language]}
    assert len(tuned_on) >= 30
    assert not tuned_on & judged_on


@pytest.mark.server
def test_a_benchmark_without_its_packages_says_how_to_install_them():
    code = "import runpy, sys; sys.modules['psutil'] = None; runpy.run_module('benchmarks.text.normalizer')"
    done = python("-c", code, code=1)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert "the benchmarks need psutil: pip install psutil" in done.stderr
