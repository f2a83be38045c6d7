"""Measures VoxCPM's protocol: overhead of its frames, first audio, cancelling, and a crowd of clients.

Parts: frame (bytes on the wire beyond the samples), first (first audio against the Kani protocol's, in
turn), cancel (from a client's cancel to its answer, when its slot is free, and to the next request's start),
crowd (500 requests over 20 connections, a third cancelled).
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Sequence

from benchmarks.kokoro.sockets import started_engine
from benchmarks.playback_client import connected, request_speech
from benchmarks.report import measure, median, ms, percentile, table
from benchmarks.sentences import ABOUT_4_S, WITH_EARLY_PHRASE, mixed
from benchmarks.server_process import Server
from kani.core.types import Segment
from kani.engines.kokoro.voices import DEFAULT_VOICES
from tests.clients.voxcpm.wire import Answer, Client, Frame, opened

FULL = 4096
"""Bytes of audio in a full frame."""

WEBSOCKET_HEAD = 4
"""Bytes of WebSocket's header of a message of 126 to 65,535 bytes."""

ONE_AT_A_TIME = {"TTS_MAX_CONCURRENT": "1", "KANI_AHEAD_SECONDS": "600"}
SENTENCES = 20
CANCELS = 40
CONNECTIONS, EACH = 20, 25
UNBROKEN = "y después de otra vuelta más por el camino largo del bosque " * 40
"""A text without punctuation: one segment that holds its slot for long."""


def _address(server: Server) -> str:
    return server.url.removesuffix("/")


async def _sizes(url: str, texts: Sequence[tuple[str, str]]) -> list[tuple[int, int]]:
    """Return for each frame its bytes on the wire, and those of its audio."""
    sizes = []
    async with opened(url) as client:
        for language, text in texts:
            await client.request(str(uuid.uuid4()), text, language=language)
            while True:
                raw = await client.socket.recv()
                if isinstance(raw, bytes):
                    sizes.append((len(raw) + WEBSOCKET_HEAD, int.from_bytes(raw[4:8])))
                elif '"complete"' in raw:
                    break
    return [(size, size - WEBSOCKET_HEAD - 12 - metadata) for size, metadata in sizes]


def frame() -> None:
    """Measure the overhead of a stream's frames."""
    rows = []
    for engine in ("espeak", "kokoro"):
        with Server("--engine", engine) as server:
            sizes = asyncio.run(_sizes(_address(server), mixed(ABOUT_4_S)[:SENTENCES]))
        full = [size / FULL - 1 for size, audio in sizes if audio == FULL]
        every = sum(size for size, _ in sizes) / sum(audio for _, audio in sizes) - 1
        rows.append(
            [
                engine,
                f"{len(full)} of {len(sizes)}",
                f"{sum(full) / len(full):.2%}",
                f"{max(full):.2%}",
                "≤ 8 %",
                f"{every:.2%}",
            ]
        )
    print("Bytes beyond the samples, heads of WebSocket included, ids of 36 characters, spans in all:\n")
    head = ("engine", "full frames", "full: mean", "full: most", "goal", "all frames, smaller ones too")
    print(table(head, rows) + "\n", flush=True)


async def _first_audio(client: Client, text: str, language: str) -> float:
    asked = time.perf_counter()
    await client.request("one", text, language=language)
    while not isinstance(await client.receive(), Frame):
        pass
    first_s = time.perf_counter() - asked
    await client.answer("one")
    return first_s


async def _both(url: str) -> tuple[list[float], list[float]]:
    ours, kanis = [], []
    sentences = mixed(WITH_EARLY_PHRASE)
    async with connected(url + "/") as kani, opened(url) as client:
        for warm, (language, text) in enumerate([*sentences[:3], *sentences], -3):
            heard = await request_speech(kani, language, text)
            first_s = await _first_audio(client, text, language)
            if warm >= 0:
                kanis.append(heard.first_audio_s)
                ours.append(first_s)
    return ours, kanis


def first() -> None:
    """Compare the first audio with that of the Kani protocol."""
    rows = []
    for engine in ("espeak", "kokoro"):
        with Server("--engine", engine) as server:
            ours, kanis = asyncio.run(_both(_address(server)))
        for name, waited in (("VoxCPM's", ours), ("Kani's", kanis)):
            rows.append([engine, name, str(len(waited)), ms(median(waited)), ms(percentile(waited, 90))])
    print("First audio of the same sentences, asked for in turn:\n")
    print(table(("engine", "protocol", "sentences", "median", "p90"), rows) + "\n", flush=True)


async def _until(client: Client, *kinds: str) -> str:
    """Read until a message of one of ``kinds`` (a type, a state, or "position"); return which it was."""
    while True:
        message = await client.receive()
        if isinstance(message, dict):
            found = {message["type"], message.get("state"), *message}.intersection(kinds)
            if found:
                return str(found.pop())


