"""Recognition in eleven languages, and the answers that the recogniser's own rules drop.

Kokoro speaks es, en, fr, it, pt, zh, ja and hi; espeak-ng the others. Errors on its robotic speech say little
about human speech, but dropped and missing answers show all the same. For comparison the same weights in
faster-whisper, greedily and without any rule.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import soxr

from benchmarks import single_engine
from benchmarks.recognition.sentences import ARTICLE_1, EVERYDAY
from benchmarks.recognition.streams import recognized_words, started_recognizer
from benchmarks.report import report_section, table
from kani.core.engine import Engine
from kani.core.types import Samples
from kani.engines.whisper.engine import WhisperRecognizer
from kani.runtime.voice_detector import SAMPLE_RATE
from tests.judges.judge import edit_distance, whisper

KOKORO = ("es", "en", "fr", "it", "pt")
SILENCE_S = 0.5
LANGUAGES = tuple(EVERYDAY)

_RULES = {"not speech": "too many tokens", "repeat": "repetition", "improbable": "improbable"}

_HEAD = (
    "language",
    "spoken by",
    "passages",
    "characters wrong",
    "the same weights, no rules",
    "passages with no word",
    *(f"dropped: {rule}" for rule in _RULES.values()),
)


@dataclass(slots=True)
class Found:
    """Counts of one language: passages, characters, and wrong characters of both recognisers."""

    passages: int = 0
    characters: int = 0
    ours: int = 0
    theirs: int = 0
    silent: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


class Dropped(logging.Handler):
    """Counts the answers that the recogniser drops, by its rule."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.found: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler.emit``."""
        self.found.update(rule for part, rule in _RULES.items() if part in record.getMessage())


def letters(text: str) -> str:
    """Normalise ``text`` for comparison: lower-case letters, vowel marks and digits, without spaces."""
    return re.sub(r"[^\w\u0300-\u036f\u0900-\u0963]|_", "", unicodedata.normalize("NFC", text).lower())


def unruled(samples: Samples, language: str) -> str:
    """Transcribe by faster-whisper, greedily, with none of its own thresholds."""
    segments, _ = whisper().transcribe(
        samples,
        language=language,
        beam_size=1,
        temperature=0.0,
        compression_ratio_threshold=None,
        log_prob_threshold=None,
        no_speech_threshold=None,
        condition_on_previous_text=False,
    )
    return "".join(segment.text for segment in segments)


async def measure(recognizer: WhisperRecognizer, engine: Engine, language: str) -> Found:
    """Measure all passages of one language."""
    found, dropped = Found(), Dropped()
    logger = logging.getLogger("kani.engines.whisper.live_pass")
    logger.addHandler(dropped)
    quiet = np.zeros(int(SILENCE_S * SAMPLE_RATE), np.float32)
    for text in (ARTICLE_1[language], *EVERYDAY[language]):
        spoken = await single_engine.speak(engine, language, text)
        samples = soxr.resample(spoken.samples, spoken.sample_rate, SAMPLE_RATE).astype(np.float32)
        samples = np.concatenate([quiet, samples, quiet])
        ours = "".join(word.text for word in await recognized_words(recognizer, samples, language))
        expected, recognized = letters(text), letters(ours)
        found.passages += 1
        found.characters += len(expected)
        found.ours += edit_distance(expected, recognized)
        found.theirs += edit_distance(expected, letters(unruled(samples, language)))
        found.silent += not recognized
    logger.removeHandler(dropped)
    found.dropped = dropped.found
    return found


async def measured() -> None:
    """Print the table row by row."""
    async with (
        started_recognizer() as recognizer,
        single_engine.started_engine("kokoro") as kokoro,
        single_engine.started_engine("espeak") as espeak,
    ):
        for language in LANGUAGES:
            engine = kokoro if language in KOKORO else espeak
            found = await measure(recognizer, engine, language)
            cells = (
                language,
                engine.info.name,
                str(found.passages),
                f"{found.ours / found.characters:.0%}",
                f"{found.theirs / found.characters:.0%}",
                str(found.silent),
                *(str(found.dropped[rule]) for rule in _RULES.values()),
            )
            print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Run the command line."""
    argparse.ArgumentParser(
        prog="python -m benchmarks.recognition.languages",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    with report_section("Recognition, by language", "ctranslate2", "faster-whisper"):
        logging.getLogger("kani.engines.whisper.live_pass").setLevel(logging.DEBUG)
        print(table(_HEAD, ()), flush=True)
        asyncio.run(measured())


if __name__ == "__main__":
    main()
