"""Memory and chapter marks of a long audiobook, by ``kani-tts say`` in several runs.

A run ends after ``--seconds``, by SIGKILL; the same command with the same folder goes on. The last run checks
the file: its chapters as FFmpeg reads them, against the silence before each in the decoded sound, and the
words of its subtitles against the book's.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import numpy as np
import psutil
from av.container import InputContainer

from benchmarks.report import median, mib, ms, report_section, table
from benchmarks.sentences import WITH_EARLY_PHRASE, WITHOUT_EARLY_PHRASE, WITHOUT_INNER_MARK
from kani.books.audio_file import CHAPTER_PAUSE_S

PROGRAM = "python -m benchmarks.text.long_book"
ROOT = Path(__file__).parents[2]
WORDS_A_CHAPTER = 2_500
SAMPLE_EVERY_S = 5.0
SETTLED_AFTER = 5
"""Pieces of a run after which its memory is measured: models are loaded, and their buffers made."""

LOUD, AROUND_S = 0.01, 4.0
"""Least amplitude of sound, and the seconds before and after a mark in which it is looked for."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory of the program and its children in bytes, and the pieces spoken until then."""

    run: int
    seconds: float
    pieces: int
    memory: int


def book_text(words: int) -> str:
    """Return a book of that many words, the same each time, in chapters; no two pieces are the same."""
    groups = (WITH_EARLY_PHRASE, WITHOUT_EARLY_PHRASE, WITHOUT_INNER_MARK)
    sentences = [sentence for group in groups for sentence in group["en"]]
    chance, chapters, left = random.Random(1), [], words
    while left > 0:
        paragraphs, wanted = [f"Chapter {len(chapters) + 1}"], min(left, WORDS_A_CHAPTER)
        while wanted > 0:
            paragraph = " ".join(chance.choices(sentences, k=8))
            paragraphs.append(paragraph)
            wanted -= len(paragraph.split())
            left -= len(paragraph.split())
        chapters.append("\n\n".join(paragraphs))
    return "\n\n".join(chapters)


def spoken_pieces(parts: Path) -> int:
    """Count the pieces that are whole."""
    return sum(path.name != "manifest.json" for path in parts.glob("*.json"))


def memory_of(process: psutil.Process) -> int:
    """Return the bytes of a process and its children, what they share counted once; 0 once it has ended."""
    found = 0
    try:
        for one in (process, *process.children(recursive=True)):
            found += one.memory_full_info().pss
    except psutil.NoSuchProcess:
        pass
    return found


def run(book: Path, output: Path, engine: str, seconds: float, number: int) -> Iterator[Sample]:
    """Make the book for some seconds; yields samples of its memory."""
    command = [sys.executable, "-m", "kani", "say", str(book), "-o", str(output), "--engine", engine]
    command += ["--language", "en", "--subtitles", "srt"]
    parts, begun = output.with_name(output.name + ".parts"), time.monotonic()
    with (output.parent / "log").open("a", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=ROOT, stderr=log)
        try:
            while process.poll() is None and (spent_s := time.monotonic() - begun) < seconds:
                time.sleep(SAMPLE_EVERY_S)
                yield Sample(number, spent_s, spoken_pieces(parts), memory_of(psutil.Process(process.pid)))
        finally:
            process.kill()
            process.wait()
    if process.returncode not in (0, -9):
        raise SystemExit(f"kani-tts say ended with {process.returncode}: see {output.parent / 'log'}")


def mark_errors(path: Path) -> list[float]:
    """Return for each chapter but the first the seconds from its mark to its first sound.

    That is the sound after the longest silence around the mark. Raises SystemExit where there is none.
    """
    with av.open(str(path)) as container:
        marks = [float(each["start"] * each["time_base"]) for each in container.chapters()]
        return [_first_sound(container, mark) - mark for mark in marks[1:]]


