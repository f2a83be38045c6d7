"""Measures speech through Kyutai's protocol: its latency, and its quality when fed word by word.

Parts: ready (from connecting to Ready), first (first audio after a clause, an Eos, the third word),
written (fed word by word against fed whole), times (words' times against the engine's), leave (from the
client's close to the engine's free slot).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import httpx
import msgspec

from benchmarks.kokoro.measures import long_pauses
from benchmarks.kokoro.sockets import server, started_engine
from benchmarks.kokoro.sockets import speak as speak_alone
from benchmarks.protocols.kyutai_client import KEY, SAMPLE_RATE, SpeechResult, connect_speech, speak
from benchmarks.report import measure, median, ms, percentile, table
from benchmarks.sentences import ABOUT_4_S, WITH_EARLY_PHRASE, WITHOUT_INNER_MARK, mixed, one_minute_text
from kani.engines.kokoro.voices import DEFAULT_VOICES
from tests.judges.judge import hear, wrong_words

ROUNDS, TOGETHER = 40, 16
LEAVINGS = 20
THIRD = 2

SHORT = {
    "es": ("Claro que sí.", "Son las cinco.", "Muy bien, gracias.", "No lo sé todavía.", "Hasta mañana."),
    "en": ("Of course.", "It is five o'clock.", "Very well, thank you.", "I don't know yet.", "Good night."),
}
"""Answers too short to be spoken before their Eos."""


async def _opened(url: str) -> list[float]:
    waited = []

    async def open_one(stack: AsyncExitStack) -> None:
        begun = time.perf_counter()
        websocket = await stack.enter_async_context(connect_speech(url))
        assert msgspec.msgpack.decode(await websocket.recv()) == {"type": "Ready"}
        waited.append(time.perf_counter() - begun)

    for _ in range(ROUNDS):
        async with AsyncExitStack() as stack:
            await asyncio.gather(*(open_one(stack) for _ in range(TOGETHER)))
    return waited


def ready() -> None:
    """Measure the time from connecting to Ready, of concurrent sessions."""
    with server() as running:
        waited = asyncio.run(_opened(running.url))
    row = [str(len(waited)), ms(median(waited)), ms(percentile(waited, 99)), ms(max(waited)), "≤ 100 ms"]
    print(
        f"From connecting to Ready, {TOGETHER} sessions opening at once, on the same cores as the server:\n"
    )
    print(table(("sessions", "median", "p99", "most", "goal (p99)"), [row]) + "\n", flush=True)


def _after(spoken: SpeechResult, word: int) -> float:
    return spoken.received_at[0] - spoken.sent_at[word]


async def _first(url: str) -> dict[str, list[float]]:
    waited: dict[str, list[float]] = {}
    for named in (True, False):
        voice = "voice named" if named else "language detected"
        for language, text in (*mixed(WITH_EARLY_PHRASE), *mixed(SHORT), *mixed(WITHOUT_INNER_MARK)):
            query = {"voice": DEFAULT_VOICES[language]} if named else {}
            spoken = await speak(url, text, **query)
            words = text.split()
            clause = next((at for at, word in enumerate(words) if word[-1] in ",.;:?!"), len(words) - 1)
            if clause < len(words) - 1:
                waited.setdefault(f"a clause end, {voice}", []).append(_after(spoken, clause))
            elif len(words) > 5:
                waited.setdefault(f"the third word, no clause ends, {voice}", []).append(
                    _after(spoken, THIRD)
                )
            else:
                waited.setdefault(f"Eos of a short answer, {voice}", []).append(_after(spoken, len(words)))
    return waited


def first() -> None:
    """Measure the first audio of words sent one each 100 ms."""
    with server() as running:
        asyncio.run(speak(running.url, "Hola, ya estoy aquí.", voice="ef_dora"))
        waited = asyncio.run(_first(running.url))
    rows = []
    for after, times in waited.items():
        goal = "each ≤ 1200 ms" if "third" in after else "median ≤ 350 ms"
        rows.append(
            [after, str(len(times)), ms(median(times)), ms(percentile(times, 90)), ms(max(times)), goal]
        )
    print("First audio, a word every 100 ms (below zero: it came before):\n")
    print(table(("after", "texts", "median", "p90", "most", "goal"), rows) + "\n", flush=True)


async def _both(url: str) -> list[tuple[str, str, SpeechResult, SpeechResult]]:
    found = []
    for language, text in (*mixed(WITHOUT_INNER_MARK), *mixed(WITH_EARLY_PHRASE)):
        voice = DEFAULT_VOICES[language]
        in_words = await speak(url, text, voice=voice)
        whole = await speak(url, text, word_s=None, voice=voice)
        found.append((language, text, in_words, whole))
    return found


def written() -> None:
    """Compare text fed word by word with text fed whole: words recognized, length, pauses, stalls."""
    with server() as running:
        found = asyncio.run(_both(running.url))
    wrong = {"fed word by word": [0, 0], "fed whole": [0, 0]}
    for language, text, *takes in found:
        for way, spoken in zip(wrong, takes, strict=True):
            bad, count = wrong_words(text, hear(spoken.samples, SAMPLE_RATE, language), language)
            wrong[way][0] += bad
            wrong[way][1] += count
    ratios = [len(in_words.samples) / len(whole.samples) for *_, in_words, whole in found]
    more = [
        max(0, long_pauses(in_words.samples) - long_pauses(whole.samples)) for *_, in_words, whole in found
    ]
    stalled = [in_words.stalled_s for *_, in_words, _ in found]
    echoed = sum([word for word, *_ in in_words.words] == text.split() for _, text, in_words, _ in found)
    rows = [
        *(
            [f"words wrong, {way}", f"{bad} of {of}: {bad / of:.1%}", "≤ 4 %"]
            for way, (bad, of) in wrong.items()
        ),
        [
            "length ÷ whole's",
            f"all {sum(len(w.samples) for *_, w, _ in found) / sum(len(w.samples) for *_, w in found):.3f}, "
            f"median {median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}",
            "0.92 to 1.08",
        ],
        ["pauses > 250 ms that the whole has not", str(sum(more)), "none"],
        ["texts whose words came back one for one", f"{echoed} of {len(found)}", "all"],
        [
            "stalls in playback",
            f"{sum(s > 0 for s in stalled)} of {len(found)}, longest {ms(max(stalled))}",
            "",
        ],
    ]
    print(
        f"{len(found)} sentences es, en, fr, of 10 to 25 words, a word every 100 ms, beside the same whole:\n"
    )
    print(table(("", "measured", "goal"), rows) + "\n", flush=True)


async def _apart(url: str) -> list[float]:
    """Return differences of times; a text fed whole is synthesized in the same steps each time."""
    apart = []
    body = {"seed": 1, "temperature": 0.6, "top_k": 50, "return_timestamps": True}
    async with started_engine() as engine, httpx.AsyncClient(headers=KEY, timeout=60) as client:
        for language, text in mixed(ABOUT_4_S)[:15]:
            alone = await speak_alone(engine, language, text)
            asked = {**body, "text": [text], "voice": DEFAULT_VOICES[language]}
            answer = await client.post(url.replace("ws:", "http:") + "api/tts", json=asked)
            exact = {word.start: word for word in alone.words}
            at = 0
            for told in answer.raise_for_status().json()["transcript"]:
                at = text.index(told["text"], at)
                # The first word includes the silence before it: words tile the audio.
                if at and (word := exact.get(at)) is not None:
                    apart += [abs(told["start_s"] - word.start_s), abs(told["stop_s"] - word.end_s)]
                at += len(told["text"])
    return apart


def times() -> None:
    """Compare words' times with the engine's own."""
    with server() as running:
        apart = asyncio.run(_apart(running.url))
    row = [str(len(apart)), ms(median(apart)), ms(percentile(apart, 95)), ms(max(apart)), "≤ 10 ms"]
    print("Starts and ends of words beside what the engine says of the same sentence:\n")
    print(table(("times", "median", "p95", "most", "goal"), [row]) + "\n", flush=True)


async def _left(url: str) -> list[float]:
    waited = []
    health = url.replace("ws:", "http:") + "health"
    async with httpx.AsyncClient() as client:
        for number in range(LEAVINGS):
            async with connect_speech(url, voice="ef_dora") as websocket:
                await websocket.recv()
                await websocket.send(one_minute_text(number))
                await websocket.recv()
            left = time.perf_counter()
            while (await client.get(health)).json()["counters"]["speaking"]:
                pass
            waited.append(time.perf_counter() - left)
    return waited


def leave() -> None:
    """Measure the time from a client's close to the engine's free slot."""
    with server() as running:
        waited = asyncio.run(_left(running.url))
    row = [str(len(waited)), ms(median(waited)), ms(max(waited)), "one step"]
    print("From the close of a client during speech to the engine's free slot:\n")
    print(table(("clients", "median", "most", "goal"), [row]) + "\n", flush=True)


PARTS = {"ready": ready, "first": first, "written": written, "times": times, "leave": leave}


if __name__ == "__main__":
    measure("protocols.kyutai_speech", __doc__, "Speech through Kyutai's protocol", PARTS, "faster-whisper")
