"""The web page in Chromium while the processor is busy with other work: gaps and the first sound.

Twenty sentences are spoken on the idle machine, and again while a process of the usual priority keeps each
core busy. A gap is a moment at which the jitter buffer ran dry before the sentence ended.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
from playwright.sync_api import sync_playwright

from benchmarks.kokoro_decoder.sockets import wait_until_loaded
from benchmarks.kokoro_decoder.windows import LITERT
from benchmarks.report import ms, percentile, report_section, table
from benchmarks.server.page import arrive, speak
from benchmarks.server_process import Server
from tests.page.visitor import Visitor, find_browser

SENTENCES = (
    "The birds are singing in the garden this morning.",
    "What shall we talk about today, while the sun is out?",
    "Every word is lit at the moment at which it is heard.",
    "The train to the coast leaves at half past nine from platform four.",
    "She closed the book, looked out of the window, and began to laugh.",
    "If the rain stops before noon, we could still walk up to the old castle.",
    "Please leave the keys on the table and lock the door behind you.",
    "There were more people at the market than anybody had expected.",
    "He had never seen so many stars, not even in the desert.",
    "The recipe needs two eggs, a little milk, and a great deal of patience.",
)

BUSY = """
import sys, time
share, cycle = float(sys.argv[1]), 0.05
while True:
    began = time.perf_counter()
    while time.perf_counter() - began < share * cycle:
        pass
    time.sleep((1 - share) * cycle)
"""


@dataclass
class Figures:
    """Results of the sentences: seconds to the first sound, sentences with gaps, gaps."""

    first: list[float] = field(default_factory=list)
    broken: int = 0
    gaps: int = 0


@contextmanager
def busy(share: float) -> Iterator[None]:
    """Keep each core busy for a share of its time."""
    command = [sys.executable, "-c", BUSY, str(share)]
    running = [subprocess.Popen(command) for _ in range(psutil.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in running:
            process.terminate()
            process.wait()


def measure(visitor: Visitor, rounds: int) -> Figures:
    """Speak all sentences."""
    figures = Figures()
    for sentence in SENTENCES * rounds:
        figures.first.append(speak(visitor, sentence)[0])
        # The stream also rests at the end of its last samples, but its state is "ended" then.
        dry = visitor.page.evaluate("seen.anchors.filter(({ kind }) => kind === 'dry').length")
        figures.gaps += dry
        figures.broken += dry > 0
    return figures


def row(state: str, figures: Figures) -> list[str]:
    """Return a row of the table."""
    first = [ms(percentile(figures.first, percent)) for percent in (50, 95)]
    return [
        state,
        f"{figures.broken} of {len(figures.first)}",
        str(figures.gaps),
        *first,
        ms(max(figures.first)),
    ]


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.server.page_load", description=__doc__)
    options.add_argument("--share", type=float, default=0.8, help="of each core's time that other work takes")
    options.add_argument("--rounds", type=int, default=2, help="times that each of ten sentences is spoken")
    options.add_argument("--engine", default="kokoro")
    given = options.parse_args()
    path = find_browser()
    if path is None:
        raise SystemExit("no Chromium is installed here")
    with (
        report_section("The web page on a busy processor", "playwright"),
        sync_playwright() as playwright,
        Server("--engine", given.engine) as server,
    ):
        if given.engine == "kokoro":
            wait_until_loaded(server, LITERT)
        browser = playwright.chromium.launch(executable_path=path)
        visitor = arrive(browser, server, "en")
        speak(visitor, SENTENCES[0])
        rows = [row("idle", measure(visitor, given.rounds))]
        with busy(given.share):
            rows.append(row(f"{given.share:.0%} busy", measure(visitor, given.rounds)))
        browser.close()
        print(table(("other work", "sentences with a gap", "gaps", "first sound", "95 %", "worst"), rows))


if __name__ == "__main__":
    main()
