"""A student beside Kokoro: what it costs, and how it sounds.

--voice chooses the student, of those that ship and of those in KANI_KOKORO_STUDENTS, and so the language of
the sentences. The parts with servers run with those that ship.

quality: words by whisper-base, DNSMOS and likeness of the speaker, sentences that nothing was tuned on.
cost: processor time of a second of audio, both engines in turn.
written: text fed word by word, beside the same text fed at once.
first: first audio through the socket, sentences of 4, 7 and 15 s.
start: time and memory of starts.
streams: streams that are played in real time, at once, in the languages of all students that ship.

DNSMOS needs another environment (tests/judges/requirements-judges.txt); KANI_JUDGE_PYTHON names its python.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from benchmarks import single_engine
from benchmarks.kokoro.student.judging import NO_JUDGE, embeddings, likeness, mos_scores, word_errors
from benchmarks.kokoro.student.written import HEARD_AFTER, Take, take
from benchmarks.playback_client import connected, request_speech
from benchmarks.report import median, mib, ms, percentile, report_section, table
from benchmarks.sentences import (
    ABOUT_4_S,
    ABOUT_7_S,
    ABOUT_15_S,
    HELD_OUT,
    LANGUAGE_NAMES,
    STUDENTS,
    WITHOUT_INNER_MARK,
)
from benchmarks.server.load import Playback, play
from benchmarks.server_process import Server
from kani.composition import settings
from kani.core.types import Samples, Segment
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.kokoro.student.files import StudentFacts, find_students
from kani.engines.kokoro.voices import Voices
from kani.engines.plugin import Resources
from tests.judges.judge import hear, wrong_words
from tests.support.kokoro import measured
from tests.support.sound_measures import long_pauses

GROUPS = (HELD_OUT, ABOUT_4_S, ABOUT_7_S, ABOUT_15_S, WITHOUT_INNER_MARK, STUDENTS)
LENGTHS = {"about 4 s": ABOUT_4_S, "about 7 s": ABOUT_7_S, "about 15 s": ABOUT_15_S}
KOKORO, STUDENT = "Kokoro", "student"
LIGHT = {KOKORO: False, STUDENT: True}
WRITTEN, WHOLE = "fed a word at a time", "fed whole"
COST_SENTENCES, COST_ROUNDS = 10, 2
STARTS = 5
STREAM_COUNTS = (20, 50, 80, 110, 140)
STREAMED_SENTENCES = 3


def sentences(language: str) -> list[str]:
    """List the sentences that are judged."""
    return [text for group in GROUPS for text in group.get(language, ())]


def own_students() -> Path | None:
    """Return the folder that KANI_KOKORO_STUDENTS names."""
    folder: Path | None = settings.load({}).value("kokoro_students")
    return folder


@asynccontextmanager
async def started_engine() -> AsyncIterator[KokoroEngine]:
    """Start Kokoro and its student in this process."""
    chosen = settings.load({})
    engine = KokoroEngine(
        KokoroSettings(student="always", students=own_students()),
        Resources(chosen.cache_dir, chosen.models_dir, threads=single_engine.THREADS),
    )
    await engine.start()
    await measured(engine)
    try:
        yield engine
    finally:
        await engine.stop()


async def speak(engine: KokoroEngine, student: StudentFacts, text: str, *, light: bool) -> Samples:
    """Synthesize ``text`` by the student, or by Kokoro."""
    segment = Segment(text, student.voice, student.language, light=light)
    return np.concatenate([chunk.samples async for chunk in engine.synthesize(segment)])


def spoken(student: StudentFacts) -> list[dict[str, Samples]]:
    """Speak every sentence by both."""

    async def speak_all() -> list[dict[str, Samples]]:
        async with started_engine() as engine:
            return [
                {name: await speak(engine, student, text, light=light) for name, light in LIGHT.items()}
                for text in sentences(student.language)
            ]

    return asyncio.run(speak_all())


def quality(student: StudentFacts) -> None:
    """Print what three judges say that nothing was tuned on."""
    said, texts = spoken(student), sentences(student.language)
    scores = mos_scores([samples for one in said for samples in one.values()])
    speakers = {name: embeddings([one[name] for one in said]) for name in LIGHT}
    rows, unlike = [], []
    for at, name in enumerate(LIGHT):
        errors = word_errors(texts, [one[name] for one in said], student.language)
        unlike += [
            [name, str(bad), text, words] for text, (bad, _, words) in zip(texts, errors, strict=True) if bad
        ]
        bad, count = (sum(error[at] for error in errors) for at in (0, 1))
        own = scores[at :: len(LIGHT)] if scores else []
        rows.append(
            [
                *(name, str(len(said)), str(count), str(bad), f"{bad / count:.2%}"),
                f"{np.mean(own):.3f}" if own else "–",
                f"{likeness(speakers[KOKORO], speakers[name]):.3f}",
                f"{sum(len(one[name]) for one in said) / SAMPLE_RATE:.1f} s",
            ]
        )
    head = ("", "sentences", "words", "wrong", "word error rate", "DNSMOS", "likeness to Kokoro's", "audio")
    print(table(head, rows) + "\n")
    if scores is None:
        print(f"DNSMOS: {NO_JUDGE}\n")
    print("Likeness: mean cosine of the speaker encoder between two other sentences.\n")
    print(table(("", "wrong", "to say", "heard"), unlike) + "\n", flush=True)


def cost(student: StudentFacts) -> None:
    """Print the processor seconds of a second of audio, of both in turn."""

    async def costs() -> dict[str, list[float]]:
        found: dict[str, list[float]] = {name: [] for name in LIGHT}
        texts = sentences(student.language)
        async with started_engine() as engine:
            for light in LIGHT.values():
                await speak(engine, student, texts[0], light=light)
            for _ in range(COST_ROUNDS):
                for text in texts[:: len(texts) // COST_SENTENCES]:
                    for name, light in LIGHT.items():
                        begun = time.process_time()
                        samples = await speak(engine, student, text, light=light)
                        found[name].append((time.process_time() - begun) / (len(samples) / SAMPLE_RATE))
        return found

    found = asyncio.run(costs())
    rows = [
        [name, str(len(each)), f"{median(each):.4f}", f"1/{median(found[KOKORO]) / median(each):.0f}"]
        for name, each in found.items()
    ]
    head = ("", "sentences", "processor seconds a second of audio, median", "÷ Kokoro (goal: ≤ 1/20)")
    print(table(head, rows) + "\n", flush=True)


def written(student: StudentFacts) -> None:
    """Print how text that is fed word by word differs from text that is fed at once."""
    language = student.language
    texts = [*WITHOUT_INNER_MARK[language], *ABOUT_7_S[language]]

    async def takes() -> list[dict[str, Take]]:
        async with started_engine() as engine, single_engine.service_of(engine) as service:
            return [
                {
                    WRITTEN: await take(service, language, text, whole=False),
                    WHOLE: await take(service, language, text, whole=True),
                }
                for text in texts
            ]

    found = asyncio.run(takes())
    ratios = [len(one[WRITTEN].samples) / len(one[WHOLE].samples) for one in found]
    pauses = {way: sum(long_pauses(one[way].samples) for one in found) for way in (WRITTEN, WHOLE)}
    firsts = [one[WRITTEN].arrivals[0] for one in found]
    wrong = {
        way: sum(
            wrong_words(text, hear(one[way].samples, SAMPLE_RATE, language), language)[0]
            for text, one in zip(texts, found, strict=True)
        )
        for way in (WRITTEN, WHOLE)
    }
    head = ("", "words wrong", "pauses of 0.25 s", "length ÷ whole, median", "least", "most")
    lengths = [f"{value:.3f}" for value in (median(ratios), min(ratios), max(ratios))]
    rows = [
        [WRITTEN, str(wrong[WRITTEN]), str(pauses[WRITTEN]), *lengths],
        [WHOLE, str(wrong[WHOLE]), str(pauses[WHOLE]), "1", "1", "1"],
    ]
    print(f"{len(texts)} sentences, a word every 100 ms:\n")
    print(table(head, rows))
    stalled = sum(one[WRITTEN].stalled_s > 0 for one in found)
    print(
        f"\nFirst audio after word {HEARD_AFTER}: {ms(median(firsts))}; {stalled} takes stalled.\n",
        flush=True,
    )


def first(student: StudentFacts) -> None:
    """Print the first audio through the socket, of both in turn."""
    choices = {KOKORO: "never", STUDENT: "always"}
    rows = []
    for group, texts in LENGTHS.items():
        for name, choice in choices.items():
            with Server("--engine", "kokoro", KANI_KOKORO_STUDENT=choice) as server:
                heard = asyncio.run(_request_all(server.url, student, texts[student.language]))
            firsts, audible = zip(*heard, strict=True)
            rows.append([group, name, ms(median(firsts)), ms(percentile(firsts, 90)), ms(median(audible))])
    head = ("sentences", "by", "first audio, median", "p90", "first audible, median")
    print(table(head, rows) + "\n", flush=True)


async def _request_all(url: str, student: StudentFacts, texts: Sequence[str]) -> list[tuple[float, float]]:
    async with connected(url) as websocket:
        await request_speech(websocket, student.language, texts[0])
        heard = [await request_speech(websocket, student.language, text) for text in texts]
    return [(one.first_audio_s, one.first_audible_s) for one in heard]


def start(student: StudentFacts) -> None:
    """Print time and memory of starts in turn, after one of each that fills the caches."""
    texts = ABOUT_4_S[student.language][:STREAMED_SENTENCES]
    found: dict[str, list[tuple[float, int, int]]] = {"only": [], "always": [], "never": []}
    for number, choice in itertools.product(range(1 + STARTS), found):
        with Server("--engine", "kokoro", KANI_KOKORO_STUDENT=choice) as server:
            ready = server.memory_bytes()
            asyncio.run(_request_all(server.url, student, texts))
            if number:
                found[choice].append((server.start_s, ready, server.memory_bytes()))
    rows = []
    for choice, starts in found.items():
        took, ready_bytes, spoken = zip(*starts, strict=True)
        times = ", ".join(f"{seconds:.2f}" for seconds in took)
        memory = (mib(median(ready_bytes)), mib(median(spoken)))
        rows.append([choice, f"{median(took):.2f} s", times, *memory])
    head = (
        *("KANI_KOKORO_STUDENT", "start to ready, median", "all"),
        *("memory when ready", "after four sentences"),
    )
    print(table(head, rows) + "\n", flush=True)


def streams(student: StudentFacts) -> None:
    """Print the late pieces of streams that are played in real time at once, the languages taking turns."""
    languages = sorted({files.facts.language for files in find_students(None, Voices().all)})
    rows = []
    with Server("--engine", "kokoro", KANI_KOKORO_STUDENT="only") as server:
        for count in STREAM_COUNTS:
            played = Playback()
            before = server.processor_s()
            asyncio.run(_play_together(server.port, languages, count, played))
            used = server.processor_s() - before
            rows.append(
                [
                    *(str(count), ms(median(played.first)), ms(percentile(played.first, 99))),
                    f"{len(played.lateness)} of {played.pieces}",
                    ms(max(played.lateness, default=0.0)),
                    f"{used / played.seconds:.4f}",
                ]
            )
    head = ("streams", "first, median", "p99", "late pieces", "latest", "server's processor s a second")
    print(table(head, rows) + "\n", flush=True)


async def _play_together(port: int, languages: Sequence[str], count: int, played: Playback) -> None:
    async def play_some(number: int) -> None:
        language = languages[number % len(languages)]
        texts = sentences(language)
        mine = [texts[(number + at) % len(texts)] for at in range(STREAMED_SENTENCES)]
        await play(port, " ".join(mine), played, language=LANGUAGE_NAMES[language])

    await asyncio.gather(*(play_some(number) for number in range(count)))


PARTS: dict[str, Callable[[StudentFacts], None]] = {
    "quality": quality,
    "cost": cost,
    "written": written,
    "first": first,
    "start": start,
    "streams": streams,
}


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.kokoro.student",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    students = {files.facts.voice: files.facts for files in find_students(own_students(), Voices().all)}
    options.add_argument("--voice", choices=students, default="af_heart")
    options.add_argument("part", nargs="*", help=f"which of {', '.join(PARTS)}; all, if none is named")
    chosen = options.parse_args()
    if unknown := set(chosen.part) - set(PARTS):
        options.error(f"there is no part {', '.join(sorted(unknown))}")
    student = students[chosen.voice]
    with report_section(f"Kokoro's student {chosen.voice}", "faster-whisper"):
        for part in chosen.part or PARTS:
            PARTS[part](student)


if __name__ == "__main__":
    main()
