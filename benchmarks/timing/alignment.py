"""Accuracy of word times by forced alignment, for speech of engines that report none."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import soxr

from benchmarks.report import JUDGE_VARIABLE, percentile, report_section, table
from benchmarks.timing.alignment_sentences import UNSEEN, VOICES
from benchmarks.timing.alignment_speech import Spoken, speak
from kani.core.timing.aligner import Aligner
from kani.core.timing.word_times import LOOK_BACK_S
from kani.core.types import Samples, Span
from kani.text.words import word_spans
from tests.judges.judge import WHISPER_RATE, whisper, words_of

CHUNK_S = 0.08
"""Length of a chunk of speech, as Kani's."""

Find = Callable[[Spoken], Sequence[Span]]


@dataclass(slots=True)
class Found:
    """Result of one method: errors in seconds, and processor seconds."""

    words: list[float] = field(default_factory=list)
    letters: list[float] = field(default_factory=list)
    by_language: dict[str, list[float]] = field(default_factory=dict)
    to_find: int = 0
    used_s: float = 0.0
    audio_s: float = 0.0

    def add(self, spoken: Spoken, spans: Sequence[Span], used_s: float) -> None:
        """Compare the words of one sentence."""
        self.used_s += used_s
        self.audio_s += spoken.duration_s
        found = {span.start: span for span in spans}
        for index, true in enumerate(spoken.words):
            self.to_find += index > 0
            span = found.get(true.start)
            if span is None:
                continue
            if index:
                self.words.append(span.start_s - true.start_s)
                self.by_language.setdefault(spoken.language, []).append(self.words[-1])
            if span.end == true.end and span.character_starts and true.character_starts:
                self.letters += (
                    np.array(span.character_starts[1:]) - np.array(true.character_starts[1:])
                ).tolist()


def scaled(spoken: Spoken) -> Sequence[Span]:
    """espeak-ng's times, scaled to the length; neither has silence around it."""
    return Aligner(spoken.rendered, spoken.sample_rate, 0.0).scale_remaining(spoken.duration_s)


def whole(spoken: Spoken) -> Sequence[Span]:
    """Align complete speech."""
    aligner = Aligner(spoken.rendered, spoken.sample_rate, spoken.duration_s)
    return [*aligner.feed(spoken.samples), *aligner.finish()[0]]


def streamed(look_back_s: float) -> Find:
    """Align while the speech is generated."""

    def find(spoken: Spoken) -> Sequence[Span]:
        aligner = Aligner(spoken.rendered, spoken.sample_rate, look_back_s)
        step = round(CHUNK_S * spoken.sample_rate)
        spans: list[Span] = []
        for start in range(0, len(spoken.samples), step):
            spans += aligner.feed(spoken.samples[start : start + step])
        return spans + aligner.finish()[0]

    return find


def by_whisper(spoken: Spoken) -> Sequence[Span]:
    """Whisper's own times of the words it recognises that are in the text."""
    audio: Samples = soxr.resample(spoken.samples, spoken.sample_rate, WHISPER_RATE)
    segments, _ = whisper().transcribe(
        audio, language=spoken.language, beam_size=1, condition_on_previous_text=False, word_timestamps=True
    )
    heard = [(word.start, word.end, word.word) for segment in segments for word in segment.words or ()]
    said = word_spans(spoken.text, 0, len(spoken.text))
    same = SequenceMatcher(
        a=["".join(words_of(spoken.text[start:end], spoken.language)) for start, end in said],
        b=["".join(words_of(word, spoken.language)) for _, _, word in heard],
        autojunk=False,
    )
    pairs = [(block.a + i, block.b + i) for block in same.get_matching_blocks() for i in range(block.size)]
    return [Span(*said[ours], heard[theirs][0], heard[theirs][1]) for ours, theirs in pairs]


WAYS: dict[str, Find] = {
    "espeak-ng's times, scaled to the length": scaled,
    "whisper-base's word times": by_whisper,
    "aligned, whole": whole,
    **{
        f"aligned, streaming, {look_back_s} s of look-back": streamed(look_back_s)
        for look_back_s in (0.2, LOOK_BACK_S, 0.6)
    },
}


