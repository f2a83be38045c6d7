"""Times of given texts in recordings: how far the words' starts are off, and the processor time of an hour.

Kokoro speaks sentences that nothing was tuned on, ten of each language, and knows its words' times; silence,
noise and music lie between them. The hour is of the first language's recording, many times over.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import kani
from benchmarks.report import table
from benchmarks.sentences import HELD_OUT, texts
from tests.library.recorded_texts import RATE, errors_ms, recorded

SENTENCES = 10
HOUR_S = 3600


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recognition.alignment", description=__doc__)
    parser.add_argument("--languages", default="en,es,fr,it,pt")
    parser.add_argument("--hour", action="store_true", help="measure the processor time as well")
    given = parser.parse_args()
    lines = {**texts("students"), **HELD_OUT}
    rows, every = [], list[float]()
    with kani.Speech("kokoro") as speech, kani.Recognizer() as recognizer:
        for seed, language in enumerate(given.languages.split(",")):
            spoken = [speech.say(line, language=language) for line in lines[language][:SENTENCES]]
            recording = recorded(spoken, seed)
            found = recognizer.align((recording.samples, RATE), recording.text, language=language)
            errors = errors_ms(found.words, recording)
            every += errors
            rows.append((language, *_figures(errors), f"{found.confidence:.2f}"))
            if given.hour and not seed:
                times = round(HOUR_S * RATE / len(recording.samples))
                samples, began_s = np.tile(recording.samples, times), time.process_time()
                recognizer.align((samples, RATE), recording.text * times, language=language)
                print(f"an hour of {language}: {time.process_time() - began_s:.0f} s of processor time")
    rows.append(("all", *_figures(every), ""))
    print(table(("language", "words", "median ms", "95 % ms", "confidence"), rows))


def _figures(errors: list[float]) -> list[str]:
    return [str(len(errors)), *(f"{np.percentile(errors, share):.0f}" for share in (50, 95))]


if __name__ == "__main__":
    main()
