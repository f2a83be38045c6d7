"""Words wrong when people speak: live, in recordings, and by faster-whisper.

    python -m benchmarks.recognition.people --people FOLDER TEXTS ...

Each FOLDER has recordings in English. Each line of its TEXTS is ``name: words``, what is said in name.wav, as
Asterisk's core-sounds-en.txt has it; other files of the folder are left out. Live, a recording is the only
stream, and its time stands still while a pass is computed, which counts as ``--pass-s``. Delays count from
the end of a word as the recogniser tells it.

    apt-get install asterisk-core-sounds-en-wav pocketsphinx-testdata    # CC BY-SA 3.0; BSD-2-Clause
    pip download --no-deps moonshine-voice==0.1.5                       # MIT; you write down its words
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.recognition.diarization.recordings import read
from benchmarks.recognition.measures import spelled
from benchmarks.recognition.people.virtual_time import heard_live
from benchmarks.recognition.recordings import ours, theirs
from benchmarks.recognition.streams import seconds, started_recognizer
from benchmarks.report import report_section, table
from kani.core.recognizer import RecognizedWord
from kani.core.types import Samples
from kani.engines.whisper.checkpoint.finding import read_base
from kani.engines.whisper.live_pass import transcribe
from kani.engines.whisper.model import Whisper
from kani.runtime.voice_detector import SAMPLE_RATE, VoiceDetector
from tests.judges.judge import whisper, words_of, wrong_words

LANGUAGE = "en"
BEFORE_S, AFTER_S = 0.3, 1.0
"""Silence around a recording, as a microphone that stays open has it."""

PASS_S = 0.25
"""Seconds of a live pass, as one core of an AMD EPYC with VNNI takes them."""

_HEAD = (
    *("people", "recordings", "speech", "words", "wrong live", "wrong in recordings", "faster-whisper"),
    *("first word after", "words after, median / p95", "passes a second"),
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A recording of a person, with silence around it."""

    text: str
    samples: Samples  # at ``SAMPLE_RATE``


def recordings(folder: Path, texts: Path) -> list[Spoken]:
    """Return the recordings of a folder that have a line. Raises FileNotFoundError for a line without one."""
    before, after = (np.zeros(round(edge_s * SAMPLE_RATE), np.float32) for edge_s in (BEFORE_S, AFTER_S))
    found = []
    for line in texts.read_text(encoding="utf-8").splitlines():
        name, colon, text = line.partition(": ")
        if not colon:
            continue
        samples = np.concatenate([before, read(folder / f"{name}.wav"), after])
        found.append(Spoken(text.strip(), samples))
    return found


def model() -> Whisper:
    """Load the recogniser's weights, for passes on one core."""
    return Whisper(read_base(), 1)


def live(spoken: Sequence[Spoken], pass_s: float) -> tuple[list[str], list[str]]:
    """Return what is heard of each recording, and the cells that tell how late and with how many passes."""
    detector, recognize, passes = VoiceDetector(), partial(transcribe, model()), 0
    texts, first, all_ = list[str](), list[float](), list[float]()
    for one in spoken:
        events, count = heard_live(one.samples, LANGUAGE, detector.stream(), recognize, pass_s)
        words = [(at_s, event) for at_s, event in events if isinstance(event, RecognizedWord)]
        late = [at_s - word.end_s for at_s, word in words]
        first += late[:1]
        all_ += late
        texts.append(" ".join(word.text for _, word in words))
        passes += count
    per_second = passes * SAMPLE_RATE / sum(len(one.samples) for one in spoken)
    return texts, [seconds(first), f"{seconds(all_)} / {seconds(all_, 95)}", f"{per_second:.1f}"]


async def in_recordings(spoken: Sequence[Spoken]) -> list[str]:
    """Return what is heard of each recording where it is sent as a file."""
    async with started_recognizer() as recognizer:
        return [(await ours(recognizer, one.samples, LANGUAGE)).text for one in spoken]


def compared(name: str, spoken: Sequence[Spoken], pass_s: float, *, only_live: bool) -> list[str]:
    """Return a row of the table."""
    texts, delays = live(spoken, pass_s)
    heard = [texts]
    if not only_live:
        heard.append(asyncio.run(in_recordings(spoken)))
        heard.append([theirs(whisper(), one.samples, LANGUAGE).text for one in spoken])
    words = sum(len(words_of(spelled(one.text, LANGUAGE), LANGUAGE)) for one in spoken)
    speech_s = sum(len(one.samples) for one in spoken) / SAMPLE_RATE - len(spoken) * (BEFORE_S + AFTER_S)
    wrong = [sum(map(wrong_in, spoken, each)) for each in heard]
    shares = [f"{each} ({each / words:.1%})" for each in wrong]
    shares += [""] * (3 - len(shares))
    return [name, str(len(spoken)), f"{speech_s:.0f} s", str(words), *shares, *delays]


def wrong_in(one: Spoken, text: str) -> int:
    """Return the number of wrong words in what was heard of a recording."""
    return wrong_words(spelled(one.text, LANGUAGE), spelled(text, LANGUAGE), LANGUAGE)[0]


def main() -> None:
    """Read the options, and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recognition.people",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--people",
        type=Path,
        nargs=2,
        action="append",
        required=True,
        metavar=("FOLDER", "TEXTS"),
        help="a folder of recordings, and what is said in them",
    )
    parser.add_argument("--pass-s", type=float, default=PASS_S, help=f"seconds of a live pass ({PASS_S})")
    parser.add_argument("--only-live", action="store_true", help="not as recordings")
    options = parser.parse_args()
    with report_section("Recognition of people", "ctranslate2", "faster-whisper"):
        rows = [
            compared(texts.stem, recordings(folder, texts), options.pass_s, only_live=options.only_live)
            for folder, texts in options.people
        ]
        print(table(_HEAD, rows))


if __name__ == "__main__":
    main()
