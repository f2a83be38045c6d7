"""Latency and character times of ElevenLabs' stream-input with Kokoro.

Parts: first (from the end of the first clause to the first audio, with text sent word by word), formats
(first byte of MP3 and Opus against PCM, in turn), dialogue (first audio of a dialogue against that of its
first line, and the longest wait later), times (each character's time against the engine's spans, by every way
clients count, and the end of the last one against the audio's), interruption (first audio of an answer after
close_context of the previous one, against one from silence).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import httpx
import numpy as np

from benchmarks.protocols.elevenlabs_interruption import interruption
from benchmarks.report import measure, median, ms, percentile, table
from benchmarks.sentences import WITH_EARLY_PHRASE, WITHOUT_EARLY_PHRASE, mixed
from benchmarks.server_process import Server
from kani.engines.kokoro.voices import DEFAULT_VOICES
from tests.clients.elevenlabs.wire import BOS, EOS, Character, ReceivedSpeech, connect_client
from tests.clients.voxcpm.wire import opened as voxcpm

WORD_S = 0.04
"""Time of a language model for a word: 25 words a second."""

CLAUSE_ENDS = (",", ";", ":", ".", "?", "!", "…")
WARM = 3
TIMED = 10
"""Sentences that times are compared for."""
RATE = 24_000
SINCE_START = "since the start (sync_alignment)"
ADDED_UP = "added up by the messages before"
WITH_AUDIO = "added to the audio before"
DIALOGUE_VOICES = ("af_heart", "am_michael")
FORMATS = ("pcm_24000", "mp3_44100_128", "opus_48000_64")


def _address(server: Server) -> str:
    return server.url.removesuffix("/")


@dataclass(frozen=True, slots=True)
class _First:
    """Seconds from the first clause's last word, and from the first word, to the first audio."""

    after_clause_s: float
    after_word_s: float


async def _first(url: str, language: str, text: str) -> _First:
    """Measure one sentence, sent word by word."""
    words = [f"{word} " for word in text.split()]
    async with connect_client(url, voice=DEFAULT_VOICES[language], output_format=f"pcm_{RATE}") as client:
        await client.send(BOS)
        begun = clause = 0.0

        async def write() -> None:
            nonlocal begun, clause
            for word in words:
                await client.send({"text": word})
                begun = begun or time.perf_counter()
                if word.rstrip().endswith(CLAUSE_ENDS):
                    clause = clause or time.perf_counter()
                await asyncio.sleep(WORD_S)
            await client.send(EOS)

        writing = asyncio.create_task(write())
        while not client.received().parts:
            await client.receive_speech()
        heard = time.perf_counter()
        await writing
        await client.receive_until_closed()
    return _First(heard - clause if clause <= heard else 0.0, heard - begun)


def first() -> None:
    """Measure the first audio of incremental text."""
    groups = {"ends within six words": WITH_EARLY_PHRASE, "ends later": WITHOUT_EARLY_PHRASE}

    async def run(url: str) -> list[list[str]]:
        rows = []
        for name, group in groups.items():
            sentences = mixed(group)
            found = [await _first(url, *each) for each in [*sentences[:WARM], *sentences]][WARM:]
            late, whole = ([getattr(each, part) for each in found] for part in _First.__slots__)
            rows.append(
                [
                    f"{name} ({len(found)})",
                    *(ms(value) for value in (median(late), percentile(late, 90), max(late))),
                    "≤ 350 ms",
                    ms(median(whole)),
                ]
            )
        return rows

    with Server("--engine", "kokoro") as server:
        rows = asyncio.run(run(_address(server)))
    print(
        f"First audio of stream-input, a word every {WORD_S * 1000:.0f} ms (0 ms: before the clause was "
        "complete):\n"
    )
    head = ("the first clause", "after it: median", "p90", "most", "goal", "after the first word: median")
    print(table(head, rows) + "\n", flush=True)


async def _first_byte(url: str, language: str, text: str, name: str) -> float:
    async with connect_client(url, voice=DEFAULT_VOICES[language], output_format=name) as client:
        begun = time.perf_counter()
        await client.send({"text": text}, EOS)
        while not client.received().audio:
            await client.receive_speech()
        waited_s = time.perf_counter() - begun
        await client.receive_until_closed()
    return waited_s


def formats() -> None:
    """Measure the delay of the other formats against PCM."""

    async def run(url: str) -> dict[str, list[float]]:
        sentences = mixed(WITH_EARLY_PHRASE)
        waited: dict[str, list[float]] = {name: [] for name in FORMATS}
        for language, text in [*sentences[:WARM], *sentences]:
            for name in FORMATS:
                waited[name].append(await _first_byte(url, language, text, name))
        return {name: values[WARM:] for name, values in waited.items()}

    with Server("--engine", "kokoro") as server:
        waited = asyncio.run(run(_address(server)))
    plain = waited[FORMATS[0]]
    rows = []
    for name, values in waited.items():
        later = [value - pcm for value, pcm in zip(values, plain, strict=True)]
        beyond = [] if name == FORMATS[0] else [ms(median(later)), ms(percentile(later, 90)), "≤ 80 ms"]
        rows.append([name, str(len(values)), ms(median(values)), *(beyond or ["", "", ""])])
    print("First bytes of audio, the whole text sent at once, the formats in turn:\n")
    head = ("format", "sentences", "median", "after PCM: median", "p90", "goal")
    print(table(head, rows) + "\n", flush=True)


