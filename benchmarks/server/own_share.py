"""Time that the server adds to first audio: espeak-ng through the socket, less espeak-ng by itself.

One client: each sentence is said by the engine itself and then asked of the server, in turn. Then 32
clients at once, as people would use it: each asks for a sentence, takes the audio as it comes, lets
as much time pass as it takes to play, thinks 0.5 to 1.5 s, and asks for the next one; what is subtracted is
the median time of the engine itself for that very sentence. All clients are one process on the same machine,
so its own work is counted too; a ping and its pong show how much that is.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Sequence

from benchmarks import single_engine
from benchmarks.playback_client import connected, request_speech
from benchmarks.report import median, ms, percentile, report_section, table
from benchmarks.sentences import WITHOUT_EARLY_PHRASE, mixed
from benchmarks.server_process import Server

ROUNDS = 10
CLIENTS = 32
SECONDS = 120
THINKING_S = (0.5, 1.5)
PING = '{"type":"ping","data":{}}'

# One segment each, so that the engine by itself gets the same input as in the server.
SENTENCES = mixed(WITHOUT_EARLY_PHRASE)


async def one_client(url: str) -> tuple[dict[str, list[float]], list[float], list[float]]:
    """Return the engine's own times by text, the server's shares, and the times of pings (seconds)."""
    own: dict[str, list[float]] = {text: [] for _, text in SENTENCES}
    shares, pings = [], []
    async with single_engine.started_engine("espeak") as engine, connected(url) as websocket:
        for number in range(ROUNDS + 1):
            for language, text in SENTENCES:
                engine_s = (await single_engine.speak(engine, language, text)).first_s
                heard = await request_speech(websocket, language, text)
                begun = time.perf_counter()
                await websocket.send(PING)
                await websocket.recv()
                if number:
                    pings.append(time.perf_counter() - begun)
                    own[text].append(engine_s)
                    shares.append(heard.first_audio_s - engine_s)
    return own, shares, pings


async def many_clients(url: str, own: dict[str, list[float]]) -> list[float]:
    """Return the server's shares (seconds) with ``CLIENTS`` concurrent clients."""
    engine_s = {text: median(times) for text, times in own.items()}
    shares: list[float] = []

    async def person(number: int) -> None:
        chance = random.Random(number)
        async with connected(url) as websocket:
            await asyncio.sleep(chance.uniform(0, 5))
            while True:
                language, text = chance.choice(SENTENCES)
                heard = await request_speech(websocket, language, text)
                shares.append(heard.first_audio_s - engine_s[text])
                await asyncio.sleep(heard.first_audio_s + heard.duration_s - heard.done_s)
                await asyncio.sleep(chance.uniform(*THINKING_S))

    people = [asyncio.create_task(person(number)) for number in range(CLIENTS)]
    await asyncio.wait(people, timeout=SECONDS, return_when=asyncio.FIRST_EXCEPTION)
    for task in people:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.wait(people)
    return shares


async def measure(url: str) -> list[list[str]]:
    """Return the rows of the table."""
    own, shares, pings = await one_client(url)
    crowd = await many_clients(url, own)
    return [
        row("the engine alone, first chunk", [time_s for times in own.values() for time_s in times]),
        row("a ping and its pong", pings),
        row("the server's share, one client", shares),
        row(f"the server's share, {CLIENTS} clients", crowd),
    ]


def row(name: str, times: Sequence[float]) -> list[str]:
    """Return one row of the table."""
    return [name, str(len(times)), ms(median(times)), ms(percentile(times, 99)), ms(max(times))]


def main() -> None:
    """Run the command line."""
    argparse.ArgumentParser(prog="python -m benchmarks.server.own_share", description=__doc__).parse_args()
    with report_section("The server's own share of first audio"):
        with Server("--engine", "espeak") as server:
            rows = asyncio.run(measure(server.url))
        print(table(("what", "measured", "median", "p99", "longest"), rows))


if __name__ == "__main__":
    main()
