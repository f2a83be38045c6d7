"""First audible sound, ours and of PyPI's kokoro-onnx on the same model file.

Run by the python of an environment that has kokoro-onnx: ``python -m benchmarks.kokoro.rival``. kokoro-onnx
is set up as in ``benchmarks.kokoro.rivals``; silence before the first sound counts as it is played.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import numpy as np

from benchmarks.kokoro import rivals
from benchmarks.kokoro.sockets import server
from benchmarks.playback_client import connected, first_audible_s, request_speech
from benchmarks.report import median, ms, percentile, table
from benchmarks.sentences import ABOUT_4_S, ABOUT_7_S, mixed
from engines.kokoro.voices import DEFAULT_VOICES

_LANGUAGES = {**rivals.RIVAL_LANGUAGES, "fr": "fr-fr"}
_SENTENCES = 40


async def measure(url: str, folder: Path) -> tuple[list[float], list[float]]:
    """Seconds to the first audible sound of each sentence: through our socket, and of create_stream."""
    kokoro = rivals.rival(folder)

    async def theirs(language: str, text: str) -> float:
        arrivals, pieces, durations = [], [], []
        begun = time.perf_counter()
        stream = kokoro.create_stream(text, DEFAULT_VOICES[language], lang=_LANGUAGES[language])
        async with aclosing(stream):
            async for samples, rate in stream:
                arrivals.append(time.perf_counter() - begun)
                pieces.append(samples)
                durations.append(len(samples) / rate)
        return first_audible_s(np.concatenate(pieces), rate, arrivals, durations)

    async with connected(url) as websocket:

        async def ours(language: str, text: str) -> float:
            return (await request_speech(websocket, language, text)).first_audible_s

        speakers: tuple[Callable[[str, str], Awaitable[float]], ...] = (ours, theirs)
        found: tuple[list[float], list[float]] = ([], [])
        sentences = (mixed(ABOUT_4_S) + mixed(ABOUT_7_S))[:_SENTENCES]
        for language, text in sentences[:3]:
            for speaker in speakers:
                await speaker(language, text)
        for number, (language, text) in enumerate(sentences):
            for at in (0, 1) if number % 2 else (1, 0):
                found[at].append(await speakers[at](language, text))
    return found


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder, server() as running:
        ours, theirs = asyncio.run(measure(running.url, Path(folder)))
    ratios = [own / other for own, other in zip(ours, theirs, strict=True)]
    row = [
        *(str(len(ours)), ms(median(ours)), ms(percentile(ours, 90)), ms(median(theirs))),
        *(f"{median(ratios):.3f}", f"{percentile(ratios, 90):.3f}", "≤ 0.25"),
    ]
    head = (
        *("sentences es, en, fr", "ours, median", "p90", f"{rivals.RIVAL} create_stream, median"),
        *("÷, median", "p90", "goal"),
    )
    print("First sound heard, through the socket:\n")
    print(table(head, [row]) + "\n", flush=True)


if __name__ == "__main__":
    main()
