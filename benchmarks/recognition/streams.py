"""Latency, word error rate and processor time of the recogniser.

Kokoro's speech in three languages and seven voices, four sentences a clip, with pauses of 0.4 to 2 s.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import cycle, islice

import numpy as np

from benchmarks.recognition.clips import LANGUAGES, SAMPLE_RATE, Clip, clips, with_noise
from benchmarks.recognition.measures import Transcript, at_once, transcribe_concurrently, word_error_rate
from benchmarks.report import median, percentile, report_section, table
from kani.composition import settings
from kani.core.recognizer import RecognizedWord
from kani.core.types import Samples
from kani.engines.whisper.engine import WhisperRecognizer

WORDS = 340
"""Words of the clips in each language."""

NOISE_DB = 10.0
SINGLE_STREAM_CLIPS = 4


@asynccontextmanager
async def started_recognizer() -> AsyncIterator[WhisperRecognizer]:
    """Start the recogniser, with the settings that a server would read."""
    own = settings.Settings()
    recognizer = WhisperRecognizer(models_dir=own.models_dir, cache_dir=own.cache_dir)
    await recognizer.start()
    yield recognizer
    await recognizer.stop()


def sounds_without_speech(length_s: int) -> dict[str, Samples]:
    """Return sounds without speech, by name, each ``length_s`` seconds long at ``SAMPLE_RATE``."""
    random = np.random.default_rng(5)
    length = length_s * SAMPLE_RATE
    at = np.arange(length) / SAMPLE_RATE
    white = random.standard_normal(length)
    spectrum, frequencies = np.fft.rfft(white), np.maximum(np.fft.rfftfreq(length), 1 / length)
    pink, brown = (np.fft.irfft(spectrum / frequencies**power, length) for power in (0.5, 1.0))
    clicks = np.zeros(length)
    clicks[random.integers(0, length, 4 * length_s)] = 1.0
    tones = 220.0 * 2 ** (random.integers(0, 20, 3 * length_s) / 12)
    melody = np.sin(2 * np.pi * np.cumsum(np.repeat(tones, length // len(tones) + 1)[:length]) / SAMPLE_RATE)
    hum = np.sin(2 * np.pi * 50 * at) + 0.5 * np.sin(2 * np.pi * 150 * at)
    sounds = {"white noise": white, "pink noise": pink, "brown noise": brown, "hum": hum, "melody": melody}
    scaled = {name: 0.1 * sound / sound.std() for name, sound in sounds.items()}
    scaled |= {"zeros": np.zeros(length), "clicks": clicks}
    return {name: np.clip(sound, -1, 1).astype(np.float32) for name, sound in scaled.items()}


async def recognized_words(
    recognizer: WhisperRecognizer, samples: Samples, language: str | None = None
) -> list[RecognizedWord]:
    """Return the words of a recording, in ``language`` or in the one that is detected."""
    events = recognizer.recognize(at_once(samples), language)
    return [event async for event in events if isinstance(event, RecognizedWord)]


def seconds(values: Sequence[float], percent: float | None = None) -> str:
    """Format the median, or a percentile, in seconds."""
    return f"{median(values) if percent is None else percentile(values, percent):.2f} s"


def row(name: str, transcripts: Sequence[Transcript], busy_s: float) -> list[str]:
    """Return a row of the table of streams."""
    delays = [delay for transcript in transcripts for delay in transcript.delays_s]
    errors = [error for transcript in transcripts for error in transcript.start_errors_s]
    words = sum(transcript.word_errors[1] for transcript in transcripts)
    duration_s = sum(transcript.clip.duration_s for transcript in transcripts)
    return [
        name,
        str(words),
        f"{word_error_rate(transcripts):.1%}",
        f"{seconds(delays)} / {seconds(delays, 95)}",
        f"{seconds(errors)} / {seconds(errors, 90)}",
        str(sum(transcript.late_words for transcript in transcripts)),
        str(sum(transcript.false_ends for transcript in transcripts)),
        f"{busy_s / duration_s:.2f}",
    ]


async def streams(parts: Sequence[str], said: list[Clip]) -> None:
    """Print the table of clips at real time, one at a time and concurrently."""
    clean = [(clip, clip.samples) for clip in said]
    noisy = [(clip, with_noise(clip.samples, NOISE_DB, at)) for at, clip in enumerate(said)]
    ways: dict[str, tuple[str, Callable[[], list[tuple[Clip, Samples]]], int, bool]] = {
        "one": ("one stream", lambda: clean[:SINGLE_STREAM_CLIPS], 1, True),
        "detected": ("one stream, language not given", lambda: clean[:SINGLE_STREAM_CLIPS], 1, False),
        "six": ("six at once", lambda: clean, 6, True),
        "noise": (f"six at once, {NOISE_DB:g} dB noise", lambda: noisy, 6, True),
        "ten": ("ten at once", lambda: list(islice(cycle(clean), 20)), 10, True),
    }
    rows, languages = [], []
    async with started_recognizer() as recognizer:
        for part, (name, chosen, at_a_time, with_language) in ways.items():
            if part not in parts:
                continue
            before_s = time.process_time()
            transcripts = await transcribe_concurrently(
                recognizer, chosen(), at_a_time, with_language=with_language
            )
            rows.append(row(name, transcripts, time.process_time() - before_s))
            by_language = [[one for one in transcripts if one.clip.language == code] for code in LANGUAGES]
            languages.append([name, *(f"{word_error_rate(some):.1%}" for some in by_language)])
    head = (
        "at real time",
        "words",
        "wrong",
        "delay, median / p95",
        "start error, median / p90",
        "words behind their pause",
        "false ends of turn",
        "core share a stream",
    )
    print(table(head, rows) + "\n", flush=True)
    print(table(("wrong, by language", *LANGUAGES), languages) + "\n", flush=True)


def main() -> None:
    """Run the command line."""
    every = ("one", "detected", "six", "noise", "ten")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recognition.streams", description=__doc__)
    parser.add_argument("parts", nargs="*", default=every, metavar="PART", help=f"of {', '.join(every)}")
    parts = parser.parse_args().parts
    if not set(parts) <= set(every):
        parser.error(f"a part is one of {', '.join(every)}")
    said = asyncio.run(clips(WORDS))
    with report_section("Recognition while someone speaks", "ctranslate2", "faster-whisper"):
        asyncio.run(streams(parts, said))


if __name__ == "__main__":
    main()
