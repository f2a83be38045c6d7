"""The first minute of a server: gaps in playback and first audio after a first start, and after a later one.

    python -m benchmarks.server.first_minute [first] [later] [loading]

A server with the defaults is started with an empty cache folder (``first``), or with all that is kept there
(``later``). It speaks ten sentences, one after the other, as streams to a player at real pace: the player's
clock starts with the first chunk, and a gap is the time for which it has run dry. ``loading``: where the fast
decoder is prepared behind the speech, the process that does it is suspended and resumed in turn, and first
audio with and without it are compared.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import psutil

from benchmarks.playback_client import ReceivedSpeech, connected, request_speech
from benchmarks.report import measure, median, ms, percentile, table
from benchmarks.sentences import ABOUT_4_S, ABOUT_7_S
from benchmarks.server_process import HOST, ROOT, Server

PREPARING = "engines.kokoro.int8.build"
"""Module of the process that builds the fast decoder."""

_LANGUAGES = ("es", "en")
_SENTENCES = [
    (language, group[language][number])
    for number, group in enumerate((ABOUT_4_S, ABOUT_7_S, ABOUT_4_S, ABOUT_7_S, ABOUT_4_S))
    for language in _LANGUAGES
]
_GAP_S = 0.1
_HEAD = ("sentence", "asked after ready", "decoder", "first audio", "audio", "all ÷ audio", "gaps", "longest")


@dataclass(frozen=True, slots=True)
class SpokenSentence:
    """A sentence: time of its request, in seconds since the server was ready, decoder and audio."""

    at_s: float
    decoder: str
    heard: ReceivedSpeech

    @property
    def real_time_factor(self) -> float:
        """Seconds of synthesis for a second of audio."""
        return self.heard.done_s / self.heard.duration_s

    @property
    def gaps_s(self) -> list[float]:
        """Gaps in its playback (seconds)."""
        return [gap for gap in self.heard.stalls_s if gap > 0]


def active_decoder(server: Server) -> str:
    """Return the decoder of the next sentence, from /health."""
    with closing(HTTPConnection(HOST, server.port)) as connection:
        connection.request("GET", "/health")
        return str(json.load(connection.getresponse())["decoder"])


async def minute(server: Server) -> list[SpokenSentence]:
    """Speak ten sentences, each requested when the previous one has been played."""
    ready = time.perf_counter()
    said: list[SpokenSentence] = []
    async with connected(server.url) as socket:
        for language, text in _SENTENCES:
            speaks = await asyncio.to_thread(active_decoder, server)
            asked = time.perf_counter()
            heard = await request_speech(socket, language, text)
            said.append(SpokenSentence(asked - ready, speaks, heard))
            played_s = heard.first_audio_s + heard.duration_s + sum(heard.stalls_s)
            await asyncio.sleep(max(0.0, asked + played_s - time.perf_counter()))
    return said


def preparing() -> list[psutil.Process]:
    """Return the running processes that build the fast decoder of our server."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if PREPARING in process.cmdline():
                return [process, *process.children(recursive=True)]
    return []


async def in_turn(server: Server) -> tuple[list[float], list[float]]:
    """Measure first audio with the build of the fast decoder running and suspended, in turn."""
    running: list[float] = []
    still: list[float] = []
    async with connected(server.url) as socket:
        await request_speech(socket, *_SENTENCES[0])
        while processes := preparing():
            language, text = _SENTENCES[len(running) % len(_SENTENCES)]
            heard = await request_speech(socket, language, text)
            if not preparing():
                break
            running.append(heard.first_audio_s)
            with suspended(processes):
                still.append((await request_speech(socket, language, text)).first_audio_s)
    return running, still


@contextmanager
def suspended(processes: Sequence[psutil.Process]) -> Iterator[None]:
    """Suspend the processes while the body runs, except those that have ended."""
    for call in (psutil.Process.suspend, psutil.Process.resume):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                call(process)
        if call is psutil.Process.suspend:
            yield


def minute_of(name: str, folder: Path) -> None:
    """Start a server with that cache folder and print its first minute."""
    with Server(settled=False, KANI_CACHE_DIR=str(folder)) as server:
        speaks = active_decoder(server)
        said = asyncio.run(minute(server))
    rows = [
        [
            *(f"{number} ({language})", f"{one.at_s:.1f} s", one.decoder, ms(one.heard.first_audio_s)),
            *(f"{one.heard.duration_s:.2f} s", f"{one.real_time_factor:.2f}"),
            *(str(len(one.gaps_s)), ms(max(one.gaps_s, default=0.0))),
        ]
        for number, (one, (language, _)) in enumerate(zip(said, _SENTENCES, strict=True), 1)
    ]
    long = sum(gap > _GAP_S for one in said for gap in one.gaps_s)
    print(f"{name}: ready after {server.start_s:.2f} s, speaking by {speaks}.\n")
    print(table(_HEAD, rows))
    print(f"\nGaps over {ms(_GAP_S)}: {long} (goal: none).\n", flush=True)


def first() -> None:
    """Measure a first start, with an empty cache folder."""
    with tempfile.TemporaryDirectory() as empty:
        minute_of("A first start", Path(empty))


def later() -> None:
    """Measure a later start, with a complete cache folder."""
    with tempfile.TemporaryDirectory() as folder:
        fetched = os.environ | {"KANI_CACHE_DIR": folder, "KANI_KOKORO_DECODER": "auto"}
        fetching = [
            sys.executable,
            str(ROOT / "start_websocket_server.py"),
            "--fetch",
            "--recognizer",
            "none",
        ]
        subprocess.run(fetching, env=fetched, cwd=folder, check=True, capture_output=True)
        minute_of("A later start", Path(folder))


def loading() -> None:
    """Measure first audio while the fast decoder is built in the background, with an empty cache folder."""
    with (
        tempfile.TemporaryDirectory() as empty,
        Server(settled=False, KANI_CACHE_DIR=empty) as server,
    ):
        running, still = asyncio.run(in_turn(server))
    if not running:
        print(
            "First audio while the fast decoder is prepared: it was prepared before the server was ready.\n"
        )
        return
    ratios = [one / other for one, other in zip(running, still, strict=True)]
    print(
        f"First audio while the fast decoder is prepared, and while that stands still, in turn "
        f"({len(ratios)} pairs): {ms(median(running))}, {ms(median(still))}; "
        f"ratio {median(ratios):.2f} at the median, "
        f"{percentile(ratios, 90):.2f} at p90 (goal: ≤ 1.3)\n",
        flush=True,
    )


PARTS = {"first": first, "later": later, "loading": loading}

if __name__ == "__main__":
    measure("server.first_minute", __doc__, "The first minute", PARTS, "torch", "numba")
