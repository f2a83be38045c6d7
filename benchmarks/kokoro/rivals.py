"""Comparison with PyPI's kokoro-onnx on the same model file.

Each sentence is synthesised by every system in turn, in an order that rotates: both engines by themselves,
our server asked for a whole answer and for a stream, and kokoro-onnx's create_stream. kokoro-onnx gets a
session with the same number of threads and is otherwise unchanged. First sound: the first sample above 2 % of
the peak, with the silence before it counted as it would be played.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks import single_engine
from benchmarks.playback_client import connected, first_audible_s, request_speech
from benchmarks.report import median, ms, percentile, report_section, table
from benchmarks.sentences import WITH_EARLY_PHRASE, WITHOUT_EARLY_PHRASE, mixed
from benchmarks.server_process import Server
from kani.engines.kokoro import voices as kokoro_voices
from kani.engines.kokoro.voices import DEFAULT_VOICES
from kani.runtime import weights
from kani.server import settings

RIVAL = "kokoro-onnx"
RIVAL_LANGUAGES = {"es": "es", "en": "en-us"}
OURS_ALONE, OURS_WHOLE, OURS_STREAMED = "our engine", "our server, whole", "our server, streamed"
RIVAL_WHOLE, RIVAL_STREAMED = "kokoro-onnx create", "kokoro-onnx create_stream"

GROUPS = {
    "a phrase ends within six words": WITH_EARLY_PHRASE,
    "no phrase ends that early": WITHOUT_EARLY_PHRASE,
}


@dataclass(frozen=True, slots=True)
class Timed:
    """One synthesis of a sentence: seconds to its end, to its first audible sound, and of audio."""

    whole_s: float
    heard_s: float
    duration_s: float


Speaker = Callable[[str, str], Awaitable[Timed]]


def rival(folder: Path) -> Any:
    """A ``kokoro_onnx.Kokoro`` with our model file, our voices and our number of threads."""
    from kokoro_onnx import Kokoro

    chosen = settings.load({})
    model = folder / "model.onnx"
    model.write_bytes(weights.load(weights.KOKORO, models_dir=chosen.models_dir, cache_dir=chosen.cache_dir))
    data = Path(kokoro_voices.__file__).parent / "data"
    index = json.loads((data / kokoro_voices.INDEX_FILE).read_text(encoding="utf-8"))["voices"]
    styles = np.load(data / kokoro_voices.STYLES_FILE, mmap_mode="r")
    tables = {
        entry["name"]: styles[row].astype(np.float32)[:, np.newaxis]
        for row, entry in enumerate(index)
        if entry["name"] in DEFAULT_VOICES.values()
    }
    with (folder / "voices.npz").open("wb") as file:
        np.savez(file, **tables)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = single_engine.THREADS
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return Kokoro.from_session(session, str(folder / "voices.npz"))


def rival_speakers(kokoro: Any) -> dict[str, Speaker]:
    """Both modes of kokoro-onnx."""

    async def whole(language: str, text: str) -> Timed:
        begun = time.perf_counter()
        samples, rate = await asyncio.to_thread(
            kokoro.create, text, DEFAULT_VOICES[language], lang=RIVAL_LANGUAGES[language]
        )
        done_s = time.perf_counter() - begun
        duration_s = len(samples) / rate
        return Timed(done_s, first_audible_s(samples, rate, [done_s], [duration_s]), duration_s)

    async def streamed(language: str, text: str) -> Timed:
        arrivals, pieces, durations = [], [], []
        begun = time.perf_counter()
        stream = kokoro.create_stream(text, DEFAULT_VOICES[language], lang=RIVAL_LANGUAGES[language])
        async with aclosing(stream):
            async for samples, rate in stream:
                arrivals.append(time.perf_counter() - begun)
                pieces.append(samples)
                durations.append(len(samples) / rate)
        done_s = time.perf_counter() - begun
        heard_s = first_audible_s(np.concatenate(pieces), rate, arrivals, durations)
        return Timed(done_s, heard_s, sum(durations))

    return {RIVAL_WHOLE: whole, RIVAL_STREAMED: streamed}


async def measure(url: str, folder: Path) -> dict[str, list[Timed]]:
    """Measure every sentence with every system, after one round to warm up."""
    async with single_engine.started_engine("kokoro") as engine, connected(url) as websocket:

        async def ours_alone(language: str, text: str) -> Timed:
            spoken = await single_engine.speak(engine, language, text)
            rate, duration_s = spoken.sample_rate, spoken.duration_s
            heard_s = first_audible_s(spoken.samples, rate, [spoken.whole_s], [duration_s])
            return Timed(spoken.whole_s, heard_s, duration_s)

        async def ours_whole(language: str, text: str) -> Timed:
            heard = await request_speech(websocket, language, text, streamed=False)
            return Timed(heard.done_s, heard.first_audible_s, heard.duration_s)

        async def ours_streamed(language: str, text: str) -> Timed:
            heard = await request_speech(websocket, language, text)
            return Timed(heard.done_s, heard.first_audible_s, heard.duration_s)

        speakers: dict[str, Speaker] = {
            OURS_ALONE: ours_alone,
            OURS_WHOLE: ours_whole,
            OURS_STREAMED: ours_streamed,
            **rival_speakers(rival(folder)),
        }
        timed: dict[str, list[Timed]] = {name: [] for name in speakers}
        sentences = mixed(*GROUPS.values())
        for language, text in sentences[:2]:
            for speaker in speakers.values():
                await speaker(language, text)
        for number, (language, text) in enumerate(sentences):
            for name in list(speakers)[:: 1 if number % 2 else -1]:
                timed[name].append(await speakers[name](language, text))
    return timed


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Our time relative to theirs, sentence by sentence: the median and the 90th percentile."""
    each = [own / other for own, other in zip(ours, theirs, strict=True)]
    return f"{median(each):.2f} (p90 {percentile(each, 90):.2f})"


