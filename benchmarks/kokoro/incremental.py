"""Text fed word by word while it is spoken, beside the same text fed at once.

Real time: a word every 100 ms, as a language model writes them, into a session of the speech core.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.kokoro.measures import long_pauses, pitch_step
from benchmarks.kokoro.sockets import started_engine
from benchmarks.playback_client import stalls
from benchmarks.report import median, ms, percentile, table
from benchmarks.sentences import WITHOUT_INNER_MARK, mixed
from engines.kokoro.incremental import IncrementalSentence
from engines.kokoro.network.onnx_model import SAMPLE_RATE, Stop
from engines.kokoro.timing import TimedAudio
from speech.observer import Observer
from speech.request import Limits
from speech.service import SpeechService
from speech.types import Pronunciation, Samples, Span, SpeechRequest
from speech.voices.catalogue import VoiceStore
from tests.judges.judge import hear, wrong_words

WORD_S = 0.1
HEARD_AFTER = 5
"""The word from which on the first audio is waited for."""

WRITTEN, WHOLE = "fed a word at a time", "fed whole"


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
        """Total time in which playback ran dry."""
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


async def take(service: SpeechService, language: str, text: str, *, whole: bool) -> Take:
    """Feed ``text``, at once or word by word, and collect the output."""
    chunks: list[Samples] = []
    arrivals: list[float] = []
    spans: list[Span] = []
    with noted_joints() as joints:
        async with service.open(SpeechRequest(language=language), protocol="benchmark") as session:
            since = begun = time.perf_counter()

            async def write() -> None:
                nonlocal since
                words = text.split()
                for number, word in enumerate(words, 1):
                    await asyncio.sleep(begun + (number - 1) * WORD_S - time.perf_counter())
                    session.feed(word if number == len(words) else word + " ")
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
        """Pitch steps in semitones at each joint of the growing take, and at the same word of the whole.

        Only joints that are voiced on both sides, in both.
        """
        in_words, whole = self.fed[WRITTEN], self.fed[WHOLE]
        steps = []
        for joint in in_words.joints:
            own = pitch_step(in_words.samples, joint.sample)
            other = pitch_step(whole.samples, word_begins(whole, self.text, joint.said))
            if own is not None and other is not None:
                steps.append({WRITTEN: own, WHOLE: other})
        return steps


def word_begins(whole: Take, text: str, said: int) -> int:
    """Sample of a take at which the word behind ``said`` characters begins."""
    at = said + len(text[said:]) - len(text[said:].lstrip())
    begins_s = next(span.start_s for span in whole.spans if span.start <= at < span.end)
    return round(begins_s * SAMPLE_RATE)


async def _takes() -> list[Both]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        async with started_engine("windows") as engine:
            service = SpeechService(
                [engine],
                VoiceStore(Path(folder)),
                Limits(),
                default_language="es",
                default_voice=None,
                observer=Observer(),
            )
            await service.start()
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
    ratios = [len(both.fed[WRITTEN].samples) / len(both.fed[WHOLE].samples) for both in found]
    print(
        f"{len(found)} sentences es, en and fr of 15 to 25 words, {WRITTEN}; their length ÷ {WHOLE}: "
        f"{median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f}; goal: 0.95 to 1.05).\n"
    )
    steps = [step for both in found for step in both.pitch_steps()]
    judged = [both.judged() for both in found]
    rows = [["goal", "not above", "not more", "not above", "", "none"]]
    for way in (WRITTEN, WHOLE):
        bad, count = (sum(column) for column in zip(*(one[way].wrong for one in judged), strict=True))
        own = [step[way] for step in steps]
        stalled = [both.fed[way].stalled_s for both in found]
        rows.append(
            [
                *(way, f"{bad} of {count}: {bad / count:.1%}"),
                str(sum(long_pauses(both.fed[way].samples) for both in found)),
                *(f"{median(own):.2f} semitones", f"{percentile(own, 90):.2f}"),
                f"{sum(stall > 0 for stall in stalled)} of {len(found)}, longest {ms(max(stalled))}",
            ]
        )
    head = (
        *("", "words wrong (whisper-base)", "pauses > 250 ms"),
        *("pitch step at joints, median", "p90", "stalls in playback"),
    )
    print(table(head, rows))
    joints = sum(len(both.fed[WRITTEN].joints) for both in found)
    print(f"\n{joints} joints, {len(steps)} of them voiced on both sides, in both.\n")
    unlike = [
        [both.text, one[WHOLE].words, one[WRITTEN].words]
        for both, one in zip(found, judged, strict=True)
        if one[WHOLE].wrong != one[WRITTEN].wrong
    ]
    print("Where the numbers of wrong words differ:\n")
    print(table(("to say", f"heard, {WHOLE}", f"heard, {WRITTEN}"), unlike) + "\n", flush=True)


def _print_first(found: Sequence[Take]) -> None:
    waited = [one.arrivals[0] for one in found]
    row = [str(len(waited)), ms(median(waited)), ms(percentile(waited, 90)), ms(max(waited)), "≤ 250 ms"]
    print(f"First audio after word {HEARD_AFTER} was fed, a word every {WORD_S * 1000:.0f} ms:\n")
    print(table(("sentences", "median", "p90", "most", "goal"), [row]) + "\n", flush=True)
