"""A student in training beside its teacher: how good it is, from step to step.

WORK is the folder of ``python -m tools.student``. The teacher, and the students that were kept on the way,
speak the held-out sentences. whisper-base counts their wrong words, DNSMOS rates them,
and the speaker encoder tells how like the teacher they are. --pictures writes words.svg and distances.svg.

DNSMOS needs another environment (tests/judges/requirements-judges.txt); KANI_JUDGE_PYTHON names its python.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.chart import line_chart
from benchmarks.kokoro.student.judging import NO_JUDGE, embeddings, likeness, mos_scores, word_errors
from benchmarks.report import report_section, table
from kani.core.types import Samples
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE
from kani.engines.kokoro.student.files import StudentFiles
from tools.student.__main__ import HELD_OUT_FOLDER, KEPT_FOLDER, TEXTS_FILE, VOICE_FILE
from tools.student.export import speak
from tools.student.targets import Target, read_shard
from tools.student.training import CURVE

TEACHER = "teacher"
MEASURED = ("duration", "pitch", "energy", "sound")
"""Columns of the curve without ``held_out_``."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The judges' figures of one speaker."""

    wrong: int
    words: int
    mos: float | None
    likeness: float
    seconds: float


def held_out(work: Path) -> Iterator[tuple[str, Target]]:
    """Yield the held-out sentences: text, and what the teacher made of it."""
    texts = (work / HELD_OUT_FOLDER / TEXTS_FILE).read_text(encoding="utf-8").splitlines()
    targets = (
        target for shard in sorted((work / HELD_OUT_FOLDER).glob("*.npz")) for target in read_shard(shard)
    )
    yield from zip(texts, targets, strict=True)


def kept(work: Path) -> dict[int, Path]:
    """List the folders of the students that were kept, by step."""
    return {int(folder.name): folder for folder in sorted((work / KEPT_FOLDER).iterdir())}


def judge(
    texts: Sequence[str], speakers: Mapping[str, Sequence[Samples]], language: str
) -> dict[str, Judged]:
    """Judge what each speaker said of ``texts``."""
    scores = mos_scores([samples for said in speakers.values() for samples in said])
    found, teacher = {}, embeddings(speakers[TEACHER])
    for at, (name, said) in enumerate(speakers.items()):
        wrong, words = (sum(error[place] for error in word_errors(texts, said, language)) for place in (0, 1))
        own = scores[at * len(texts) : (at + 1) * len(texts)] if scores else []
        found[name] = Judged(
            wrong,
            words,
            float(np.mean(own)) if own else None,
            likeness(teacher, embeddings(said)),
            sum(map(len, said)) / SAMPLE_RATE,
        )
    return found


def curve(work: Path) -> dict[int, dict[str, float]]:
    """Read the distances on held-out sentences, by step."""
    with (work / CURVE).open(newline="", encoding="utf-8") as lines:
        return {
            int(row["step"]): {name: float(row[f"held_out_{name}"]) for name in MEASURED}
            for row in csv.DictReader(lines)
        }


def report(work: Path, count: int, threads: int) -> dict[str, Judged]:
    """Print the judges' table and the curve."""
    texts, targets = zip(*list(held_out(work))[:count], strict=True)
    language = (work / VOICE_FILE).read_text(encoding="utf-8").split()[1]
    speakers = {TEACHER: [target.samples for target in targets]}
    speakers |= {
        f"{step} steps": speak(StudentFiles.read(folder), targets, threads)
        for step, folder in kept(work).items()
    }
    found = judge(texts, speakers, language)
    teacher, distances = found[TEACHER], curve(work)
    rows = [
        [
            *(name, f"{one.wrong} of {one.words}", f"{one.wrong / max(teacher.wrong, 1):.2f}"),
            *_points(one.mos, teacher.mos),
            f"{one.likeness / teacher.likeness:.3f}",
            f"{one.seconds / teacher.seconds:.3f}",
        ]
        for name, one in found.items()
    ]
    head = (
        *("", "words wrong", "÷ teacher's", "DNSMOS", "less teacher's"),
        *("likeness ÷ teacher's", "length ÷ teacher's"),
    )
    print(f"{len(texts)} held-out sentences:\n\n{table(head, rows)}\n")
    if teacher.mos is None:
        print(f"DNSMOS: {NO_JUDGE}\n")
    print(
        table(
            ("steps", "frames a symbol", "pitch, cents", "energy", "spectra"),
            [[str(step), *(f"{row[name]:.3f}" for name in MEASURED)] for step, row in distances.items()],
        )
        + "\n",
        flush=True,
    )
    return found


def _points(own: float | None, teacher: float | None) -> tuple[str, str]:
    return ("–", "–") if own is None or teacher is None else (f"{own:.3f}", f"{own - teacher:+.3f}")


def draw(folder: Path, work: Path, found: Mapping[str, Judged]) -> None:
    """Write the pictures."""
    steps, distances = list(kept(work)), curve(work)
    teacher, *students = (100 * one.wrong / one.words for one in found.values())
    lines = {
        "student": list(zip(steps, students, strict=True)),
        TEACHER: [(steps[0], teacher), (steps[-1], teacher)],
    }
    words = line_chart("Words heard wrong", "steps", "per cent", lines)
    first = distances[min(distances)]
    parts = {
        name: [(step, row[name] / first[name]) for step, row in distances.items()]
        for name in ("duration", "pitch", "sound")
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "words.svg").write_text(words, encoding="utf-8")
    chart = line_chart("Distance to the teacher", "steps", "relative to the start", parts)
    (folder / "distances.svg").write_text(chart, encoding="utf-8")


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.kokoro.student.taught",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("work", type=Path, help="--work of the training")
    options.add_argument("--sentences", type=int, default=50, help="at most so many")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--pictures", type=Path, metavar="FOLDER")
    given = options.parse_args()
    with report_section("Student in training", "faster-whisper"):
        found = report(given.work, given.sentences, given.threads)
    if given.pictures:
        draw(given.pictures, given.work, found)


if __name__ == "__main__":
    main()
