"""Conversations of nearly an hour: the server's memory, and what it holds after them.

Kokoro's voices say the scripts again and again, in Spanish and English in turns, over one connection for each
language that stays open; the microphone of the other hears its room. Everything is at the pace of speech. The
endpoint is scripted; every fifth answer is interrupted by the next sentence. Printed are the server's memory
over the time, its growth in the second half by a line of least squares, and its gauges after the end.
"""

from __future__ import annotations

import argparse
import asyncio
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import httpx2
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.conversations.talker import DELTA, Talker, talker
from benchmarks.recognition.clips import JUDGING_VOICES
from benchmarks.recognition.clips import SAMPLE_RATE as CLIP_RATE
from benchmarks.recognition.turn_cases import speaker
from benchmarks.report import median, mib, percentile, report_section, table
from benchmarks.sentences import texts
from benchmarks.server_process import HOST, Server
from kani.core.types import Samples
from tests.support.chat.endpoint import Answer, chat_endpoint, say

SCRIPTS: Mapping[str, Sequence[Sequence[str]]] = {
    language: [[part.strip() for part in turn.split("|")] for turn in turns]
    for language, turns in texts("scripts").items()
}
"""Conversations of twenty turns by language: the user's words, and the answer."""

INTERRUPTED_EVERY = 5
INTERRUPTED_AFTER_S = 1.5
"""Seconds of an answer that are played before the user speaks into it."""

AUDIBLE = 0.01
"""Part of the loudest sample, above which a sentence still sounds."""

ANSWERED_WITHIN_S = 120.0
FREED_WITHIN_S, ASK_AGAIN_S = 10.0, 0.2
PARTS = 10
"""Rows of the table of the memory."""

GAUGES = (
    "kani_sessions",
    "kani_recognition_sessions",
    "kani_connections",
    "kani_waiting",
    "kani_slots_in_use",
)
"""Gauges that are zero on a server that nobody talks to."""


async def turn(client: Talker, samples: Samples, interrupted_after_s: float | None = None) -> float:
    """Say 16 kHz samples, and hear the answer to its end, or for so many seconds.

    Returns the seconds from the user's last sound to the answer's first. Raises TimeoutError.
    """
    last_sound, wait_s, answer_id = await say_to(client, samples), 0.0, ""
    async with asyncio.timeout(last_sound + ANSWERED_WITHIN_S - time.perf_counter()):
        while True:
            at_s, event = await client.events.get()
            kind = event["type"]
            if at_s < last_sound:
                continue  # the answer that this interrupts
            if kind == "response.created":
                wait_s, answer_id = 0.0, event["response"]["id"]  # the one before was unheard
            elif event.get("response_id", answer_id) != answer_id:
                continue
            elif kind == DELTA:
                wait_s = wait_s or at_s - last_sound
                if interrupted_after_s is not None:
                    await asyncio.sleep(interrupted_after_s)
                    return wait_s
            elif kind == "response.done" and event["response"]["status"] == "completed":
                break
    await client.until_played()
    return wait_s


async def say_to(client: Talker, samples: Samples) -> float:
    """Begin to say 16 kHz samples; returns when their last sound is said."""
    begun = await client.say(samples)
    last = np.flatnonzero(np.abs(samples) > AUDIBLE * np.abs(samples).max())[-1]
    return begun + float(last) / CLIP_RATE


def answer(body: dict[str, Any]) -> Answer:
    """Return one of the answers of the script, in the language of the instructions."""
    script = SCRIPTS[body["messages"][0]["content"].split()[0]]
    return say(script[zlib.crc32(body["messages"][-1]["content"].encode()) % len(script)][1])


@dataclass(slots=True)
class Found:
    """Measurements, one of each for a turn."""

    at_s: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)  # bytes of the server
    waits: list[float] = field(default_factory=list)
    interrupted: int = 0
    unanswered: int = 0


