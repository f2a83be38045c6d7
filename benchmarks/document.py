"""Write docs/benchmarks.md and its charts from benchmarks/results.

A result is what a program wrote with ``BENCHMARK_RESULT=FILE`` (``benchmarks.report``). Its file is named
QUESTION.avx2.json or QUESTION.vnni.json, by the processor. ``python -m benchmarks.document --write`` writes
the page; without ``--write`` the page is printed.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.chart import Points, line_chart
from benchmarks.report import markdown

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
PROCESSORS = {"avx2": "AVX2", "vnni": "AVX-512 with VNNI"}
NOT_MEASURED = "not measured"
LENGTHS = ("about 4 s", "about 7 s", "about 15 s")
PRESENT = ("decoder litert of", "decoder student of")
"""Beginnings of notes that say what is so by default."""

HELPERS = {"kani.nemo", "kokoro.student.mos", "text.language_detection_peers", "text.normalizer_peers"}
"""Scripts that a program starts, most of them in the judges' environment; they have no command line."""

LATE_AT_MOST = 0.01
"""Share of late pieces up to which streams count as playing without gaps."""

BEGUN_WITHIN_MS = 2000
"""Longest wait for a stream's first sound."""

INTRODUCTION = """# Benchmarks

How fast and how good is the server on two cores without a GPU? Measure it on your machine, in
[the environment](../README.md#install-and-speak):

```bash
pip install -r requirements/dev-all.txt
python -m benchmarks.server.own_share        # what the server adds to the engine: 3 min
```

Each answer below was printed by a program, which the second table names. These start their own
server on a free port, compare in turn within one run, and say how much of the processor other programs
had meanwhile."""

ELSEWHERE = """**Which processor do you have?** Those that multiply bytes quickly (VNNI) are listed apart.
On Linux this prints `avx512_vnni` or `avx_vnni` if yours does: `grep -o -m1 -w -e avx512_vnni -e avx_vnni
/proc/cpuinfo`. With AVX2 only, the students speak English, Spanish, French, Italian and Portuguese. On ARM
and on Apple silicon nothing was measured; Kokoro's decoder runs on them, but on no GPU.
[The Kani model does](kani.md#on-a-gpu)."""

MACHINES = "Two cores, 24 GiB, Linux."
PROGRAMS = (
    "`python -m benchmarks.document --programs` lists them, `python -m benchmarks.NAME --help` tells of each."
)

END = """## Where the figures come from

`BENCHMARK_RESULT=FILE python -m benchmarks.PROGRAM` also writes a run, with its machine, versions, date
and load, to a file. [benchmarks/results](../benchmarks/results) holds such files. Notes on
single subjects are in [measurements](measurements/README.md)."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its answers, and the results that they come from."""

    asked: str
    results: tuple[str, ...]
    answer: Callable[[str], str]
    """Takes a processor's name, ``avx2`` or ``vnni``; raises FileNotFoundError where a result is missing."""
    peer: Callable[[], str] = lambda: "none"


@cache
def result(name: str) -> dict[str, Any]:
    """Return a result by its file's name; FileNotFoundError if there is none."""
    loaded: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def rows(name: str, column: str) -> list[dict[str, str]]:
    """Return the rows of the first table of a result that has a column, as cells by column."""
    for table in result(name)["tables"]:
        if column in table["head"]:
            return [dict(zip(table["head"], row, strict=True)) for row in table["rows"]]
    raise KeyError(f"{name}: no column {column!r}")


def cell(name: str, column: str, *labels: str) -> str:
    """Return the cell of the first row that has a cell beginning with each label."""
    for row in rows(name, column):
        if all(any(cell.startswith(label) for cell in row.values()) for label in labels):
            return row[column]
    raise KeyError(f"{name}: no row {labels!r}")


def number(text: str) -> float:
    """Return the number that a cell begins with."""
    return float(text.split()[0].rstrip("%"))


def first_sounds(processor: str, by: str = "Kokoro") -> list[str]:
    """Return the median first audio of each length; by: "Kokoro", or its "student"."""
    return [cell(f"student_sound.{processor}", "first audio, median", length, by) for length in LENGTHS]


def _first(processor: str) -> str:
    return ", ".join(first_sounds(processor)) + (
        f"; by the English student {', '.join(first_sounds(processor, 'student'))}"
    )