async def _stream(client: httpx.AsyncClient, path: str, body: dict[str, object]) -> tuple[float, float]:
    """Return the seconds until a call's first audio, and the longest wait of a listener who plays at once."""
    begun, first_s, played_s, waited_s = time.perf_counter(), 0.0, 0.0, 0.0
    params = {"output_format": f"pcm_{RATE}"}
    async with client.stream("POST", path, json=body, params=params) as answer:
        answer.raise_for_status()
        async for data in answer.aiter_bytes():
            now_s = time.perf_counter() - begun
            first_s = first_s or now_s
            waited_s = max(waited_s, now_s - first_s - played_s)
            played_s += len(data) / 2 / RATE
    return first_s, waited_s


def dialogue() -> None:
    """Measure the first audio of dialogues in two voices."""
    texts = WITH_EARLY_PHRASE["en"]

    async def run(url: str) -> list[list[str]]:
        found: dict[str, list[tuple[float, float]]] = {"its first line": [], "a dialogue of four lines": []}
        async with httpx.AsyncClient(base_url=url.replace("ws://", "http://"), timeout=60) as client:
            for round_ in range(WARM + len(texts)):
                lines = [texts[(round_ + place) % len(texts)] for place in range(4)]
                inputs = [
                    {"text": text, "voice_id": voice}
                    for text, voice in zip(lines, cycle(DIALOGUE_VOICES), strict=False)
                ]
                alone = await _stream(
                    client, f"/v1/text-to-speech/{DIALOGUE_VOICES[0]}/stream", {"text": lines[0]}
                )
                whole = await _stream(client, "/v1/text-to-dialogue/stream", {"inputs": inputs})
                for rows, measured in zip(found.values(), (alone, whole), strict=True):
                    rows.append(measured)
        return [
            [
                name,
                str(len(rows) - WARM),
                *(ms(value([each[0] for each in rows[WARM:]])) for value in (median, max)),
                ms(max(each[1] for each in rows[WARM:])),
            ]
            for name, rows in found.items()
        ]

    with Server("--engine", "kokoro") as server:
        rows = asyncio.run(run(_address(server)))
    print("First audio by HTTP, PCM, two voices in turn:\n")
    head = ("speech of", "calls", "first audio: median", "most", "longest wait later")
    print(table(head, rows) + "\n", flush=True)


def _read(way: str, heard: ReceivedSpeech) -> list[Character]:
    """Return the characters of a stream, by one way to count."""
    if way == SINCE_START:
        return heard.absolute()
    return heard.summed() if way == ADDED_UP else heard.audio_relative(RATE)


def _off(characters: Sequence[Character], rows: Sequence[Sequence[float]]) -> list[float]:
    """Return the error of each span's first character against the engine's time, in seconds."""
    return [abs(characters[int(start)].start / 1000 - start_s) for start, _, start_s, _ in rows]


def times() -> None:
    """Measure the error of character times."""
    ways = {SINCE_START: "true", ADDED_UP: "false", WITH_AUDIO: "false"}

    async def run(url: str) -> list[list[str]]:
        found: dict[str, list[float]] = {way: [] for way in ways}
        ends: dict[str, list[float]] = {way: [] for way in ways}
        for language, text in mixed(WITH_EARLY_PHRASE)[:TIMED]:
            async with voxcpm(url) as client:
                spoken = await client.speak(text, voice_id=DEFAULT_VOICES[language])
            for way, sync in ways.items():
                asked = {"sync_alignment": sync, "output_format": f"pcm_{RATE}"}
                async with connect_client(url, voice=DEFAULT_VOICES[language], **asked) as asking:
                    heard = await asking.speak(text)
                if not np.array_equal(heard.samples, spoken.samples):
                    # The segments began at other words, so that the audio differs.
                    continue
                characters = _read(way, heard)
                found[way] += _off(characters, spoken.spans)
                end_s = (characters[-1].start + characters[-1].duration) / 1000
                ends[way].append(abs(end_s - len(heard.samples) / RATE))
        return [
            [
                way,
                f"{len(off)} in {len(ends[way])} sentences",
                *(ms(median(off)), ms(percentile(off, 95)), ms(max(off)), "≤ 0.5 ms"),
                *(ms(max(ends[way])), "≤ 20 ms"),
            ]
            for way, off in found.items()
        ]

    with Server("--engine", "kokoro", KANI_ELEVENLABS_TIMES="auto") as server:
        rows = asyncio.run(run(_address(server)))
    with Server("--engine", "kokoro", KANI_ELEVENLABS_TIMES="relative") as server:
        strict = asyncio.run(run(_address(server)))
    rows.append(["the same, KANI_ELEVENLABS_TIMES=relative", *strict[-1][1:]])
    print("Each word's and each gap's first character against the engine's own time:\n")
    ends = "last end and audio's: most"
    head = ("times are", "characters", "off: median", "p95", "most", "goal", ends, "goal")
    print(table(head, rows) + "\n", flush=True)


PARTS = {
    "first": first,
    "formats": formats,
    "dialogue": dialogue,
    "times": times,
    "interruption": interruption,
}


if __name__ == "__main__":
    measure("protocols.elevenlabs", __doc__, "ElevenLabs' WebSocket", PARTS)