def table_by_speaker(timed: dict[str, list[Timed]]) -> str:
    """Table of every system over all sentences."""
    head = (
        *("who (40 sentences, es and en)", "whole sentence, median", f"÷ {RIVAL_WHOLE}, median"),
        *("first sound heard, median", f"÷ {RIVAL_STREAMED}, median", "audio, median"),
    )
    rows = []
    for name, results in timed.items():
        whole, heard = whole_s(results), heard_s(results)
        rows.append(
            [
                *(name, ms(median(whole)), ratios(whole, whole_s(timed[RIVAL_WHOLE]))),
                *(ms(median(heard)), ratios(heard, heard_s(timed[RIVAL_STREAMED]))),
                f"{median([one.duration_s for one in results]):.2f} s",
            ]
        )
    return table(head, rows)


def table_by_group(timed: dict[str, list[Timed]]) -> str:
    """Table of ours against theirs, where a phrase ends early and where none does."""
    head = (
        *("sentences", f"{OURS_ALONE}, whole ÷ {RIVAL_WHOLE}", f"{OURS_WHOLE} ÷ {RIVAL_WHOLE}"),
        *("first sound heard, ours", "theirs", "ratio"),
    )
    texts = [text for _, text in mixed(*GROUPS.values())]
    rows = []
    for group, sentences in GROUPS.items():
        chosen = {text for _, text in mixed(sentences)}
        part = {
            name: [one for one, text in zip(results, texts, strict=True) if text in chosen]
            for name, results in timed.items()
        }
        rival_whole = whole_s(part[RIVAL_WHOLE])
        ours, theirs = heard_s(part[OURS_STREAMED]), heard_s(part[RIVAL_STREAMED])
        rows.append(
            [
                *(group, ratios(whole_s(part[OURS_ALONE]), rival_whole)),
                *(ratios(whole_s(part[OURS_WHOLE]), rival_whole), ms(median(ours)), ms(median(theirs))),
                ratios(ours, theirs),
            ]
        )
    return table(head, rows)


def whole_s(results: Sequence[Timed]) -> list[float]:
    """Seconds to the end, of each sentence."""
    return [one.whole_s for one in results]


def heard_s(results: Sequence[Timed]) -> list[float]:
    """Seconds to the first audible sound, of each sentence."""
    return [one.heard_s for one in results]


def main() -> None:
    """Run the command line."""
    argparse.ArgumentParser(prog="python -m benchmarks.kokoro.rivals", description=__doc__).parse_args()
    if importlib.util.find_spec("kokoro_onnx") is None:
        print(
            f"{RIVAL} is not installed: pip install -r tests/judges/requirements-judges.txt", file=sys.stderr
        )
        sys.exit(2)
    with report_section("Kokoro here and in kokoro-onnx, side by side", RIVAL):
        with (
            tempfile.TemporaryDirectory() as folder,
            Server("--engine", "kokoro", KANI_THREADS=str(single_engine.THREADS)) as server,
        ):
            timed = asyncio.run(measure(server.url, Path(folder)))
        print(table_by_speaker(timed) + "\n\n" + table_by_group(timed))
        print(f"\nBoth compute with {single_engine.THREADS} threads.")


if __name__ == "__main__":
    main()
