"""First audio of a streamed sentence, and its cost beside the same sentence decoded whole."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import single_engine
from benchmarks.kokoro_decoder.published_graph import WholeKokoroEngine
from benchmarks.playback_client import ReceivedSpeech, connected, request_speech
from benchmarks.report import JUDGE_VARIABLE, median, ms, percentile, table
from benchmarks.sentences import ABOUT_4_S, ABOUT_7_S, Sentences, mixed
from benchmarks.server_process import ROOT, Server
from kani.core.types import Segment, Span
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.kokoro.voices import DEFAULT_VOICES
from kani.engines.plugin import Resources
from kani.server import settings

GROUPS: dict[str, tuple[Sentences, float]] = {
    "about 4 s": (ABOUT_4_S, 0.27),
    "about 7 s": (ABOUT_7_S, 0.22),
}
"""Sentences, and what share of the whole's time their first audio may take."""

_EACH = 4
"""Sentences of a group and language that times are taken of."""

_TOGETHER = 4
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Spoken:
    """One segment by an engine itself: seconds to its first and last chunk; its words' times."""

    first_s: float
    whole_s: float
    words: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """One sentence: by the engine itself, whole and in windows, and through the socket."""

    whole: Spoken
    windows: Spoken
    heard: ReceivedSpeech


@asynccontextmanager
async def started_engine(kind: type[KokoroEngine] = KokoroEngine) -> AsyncIterator[KokoroEngine]:
    """Start Kokoro as the server builds it, or a variant of it."""
    chosen = settings.load({})
    resources = Resources(chosen.cache_dir, chosen.models_dir, threads=single_engine.THREADS)
    engine = kind(KokoroSettings(), resources)
    await engine.start()
    # A decoder that changed in the middle would make two measurements of one.
    await engine.wait_until_loaded()
    try:
        yield engine
    finally:
        await engine.stop()


async def speak(engine: KokoroEngine, language: str, text: str) -> Spoken:
    """Synthesise ``text`` with the engine's default voice of the language."""
    words: list[Span] = []
    first_s = 0.0
    begun = time.perf_counter()
    async with aclosing(engine.synthesize(Segment(text, DEFAULT_VOICES[language], language))) as stream:
        async for chunk in stream:
            if not first_s and len(chunk.samples):
                first_s = time.perf_counter() - begun
            words += chunk.spans
    return Spoken(first_s, time.perf_counter() - begun, tuple(words))


def sample_sentences(group: Sentences) -> list[tuple[str, str]]:
    """Sentences of a group that are measured."""
    return mixed({language: texts[:_EACH] for language, texts in group.items()})


def server(root: Path = ROOT) -> Server:
    """A server with Kokoro in windows, of a checkout."""
    return Server(
        *("--engine", "kokoro"),
        root=root,
        KANI_THREADS=str(single_engine.THREADS),
    )


async def _measure(url: str) -> dict[str, list[Measured]]:
    """Measure every sentence with every system, in an order that rotates."""
    async with (
        started_engine(WholeKokoroEngine) as whole,
        started_engine() as windows,
        connected(url) as websocket,
    ):
        for language, text in sample_sentences(ABOUT_4_S)[:3]:
            await speak(whole, language, text)
            await speak(windows, language, text)
            await request_speech(websocket, language, text)
        measured: dict[str, list[Measured]] = {name: [] for name in GROUPS}
        for name, (group, _) in GROUPS.items():
            for number, (language, text) in enumerate(sample_sentences(group)):
                if number % 2:
                    heard = await request_speech(websocket, language, text)
                    own = await speak(windows, language, text)
                    base = await speak(whole, language, text)
                else:
                    base = await speak(whole, language, text)
                    own = await speak(windows, language, text)
                    heard = await request_speech(websocket, language, text)
                measured[name].append(Measured(base, own, heard))
    return measured


def first() -> None:
    """Print first and last audio beside the whole; stalls; times of words."""
    with server() as running:
        measured = asyncio.run(_measure(running.url))
    print("First audio through the socket, beside the published graph:\n")
    head = (
        *("sentences es, en, fr", "audio, median", "whole, median", "first audio, median", "p90"),
        *("first audio ÷ whole, median", "p90", "goal"),
    )
    rows = []
    for name, results in measured.items():
        heard = [one.heard.first_audio_s for one in results]
        ratios = [one.heard.first_audio_s / one.whole.whole_s for one in results]
        rows.append(
            [
                f"{name} ({len(results)})",
                f"{median([one.heard.duration_s for one in results]):.1f} s",
                ms(median([one.whole.whole_s for one in results])),
                *(ms(median(heard)), ms(percentile(heard, 90))),
                *(f"{median(ratios):.3f}", f"{percentile(ratios, 90):.3f}", f"≤ {GROUPS[name][1]:g}"),
            ]
        )
    print(table(head, rows) + "\n")
    _print_totals(measured)
    _print_words([one for results in measured.values() for one in results])


