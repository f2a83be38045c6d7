"""Speech with prosody predicted from the first words so far, beside the whole sentence's prosody.

Text fed word by word in real time, a word every 100 ms, as a language model writes them, into a session of
the speech core; and complete sentences predicted in steps.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.kokoro.measures import long_pauses, pitch_step
from benchmarks.kokoro.sockets import started_engine
from benchmarks.playback_client import stalls
from benchmarks.report import median, ms, percentile, table
from benchmarks.sentences import ABOUT_7_S, ABOUT_15_S, WITHOUT_INNER_MARK, mixed
from benchmarks.single_engine import service_of
from kani.core.service import SpeechService
from kani.core.types import Pronunciation, Samples, Segment, Span, SpeechChunk, SpeechRequest
from kani.engines.kokoro import pieces
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.incremental import IncrementalSentence
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE, Stop
from kani.engines.kokoro.pieces import Pieces
from kani.engines.kokoro.text.phonemes import Utterance
from kani.engines.kokoro.timing import TimedAudio
from kani.engines.kokoro.windows import prediction_steps
from tests.judges.judge import hear, wrong_words

WORD_S = 0.1
HEARD_AFTER = 5
"""The word from which on the first audio is waited for."""

WRITTEN, WHOLE = "fed a word at a time", "fed whole"
IN_STEPS = "predicted in steps"
SYMBOL_S = 0.0025
"""Seconds that predicting a symbol is taken to need: two cores with AVX2 and without VNNI."""


@dataclass(frozen=True, slots=True)
class Joint:
    """A joint of two pieces: the characters spoken before it, and its sample."""

    said: int
    sample: int


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """One synthesis of a text: arrivals in seconds since the awaited word (or the text) was fed."""

    chunks: tuple[Samples, ...]
    arrivals: tuple[float, ...]
    spans: tuple[Span, ...]
    joints: tuple[Joint, ...]

    @property
    def samples(self) -> Samples:
        """All of the audio."""
        return np.concatenate(self.chunks)

    @property
    def stalled_s(self) -> float:
        """Total time that playback ran dry."""
        return sum(stalls(self.arrivals, [len(chunk) / SAMPLE_RATE for chunk in self.chunks]))


@contextmanager
def noted_joints() -> Iterator[list[Joint]]:
    """Record the joints of the growing text; one text at a time."""
    joints: list[Joint] = []
    given = 0
    synthesize = IncrementalSentence.synthesize

    def recording(
        self: IncrementalSentence,
        text: str,
        ending: str | None,
        stop: Stop,
        pronunciations: Sequence[Pronunciation] = (),
    ) -> Iterator[TimedAudio]:
        nonlocal given
        joint = Joint(self.spoken_length, given) if given else None
        for piece in synthesize(self, text, ending, stop, pronunciations):
            if joint is not None:
                joints.append(joint)
                joint = None
            given += len(piece.samples)
            yield piece

    # The engine does not report its joints.
    with patch.object(IncrementalSentence, "synthesize", recording):
        yield joints


async def take(
    service: SpeechService, language: str, text: str, *, whole: bool, pieces: Sequence[str] = ()
) -> Take:
    """Feed ``text``, at once or piece by piece, and collect the output.

    pieces: what is fed at a time; the words where none are given.
    """
    pieces = pieces or re.findall(r"\S+\s*", text)
    chunks: list[Samples] = []
    arrivals: list[float] = []
    spans: list[Span] = []
    with noted_joints() as joints:
        async with service.open(SpeechRequest(language=language), protocol="benchmark") as session:
            since = begun = time.perf_counter()

            async def write() -> None:
                nonlocal since
                for number, piece in enumerate(pieces, 1):
                    await asyncio.sleep(begun + (number - 1) * WORD_S - time.perf_counter())
                    session.feed(piece)
                    if number == HEARD_AFTER:
                        since = time.perf_counter()
                session.finish()

            async def read() -> None:
                async for chunk in session:
                    spans.extend(chunk.spans)
                    if len(chunk.samples):
                        chunks.append(chunk.samples)
                        arrivals.append(time.perf_counter())

            if whole:
                session.feed(text)
                session.finish()
                await read()
            else:
                await asyncio.gather(read(), write())
    moments = tuple(arrival - since for arrival in arrivals)
    return Take(tuple(chunks), moments, tuple(spans), tuple(joints))


@dataclass(frozen=True, slots=True)
class Judged:
    """Transcript by whisper-base, its word errors, and the number of words."""

    words: str
    wrong: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Both:
    """One text, fed word by word and at once."""

    language: str
    text: str
    fed: dict[str, Take]

    def judged(self) -> dict[str, Judged]:
        """Transcribe each take."""
        heard = {way: hear(one.samples, SAMPLE_RATE, self.language) for way, one in self.fed.items()}
        return {
            way: Judged(words, wrong_words(self.text, words, self.language)) for way, words in heard.items()
        }

    def pitch_steps(self) -> list[dict[str, float]]:
        """Pitch steps in semitones at each joint of the first take, and at the same word of the whole.

        Only joints that are voiced on both sides, in both.
        """
        (way, joined), whole = next(iter(self.fed.items())), self.fed[WHOLE]
        steps = []
        for joint in joined.joints:
            own = pitch_step(joined.samples, joint.sample)
            other = pitch_step(whole.samples, word_begins(whole, self.text, joint.said))
            if own is not None and other is not None:
                steps.append({way: own, WHOLE: other})
        return steps


def word_begins(whole: Take, text: str, said: int) -> int:
    """Sample where the word after ``said`` characters begins in a take."""
    at = said + len(text[said:]) - len(text[said:].lstrip())
    begins_s = next(span.start_s for span in whole.spans if span.start <= at < span.end)
    return round(begins_s * SAMPLE_RATE)


async def _takes() -> list[Both]:
    found = []
    async with started_engine() as engine, service_of(engine) as service:
        sentences = mixed(WITHOUT_INNER_MARK)
        for language, text in sentences[:3]:
            await take(service, language, text, whole=True)
        for language, text in sentences:
            in_words = await take(service, language, text, whole=False)
            whole = await take(service, language, text, whole=True)
            found.append(Both(language, text, {WRITTEN: in_words, WHOLE: whole}))
    return found


def written() -> None:
    """Print the tables."""
    found = asyncio.run(_takes())
    _print_first([both.fed[WRITTEN] for both in found])
    _print_judged(found, "sentences es, en and fr of 15 to 25 words", "0.95 to 1.05")


def _print_judged(found: Sequence[Both], sentences: str, length_goal: str) -> None:
    ways = tuple(found[0].fed)
    ratios = [len(both.fed[ways[0]].samples) / len(both.fed[WHOLE].samples) for both in found]
    print(
        f"{len(found)} {sentences}, {ways[0]}; their length ÷ {WHOLE}: "
        f"{median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f}; goal: {length_goal}).\n"
    )
    steps = [step for both in found for step in both.pitch_steps()]
    judged = [both.judged() for both in found]
    rows = [["goal", "not above", "not more", "not above", "", "none"]]
    for way in ways:
        bad, count = (sum(column) for column in zip(*(one[way].wrong for one in judged), strict=True))
        own = [step[way] for step in steps]
        moved = (f"{median(own):.2f} semitones", f"{percentile(own, 90):.2f}") if own else ("none", "none")
        stalled = [both.fed[way].stalled_s for both in found]
        rows.append(
            [
                *(way, f"{bad} of {count}: {bad / count:.1%}"),
                str(sum(long_pauses(both.fed[way].samples) for both in found)),
                *moved,
                f"{sum(stall > 0 for stall in stalled)} of {len(found)}, longest {ms(max(stalled))}",
            ]
        )
    head = (
        *("", "words wrong (whisper-base)", "pauses > 250 ms"),
        *("pitch step at joints, median", "p90", "stalls in playback"),
    )
    print(table(head, rows))
    joints = sum(len(both.fed[ways[0]].joints) for both in found)
    print(f"\n{joints} joints, {len(steps)} of them voiced on both sides, in both.\n")
    unlike = [
        [both.text, one[WHOLE].words, one[ways[0]].words]
        for both, one in zip(found, judged, strict=True)
        if one[WHOLE].wrong != one[ways[0]].wrong
    ]
    print("Where the numbers of wrong words differ:\n")
    print(table(("to say", f"heard, {WHOLE}", f"heard, {ways[0]}"), unlike) + "\n", flush=True)


def steps() -> None:
    """Print the tables of complete sentences, predicted in steps and as a whole, by length."""
    for name, sentences in {"about 7 s": ABOUT_7_S, "about 15 s": ABOUT_15_S}.items():
        chosen = [one for one in mixed(sentences) if one[0] in ("es", "en")]
        _print_judged(asyncio.run(_stepped(chosen)), f"sentences es and en of {name}", "0.98 to 1.05")


async def _stepped(sentences: Sequence[tuple[str, str]]) -> list[Both]:
    """Synthesize each sentence in both ways, in turn."""
    found = []
    async with started_engine() as engine:
        for number, (language, text) in enumerate(sentences):
            fed = {}
            for in_steps in (True, False)[:: 1 if number % 2 else -1]:
                fed[IN_STEPS if in_steps else WHOLE] = await _synthesized(engine, language, text, in_steps)
            found.append(Both(language, text, {way: fed[way] for way in (IN_STEPS, WHOLE)}))
    return found


async def _synthesized(engine: KokoroEngine, language: str, text: str, in_steps: bool) -> Take:
    """Synthesize a complete sentence; without steps, as before there were any."""
    chunks: list[SpeechChunk] = []
    arrivals: list[float] = []
    segment = Segment(text, engine.info.default_voices[language], language)
    steps = _two_steps if in_steps else _one_step
    with patch.object(pieces, "prediction_steps", steps), noted_step_joints() as joints:
        begun = time.perf_counter()
        async for chunk in engine.synthesize(segment):
            arrivals.append(time.perf_counter() - begun)
            chunks.append(chunk)
    spans = tuple(span for chunk in chunks for span in chunk.spans)
    return Take(tuple(chunk.samples for chunk in chunks), tuple(arrivals), spans, tuple(joints))


def _two_steps(
    utterance: Utterance, until: int, segment: Segment, symbol_s: float
) -> Iterator[tuple[int, int]]:
    """The steps of one machine: what a busy one measures would give another division each time."""
    return prediction_steps(utterance, until, segment, SYMBOL_S)


def _one_step(utterance: Utterance, until: int, segment: Segment, symbol_s: float) -> list[tuple[int, int]]:
    return [(len(utterance.words), until)]


@contextmanager
def noted_step_joints() -> Iterator[list[Joint]]:
    """Record the joints of an utterance's steps; one utterance at a time."""
    joints: list[Joint] = []
    speak_step = Pieces._speak_step

    def recording(
        self: Pieces, utterance: Utterance, first: int, until: int, stop: Stop, **options: Any
    ) -> Iterator[TimedAudio]:
        if first:
            joints.append(Joint(utterance.words[first].start, self._emitted))
        yield from speak_step(self, utterance, first, until, stop, **options)

    # The engine does not report its joints.
    with patch.object(Pieces, "_speak_step", recording):
        yield joints


def _print_first(found: Sequence[Take]) -> None:
    waited = [one.arrivals[0] for one in found]
    row = [str(len(waited)), ms(median(waited)), ms(percentile(waited, 90)), ms(max(waited)), "≤ 250 ms"]
    print(f"First audio after word {HEARD_AFTER} was fed, a word every {WORD_S * 1000:.0f} ms:\n")
    print(table(("sentences", "median", "p90", "most", "goal"), [row]) + "\n", flush=True)