def streams(processor: str) -> list[tuple[int, float, dict[str, str]]]:
    """Return the number of streams that begin together, their share of late pieces, and the row.

    The rows are those of Kokoro's own decoder.
    """
    found = []
    for row in rows(f"streams.{processor}", "late pieces"):
        if not row.get("decoder", "").startswith("onnx") and row.get("begun", "together") == "together":
            late, _, pieces = row["late pieces"].partition(" of ")
            found.append((int(row["streams"]), int(late) / int(pieces or 1), row))
    return found


def _streams(processor: str) -> str:
    # Streams beyond the number of slots wait for one.
    played = [
        one
        for one in streams(processor)
        if one[1] <= LATE_AT_MOST and number(one[2]["last"]) <= BEGUN_WITHIN_MS
    ]
    count, share, row = max(played, key=lambda one: one[0])
    pieces = f"{row['late pieces']} pieces late" if share else "no piece late"
    cost = row["processor seconds for a second of audio"]
    first = f"first sound after {row['first audio, median']}, of the last one after {row['last']}"
    return f"{count} ({pieces}; {first}); {cost} processor seconds a second. {_student_streams(processor)}"


def _student_streams(processor: str) -> str:
    """Return the most streams of the student that play without a late piece."""
    tried = rows(f"student_streams.{processor}", "late pieces")
    row = [row for row in tried if row["late pieces"].startswith("0 of")][-1]
    cost = number(row["server's processor s a second"])
    return f"By the students in five languages {row['streams']} (no piece late); {cost:.2f}"


def _whole_sentence(processor: str) -> str:
    own, light = (", ".join(_real_time_factors(processor, who)) for who in ("this server", "its students"))
    return f"{own} of its length (4, 7, 15 s); by the students {light}"


def _real_time_factors(processor: str, who: str) -> list[str]:
    name = f"whole_sentence.{processor}"
    return [f"{number(cell(name, 'real-time factor', length, who)):.2g}" for length in LENGTHS]


def _kokoro_onnx() -> str:
    """Return the times of PyPI's kokoro-onnx for whole sentences."""
    times = (
        f"{', '.join(_real_time_factors(processor, 'kokoro-onnx'))} with {name}"
        for processor, name in PROCESSORS.items()
    )
    return f"kokoro-onnx: {'; '.join(times)}"


def _start(processor: str) -> str:
    if processor == "avx2":
        start = cell("installation.avx2", "start to ready", "pip")
        return (
            f"{start}; from `pip install` to the first sound {cell('installation.avx2', 'together', 'pip')}"
        )
    return cell("start.vnni", "start to ready, median", "with the packages")


def _memory(processor: str) -> str:
    sizes = [row["resident"] for row in rows(f"memory.{processor}", "resident")]
    return f"{sizes[0]}; {sizes[-1]} after recordings, clones and requests by all protocols"


def _recordings(who: str) -> str:
    return cell("recordings.avx2", f"{who} wrong", "all")


def _live(processor: str) -> str:
    wrong = cell(f"live_words.{processor}", "wrong", "one stream")
    return f"{cell(f'live_words.{processor}', 'delay, median / p95', 'one stream')}; {wrong} wrong"


def _share(processor: str, column: str, clients: str) -> str:
    return cell(f"own_share.{processor}", column, f"the server's share, {clients}")


QUESTIONS = (
    Question(
        "How soon does a sentence of 4, 7, 15 s begin?",
        ("student_sound",),
        _first,
    ),
    Question(
        "How long does a whole sentence take?",
        ("whole_sentence",),
        _whole_sentence,
        _kokoro_onnx,
    ),
    Question("How many streams play without gaps?", ("streams", "student_streams"), _streams),
    Question(
        "How soon does an answer begin while a language model writes it?",
        ("written_text",),
        lambda processor: (
            f"{cell(f'written_text.{processor}', 'median', 'a clause end, voice')} after its first clause"
        ),
    ),
    Question("How long does a start take?", ("installation", "start"), _start),
    Question("How much memory does it take after the start?", ("memory",), _memory),
    Question(
        "How many of its words does whisper-base hear wrong?",
        ("words",),
        lambda processor: (
            f"{cell(f'words.{processor}', 'word error rate', 'streamed', 'both')} of "
            f"{cell(f'words.{processor}', 'words', 'streamed', 'both')} (es, en)"
        ),
    ),
    Question("How late are live words (median / 95 %), how many wrong?", ("live_words",), _live),
    Question(
        "How well is a recording transcribed?",
        ("recordings",),
        lambda processor: (
            f"{cell(f'recordings.{processor}', 'ours wrong', 'all')} of "
            f"{cell(f'recordings.{processor}', 'words', 'all')} words wrong"
        ),
        lambda: (
            f"faster-whisper, same weights: {_recordings('theirs')} wrong, in "
            f"{cell('recordings.avx2', 'ours / theirs', 'all')} times the time"
        ),
    ),
    Question(
        "What does the server add to the engine's first sound?",
        ("own_share",),
        lambda processor: (
            f"{_share(processor, 'median', 'one client')}; with 32 clients at 99 % "
            f"{_share(processor, 'p99', '32 clients')}"
        ),
    ),
)


