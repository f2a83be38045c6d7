"""Repeated and lost words in joined, repeated and accented speech.

The first table counts recordings of ``hard_recordings`` with letters too many ("repeated"),
too few ("lost"), or others ("misheard"), as files and live, with the language given and detected. The second
compares plain utterances: the words without a language with those with it, in several runs.

Three hundred recordings take hours on two cores. With ``--transcripts FILE`` a run that was cut off goes on
where it ended; several processes can share the recordings by ``--first`` and ``--count``, each with a file of
its own, and a run over all of them joined prints the table.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from benchmarks.recognition.hard_recordings import Recording, hard, plain, speaker
from benchmarks.recognition.streams import recognized_words, started_recognizer
from benchmarks.report import report_section, table
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples
from kani.engines.whisper.engine import WhisperRecognizer
from tests.judges.judge import edit_distance, words_of

OTHER_SCRIPTS = ("zh", "ja", "hi")
RUN = {"zh": 5, "ja": 5}
DEFAULT_RUN = 9
"""Letters too many or too few that are more than a misheard word; by language, and of others."""

MISHEARD = 0.5
"""Wrong letters, relative to all, from which on a transcript of the right length is another text."""

ALIKE = 0.8
"""Similarity of two transcripts from which on they are the same but for single words."""

FAULTS = ("repeated", "lost", "misheard")
WAYS = ("file", "file, no language", "live", "live, no language")


@dataclass(frozen=True, slots=True)
class Heard:
    """Transcripts of one recording, by way."""

    recording: Recording
    texts: Mapping[str, str]

    def fault(self, way: str) -> str:
        """Return "repeated", "lost", "misheard" or nothing."""
        run = RUN.get(self.recording.language, DEFAULT_RUN)
        language = self.recording.language
        said, got = spelled(self.recording.text, language), spelled(self.texts[way], language)
        if abs(len(got) - len(said)) >= run:
            return "repeated" if len(got) > len(said) else "lost"
        return "misheard" if edit_distance(said, got) > MISHEARD * len(said) else ""


def letters(text: str) -> str:
    """Normalise ``text`` for comparison: lower-case letters, vowel marks and digits, without spaces."""
    return re.sub(r"[^\w\u0300-\u036f\u0900-\u0963]|_", "", unicodedata.normalize("NFC", text).lower())


def spelled(text: str, language: str) -> str:
    """Return the letters of ``text``, small numbers as words where the judge knows them."""
    return letters(text if language in OTHER_SCRIPTS else "".join(words_of(text, language)))


async def _once(samples: Samples) -> AsyncIterator[Samples]:
    yield samples


async def hear(recognizer: WhisperRecognizer, samples: Samples, way: str, language: str) -> str:
    """Return the transcript in one of ``WAYS``."""
    given = None if way.endswith("no language") else language
    if way.startswith("live"):
        return " ".join(word.text for word in await recognized_words(recognizer, samples, given))
    options = TranscriptionOptions(language=given)
    return "".join([one.text async for one in recognizer.transcribe(_once(samples), options)])


class Transcripts:
    """Transcripts of recordings, written to a file as they come: one JSON object a line.

    A recording is known by its kind, voices, gap and text; the file is of one version of the recogniser.
    """

    def __init__(self, file: Path | None) -> None:
        """file: is read, if it exists, and appended to; without one nothing is kept."""
        self._file = file
        self._texts: dict[tuple[str, ...], dict[str, str]] = {}
        if file is not None and file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                *key, texts = json.loads(line)
                self._texts[tuple(key)] = texts

    async def of(self, recognizer: WhisperRecognizer, recording: Recording) -> dict[str, str]:
        """Return the transcripts of a recording by way, and hear it if the file has none."""
        key = (recording.kind, recording.language, recording.how, recording.text)
        if (kept := self._texts.get(key)) is not None:
            return kept
        texts = {way: await hear(recognizer, recording.samples, way, recording.language) for way in WAYS}
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([*key, texts], ensure_ascii=False) + "\n")
        return texts


async def faults(
    recognizer: WhisperRecognizer,
    recordings: AsyncIterator[Recording],
    transcripts: Transcripts,
    *,
    verbose: bool,
) -> None:
    """Print the recordings with repeated and lost words."""
    counts: dict[tuple[str, bool], Counter[str]] = defaultdict(Counter)
    async for recording in recordings:
        texts = await transcripts.of(recognizer, recording)
        heard, found = Heard(recording, texts), counts[recording.kind, recording.tuning]
        found["recordings"] += 1
        for way in WAYS:
            fault = heard.fault(way)
            found[f"{way}: {fault}"] += 1
            if fault and verbose:
                print(
                    f"{fault} ({way}; {recording.kind}, {recording.how}): {recording.text}\n  {texts[way]}",
                    flush=True,
                )
    head = ("kind", "texts", "recordings", *(f"{way}: repeated / lost / misheard" for way in WAYS))
    rows = [
        [
            kind,
            "tuning" if tuning else "held out",
            str(found["recordings"]),
            *(" / ".join(str(found[f"{way}: {fault}"]) for fault in FAULTS) for way in WAYS),
        ]
        for (kind, tuning), found in sorted(counts.items())
    ]
    print(table(head, rows) + "\n", flush=True)


async def unnamed(
    recognizer: WhisperRecognizer, recordings: AsyncIterator[Recording], runs: int, *, verbose: bool
) -> None:
    """Print how recordings without a language compare with those with it."""
    counts: dict[str, Counter[str]] = {way: Counter() for way in ("file", "live")}
    async for recording in recordings:
        for way, found in counts.items():
            samples, language = recording.samples, recording.language
            named = letters(await hear(recognizer, samples, way, language))
            texts = [await hear(recognizer, samples, f"{way}, no language", language) for _ in range(runs)]
            same = SequenceMatcher(None, named, letters(texts[0]), autojunk=False).ratio()
            found["recordings"] += 1
            found["equal"] += letters(texts[0]) == named
            found["alike"] += same >= ALIKE
            found["stable"] += len(set(texts)) == 1
            if verbose and (same < ALIKE or len(set(texts)) > 1):
                print(
                    f"{way}, {language}, {recording.how}: {recording.text}\n  {named}\n  {texts}", flush=True
                )
    head = ("way", "recordings", "words equal to those with the language", "alike", f"equal in {runs} runs")
    rows = [
        [way, *(str(found[name]) for name in ("recordings", "equal", "alike", "stable"))]
        for way, found in counts.items()
    ]
    print(table(head, rows) + "\n", flush=True)


async def measure(given: argparse.Namespace) -> None:
    """Print both tables."""
    async with speaker() as speaking, started_recognizer() as recognizer:
        if given.count:
            recordings, transcripts = hard(speaking, given.count, given.first), Transcripts(given.transcripts)
            await faults(recognizer, recordings, transcripts, verbose=given.verbose)
        if given.utterances:
            await unnamed(recognizer, plain(speaking, given.utterances), given.runs, verbose=given.verbose)


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recognition.repeats", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="joined, repeated and accented recordings")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them, from 0")
    parser.add_argument("--transcripts", type=Path, help="file that keeps what was heard in them")
    parser.add_argument("--utterances", type=int, default=100, help="utterances without a language")
    parser.add_argument("--runs", type=int, default=3, help="how often each utterance is heard")
    parser.add_argument("--verbose", action="store_true", help="print each transcript that is wrong")
    given = parser.parse_args()
    with report_section("Repeats and losses", "ctranslate2", "faster-whisper"):
        asyncio.run(measure(given))


if __name__ == "__main__":
    main()