def _first_sound(container: InputContainer, mark: float) -> float:
    stream = container.streams.audio[0]
    container.seek(round(max(mark - AROUND_S, 0) / stream.time_base), stream=stream)
    begin, pieces, length = None, [], 0
    for frame in container.decode(stream):
        begin = float((frame.pts or 0) * stream.time_base) if begin is None else begin
        pieces.append(frame.to_ndarray()[0])
        length += frame.samples
        if begin + length / stream.rate > mark + AROUND_S:
            break
    loud = np.flatnonzero(np.abs(np.concatenate(pieces)) > LOUD)
    longest = int(np.argmax(np.diff(loud)))
    if loud[longest + 1] - loud[longest] < (CHAPTER_PAUSE_S - 0.1) * stream.rate:
        raise SystemExit(f"there is no pause of a chapter around {mark:.1f} s")
    return (begin or 0.0) + int(loud[longest + 1]) / stream.rate


def subtitle_words(path: Path) -> list[str]:
    """Return the words of a SubRip file, in order."""
    cues = path.read_text(encoding="utf-8").strip().split("\n\n")
    return [word for cue in cues for line in cue.split("\n")[2:] for word in line.split()]


def quarters(settled: list[Sample], pieces: int) -> list[str]:
    """Return the median memory of the samples in each quarter of a book of that many pieces."""
    found: list[list[int]] = [[], [], [], []]
    for sample in settled:
        found[min(4 * sample.pieces // pieces, 3)].append(sample.memory)
    return [mib(median(one)) if one else "-" for one in found]


def report(samples: list[Sample], output: Path, engine: str, words: int) -> None:
    """Print the memory of each run, and the marks and words of a file that is complete."""
    rows, all_settled = [], []
    for number in sorted({sample.run for sample in samples}):
        of_run = [sample for sample in samples if sample.run == number and sample.memory]
        first = of_run[0].pieces if of_run else 0
        of_run = [each for each in of_run if each.pieces >= first + SETTLED_AFTER]
        settled = [each.memory for each in of_run]
        if not settled:
            continue
        all_settled += of_run
        rows.append(
            [
                str(number),
                f"{of_run[-1].seconds:.0f} s",
                f"{first} to {of_run[-1].pieces}",
                *map(mib, (settled[0], min(settled), max(settled), settled[-1])),
            ]
        )
    print(f"{words:,} words, {engine}\n")
    print(table(("run", "time", "pieces", "memory at first", "least", "most", "at the end"), rows) + "\n")
    if all_settled:
        of_quarters = quarters(all_settled, max(sample.pieces for sample in samples) or 1)
        print(table([f"quarter {number}" for number in range(1, 5)], [of_quarters]) + "\n")
    if output.exists():
        errors = mark_errors(output)
        with av.open(str(output)) as container:
            hours = (container.duration or 0) / av.time_base / 3600
        row = [f"{hours:.2f} h", str(len(errors) + 1), ms(max(map(abs, errors), default=0.0))]
        same = subtitle_words(output.with_suffix(".srt")) == book_text(words).split()
        row.append("the book's" if same else "others than the book's")
        print(table(("length", "chapters", "largest error of a mark", "words of the subtitles"), [row]))


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    options.add_argument("folder", type=Path, help="where the book is made, and found again")
    options.add_argument("--words", type=int, default=100_000)
    options.add_argument("--engine", default="espeak", help="as of kani-tts say (KANI_KOKORO_STUDENT counts)")
    options.add_argument("--seconds", type=float, default=200.0, help="of this run")
    given = options.parse_args()
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)
    book, output, kept = folder / "book.txt", folder / "book.m4b", folder / "memory.jsonl"
    book.write_text(book_text(given.words), encoding="utf-8")
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    samples = [Sample(**json.loads(line)) for line in lines]
    with report_section("The memory of an audiobook", "av"):
        if not output.exists():
            number = max((sample.run for sample in samples), default=0) + 1
            with kept.open("a", encoding="utf-8", buffering=1) as file:
                for sample in run(book, output, given.engine, given.seconds, number):
                    samples.append(sample)
                    file.write(json.dumps(asdict(sample)) + "\n")
        report(samples, output, given.engine, given.words)


if __name__ == "__main__":
    main()
