"""A thousand listeners of a card that is only a clock: what is before and after it.

step: processor time of the Kani scheduler's thread for a step of 512, 1,024 and 2,048 voices, the card's
frames taking no time.

card: 1,024 voices that begin at once inside one process, on a card that takes an H200's time; the share of it
that the card waits.

sockets: 400 clients of one process and 600 of two fronts, through real sockets. They come within 15 s, each
with a text of about 20 s that it plays in real time; the engine makes noise at once. The clients are on this
machine, too, in one process.

No model is run: reading prompts, moving slots and copies from a card cost nothing here.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable
from typing import Any

from benchmarks.kani import paper
from benchmarks.report import measure, median, ms, percentile, table
from benchmarks.sentences import one_minute_text
from benchmarks.server.load import Playback, play
from benchmarks.server.stream_second import TEXT_CHARACTERS, WARM, install_noise
from benchmarks.server_process import ROOT, Server

STEPS = (512, 1024, 2048)
CARD = 1024
CLIENTS = (400, 1), (600, 2)
ARRIVE_S = 15.0
FRAMES = 100


def step() -> None:
    """Measure the scheduler's own time."""
    rows = [[f"{voices:,}", f"{paper.step_ms(voices):.2f} ms"] for voices in STEPS]
    print(table(("voices", "processor time of a step"), rows) + "\n", flush=True)


def card() -> None:
    """Measure how long the card waits."""
    found = paper.together(CARD, FRAMES)
    clock = found.clock
    waits = clock.idle_s / (clock.idle_s + clock.busy_s)
    speech = CARD * FRAMES * paper.FRAME_SAMPLES / paper.RATE / found.wall_s
    row = [f"{CARD:,}", f"{speech:.0f}", ms(median(found.first_s)), str(found.late), f"{waits:.1%}"]
    head = ("voices", "seconds of speech a second", "first audio, median", "with a gap", "the card waits")
    print(table(head, [row]) + "\n", flush=True)


def sockets() -> None:
    """Measure what clients of the server get."""
    rows = []
    for clients, fronts in CLIENTS:
        with tempfile.TemporaryDirectory() as folder:
            install_noise(folder)
            settings: dict[str, Any] = {
                "KANI_MAX_CONCURRENT": "1024",
                "KANI_RECOGNIZER": "none",
                "NOISE_TIMED": "1",
            }
            settings["PYTHONPATH"] = f"{folder}:{ROOT}"
            with Server("--engine", "noise", "--fronts", str(fronts), **settings) as server:
                asyncio.run(_play_all(server, WARM, 1.0))
                played = asyncio.run(_play_all(server, clients, ARRIVE_S))
        first = f"{ms(median(played.first))}, p99 {ms(percentile(played.first, 99))}"
        late = f"{len(played.lateness)} of {played.pieces:,}"
        rows.append([str(clients), str(fronts), f"{played.seconds / clients:.0f} s", first, late])
    head = ("clients", "fronts", "audio each", "first audio, median", "late pieces")
    print(table(head, rows) + "\n", flush=True)


async def _play_all(server: Server, clients: int, arrive_s: float) -> Playback:
    """Play clients' texts; they come within ``arrive_s`` seconds."""
    played, chance = Playback(), random.Random(1)

    async def client(number: int) -> None:
        await asyncio.sleep(chance.uniform(0, arrive_s))
        await play(server.port, one_minute_text(number)[:TEXT_CHARACTERS], played)

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(client(number))
    return played


PARTS: dict[str, Callable[[], None]] = {"step": step, "card": card, "sockets": sockets}

if __name__ == "__main__":
    measure("listeners", __doc__, "Listeners", PARTS, "psutil")