async def _cancelled(url: str) -> tuple[list[float], list[float]]:
    """Return seconds to the answer of a cancel, and to the start of a queued request if one was queued."""
    answered, next_turn = [], []
    async with opened(url) as speaking, opened(url) as waiting:
        for _ in range(CANCELS):
            await speaking.request("long", UNBROKEN, language="es")
            await _until(speaking, "processing")
            await waiting.request("next", "Sí.", language="es")
            waits = await _until(waiting, "position", "processing") == "position"
            cancelled = time.perf_counter()
            await speaking.send("cancel", request_id="long")
            if waits:
                await _until(waiting, "processing")
                next_turn.append(time.perf_counter() - cancelled)
            await _until(speaking, "complete")
            if not waits:
                answered.append(time.perf_counter() - cancelled)
            await _until(waiting, "complete")
        for _ in range(CANCELS):
            await speaking.request("long", UNBROKEN, language="es")
            await _until(speaking, "processing")
            cancelled = time.perf_counter()
            await speaking.send("cancel", request_id="long")
            await _until(speaking, "complete")
            answered.append(time.perf_counter() - cancelled)
    return answered, next_turn


async def _steps() -> list[float]:
    """Return seconds between the chunks of a segment by Kokoro itself: each is a step."""
    gaps = []
    async with started_engine() as engine:
        segment = Segment(UNBROKEN[:300], DEFAULT_VOICES["es"], "es")
        for _ in range(5):
            before = time.perf_counter()
            async for _chunk in engine.synthesize(segment):
                now = time.perf_counter()
                gaps.append(now - before)
                before = now
    return gaps


def cancel() -> None:
    """Measure the time from a cancel to the free slot."""
    steps = asyncio.run(_steps())
    rows = [["kokoro", "a step, alone", str(len(steps)), ms(median(steps)), ms(max(steps)), ""]]
    for engine, goal in (("espeak", "≤ 20 ms"), ("kokoro", "≤ 1 step")):
        with Server("--engine", engine, **ONE_AT_A_TIME) as server:
            answered, next_turn = asyncio.run(_cancelled(_address(server)))
        for what, waited in (("its answer", answered), ("the start of a queued request", next_turn)):
            if waited:
                rows.append([engine, what, str(len(waited)), ms(median(waited)), ms(max(waited)), goal])
    print("From a client's cancel to its answer, when its slot is free, and to the next request's start:\n")
    print(table(("engine", "to", "cancels", "median", "most", "goal"), rows) + "\n", flush=True)


async def _crowd(url: str) -> tuple[dict[str, int], float]:
    """Return how the crowd's requests ended, and the seconds for all of them."""
    dice = random.Random(1)
    texts = [text for _, text in mixed(ABOUT_4_S)[:12]]
    async with opened(url) as client:
        alone = {text: await client.speak(text) for text in texts}
    ends = dict.fromkeys(("alike", "cancelled", "other"), 0)

    async def one(number: int) -> None:
        asked = {f"{number}-{at}": dice.choice(texts) for at in range(EACH)}
        async with opened(url) as client, asyncio.TaskGroup() as group:
            for name, text in asked.items():
                await client.request(name, text)
                if dice.random() < 1 / 3:
                    group.create_task(_cancel_later(client, name, dice.uniform(0, 1)))
            answers = await client.answers(*asked)
            for name, text in asked.items():
                ends[_end(answers[name], alone[text])] += 1

    begun = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(CONNECTIONS)))
    return ends, time.perf_counter() - begun


async def _cancel_later(client: Client, name: str, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await client.send("cancel", request_id=name)


def _end(answer: Answer, alone: Answer) -> str:
    if answer.last.get("result") == {"cancelled": True}:
        return "cancelled"
    return "alike" if answer.pcm == alone.pcm and answer.spans == alone.spans else "other"


def crowd() -> None:
    """Run concurrent requests, some of them cancelled."""
    with Server("--engine", "espeak") as server:
        ends, seconds = asyncio.run(_crowd(_address(server)))
    total = sum(ends.values())
    row = [str(total), str(ends["cancelled"]), str(ends["alike"]), str(ends["other"]), f"{seconds:.2f} s"]
    print(f"{total} requests over {CONNECTIONS} connections at once, espeak:\n")
    head = ("requests", "cancelled", "as alone, byte for byte", "anything else (goal: 0)", "all ended after")
    print(table(head, [row]) + "\n", flush=True)


PARTS = {"frame": frame, "first": first, "cancel": cancel, "crowd": crowd}


if __name__ == "__main__":
    measure("protocols.voxcpm", __doc__, "VoxCPM's protocol", PARTS)
