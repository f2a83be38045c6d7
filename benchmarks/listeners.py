"""A thousand listeners of a card that is only a clock: what is before and after it.

step: processor time of the Kani scheduler's thread for a step of 512, 1,024 and 2,048 voices, the card's
frames taking no time.

card: 1,024 voices that begin at once inside one process, on a card that takes an H200's time; the share of it
that the card waits.

sockets: 256 and 1,024 clients of the server, each with a sentence of about 8 s that it plays in real time,
through real sockets. The clients are on this machine, too, in one process.

No model is run: reading prompts, moving slots and copies from a card cost nothing here.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.kani import paper
from benchmarks.report import measure, median, ms, percentile, table
from benchmarks.server.load import Playback, play
from benchmarks.server_process import ROOT, Server

STEPS = (512, 1024, 2048)
CARD = 1024
CLIENTS = (256, 1024)
FRAMES = 100
TEXT = "Los barcos que salen del puerto al alba vuelven por la noche, cargados de peces y de historias."


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
    for clients in CLIENTS:
        with tempfile.TemporaryDirectory() as folder:
            plugin = Path(folder) / "paper-0.dist-info"
            plugin.mkdir()
            (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: paper\nVersion: 0\n", "utf-8")
            (plugin / "entry_points.txt").write_text(
                "[kani.engines]\npaper = benchmarks.kani.paper:ENGINE\n", "utf-8"
            )
            limits = {"KANI_MAX_CONCURRENT": str(clients), "PYTHONPATH": f"{folder}:{ROOT}"}
            with Server("--engine", paper.NAME, **limits) as server:
                played = asyncio.run(_play_all(server, clients))
        first = f"{ms(median(played.first))}, p99 {ms(percentile(played.first, 99))}"
        late = f"{len(played.lateness)} of {played.pieces}"
        rows.append([f"{clients:,}", f"{played.seconds / clients:.1f} s", first, late])
    head = ("clients", "audio each", "first audio, median", "late pieces")
    print(table(head, rows) + "\n", flush=True)


async def _play_all(server: Server, clients: int) -> Playback:
    played = Playback()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(play(server.port, TEXT, played))
    return played


PARTS: dict[str, Callable[[], None]] = {"step": step, "card": card, "sockets": sockets}

if __name__ == "__main__":
    measure("listeners", __doc__, "Listeners", PARTS, "psutil")
