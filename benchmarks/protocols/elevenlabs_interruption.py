"""First audio on ElevenLabs' multi-stream-input after the answer before it was interrupted."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from benchmarks.kokoro_decoder.sockets import wait_until_loaded
from benchmarks.kokoro_decoder.windows import LITERT
from benchmarks.report import median, ms, table
from benchmarks.server_process import Server
from tests.clients.elevenlabs.wire import Client, Message, connect_multi

VOICE = "af_heart"
RATE = 24_000
WARM = 1
ROUNDS = 12

ABANDONED = (
    "The lighthouse keeper climbed the narrow stairs every evening before the fog came in. ",
    "He cleaned the great lamp with a soft cloth and wrote the weather into his book. ",
    "On clear nights he could see the harbour and the small boats that waited for the tide. ",
    "In the morning his daughter brought him fresh bread and the letters from the village. ",
)
ANSWER = "Of course, I can tell you about the opening hours of the library instead. "

SILENCE = "from silence"
INTERRUPTING = "after close_context of another at its first sound"
DROPPED = "on a new socket, the other one dropped"


def _texts(name: str, texts: tuple[str, ...]) -> list[Message]:
    """Return the messages of a context with each text flushed, as of clients with auto_mode."""
    opening: Message = {"text": " ", "context_id": name}
    return [opening, *({"text": text, "context_id": name, "flush": True} for text in texts)]


async def _until_audio(client: Client, name: str) -> None:
    """Receive until the context has audio."""
    while not client.received(name).audio:
        await client.receive_speech()


async def _first_sound(client: Client, name: str) -> float:
    """Return the seconds from the answer's text to its first audio; receives the answer to its end."""
    begun = time.perf_counter()
    await client.send(*_texts(name, (ANSWER,)))
    await _until_audio(client, name)
    waited_s = time.perf_counter() - begun
    await client.send({"context_id": name, "close_context": True})
    await client.receive_until_final(name)
    return waited_s


async def _round(url: str) -> dict[str, tuple[float, float]]:
    """Return, by situation, the seconds to the first audio, and of the abandoned answer's audio before it."""
    found = {}
    asked = {"output_format": f"pcm_{RATE}", "language_code": "en"}
    async with connect_multi(url, VOICE, **asked) as client:
        found[SILENCE] = (await _first_sound(client, "alone"), 0.0)
        await client.send(*_texts("abandoned", ABANDONED))
        await _until_audio(client, "abandoned")
        await client.send({"context_id": "abandoned", "close_context": True})
        before = len(client.received("abandoned").audio)
        begun = time.perf_counter()
        await client.send(*_texts("answer", (ANSWER,)))
        await _until_audio(client, "answer")
        waited_s = time.perf_counter() - begun
        stale_s = (len(client.received("abandoned").audio) - before) / 2 / RATE
        found[INTERRUPTING] = (waited_s, stale_s)
    async with AsyncExitStack() as stack:
        left = await stack.enter_async_context(connect_multi(url, VOICE, **asked))
        await left.send(*_texts("abandoned", ABANDONED))
        await _until_audio(left, "abandoned")
        left.socket.transport.abort()
        client = await stack.enter_async_context(connect_multi(url, VOICE, **asked))
        found[DROPPED] = (await _first_sound(client, "dropped"), 0.0)
    return found


def interruption() -> None:
    """Measure the first audio of an answer, from silence and after an interruption, on the same socket."""

    async def run(url: str) -> list[dict[str, tuple[float, float]]]:
        return [await _round(url) for _ in range(WARM + ROUNDS)][WARM:]

    with Server("--engine", "kokoro", KANI_KOKORO_DECODER="auto") as server:
        wait_until_loaded(server, LITERT)
        rounds = asyncio.run(run(server.url.removesuffix("/")))
    rows = []
    for situation in (SILENCE, INTERRUPTING, DROPPED):
        waited, stale = zip(*(found[situation] for found in rounds), strict=True)
        ratios = [found[situation][0] / found[SILENCE][0] for found in rounds]
        spread = (ms(median(waited)), ms(min(waited)), ms(max(waited)))
        rows.append([situation, *spread, f"{median(ratios):.2f}", f"{median(stale):.2f} s"])
    print(f"First sound of an answer by {VOICE} ({LITERT} decoder), {ROUNDS} rounds in turn:\n")
    head = ("the answer comes", "median", "least", "most", "÷ from silence: median", "stale audio before it")
    print(table(head, rows) + "\n", flush=True)
