"""First byte of OpenAI's /v1/audio/speech against the Kani protocol's first audio, in turn.

Both have an open connection. With espeak-ng, as its own time is short, the other formats are compared with
pcm too.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from functools import partial
from http.client import HTTPConnection

from benchmarks.playback_client import connected, request_speech
from benchmarks.report import measure, median, ms, percentile, table
from benchmarks.sentences import WITHOUT_EARLY_PHRASE, mixed
from benchmarks.server_process import HOST, Server

WARM = 3
ROUNDS = {"espeak": 5, "kokoro": 2}
FORMATS = {"espeak": ("pcm", "wav", "mp3", "opus", "aac", "flac"), "kokoro": ("pcm",)}


def _first_byte(port: int, text: str, response_format: str) -> float:
    """Return the seconds from the request to the first byte of its audio, and read the rest."""
    # The server closes a connection that is idle while the other protocol is measured.
    connection = HTTPConnection(HOST, port)
    connection.connect()
    body = {"model": "tts-1", "voice": "alloy", "input": text, "response_format": response_format}
    begun = time.perf_counter()
    connection.request("POST", "/v1/audio/speech", json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    answer.read1(1)
    waited_s = time.perf_counter() - begun
    answer.read()
    connection.close()
    return waited_s


async def _measure(server: Server, engine: str) -> tuple[list[float], dict[str, list[float]]]:
    """Return the seconds of the Kani protocol, and those of each format of OpenAI's."""
    kani: list[float] = []
    openai: dict[str, list[float]] = {name: [] for name in FORMATS[engine]}
    sentences = mixed(WITHOUT_EARLY_PHRASE)
    async with connected(server.url) as websocket:
        for number, (language, text) in enumerate([*sentences[:WARM], *sentences * ROUNDS[engine]]):
            # Each is first in half of the pairs: what one leaves behind costs the other.
            if number % 2:
                kani.append((await request_speech(websocket, language, text)).first_audio_s)
            for name, times in openai.items():
                times.append(await asyncio.to_thread(_first_byte, server.port, text, name))
            if not number % 2:
                kani.append((await request_speech(websocket, language, text)).first_audio_s)
    return kani[WARM:], {name: times[WARM:] for name, times in openai.items()}


def first(engine: str) -> None:
    """Compare the first bytes."""
    with Server("--engine", engine) as server:
        kani, openai = asyncio.run(_measure(server, engine))
    rows = [[engine, "Kani", *_columns(kani, None), ""]]
    for name, times in openai.items():
        goal = "≤ 5 ms" if name == "pcm" else ""
        before = kani if name == "pcm" else openai["pcm"]
        rows.append([engine, f"OpenAI, {name}", *_columns(times, before), goal])
    print("First byte of audio; pcm after the Kani protocol's, other formats after pcm:\n")
    head = ("engine", "protocol", "requests", "median", "p90", "after it: median", "goal")
    print(table(head, rows) + "\n", flush=True)


def _columns(times: Sequence[float], before: Sequence[float] | None) -> list[str]:
    later = ""
    if before is not None:
        later = ms(median([one - other for one, other in zip(times, before, strict=True)]))
    return [str(len(times)), ms(median(times)), ms(percentile(times, 90)), later]


PARTS = {engine: partial(first, engine) for engine in ROUNDS}


def main() -> None:
    """Run the command line."""
    measure("protocols.openai_speech", __doc__, "OpenAI's audio API: speech", PARTS)


if __name__ == "__main__":
    main()
