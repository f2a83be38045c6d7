"""Transcription of recordings beside faster-whisper's: wrong words, speed, memory.

The same weights in int8, the same number of threads, the same recordings, in turn. Kokoro's speech in three
languages and seven voices, with pauses of 0.4 to 2 s; one recording for each language.
"""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
import psutil
from faster_whisper import WhisperModel

from benchmarks.recognition.clips import LANGUAGES, SAMPLE_RATE, Clip, clips
from benchmarks.recognition.measures import spelled
from benchmarks.recognition.streams import started_recognizer
from benchmarks.report import report_section, table
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples
from kani.engines.whisper.engine import WhisperRecognizer
from tests.judges.judge import whisper, wrong_words

WORDS = 400
"""Words of the clips in each language."""

PIECE_S = 30.0
"""Seconds of audio that are read at a time, as the server reads a file."""

_HEAD = ("language", "recording", "words", "ours wrong", "theirs wrong", "ours", "theirs", "ours / theirs")


@dataclass(slots=True)
class Transcribed:
    """Text of a recording, and the seconds that it took."""

    text: str
    seconds: float


async def _pieces(samples: Samples) -> AsyncIterator[Samples]:
    size = round(PIECE_S * SAMPLE_RATE)
    for at in range(0, len(samples), size):
        yield samples[at : at + size]


async def ours(recognizer: WhisperRecognizer, samples: Samples, language: str) -> Transcribed:
    """Transcribe a recording by this server's recogniser."""
    begun = time.perf_counter()
    options = TranscriptionOptions(language=language)
    texts = [segment.text async for segment in recognizer.transcribe(_pieces(samples), options)]
    return Transcribed("".join(texts), time.perf_counter() - begun)


def theirs(model: WhisperModel, samples: Samples, language: str) -> Transcribed:
    """Transcribe a recording by faster-whisper, with all of its defaults."""
    begun = time.perf_counter()
    segments, _ = model.transcribe(samples, language=language)
    text = "".join(segment.text for segment in segments)
    return Transcribed(text, time.perf_counter() - begun)


def recordings(said: list[Clip]) -> dict[str, tuple[str, Samples]]:
    """Return text and audio of all clips of each language, one after the other."""
    joined = {}
    for language in LANGUAGES:
        own = [clip for clip in said if clip.language == language]
        text = " ".join(clip.text for clip in own)
        joined[language] = (text, np.concatenate([clip.samples for clip in own]))
    return joined


async def compare(said: list[Clip], rounds: int) -> None:
    """Print wrong words and speed of both, in turn."""
    model = whisper()
    rows = []
    async with started_recognizer() as recognizer:
        for language, (text, samples) in recordings(said).items():
            mine, their = [], []
            for _ in range(rounds):
                mine.append(await ours(recognizer, samples, language))
                their.append(await asyncio.to_thread(theirs, model, samples, language))
            reference = spelled(text, language)
            wrong = [
                wrong_words(reference, spelled(one.text, language), language) for one in (mine[0], their[0])
            ]
            spent = [min(each.seconds for each in one) for one in (mine, their)]
            rows.append(
                [
                    language,
                    f"{len(samples) / SAMPLE_RATE:.0f} s",
                    str(wrong[0][1]),
                    *(f"{one} ({one / words:.1%})" for one, words in wrong),
                    *(f"{one:.1f} s" for one in spent),
                    f"{spent[1] / spent[0]:.2f}x",
                ]
            )
    print(table(_HEAD, rows) + "\n", flush=True)


async def memory(said: list[Clip], hours: float) -> None:
    """Print the memory that a long recording takes above a recogniser that has heard a short one."""
    whole = np.concatenate([clip.samples for clip in said])
    process, highest, ended = psutil.Process(), 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not ended.wait(0.05):
            highest = max(highest, process.memory_info().rss)

    async def repeated() -> AsyncIterator[Samples]:
        left = round(hours * 3600 * SAMPLE_RATE)
        while left > 0:
            async for piece in _pieces(whole):
                yield piece[:left]
                left -= len(piece)
                if left <= 0:
                    return

    async with started_recognizer() as recognizer:
        before = process.memory_info().rss
        watcher = threading.Thread(target=watch)
        watcher.start()
        begun = time.perf_counter()
        options = TranscriptionOptions()
        count = len([segment async for segment in recognizer.transcribe(repeated(), options)])
        spent = time.perf_counter() - begun
        ended.set()
        watcher.join()
    print(
        f"{hours * 60:.0f} minutes: {count} segments in {spent:.0f} s ({hours * 3600 / spent:.1f} times real "
        f"time), at most {(highest - before) / 2**20:.0f} MiB above idle"
    )


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recognition.recordings", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=2, help="how often each is transcribed: the best counts"
    )
    parser.add_argument("--hours", type=float, default=0.2, help="length of the recording for the memory")
    parser.add_argument("--words", type=int, default=WORDS, help="words of each language")
    given = parser.parse_args()
    said = asyncio.run(clips(given.words))
    with report_section("Recordings", "ctranslate2", "faster-whisper"):
        asyncio.run(compare(said, given.rounds))
        asyncio.run(memory(said, given.hours))


if __name__ == "__main__":
    main()
