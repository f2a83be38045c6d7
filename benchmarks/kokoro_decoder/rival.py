"""Whole sentences by Kokoro and its students of running servers, and by kokoro-onnx.

Run by the python of an environment that has kokoro-onnx, for two servers that run:
``python -m benchmarks.kokoro_decoder.rival KOKORO_URL STUDENTS_URL``. Each sentence is said by every system
in turn, in an order that rotates; the servers are asked for the whole answer, as ``create`` is. kokoro-onnx
gets a session with the same number of threads and is otherwise unchanged.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from websockets.asyncio.client import ClientConnection

from benchmarks import single_engine
from benchmarks.playback_client import connected, request_speech
from benchmarks.report import median, ms, percentile, table
from benchmarks.sentences import ABOUT_4_S, ABOUT_7_S, ABOUT_15_S, Sentences, mixed
from kani.composition import settings
from kani.engines.kokoro import voices as kokoro_voices
from kani.engines.kokoro.voices import DEFAULT_VOICES
from tools.kokoro_pack.published import published_graph

RIVAL, KOKORO, STUDENTS = "kokoro-onnx", "this server", "its students"
GROUPS: dict[str, Sentences] = {"about 4 s": ABOUT_4_S, "about 7 s": ABOUT_7_S, "about 15 s": ABOUT_15_S}
EACH = 4
"""Sentences of a group and language."""

_LANGUAGES = {"es": "es", "en": "en-us", "fr": "fr-fr"}

Times = tuple[float, float]
"""Seconds to the end, and of audio."""

Speaker = Callable[[str, str], Awaitable[Times]]


def some(group: Sentences) -> list[tuple[str, str]]:
    """Return the sentences of a group that are measured."""
    return mixed({language: texts[:EACH] for language, texts in group.items()})


def rival(folder: Path) -> Any:
    """A ``kokoro_onnx.Kokoro`` with our model file, our voices and our number of threads."""
    from kokoro_onnx import Kokoro

    chosen = settings.load({})
    model = folder / "model.onnx"
    model.write_bytes(published_graph(chosen.cache_dir))
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


def _theirs(kokoro: Any) -> Speaker:
    async def speak(language: str, text: str) -> Times:
        begun = time.perf_counter()
        samples, rate = await asyncio.to_thread(
            kokoro.create, text, DEFAULT_VOICES[language], lang=_LANGUAGES[language]
        )
        return time.perf_counter() - begun, len(samples) / rate

    return speak


def _ours(socket: ClientConnection) -> Speaker:
    async def speak(language: str, text: str) -> Times:
        heard = await request_speech(socket, language, text, streamed=False)
        return heard.done_s, heard.duration_s

    return speak


async def measure(kokoro_url: str, students_url: str, folder: Path) -> dict[str, dict[str, list[Times]]]:
    """Times by group and system."""
    async with connected(kokoro_url) as kokoro, connected(students_url) as students:
        speakers = {RIVAL: _theirs(rival(folder)), KOKORO: _ours(kokoro), STUDENTS: _ours(students)}
        for language, text in some(ABOUT_4_S)[:3]:
            for speaker in speakers.values():
                await speaker(language, text)
        found: dict[str, dict[str, list[Times]]] = {}
        for group, sentences in GROUPS.items():
            found[group] = {name: [] for name in speakers}
            for number, (language, text) in enumerate(some(sentences)):
                for name in list(speakers)[:: 1 if number % 2 else -1]:
                    found[group][name].append(await speakers[name](language, text))
    return found


def print_table(found: Mapping[str, Mapping[str, Sequence[Times]]]) -> None:
    """Print what ``measure`` found."""
    head = (
        *("sentences", "who", "whole sentence, median", "real-time factor"),
        *(f"{RIVAL} ÷ it, median", "p10–p90"),
    )
    rows = []
    for group, by_speaker in found.items():
        for name, times in by_speaker.items():
            ratios = [other / own for (own, _), (other, _) in zip(times, by_speaker[RIVAL], strict=True)]
            rows.append(
                [
                    *(f"{group} ({len(times)})", name, ms(median([done for done, _ in times]))),
                    *(f"{median([done / audio for done, audio in times]):.3f}", f"{median(ratios):.2f}"),
                    f"{percentile(ratios, 10):.2f}–{percentile(ratios, 90):.2f}",
                ]
            )
    print(f"Whole sentences, the servers (through the socket) and {RIVAL} in turn:\n")
    print(table(head, rows) + "\n", flush=True)


def main() -> None:
    """Print what ``measure`` finds, as JSON, on the last line."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.kokoro_decoder.rival", description=__doc__)
    options.add_argument("urls", nargs=2, metavar="URL")
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(measure(*options.parse_args().urls, Path(folder)))), flush=True)


if __name__ == "__main__":
    main()
