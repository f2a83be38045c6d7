"""Two servers side by side, one with each decoder: first audio, and the time of a whole sentence."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import single_engine
from benchmarks.kokoro.sockets import sample_sentences
from benchmarks.kokoro_decoder.windows import LITERT, ONNX
from benchmarks.playback_client import ReceivedSpeech, connected, request_speech
from benchmarks.report import JUDGE_VARIABLE, median, ms, percentile, table
from benchmarks.sentences import ABOUT_4_S, ABOUT_7_S, Sentences
from benchmarks.server_process import ROOT, Server, ServerFailed

GROUPS: dict[str, Sentences] = {"about 4 s": ABOUT_4_S, "about 7 s": ABOUT_7_S}

_LOADED_WITHIN_S = 120.0
_ASK_AGAIN_S = 0.05


def decoder_server(decoder: str, *, settled: bool = True, **environment: str) -> Server:
    """A server with Kokoro in windows and this decoder, at once or (not settled) once it is loaded."""
    return Server(
        *("--engine", "kokoro", "--kokoro-decoder", decoder),
        settled=settled,
        KANI_THREADS=str(single_engine.THREADS),
        **environment,
    )


def wait_until_loaded(server: Server, decoder: str) -> float:
    """Wait until /health names ``decoder``; returns the seconds. Raises ServerFailed if it never does."""
    begun = time.perf_counter()
    while (speaks := server.decoder()) != decoder:
        if time.perf_counter() > begun + _LOADED_WITHIN_S:
            raise ServerFailed(f"the server still uses {speaks!r}, not {decoder!r}")
        # From outside nothing tells when it is there.
        time.sleep(_ASK_AGAIN_S)
    return time.perf_counter() - begun


@contextmanager
def both() -> Iterator[dict[str, Server]]:
    """A server with each decoder, loaded."""
    with decoder_server(ONNX) as onnx, decoder_server(LITERT) as fast:
        servers = {ONNX: onnx, LITERT: fast}
        for decoder, server in servers.items():
            wait_until_loaded(server, decoder)
        yield servers


async def _measure(servers: dict[str, Server]) -> dict[str, dict[str, list[ReceivedSpeech]]]:
    """Measurements by group and decoder: every sentence with both, in an order that rotates."""
    async with (
        connected(servers[ONNX].url) as onnx,
        connected(servers[LITERT].url) as fast,
    ):
        sockets = {ONNX: onnx, LITERT: fast}
        for language, text in sample_sentences(ABOUT_4_S)[:3]:
            for socket in sockets.values():
                await request_speech(socket, language, text)
        found: dict[str, dict[str, list[ReceivedSpeech]]] = {}
        for group, sentences in GROUPS.items():
            found[group] = {ONNX: [], LITERT: []}
            for number, (language, text) in enumerate(sample_sentences(sentences)):
                for decoder in list(sockets)[:: 1 if number % 2 else -1]:
                    found[group][decoder].append(await request_speech(sockets[decoder], language, text))
    return found


def first() -> None:
    """Print first audio of one stream, and its end, of both servers."""
    with both() as servers:
        measured = asyncio.run(_measure(servers))
    head = (
        *("sentences es, en, fr", f"first audio, {ONNX}", f"{LITERT}", f"{LITERT} ÷ {ONNX}, median", "p90"),
        *(f"all of it, {ONNX}", LITERT, f"{LITERT} ÷ {ONNX}, median", "stalls, fast"),
    )
    rows = []
    for group, found in measured.items():
        onnx, fast = found[ONNX], found[LITERT]
        ratios = [own.first_audio_s / other.first_audio_s for own, other in zip(fast, onnx, strict=True)]
        totals = [own.done_s / other.done_s for own, other in zip(fast, onnx, strict=True)]
        rows.append(
            [
                f"{group} ({len(fast)})",
                *(ms(median([one.first_audio_s for one in own])) for own in (onnx, fast)),
                *(f"{median(ratios):.3f}", f"{percentile(ratios, 90):.3f}"),
                *(ms(median([one.done_s for one in own])) for own in (onnx, fast)),
                f"{median(totals):.3f}",
                f"{sum(any(stall > 0 for stall in one.stalls_s) for one in fast)} of {len(fast)}",
            ]
        )
    print("First audio of one stream through the socket, the two servers in turn:\n")
    print(table(head, rows) + "\n", flush=True)


def rival() -> None:
    """Print whole sentences beside kokoro-onnx, which the judges' environment has."""
    python = os.environ.get(JUDGE_VARIABLE, "")
    if not python:
        print(
            f"Whole sentences beside kokoro-onnx: not measured ({JUDGE_VARIABLE} names no environment)\n",
            flush=True,
        )
        return
    with both() as servers:
        urls = [servers[decoder].url for decoder in (ONNX, LITERT)]
        subprocess.run([python, "-m", "benchmarks.kokoro_decoder.rival", *urls], cwd=ROOT, check=True)
