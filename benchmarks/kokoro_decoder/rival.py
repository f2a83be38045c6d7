"""Whole sentences through the socket, by both decoders, and by PyPI's kokoro-onnx on the same model file.

Run by the python of an environment that has kokoro-onnx, for two servers that run:
``python -m benchmarks.kokoro_decoder.rival ONNX_URL FAST_URL``. kokoro-onnx is as in
``benchmarks.kokoro.rivals``; the servers are asked for the whole answer, as ``create`` is.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection

from benchmarks.kokoro import rivals
from benchmarks.kokoro.sockets import sample_sentences
from benchmarks.kokoro_decoder.sockets import GROUPS
from benchmarks.kokoro_decoder.windows import LITERT, ONNX
from benchmarks.playback_client import connected, request_speech
from benchmarks.report import median, ms, percentile, table
from benchmarks.sentences import ABOUT_4_S
from kani.engines.kokoro.voices import DEFAULT_VOICES

_LANGUAGES = {**rivals.RIVAL_LANGUAGES, "fr": "fr-fr"}

Times = tuple[float, float]
"""Seconds to the end, and of audio."""

Speaker = Callable[[str, str], Awaitable[Times]]


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


async def measure(onnx_url: str, fast_url: str, folder: Path) -> dict[str, dict[str, list[Times]]]:
    """Times by group and system: every sentence with every system, in an order that rotates."""
    async with connected(onnx_url) as onnx, connected(fast_url) as fast:
        speakers = {rivals.RIVAL: _theirs(rivals.rival(folder)), ONNX: _ours(onnx), LITERT: _ours(fast)}
        for language, text in sample_sentences(ABOUT_4_S)[:3]:
            for speaker in speakers.values():
                await speaker(language, text)
        found: dict[str, dict[str, list[Times]]] = {}
        for group, sentences in GROUPS.items():
            found[group] = {name: [] for name in speakers}
            for number, (language, text) in enumerate(sample_sentences(sentences)):
                for name in list(speakers)[:: 1 if number % 2 else -1]:
                    found[group][name].append(await speakers[name](language, text))
    return found


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.kokoro_decoder.rival", description=__doc__)
    options.add_argument("onnx_url", metavar="ONNX_URL")
    options.add_argument("fast_url", metavar="FAST_URL")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(given.onnx_url, given.fast_url, Path(folder)))
    head = (
        *("sentences es, en, fr", "who", "whole sentence, median", "real-time factor"),
        *(f"{rivals.RIVAL} ÷ it, median", "p10–p90"),
    )
    rows = []
    for group, by_speaker in found.items():
        theirs = by_speaker[rivals.RIVAL]
        for name, times in by_speaker.items():
            ratios = [other / own for (own, _), (other, _) in zip(times, theirs, strict=True)]
            rows.append(
                [
                    *(f"{group} ({len(times)})", name, ms(median([done for done, _ in times]))),
                    *(f"{median([done / audio for done, audio in times]):.3f}", f"{median(ratios):.2f}"),
                    f"{percentile(ratios, 10):.2f}–{percentile(ratios, 90):.2f}",
                ]
            )
    print(f"Whole sentences, the servers (through the socket) and {rivals.RIVAL} in turn:\n")
    print(table(head, rows) + "\n", flush=True)


if __name__ == "__main__":
    main()