def judge(speech: Sequence[Spoken], find: Find) -> Found:
    """Time the words of all sentences."""
    found = Found()
    find(speech[0])
    for spoken in speech:
        begun = time.process_time()
        spans = find(spoken)
        found.add(spoken, spans, time.process_time() - begun)
    return found


def belongs(speech: Sequence[Spoken]) -> list[list[str]]:
    """Print mismatches detected for wrong and right texts."""
    mine = [(spoken, spoken.rendered) for spoken in speech]
    others = [
        (
            spoken,
            min(
                (
                    other.rendered
                    for other in speech
                    if other.language == spoken.language and other is not spoken
                ),
                key=lambda rendered: abs(len(rendered.samples) - len(spoken.rendered.samples)),
            ),
        )
        for spoken in speech
    ]
    elsewhere = [(spoken, speech[number - 1].rendered) for number, spoken in enumerate(speech)]
    rows = []
    for name, pairs in (
        ("its own text", mine),
        ("another text of its language, as long", others),
        ("another text of another language", elsewhere),
    ):
        noticed = 0
        for spoken, rendered in pairs:
            aligner = Aligner(rendered, spoken.sample_rate, LOOK_BACK_S)
            aligner.feed(spoken.samples)
            noticed += not aligner.finish()[1]
        rows.append([name, str(len(pairs)), str(noticed)])
    return rows


def row(name: str, errors: Sequence[float]) -> list[str]:
    """Mean, median, p95, maximum, and signed median of the errors, in milliseconds."""
    off = [abs(error) * 1000 for error in errors]
    figures = (np.mean(off), np.median(off), percentile(off, 95), max(off))
    return [name, str(len(off)), *(f"{figure:.0f}" for figure in figures), f"{np.median(errors) * 1000:+.0f}"]


def report(found: dict[str, Found]) -> None:
    """Print the results."""
    head = ("", "found", "mean", "median", "p95", "most", "middle, signed")
    cost = [f"{ours.used_s / ours.audio_s:.2%}" for ours in found.values()]
    rows = [
        [*row(name, ours.words), f"{len(ours.words) / ours.to_find:.0%}", core]
        for (name, ours), core in zip(found.items(), cost, strict=True)
    ]
    print("Starts of words, milliseconds off (goals: whole ≤ 23 mean, 62 p95; 0.4 s of look-back 26, 66):\n")
    print(table((*head, "of all", "of one core"), rows) + "\n")
    rows = [row(name, ours.letters) for name, ours in found.items() if ours.letters]
    print("Letters inside words, milliseconds off (goal: ≤ 23 mean and 60 p95):\n")
    print(table(head, rows) + "\n")
    ours = found[f"aligned, streaming, {LOOK_BACK_S} s of look-back"]
    rows = [row(language, errors) for language, errors in ours.by_language.items()]
    print(f"Starts of words by language, streaming, {LOOK_BACK_S} s of look-back:\n")
    print(table(head, rows) + "\n", flush=True)


def draw(found: dict[str, Found], out: Path) -> None:
    """Plot the share of words within each error."""
    python = os.environ.get(JUDGE_VARIABLE, "")
    if not python:
        raise SystemExit(
            f"no picture: {JUDGE_VARIABLE} names no environment with tests/judges/requirements-judges.txt"
        )
    with tempfile.TemporaryDirectory() as folder:
        errors = Path(folder) / "errors.npz"
        np.savez(errors, **{name: np.abs(ours.words) for name, ours in found.items()})
        program = Path(__file__).with_name("alignment_picture.py")
        # -P: or this folder's names would stand before the libraries'.
        subprocess.run([python, "-P", str(program), str(errors), str(out)], check=True)
    print(f"{out} is written.")


def main() -> None:
    """The command line."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.timing.alignment",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--picture", type=Path, metavar="OUT.png", help="draw the errors too")
    picture: Path | None = options.parse_args().picture
    with report_section("Words found in speech", "faster-whisper", "ctranslate2", "espeakng-loader"):
        speech = asyncio.run(speak(UNSEEN, VOICES))
        found = {name: judge(speech, find) for name, find in WAYS.items()}
        report(found)
        print("Texts that do not belong to the speech:\n")
        print(table(("the speech is given", "sentences", "noticed"), belongs(speech)) + "\n", flush=True)
        if picture is not None:
            draw(found, picture)


if __name__ == "__main__":
    main()
