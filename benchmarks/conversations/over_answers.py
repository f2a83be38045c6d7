"""Sounds over answers of a conversation, and words that interrupt them.

A language model answers at length, and the microphone hears coughs, a keyboard, music, what a listener
says, the answer's own sound at -12 dB and 0.2 s late, or words that interrupt. As on the page an answer rests
while a voice over it is judged; other clients go on until ``speech_started``. Printed are, for each kind, the
answers that were interrupted and those that rested, and the times from the first sound. espeak-ng answers, so
that the processor is the recogniser's.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.conversations.interjections import LISTENER, NOISES, WORDS, Sound, noises, spoken
from benchmarks.conversations.talker import DELTA, STARTED, Talker, talker
from benchmarks.recognition.clips import SAMPLE_RATE as CLIP_RATE
from benchmarks.recognition.turn_cases import speaker
from benchmarks.report import median, ms, percentile, report_section, table
from benchmarks.server_process import Server
from kani.core.types import Samples
from tests.support.chat.endpoint import Answer, chat_endpoint, say

TEXTS = {
    "es": "Primero vamos al mercado y compramos fruta, y luego volvemos a casa por el parque. Allí hay un "
    "lago con patos, y los niños dan de comer a los peces. Por la tarde leemos un libro junto a la ventana.",
    "en": "First we go to the market and buy some fruit, and then we walk home through the park. There is a "
    "lake with ducks, and the children feed the fish. In the afternoon we read a book by the window.",
}
REPEATED = 4  # times the text is said in an answer
BEFORE_S, LEFT_S = 0.8, 7.0  # of an answer, that are played before a sound, and are to come after it
ECHO, ECHO_S = "echo", 2.0
ECHO_DB = -12.0
JUDGED_WITHIN_S = 3.0
SILENCE: Samples = np.zeros(0, np.float32)

KINDS = {**dict.fromkeys(NOISES, 20), ECHO: 20, "listener": 30, "words": 50}
"""Kinds of sounds, and how many of each."""


@dataclass(slots=True)
class Found:
    """Results of the answers under one kind of sound; seconds."""

    sounds: int = 0
    interrupted: list[float] = field(default_factory=list)  # first sound to ``speech_started``
    rested: list[float] = field(default_factory=list)  # first sound to the rest
    rests: list[float] = field(default_factory=list)  # lengths of those that ended by themselves
    names: list[str] = field(default_factory=list)  # of those that were not as they should be


def answer(body: dict[str, Any]) -> Answer:
    """Answer at length, in the language of the instructions."""
    return say(" ".join([TEXTS[body["messages"][0]["content"].split()[0]]] * REPEATED))


async def sound_over(client: Talker, sound: Sound, found: Found) -> bool:
    """Have the microphone hear a sound; returns True if it has interrupted the answer."""
    while not client.events.empty():
        client.events.get_nowait()
    found.sounds += 1
    if sound.name == ECHO:
        begun, length_s = time.perf_counter(), ECHO_S
        client.echo = 10 ** (ECHO_DB / 20)
        asyncio.get_running_loop().call_later(ECHO_S, setattr, client, "echo", 0.0)
    else:
        begun, length_s = await client.say(sound.samples), len(sound.samples) / CLIP_RATE
    rested_at = 0.0
    try:
        async with asyncio.timeout(begun + length_s + JUDGED_WITHIN_S - time.perf_counter()):
            while True:
                at_s, event = await client.events.get()
                if event["type"] == STARTED:
                    found.interrupted.append(at_s - begun)
                    found.rested += [] if rested_at else [at_s - begun]
                    return True
                match event.get("details"):
                    case {"state": "heard"}:
                        rested_at = at_s
                        found.rested.append(at_s - begun)
                    case {"state": "ignored"} if rested_at:
                        found.rests.append(at_s - rested_at)
    except TimeoutError:
        return False


async def conversations(server: Server, sounds: list[Sound], found: dict[str, Found], kind: str) -> None:
    """Have all sounds of one language heard, over as many answers as that takes."""
    while sounds:
        async with talker(server.port, sounds[-1].language, "semantic_vad", "long", "alloy") as client:
            await client.send("response.create")
            while client.left_s < BEFORE_S + LEFT_S:
                await client.until(DELTA)
            await asyncio.sleep(BEFORE_S)
            interrupted = False
            while sounds and not interrupted and client.left_s >= LEFT_S:
                sound = sounds.pop()
                interrupted = await sound_over(client, sound, found[kind])
                if interrupted != (kind == "words"):
                    found[kind].names.append(sound.name)


async def measure(kinds: Sequence[str], share: float) -> None:
    """Print the table; share: part of the number of sounds of each kind."""
    counts = {kind: max(1, round(share * KINDS[kind])) for kind in kinds}
    found = {kind: Found() for kind in kinds}
    sounds = dict[str, list[Sound]]()
    async with speaker() as speak:
        for kind, count in counts.items():
            if kind in NOISES:
                sounds[kind] = noises(kind, count)
            elif kind == ECHO:
                languages = [*TEXTS]
                sounds[kind] = [Sound(ECHO, languages[at % 2], SILENCE) for at in range(count)]
            else:
                sounds[kind] = await spoken(LISTENER if kind == "listener" else WORDS, count, speak)
    async with chat_endpoint(answer) as endpoint:
        with Server("--engine", "espeak", KANI_LLM_URL=endpoint.url, KANI_LLM_EARLY="false") as server:
            for kind in kinds:
                parts = [[one for one in sounds[kind] if one.language == language] for language in TEXTS]
                await asyncio.gather(*(conversations(server, part, found, kind) for part in parts))
    print(table(HEAD, [row(kind, each) for kind, each in found.items()]) + "\n")
    for kind, each in found.items():
        print(f"{kind}, not as it should be: {', '.join(each.names) or 'none'}")


HEAD = (
    "over an answer",
    "sounds",
    "interrupted",
    "rested, first sound to rest, median / p95",
    "first sound to speech_started",
    "rested for nothing, median length",
)


def row(kind: str, found: Found) -> list[str]:
    """Return the cells of one kind."""
    rests = f"{len(found.rests)}, {ms(median(found.rests))}" if found.rests else "0"
    interrupted = f"{len(found.interrupted)} of {found.sounds}"
    rested = f"{len(found.rested)}, {times(found.rested)}"
    return [kind, str(found.sounds), interrupted, rested, times(found.interrupted), rests]


def times(seconds: Sequence[float]) -> str:
    """Return median and 95th percentile."""
    return f"{ms(median(seconds))} / {ms(percentile(seconds, 95))}" if seconds else "-"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.conversations.over_answers", description=__doc__
    )
    parser.add_argument("kinds", nargs="*", default=[*KINDS], help=f"of {', '.join(KINDS)}")
    parser.add_argument("--share", type=float, default=1.0, help="part of the sounds: 0.1 for a quick look")
    chosen = parser.parse_args()
    with report_section("Sounds over answers", "ctranslate2", "faster-whisper", "onnxruntime"):
        asyncio.run(measure(chosen.kinds, chosen.share))


if __name__ == "__main__":
    main()