def _print_totals(measured: dict[str, list[Measured]]) -> None:
    print("All of a streamed sentence, beside one whole decode:\n")
    head = (
        *("sentences", "socket ÷ whole, median", "p90", "engine alone ÷ whole, median", "goal"),
        *("stalls in playback (goal: none)", "real-time factor, median"),
    )
    rows = []
    for name, results in measured.items():
        total = [one.heard.done_s / one.whole.whole_s for one in results]
        own = [one.windows.whole_s / one.whole.whole_s for one in results]
        stalled = [sum(one.heard.stalls_s) for one in results]
        rows.append(
            [
                f"{name} ({len(results)})",
                *(f"{median(total):.3f}", f"{percentile(total, 90):.3f}", f"{median(own):.3f}", "≤ 1.10"),
                f"{sum(stall > 0 for stall in stalled)} of {len(results)}, longest {ms(max(stalled))}",
                f"{median([one.heard.done_s / one.heard.duration_s for one in results]):.3f}",
            ]
        )
    print(table(head, rows) + "\n")


def _print_words(results: Sequence[Measured]) -> None:
    """Print word onsets in windows against those of the whole, each from its own first sample."""
    apart, missed = [], 0
    for one in results:
        whole = {word.start: word.start_s for word in one.whole.words}
        missed += len(whole.keys() ^ {word.start for word in one.windows.words})
        apart += [abs(word.start_s - whole[word.start]) for word in one.windows.words if word.start in whole]
    row = [str(len(apart)), str(missed), ms(median(apart)), ms(percentile(apart, 95)), ms(max(apart))]
    print("Words' onsets in windows against the whole's:\n")
    print(table(("words", "in one only", "apart, median", "p95", "most"), [row]) + "\n", flush=True)


def rival() -> None:
    """Print the first audible sound beside kokoro-onnx, which the judges' environment has."""
    python = os.environ.get(JUDGE_VARIABLE, "")
    if not python:
        print(
            f"The first sound beside kokoro-onnx: not measured ({JUDGE_VARIABLE} names no environment)\n",
            flush=True,
        )
        return
    subprocess.run([python, "-m", "benchmarks.kokoro.rival"], cwd=ROOT, check=True)


async def _started_together(url: str) -> list[tuple[list[float], list[float], int]]:
    """By rounds: first audio of each stream by itself, then of all together; and the number that stalled."""
    rounds = []
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(connected(url)) for _ in range(_TOGETHER)]
        sentences = mixed(ABOUT_4_S)
        await asyncio.gather(*(request_speech(socket, *sentences[0]) for socket in sockets))
        for number in range(_ROUNDS):
            own = [sentences[(number * _TOGETHER + at) % len(sentences)] for at in range(_TOGETHER)]
            single = [await request_speech(socket, *one) for socket, one in zip(sockets, own, strict=True)]
            together = await asyncio.gather(
                *(request_speech(socket, *one) for socket, one in zip(sockets, own, strict=True))
            )
            stalled = sum(any(stall > 0 for stall in heard.stalls_s) for heard in together)
            rounds.append(
                (
                    [heard.first_audio_s for heard in single],
                    [heard.first_audio_s for heard in together],
                    stalled,
                )
            )
    return rounds


def together() -> None:
    """Print the figures of streams that start at the same moment."""
    with server() as running:
        rounds = asyncio.run(_started_together(running.url))
    ratios = [max(all_at_once) / median(single) for single, all_at_once, _ in rounds]
    row = [
        str(len(rounds)),
        ms(median([first for single, _, _ in rounds for first in single])),
        " / ".join(ms(median([sorted(firsts)[at] for _, firsts, _ in rounds])) for at in range(_TOGETHER)),
        *(f"{median(ratios):.2f}", f"{max(ratios):.2f}", "≤ 4.5"),
        f"{sum(stalled for _, _, stalled in rounds)} of {len(rounds) * _TOGETHER}",
    ]
    head = (
        *("rounds", "one by itself, first audio", f"{_TOGETHER} together: the first … the last"),
        *("last ÷ one, median", "most", "goal", "streams that stalled"),
    )
    print(f"{_TOGETHER} streams of about 4 s started together, through the socket:\n")
    print(table(head, [row]) + "\n", flush=True)
