"""First audible sound, ours and of PyPI's kokoro-onnx on the same model file.

Run by the python of an environment that has kokoro-onnx: ``python -m benchmarks.kokoro.rival``. kokoro-onnx
is set up as in ``benchmarks.kokoro.rivals``; silence before the first sound counts as it is played.

With ``--lengths`` sentences of three lengths are asked for; first audio should not depend on the length; with
``--beside CHECKOUT`` also of another version's server, in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kokoro import rivals
from benchmarks.kokoro.sockets import server
from benchmarks.playback_client import ReceivedSpeech, connected, first_audible_s, request_speech
from benchmarks.report import median, ms, percentile, report_section, table
from benchmarks.sentences import ABOUT_4_S, ABOUT_7_S, ABOUT_15_S, mixed
from benchmarks.server_process import Server
from kani.engines.kokoro.voices import DEFAULT_VOICES

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


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer through the socket, and the server's processor seconds for it."""

    heard: ReceivedSpeech
    processor_s: float


@dataclass(frozen=True, slots=True)
class Compared:
    """A sentence: the answers by server, and the seconds of kokoro-onnx' ``create``."""

    answers: Mapping[str, Answer]
    create_s: float


LENGTHS = {"about 4 s": ABOUT_4_S, "about 7 s": ABOUT_7_S, "about 15 s": ABOUT_15_S}
_THIS, _BESIDE = "this version", "beside"


async def _by_length(servers: Mapping[str, Server], kokoro: Any, each: int) -> dict[str, list[Compared]]:
    """Ask for ``each`` sentences of each length and language, of all in turn."""
    found: dict[str, list[Compared]] = {}
    async with AsyncExitStack() as stack:
        sockets = {
            name: await stack.enter_async_context(connected(server.url)) for name, server in servers.items()
        }

        async def ask(name: str, language: str, text: str) -> Answer:
            before_s = servers[name].processor_s()
            heard = await request_speech(sockets[name], language, text)
            return Answer(heard, servers[name].processor_s() - before_s)

        for group, sentences in LENGTHS.items():
            chosen = [one for one in mixed(sentences) if one[0] in rivals.RIVAL_LANGUAGES][: 2 * each]
            for name in servers:
                await ask(name, *chosen[0])
            for number, (language, text) in enumerate(chosen):
                answers = {}
                for name in list(servers)[:: 1 if number % 2 else -1]:
                    answers[name] = await ask(name, language, text)
                begun = time.perf_counter()
                kokoro.create(text, DEFAULT_VOICES[language], lang=_LANGUAGES[language])
                found.setdefault(group, []).append(Compared(answers, time.perf_counter() - begun))
    return found


def lengths(beside: Path | None, each: int) -> None:
    """Print first audio by the sentence's length."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = {_THIS: stack.enter_context(server())}
        if beside is not None:
            servers[_BESIDE] = stack.enter_context(server(beside))
        found = asyncio.run(_by_length(servers, rivals.rival(Path(folder)), each))
    rows = []
    for group, results in found.items():
        for name in servers:
            own = [one.answers[name] for one in results]
            first = [one.heard.first_audio_s for one in own]
            stalled = [sum(one.heard.stalls_s) for one in own]
            creates = [one.create_s for one in results]
            others = [one.answers[_BESIDE if beside else name] for one in results]
            pairs = list(zip(own, others, strict=True))
            rows.append(
                [
                    f"{group} ({len(results)}), {name}",
                    f"{median([one.heard.duration_s for one in own]):.1f} s",
                    *(ms(median(first)), ms(min(first)), ms(percentile(first, 90))),
                    f"{median([one / other for one, other in zip(first, creates, strict=True)]):.3f}",
                    f"{median([a / b.heard.done_s for a, b in zip(creates, own, strict=True)]):.2f}",
                    f"{sum(stall > 0 for stall in stalled)}, longest {ms(max(stalled))}",
                    f"{median([a.processor_s / b.processor_s for a, b in pairs]):.3f}",
                    f"{median([a.heard.done_s / b.heard.done_s for a, b in pairs]):.3f}",
                ]
            )
    head = (
        *("sentences es, en", "audio, median", "first audio, median", "least", "p90", "÷ create"),
        *("create ÷ whole", "stalled", "processor ÷ beside", "whole ÷ beside"),
    )
    print(table(head, rows) + "\n")
    shortest, *_, longest = LENGTHS
    for name in servers:
        each_s = {
            group: median([one.answers[name].heard.first_audio_s for one in found[group]])
            for group in (shortest, longest)
        }
        print(f"{name}: first audio {longest} ÷ {shortest} {each_s[longest] / each_s[shortest]:.2f}\n")


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.kokoro.rival", description=__doc__)
    options.add_argument("--lengths", action="store_true", help="first audio by the sentence's length")
    options.add_argument("--beside", type=Path, metavar="CHECKOUT", help="another version of this server")
    options.add_argument("--each", type=int, default=10, help="sentences a language and length")
    chosen = options.parse_args()
    if chosen.lengths:
        with report_section("First audio by the length of the sentence", rivals.RIVAL, "ai-edge-litert"):
            lengths(chosen.beside, chosen.each)
        return
    first_sounds()


def first_sounds() -> None:
    """Print the table of first sounds."""
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
