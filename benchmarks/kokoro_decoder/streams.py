"""Number of streams played without a pause, and the processor time they take.

A client plays audio on arrival, requests pieces of 0.4 s, and takes one when the piece before it begins to
play (``benchmarks.server.load.play``): its only buffer is the first piece. Streams begin at the same moment,
or spread over some seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from benchmarks.kokoro_decoder.servers import decoder_server
from benchmarks.report import median, ms, table
from benchmarks.sentences import ABOUT_7_S
from benchmarks.server.load import Playback, play
from benchmarks.server_process import Server

COUNTS = (1, 2, 4, 6, 8, 10)
TOGETHER, SPREAD = "together", "over 4 s"

_BEGIN_WITHIN_S = {TOGETHER: 0.0, SPREAD: 4.0}
_SENTENCES_EACH = 2
_TOO_MANY = 0.1
"""Share of late pieces after which no more streams are tried."""


@dataclass(frozen=True, slots=True)
class Round:
    """A number of streams: what all of them met, and the server's processor seconds."""

    begun: str
    streams: int
    played: Playback
    processor_s: float

    @property
    def cost(self) -> float:
        """Processor seconds for a second of audio."""
        return self.processor_s / self.played.seconds


def streams() -> None:
    """Print the table."""
    head = (
        *("begun", "streams", "first audio, median", "last"),
        *("late pieces", "latest by", "processor seconds for a second of audio"),
    )
    found = rounds()
    rows = [
        [
            *(
                one.begun,
                str(one.streams),
                ms(median(one.played.first)),
                ms(max(one.played.first)),
            ),
            *(
                f"{len(one.played.lateness)} of {one.played.pieces}",
                ms(max(one.played.lateness, default=0.0)),
            ),
            f"{one.cost:.3f}",
        ]
        for one in found
    ]
    print(f"Streams of {_SENTENCES_EACH} sentences of about 7 s, played as they come:\n")
    print(table(head, rows) + "\n")
    most = {
        begun: max((one.streams for one in own if not one.played.lateness), default=0)
        for begun in _BEGIN_WITHIN_S
        if (own := [one for one in found if one.begun == begun])
    }
    summary = [[begun, str(count)] for begun, count in most.items()]
    print(table(("begun", "most streams without a late piece"), summary) + "\n", flush=True)


def rounds() -> list[Round]:
    """Increasing numbers of streams."""
    found: list[Round] = []
    with decoder_server() as server:
        asyncio.run(_round(server, 1, TOGETHER))
        for begun in _BEGIN_WITHIN_S:
            found += _climb(server, begun)
    return found


def _climb(server: Server, begun: str) -> Iterator[Round]:
    for count in COUNTS:
        before_s = _processor_s()
        played = asyncio.run(_round(server, count, begun))
        yield Round(begun, count, played, _processor_s() - before_s)
        if len(played.lateness) > _TOO_MANY * played.pieces:
            return


async def _round(server: Server, count: int, begun: str) -> Playback:
    played = Playback()

    async def one(number: int) -> None:
        await asyncio.sleep(_BEGIN_WITHIN_S[begun] * number / count)
        await play(server.port, _text(number), played)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
    return played


def _text(number: int) -> str:
    sentences = ABOUT_7_S["es"]
    return " ".join(sentences[(number + at) % len(sentences)] for at in range(_SENTENCES_EACH))


def _processor_s() -> float:
    """Processor time of the server, the only child process that is still running."""
    times = [process.cpu_times() for process in psutil.Process().children(recursive=True)]
    return float(sum(one.user + one.system for one in times))
