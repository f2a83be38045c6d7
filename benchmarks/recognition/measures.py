"""Compares a transcript with the clip: wrong words, their delays, and the errors of their times."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.recognition.clips import SAMPLE_RATE, Clip
from kani.core.recognizer import (
    PAUSE_LENGTHS_S,
    STEP_S,
    Mark,
    RecognitionEvent,
    RecognizedWord,
    Recognizer,
    Step,
)
from kani.core.types import Samples
from kani.runtime.recognition.stream import STEP_SAMPLES
from tests.judges.judge import words_of, wrong_words

LIKELY = 0.6
"""Probability from which on a client takes a pause for the end of a turn."""

TWO_S = PAUSE_LENGTHS_S.index(2.0)

# Spellings that are both right; the speech does not tell which.
_SPELLINGS = {"harbour": "harbor", "neighbour": "neighbor", "neighbours": "neighbors", "colour": "color"}


@dataclass(slots=True)
class Transcript:
    """One clip and its recognition events, each with the seconds since the clip began."""

    clip: Clip
    events: list[tuple[float, RecognitionEvent]] = field(default_factory=list)

    @property
    def words(self) -> list[tuple[float, RecognizedWord]]:
        """The words, without the other events."""
        return [(at_s, event) for at_s, event in self.events if isinstance(event, RecognizedWord)]

    @property
    def word_errors(self) -> tuple[int, int]:
        """Number of wrong words, and of words in the clip."""
        text = " ".join(word.text for _, word in self.words)
        language = self.clip.language
        return wrong_words(spelled(self.clip.text, language), spelled(text, language), language)

    @property
    def correct(self) -> list[tuple[int, int]]:
        """Indices of the correct words: in the clip, and in the transcript."""
        said = [spelled(word.text, self.clip.language) for word in self.clip.words]
        got = [spelled(word.text, self.clip.language) for _, word in self.words]
        costs = np.zeros((len(said) + 1, len(got) + 1), int)
        costs[:, 0], costs[0] = np.arange(len(said) + 1), np.arange(len(got) + 1)
        for i, one in enumerate(said, 1):
            for j, other in enumerate(got, 1):
                least = min(costs[i - 1, j], costs[i, j - 1]) + 1
                costs[i, j] = min(least, costs[i - 1, j - 1] + (one != other))
        pairs, i, j = [], len(said), len(got)
        while i and j:
            if costs[i, j] == costs[i - 1, j - 1] + (said[i - 1] != got[j - 1]):
                i, j = i - 1, j - 1
                if said[i] == got[j]:
                    pairs.append((i, j))
            elif costs[i, j] == costs[i - 1, j] + 1:
                i -= 1
            else:
                j -= 1
        return pairs[::-1]

    @property
    def delays_s(self) -> list[float]:
        """Delay of each correct word, from its end in the clip."""
        return [self.words[j][0] - self.clip.words[i].end_s for i, j in self.correct]

    @property
    def start_errors_s(self) -> list[float]:
        """Error of the start of each correct word, in seconds."""
        return [abs(self.words[j][1].start_s - self.clip.words[i].start_s) for i, j in self.correct]

    @property
    def false_ends(self) -> int:
        """Number of times that a pause of 2 s became likely inside a sentence."""
        count, likely = 0, True
        for _, event in self.events:
            if isinstance(event, Step):
                at_s = (event.index + 1) * STEP_S
                inside = any(start + 0.5 < at_s < end for start, end in self.clip.sentences)
                count += inside and not likely and event.pause_probabilities[TWO_S] >= LIKELY
                likely = event.pause_probabilities[TWO_S] >= LIKELY
        return count

    @property
    def late_words(self) -> int:
        """Number of words that followed a Step which reported the pause after them."""
        count, paused_s = 0, None
        for _, event in self.events:
            if isinstance(event, Step):
                likely = event.pause_probabilities[TWO_S] >= LIKELY
                paused_s = (paused_s or (event.index + 1) * STEP_S) if likely else None
            elif isinstance(event, RecognizedWord) and paused_s is not None:
                count += event.end_s < paused_s - 0.3
        return count


def spelled(text: str, language: str) -> str:
    """Return the words of ``text``, each in one of its right spellings."""
    return " ".join(_SPELLINGS.get(word, word) for word in words_of(text, language))


def word_error_rate(transcripts: Iterable[Transcript]) -> float:
    """Return the wrong words of all clips, relative to their words."""
    counts = [transcript.word_errors for transcript in transcripts]
    return sum(wrong for wrong, _ in counts) / sum(words for _, words in counts)


async def at_real_time(samples: Samples, begun: float) -> AsyncIterator[Samples | Mark]:
    """Yield ``samples`` in pieces of a Step at the pace of speech, from the time ``begun`` on."""
    for at in range(0, len(samples), STEP_SAMPLES):
        piece = samples[at : at + STEP_SAMPLES]
        await asyncio.sleep(max(0.0, begun + (at + len(piece)) / SAMPLE_RATE - time.perf_counter()))
        yield piece


async def at_once(samples: Samples) -> AsyncIterator[Samples | Mark]:
    """Yield ``samples`` in pieces of a Step, without waiting."""
    for at in range(0, len(samples), STEP_SAMPLES):
        yield samples[at : at + STEP_SAMPLES]


async def live(
    recognizer: Recognizer, clip: Clip, samples: Samples, language: str | None, wait_s: float = 0.0
) -> Transcript:
    """Transcribe a clip at the pace of speech, beginning in ``wait_s`` seconds."""
    begun = time.perf_counter() + wait_s
    transcript = Transcript(clip)
    async for event in recognizer.recognize(at_real_time(samples, begun), language):
        transcript.events.append((time.perf_counter() - begun, event))
    return transcript


async def transcribe_concurrently(
    recognizer: Recognizer, clips: Sequence[tuple[Clip, Samples]], streams: int, *, with_language: bool
) -> list[Transcript]:
    """Transcribe clips, ``streams`` at once, 0.37 s apart; with_language: whether their language is given."""
    transcripts = []
    for at in range(0, len(clips), streams):
        some = clips[at : at + streams]
        transcripts += await asyncio.gather(
            *(
                live(recognizer, clip, samples, clip.language if with_language else None, 0.37 * number)
                for number, (clip, samples) in enumerate(some)
            )
        )
    return transcripts
