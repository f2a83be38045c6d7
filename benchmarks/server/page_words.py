"""The web page in Chromium: how near a word's light is to its sound, also of numbers, money, quotes, tags.

A word is lit when the document changes; it is heard when the clock of the audio output
(``AudioContext.getOutputTimestamp``) reaches the sample at which the server says it begins. A word that was
never lit counts as a miss. Nothing in the page knows that it is measured.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.report import ms, percentile, report_section, table
from benchmarks.server.page import arrive, speak
from benchmarks.server_process import Server
from tests.page.visitor import Visitor, find_browser

NEAR_S = 0.06
"""A word is lit in time if its light is no farther from its sound."""

NEVER_S = float("inf")

TEXTS = {
    "plain": (
        "The birds are singing in the garden this morning, and the sun is out.",
        "What shall we talk about today? Every word is lit at the moment at which it is heard.",
    ),
    "numbers": (
        "On 3/4/2024 at 7:05 p.m. about 1,250 people walked 12.5 km in 90 minutes.",
        "Chapter 21 begins on page 307, and the 2nd edition has 14 more.",
    ),
    "money": ("It costs $1,250.50 today, or €99 a month; last year it was £3.2 million.",),
    "quotes": (
        'She said "not today" (or so I heard), and he answered: «Perhaps — tomorrow».',
        "“Who's there?” asked the king; 'nobody', said the wind.",
    ),
    "tags": (
        "Read the <b>bold</b> words & the **strong** ones, then `print(1)` and go on.",
        "# Title\n\n- first point\n- second point with a [link](https://example.com/a?b=1)\n\nThe end.",
    ),
}
"""Texts by what is hard in them."""


def lateness(visitor: Visitor, text: str) -> Iterator[tuple[str, float]]:
    """Yield each spoken word of the last text, and the seconds from its sound to its light."""
    seen: dict[str, Any] = visitor.page.evaluate("seen")
    playing = [anchor for anchor in seen["anchors"] if anchor["kind"] == "playing"]
    spans = [span for frame in visitor.frames for span in frame.metadata["spans"]]
    for start, end, start_s, end_s in spans:
        word = text[start:end]
        if end_s <= start_s or not (found := re.search(r"\w", word)):
            continue
        at = start + found.start()
        lights = [light for light in seen["lit"] if light[1] <= at < light[1] + light[4]]
        if not lights:
            yield word, NEVER_S
            continue
        anchor = [anchor for anchor in playing if anchor["position"] <= start_s + 1e-6][-1]
        heard_s = anchor["time"] + start_s - anchor["position"]
        lit_at, _, context_s, context_at, _ = lights[0]
        yield word, (lit_at - context_at) / 1000 - (heard_s - context_s)


def measure(visitor: Visitor, texts: Sequence[str], rounds: int) -> list[tuple[str, float]]:
    """Speak the texts; return their words and how late each was lit."""
    late: list[tuple[str, float]] = []
    for text in list(texts) * rounds:
        speak(visitor, text)
        late.extend(lateness(visitor, text))
    return late


def row(engine: str, kind: str, late: Sequence[tuple[str, float]]) -> list[str]:
    """Return a row of the table."""
    apart = [abs(seconds) for _, seconds in late]
    near = sum(seconds <= NEAR_S for seconds in apart)
    lit = [seconds for seconds in apart if seconds != NEVER_S]
    figures = [ms(percentile(lit, percent)) for percent in (50, 95)]
    missed = sorted({word for word, seconds in late if abs(seconds) > NEAR_S})
    return [engine, kind, str(len(apart)), *figures, f"{near / len(apart):.1%}", " ".join(missed[:8]) or "–"]


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.server.page_words", description=__doc__)
    options.add_argument("--rounds", type=int, default=3, help="times that each text is spoken")
    options.add_argument("--engine", action="append", help="engines; espeak and kokoro by default")
    given = options.parse_args()
    path = find_browser()
    if path is None:
        raise SystemExit("no Chromium is installed here")
    with (
        report_section("Words lit on the web page in Chromium", "playwright"),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path)
        rows = []
        for engine in given.engine or ("espeak", "kokoro"):
            with Server("--engine", engine) as server:
                visitor = arrive(browser, server, "en")
                speak(visitor, TEXTS["plain"][0])
                every: list[tuple[str, float]] = []
                for kind, texts in TEXTS.items():
                    late = measure(visitor, texts, given.rounds)
                    rows.append(row(engine, kind, late))
                    every += late
                rows.append(row(engine, "all", every))
                visitor.page.context.close()
        browser.close()
        head = ("engine", "texts", "words", "median", "95 %", "within 60 ms", "words that were not")
        print(table(head, rows))


if __name__ == "__main__":
    main()