async def converse(server: Server, said: Mapping[str, Sequence[Samples]], minutes: float) -> Found:
    """Hold the conversations for so long, languages in turns."""
    found, begun = Found(), time.perf_counter()
    async with AsyncExitStack() as stack:
        clients = {
            language: await stack.enter_async_context(talker(server.port, language, "semantic_vad", "short"))
            for language in said
        }
        sentences = {language: cycle(samples) for language, samples in said.items()}
        for number, language in enumerate(cycle(said)):
            if time.perf_counter() - begun > 60 * minutes:
                break
            try:
                if number % INTERRUPTED_EVERY == 0:
                    await turn(clients[language], next(sentences[language]), INTERRUPTED_AFTER_S)
                    found.interrupted += 1
                found.waits.append(await turn(clients[language], next(sentences[language])))
            except TimeoutError:
                found.unanswered += 1
            found.at_s.append(time.perf_counter() - begun)
            found.memory.append(server.memory_bytes())
    return found


async def gauges(port: int) -> dict[str, float]:
    """Return the gauges that should be zero, once they are or after ``FREED_WITHIN_S``."""
    ends_at = time.perf_counter() + FREED_WITHIN_S
    async with httpx2.AsyncClient() as http:
        while True:
            page = (await http.get(f"http://{HOST}:{port}/metrics")).raise_for_status().text
            values = {
                f"{sample.name} {' '.join(sample.labels.values())}".strip(): sample.value
                for family in text_string_to_metric_families(page)
                for sample in family.samples
                if sample.name in GAUGES
            }
            if not any(values.values()) or time.perf_counter() > ends_at:
                return values
            await asyncio.sleep(ASK_AGAIN_S)


def growth(found: Found) -> float:
    """Return the bytes an hour by which the memory grows in the second half."""
    half = len(found.at_s) // 2
    return float(np.polyfit(found.at_s[half:], found.memory[half:], 1)[0]) * 3600


async def measure(minutes: float) -> None:
    """Print the tables."""
    async with speaker() as speak:
        said = {
            language: [
                (await speak(language, JUDGING_VOICES[language][at % len(JUDGING_VOICES[language])], text))[0]
                for at, (text, _) in enumerate(script)
            ]
            for language, script in SCRIPTS.items()
        }
    async with chat_endpoint(answer) as endpoint:
        with Server(KANI_LLM_URL=endpoint.url) as server:
            ready = server.memory_bytes()
            found = await converse(server, said, minutes)
            left = await gauges(server.port)
            after = server.memory_bytes()
    rows = [["ready", "0", mib(ready), ""]]
    turns = 0
    for part in np.array_split(np.arange(len(found.at_s)), min(PARTS, len(found.at_s))):
        turns += len(part)
        memory = [found.memory[at] for at in part]
        rows.append(
            [f"{found.at_s[part[-1]] / 60:.0f} min", str(turns), mib(median(memory)), mib(max(memory))]
        )
    rows.append(["connections closed", str(turns), mib(after), ""])
    print(table(("after", "turns", "server's memory, median", "most"), rows) + "\n")
    waits = found.waits
    cells = [
        f"{len(waits)}, {found.unanswered}",
        str(found.interrupted),
        f"{median(waits):.2f} s / {percentile(waits, 95):.2f} s",
        f"{growth(found) / 2**20:+.1f} MiB",
        ", ".join(f"{name} {value:g}" for name, value in left.items() if value)
        or f"all {len(left)} are zero",
    ]
    head = (
        "turns answered, not answered",
        "answers interrupted",
        "last sound to first sound, median / p95",
        "growth an hour, second half",
        "gauges after the end",
    )
    print(table(head, [cells]) + "\n", flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.conversations.many_turns", description=__doc__
    )
    parser.add_argument(
        "--minutes", type=float, default=58.0, help="length of the conversations, below the hour of a session"
    )
    chosen = parser.parse_args()
    with report_section("Conversations of nearly an hour", "ctranslate2", "faster-whisper", "onnxruntime"):
        asyncio.run(measure(chosen.minutes))


if __name__ == "__main__":
    main()
