"""Measures the first audio of written text through Wyoming, beside Kyutai's socket, text by text in turn.

Each text is sent a word every 40 ms. The time counts from the word that ends its first clause to the first
audio. Wyoming's pieces come in two forms: words with the space after them, and, as language models write,
with the space before them, so that the end of a clause is certain only with the next piece.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec
from wyoming.audio import AudioChunk
from wyoming.client import AsyncTcpClient
from wyoming.tts import SynthesizeChunk, SynthesizeStart, SynthesizeVoice

from benchmarks.protocols import kyutai_client
from benchmarks.report import measure, median, ms, percentile, table
from benchmarks.sentences import WITH_EARLY_PHRASE, mixed
from benchmarks.server_process import HOST, Server
from kani.engines.kokoro.voices import DEFAULT_VOICES

WORD_S = 0.04
ROUNDS = 3
PORT = 10_397


async def kyutai(server: Server, text: str, voice: str, clause: int) -> float:
    """Return the seconds from the clause's last word to the first frame, and leave."""
    async with kyutai_client.connect_speech(server.url, voice=voice) as websocket:
        await websocket.recv()

        async def send(word: str) -> None:
            await websocket.send(msgspec.msgpack.encode({"type": "Text", "text": word}))

        sent_at: list[float] = []
        writing = asyncio.create_task(_write(send, text.split(), sent_at))
        while msgspec.msgpack.decode(await websocket.recv())["type"] != "Audio":
            pass
        first = time.perf_counter()
        await writing
    return first - sent_at[clause]


def wyoming(form: str) -> Callable[[Server, str, str, int], Awaitable[float]]:
    """Return the same measurement through Wyoming; form: of a piece, such as "{} "."""

    async def speak(server: Server, text: str, voice: str, clause: int) -> float:
        async with AsyncTcpClient(HOST, PORT) as client:
            await client.write_event(SynthesizeStart(SynthesizeVoice(name=voice)).event())

            async def send(word: str) -> None:
                await client.write_event(SynthesizeChunk(form.format(word)).event())

            sent_at: list[float] = []
            writing = asyncio.create_task(_write(send, text.split(), sent_at))
            while (event := await client.read_event()) is not None:
                if AudioChunk.is_type(event.type):
                    break
            first = time.perf_counter()
            await writing
        return first - sent_at[clause]

    return speak


async def _write(send: Callable[[str], Awaitable[None]], words: list[str], sent_at: list[float]) -> None:
    begun = time.perf_counter()
    for number, word in enumerate(words):
        await asyncio.sleep(begun + number * WORD_S - time.perf_counter())
        sent_at.append(time.perf_counter())
        await send(word)


WAYS: dict[str, Callable[[Server, str, str, int], Awaitable[float]]] = {
    "Kyutai's socket": kyutai,
    "Wyoming, `word `": wyoming("{} "),
    "Wyoming, ` word`": wyoming(" {}"),
}


async def _measured(server: Server) -> dict[str, list[float]]:
    waited: dict[str, list[float]] = {way: [] for way in WAYS}
    ways = list(WAYS.items())
    for turn in range(-1, ROUNDS):
        for number, (language, text) in enumerate(mixed(WITH_EARLY_PHRASE)):
            words = text.split()
            clause = next(at for at, word in enumerate(words) if word[-1] in ",.;:?!")
            start = (turn + number) % len(ways)
            for way, speak in ways[start:] + ways[:start]:
                seconds = await speak(server, text, DEFAULT_VOICES[language], clause)
                # The first round warms the engine up.
                if turn >= 0:
                    waited[way].append(seconds)
    return waited


def first() -> None:
    """Measure the first audio after a clause's end."""
    with Server("--engine", "kokoro", "--wyoming", KANI_WYOMING_PORT=str(PORT)) as server:
        waited = asyncio.run(_measured(server))
    base = waited["Kyutai's socket"]
    rows = []
    for way, times in waited.items():
        further = [one - other for one, other in zip(times, base, strict=True)]
        rows.append([way, str(len(times)), ms(median(times)), ms(percentile(times, 90)), ms(median(further))])
    print(f"First audio after a clause's end, a word every {WORD_S * 1000:.0f} ms:\n")
    header = ("through", "texts", "median", "p90", "median of the differences to Kyutai")
    print(table(header, rows) + "\n", flush=True)


PARTS = {"first": first}


if __name__ == "__main__":
    measure("protocols.wyoming", __doc__, "Speech through Wyoming", PARTS, "wyoming")
