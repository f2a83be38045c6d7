"""Conversations through OpenAI's Realtime socket, with a language model that answers at once.

Kokoro's voices are the user: sentences in Spanish and English with a pause inside, at the pace of speech. The
endpoint is scripted and answers without delay, so that the times are this server's. Measured, for each way
to end turns, with and without answers that are begun in a pause: from the user's last sound to the answer's
first, and sentences that were cut in the pause. Then a word that is spoken over an answer, four conversations
at once, and the server's memory after each of these.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.conversations.talker import DELTA, Talker, talker
from benchmarks.recognition.clips import JUDGING_VOICES
from benchmarks.recognition.clips import SAMPLE_RATE as CLIP_RATE
from benchmarks.recognition.realtime_socket import RATE
from benchmarks.recognition.turn_cases import Case, cases, speaker
from benchmarks.report import median, mib, ms, percentile, report_section, table
from benchmarks.server_process import HOST, Server
from kani.core.types import Samples
from tests.support.chat.endpoint import Answer, chat_endpoint, say

ANSWERS = {"es": "Sí, claro, ahora mismo.", "en": "Yes, of course, right away."}
LONG_ANSWERS = {
    "es": "Claro que sí. Primero vamos al mercado y compramos fruta, y luego volvemos a casa por el parque.",
    "en": "Of course. First we go to the market and buy some fruit, and then we walk home through the park.",
}
WORDS = {"es": "¡Espera!", "en": "Wait!"}
SPOKEN_OVER_AFTER_S = 1.5  # seconds of an answer that are played before the user speaks
ANSWERED_WITHIN_S, AT_ONCE, LONG = 30.0, 4, "long"
TOLD_S = 0.25  # seconds of one piece of an answer: as exactly is known when a word begins
LONGEST_WORD_S = 0.8
AUDIBLE = 0.05  # part of the loudest sample from which on a word is heard

SPOKEN = "response.output_audio_transcript.delta"


@dataclass(slots=True)
class Found:
    """Measurements of turns; seconds."""

    waits: list[float] = field(default_factory=list)  # last sound to the first of the answer
    cut: int = 0
    unanswered: int = 0
    pieces: int = 0
    late: list[float] = field(default_factory=list)

    @property
    def turns(self) -> int:
        """All turns, whatever became of them."""
        return len(self.waits) + self.cut + self.unanswered


def answer(body: dict[str, Any]) -> Answer:
    """Answer as the instructions say, at once."""
    language, answers = body["messages"][0]["content"].split()
    return say((LONG_ANSWERS if answers == LONG else ANSWERS)[language])


async def turn(client: Talker, case: Case, found: Found) -> None:
    """Say a sentence, and hear the answer to its end."""
    spoken = case.samples[: round((case.end_s + 0.1) * CLIP_RATE)]
    begun = await client.say(spoken)
    last_sound, answered, ends = begun + case.end_s, 0.0, 0.0
    cut = False
    async with asyncio.timeout(case.end_s + ANSWERED_WITHIN_S):
        while True:
            at_s, event = await client.events.get()
            kind = event["type"]
            if kind == "input_audio_buffer.speech_stopped":
                cut = cut or at_s < last_sound
            elif kind == DELTA:
                seconds = len(base64.b64decode(event["delta"])) / 2 / RATE
                if not ends or at_s < last_sound:
                    answered, ends = at_s, at_s
                else:
                    found.pieces += 1
                    found.late += [at_s - ends] if at_s > ends else []
                ends = max(ends, at_s) + seconds
            elif kind == "response.done" and answered >= last_sound:
                break
    if cut:
        found.cut += 1
    else:
        found.waits.append(answered - last_sound)
    await asyncio.sleep(max(0.0, ends - time.perf_counter()))


async def converse(server: Server, said: Sequence[Case], detection: str, found: Found) -> None:
    """Hold a conversation, all in one language."""
    async with talker(server.port, said[0].language, detection, "short") as client:
        for case in said:
            try:
                await turn(client, case, found)
            except TimeoutError:
                found.unanswered += 1


async def speak_over(server: Server, language: str, word: Samples) -> tuple[float, bool]:
    """Speak over an answer; returns the seconds to silence, and whether the history is what was heard."""
    async with talker(server.port, language, "server_vad", LONG) as client:
        await client.send("response.create")
        played_s, began = 0.0, list[tuple[float, str]]()
        first = sent = 0.0
        while not sent:
            at_s, event = await client.events.get()
            if event["type"] == SPOKEN:
                began.append((played_s, event["delta"]))
            elif event["type"] == DELTA:
                first = first or at_s
                item = event["item_id"]
                played_s += len(base64.b64decode(event["delta"])) / 2 / RATE
                if played_s > SPOKEN_OVER_AFTER_S:
                    await asyncio.sleep(first + SPOKEN_OVER_AFTER_S - time.perf_counter())
                    sent = await client.say(word)
        stopped, _ = await client.until("input_audio_buffer.speech_started")
        heard_s = min(stopped - first, played_s)
        await client.send(
            "conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=round(1000 * heard_s)
        )
        await client.until("conversation.item.truncated")
        await client.send("conversation.item.retrieve", item_id=item)
        _, kept = await client.until("conversation.item.retrieved")
        text = kept["item"]["content"][0]["transcript"]
    least = "".join(part for at_s, part in began if at_s + TOLD_S + LONGEST_WORD_S < heard_s).strip()
    most = "".join(part for at_s, part in began if at_s < heard_s).strip()
    exact = most.startswith(text) and text.startswith(least)
    sound_s = int(np.flatnonzero(np.abs(word) > AUDIBLE * np.abs(word).max())[0]) / CLIP_RATE
    return stopped - sent - sound_s, exact


def early_answers(server: Server) -> str:
    """Return how many answers were begun in a pause, and dropped."""
    page = httpx.get(f"http://{HOST}:{server.port}/metrics").raise_for_status().text
    counts = {
        sample.labels["outcome"]: int(sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "kani_early_answers_total"
    }
    return f"{counts.get('started', 0)}, {counts.get('dropped', 0)}"


def row(name: str, found: Found) -> list[str]:
    """Return the cells that all tables of turns have."""
    waits = f"{ms(median(found.waits))} / {ms(percentile(found.waits, 95))}" if found.waits else "none"
    late = f"{len(found.late)} of {found.pieces}"
    return [name, str(found.turns), waits, str(found.cut), str(found.unanswered), late]


HEAD = ("turns", "last sound to first sound, median / p95", "cut in the pause", "not answered", "late pieces")


async def measure(turns: int, words: int) -> None:
    """Print all tables; turns: for each way to end them; words: spoken over answers."""
    said = await cases(turns, judging=True)
    by_language = [[case for case in said if case.language == language] for language in ANSWERS]
    async with speaker() as speak:
        over = {name: (await speak(name, JUDGING_VOICES[name][0], WORDS[name]))[0] for name in WORDS}
    rows, together, memory, early = [], [], [], []
    stopped: list[tuple[float, bool]] = []
    async with chat_endpoint(answer) as endpoint:
        for begun_early in ("true", "false"):
            with Server(KANI_LLM_URL=endpoint.url, KANI_LLM_EARLY=begun_early) as server:
                for part in by_language:
                    await converse(server, part[:1], "server_vad", Found())  # loads what is needed
                memory.append([f"{begun_early}, first turns", mib(server.memory_bytes())])
                for detection in ("server_vad", "semantic_vad"):
                    found = Found()
                    for part in by_language:
                        await converse(server, part, detection, found)
                    name = f"{detection}, begun early: {begun_early}"
                    rows.append(row(name, found))
                    memory.append([f"{begun_early}, {found.turns} turns more", mib(server.memory_bytes())])
                early.append([begun_early, early_answers(server)])
                if begun_early == "true":
                    for number in range(words):
                        language = [*WORDS][number % len(WORDS)]
                        stopped.append(await speak_over(server, language, over[language]))
                    found = Found()
                    parts = by_language * (AT_ONCE // len(by_language))
                    await asyncio.gather(*(converse(server, part, "semantic_vad", found) for part in parts))
                    together.append(row("semantic_vad", found))
                    name = f"{begun_early}, {words} interruptions, {AT_ONCE} at once"
                    memory.append([name, mib(server.memory_bytes())])
    print(table(("one conversation", *HEAD), rows) + "\n")
    print(table(("begun early", "answers begun, dropped"), early) + "\n")
    times = [seconds for seconds, _ in stopped]
    cells = [ms(median(times)), ms(percentile(times, 95)), f"{sum(exact for _, exact in stopped)} of {words}"]
    head = ("a word over an answer", "first sound to silence, median", "p95", "history is what was heard")
    print(table(head, [[str(words), *cells]]) + "\n")
    print(table((f"{AT_ONCE} at once", *HEAD), together) + "\n")
    print(table(("begun early, after", "server's memory"), memory) + "\n", flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server.conversation", description=__doc__)
    parser.add_argument("--turns", type=int, default=20, help="for each way to end them")
    parser.add_argument("--words", type=int, default=10, help="spoken over answers")
    parser.add_argument("--quick", action="store_true", help="8 turns and 4 words: less than 8 minutes")
    chosen = parser.parse_args()
    turns, words = (8, 4) if chosen.quick else (chosen.turns, chosen.words)
    with report_section("Conversations", "ctranslate2", "faster-whisper", "onnxruntime"):
        asyncio.run(measure(turns, words))


if __name__ == "__main__":
    main()