def _answer(question: Question, processor: str) -> str:
    try:
        return question.answer(processor)
    except FileNotFoundError:
        return NOT_MEASURED


def _files(question: Question) -> list[str]:
    """Return the results of a question that are there."""
    names = [f"{name}.{processor}" for name in question.results for processor in PROCESSORS]
    return [name for name in names if (RESULTS / f"{name}.json").exists()]


def _table() -> str:
    head = ("", *PROCESSORS.values(), "beside it, in the same run")
    lines = [
        (f"**{at}. {one.asked}**", *(_answer(one, name) for name in PROCESSORS), one.peer())
        for at, one in enumerate(QUESTIONS, 1)
    ]
    return markdown(head, lines)


def _sources() -> str:
    lines, told = [], set()
    for at, question in enumerate(QUESTIONS, 1):
        for name in _files(question):
            one = result(name)
            if name not in told:
                told.add(name)
                notes = [note for note in one["notes"] if not note.startswith(PRESENT)]
                command = one["command"].removeprefix("python -m benchmarks.")
                machine, date = one["machine"].partition(",")[0], one["date"][: len("2026-11-20")]
                lines.append((str(at), f"`{command}`", machine, date, one["others"], "; ".join(notes)))
    return markdown(("question", "program", "machine", "date", "other programs", "notes"), lines)


def programs(room: Path = RESULTS.parent) -> dict[str, str]:
    """Return what each program of a folder that has a command line measures, by its module's name there."""
    found = {}
    for file in sorted(room.rglob("*.py")):
        name = ".".join(file.relative_to(room).with_suffix("").parts).removesuffix(".__main__")
        module = ast.parse(file.read_text(encoding="utf-8"))
        runs = any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in module.body)
        if runs and name not in HELPERS:
            found[name] = " ".join((ast.get_docstring(module) or "").partition("\n\n")[0].split())
    return found


def charts() -> dict[str, str]:
    """Return the charts by their file's name in docs/."""
    seconds = [float(length.split()[1]) for length in LENGTHS]
    first: dict[str, Points] = {
        name: [*zip(seconds, map(number, first_sounds(processor)), strict=True)]
        for processor, name in PROCESSORS.items()
    }
    late: dict[str, Points] = {
        name: [(count, 100 * share) for count, share, _ in streams(processor)]
        for processor, name in PROCESSORS.items()
    }
    return {
        "benchmarks_first_sound.svg": line_chart(
            "Time to the first sound", "length of the sentence, s", "ms", first
        ),
        "benchmarks_streams.svg": line_chart("Pieces that come late", "streams at once", "% of all", late),
    }


def document() -> str:
    """Return the text of docs/benchmarks.md."""
    parts = [INTRODUCTION, "## Ten questions", ELSEWHERE, _table()]
    parts += [
        # CHANGELOG.md links here.
        '<a id="prosody-in-steps"></a>',
        "![Time to the first sound by the length of the sentence](benchmarks_first_sound.svg)",
        "![Share of late pieces by the number of streams, for both processors](benchmarks_streams.svg)",
        *("## Machines", MACHINES, _sources(), "## Programs", PROGRAMS),
        END,
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.document",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--write", action="store_true", help="write docs/benchmarks.md and its charts")
    options.add_argument("--programs", action="store_true", help="list what each program measures")
    given = options.parse_args()
    if given.programs:
        print(*(f"{name}: {about}" for name, about in programs().items()), sep="\n")
    elif given.write:
        PAGE.write_text(document(), encoding="utf-8")
        for name, drawn in charts().items():
            (PAGE.parent / name).write_text(drawn, encoding="utf-8")
    else:
        print(document())


if __name__ == "__main__":
    main()
