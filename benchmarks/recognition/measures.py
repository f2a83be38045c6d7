"""What was heard against what was said: wrong words, how late they came, and how true their times are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.recognition.clips import SAMPLE_RATE, Clip
from engines.whisper.stream import STEP_SAMPLES
from speech.recognizer import (
    PAUSE_LENGTHS_S,
    STEP_S,
    Mark,
    RecognitionEvent,
    RecognizedWord,
    Recognizer,
    Step,
)
from speech.types import Samples
from tests.judges.judge import words_of, wrong_words

LIKELY = 0.6
"""From this probability on a client takes a pause for one."""

TWO_S = PAUSE_LENGTHS_S.index(2.0)

# Both are right: a recogniser has to choose one.
_SPELLINGS = {"harbour": "harbor", "neighbour": "neighbor", "neighbours": "neighbors", "colour": "color"}


@dataclass(slots=True)
class Transcript:
    """One clip, and what was told of it: with the seconds since it began, on the clock."""

    clip: Clip
    events: list[tuple[float, RecognitionEvent]] = field(default_factory=list)

    @property
    def words(self) -> list[tuple[float, RecognizedWord]]:
        """The words alone."""
        return [(at_s, what) for at_s, what in self.events if isinstance(what, RecognizedWord)]

    @property
    def word_errors(self) -> tuple[int, int]:
        """How many words are wrong, and how many were said."""
        heard = " ".join(word.text for _, word in self.words)
        language = self.clip.language
        return wrong_words(_spelled(self.clip.text, language), _spelled(heard, language), language)

    @property
    def right(self) -> list[tuple[int, int]]:
        """Which words of the clip were heard right, and which of those heard they are."""
        said = [_spelled(word.text, self.clip.language) for word in self.clip.words]
        got = [_spelled(word.text, self.clip.language) for _, word in self.words]
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
        """How long after the end of each word it came, of those that were heard right."""
        return [self.words[j][0] - self.clip.words[i].end_s for i, j in self.right]

    @property
    def start_errors_s(self) -> list[float]:
        """How far its start is from the true one, of each word that was heard right."""
        return [abs(self.words[j][1].start_s - self.clip.words[i].start_s) for i, j in self.right]

    @property
    def false_ends(self) -> int:
        """How many times a pause of 2 s was likely in the middle of a sentence."""
        count, likely = 0, True
        for _, what in self.events:
            if isinstance(what, Step):
                at_s = (what.index + 1) * STEP_S
                inside = any(start + 0.5 < at_s < end for start, end in self.clip.sentences)
                count += inside and not likely and what.pause_probabilities[TWO_S] >= LIKELY
                likely = what.pause_probabilities[TWO_S] >= LIKELY
        return count

    @property
    def late_words(self) -> int:
        """How many words came behind a Step that had told of the pause behind them."""
        count, paused_s = 0, None
        for _, what in self.events:
            if isinstance(what, Step):
                likely = what.pause_probabilities[TWO_S] >= LIKELY
                paused_s = (paused_s or (what.index + 1) * STEP_S) if likely else None
            elif isinstance(what, RecognizedWord) and paused_s is not None:
                count += what.end_s < paused_s - 0.3
        return count


def _spelled(text: str, language: str) -> str:
    return " ".join(_SPELLINGS.get(word, word) for word in words_of(text, language))


def word_error_rate(hearings: Iterable[Transcript]) -> float:
    """Wrong words for each word that was said, of all clips."""
    counts = [hearing.word_errors for hearing in hearings]
    return sum(wrong for wrong, _ in counts) / sum(words for _, words in counts)


async def at_real_time(samples: Samples, begun: float) -> AsyncIterator[Samples | Mark]:
    """``samples`` in pieces of a Step, each when it would have been spoken, from ``begun`` on."""
    for at in range(0, len(samples), STEP_SAMPLES):
        piece = samples[at : at + STEP_SAMPLES]
        await asyncio.sleep(max(0.0, begun + (at + len(piece)) / SAMPLE_RATE - time.perf_counter()))
        yield piece


async def at_once(samples: Samples) -> AsyncIterator[Samples | Mark]:
    """All of ``samples``, in pieces of a Step."""
    for at in range(0, len(samples), STEP_SAMPLES):
        yield samples[at : at + STEP_SAMPLES]


async def live(
    recognizer: Recognizer, clip: Clip, samples: Samples, language: str | None, wait_s: float = 0.0
) -> Transcript:
    """Hear a clip as it would be spoken, beginning in so many seconds."""
    begun = time.perf_counter() + wait_s
    hearing = Transcript(clip)
    async for what in recognizer.recognize(at_real_time(samples, begun), language):
        hearing.events.append((time.perf_counter() - begun, what))
    return hearing


async def transcribe_concurrently(
    recognizer: Recognizer, clips: Sequence[tuple[Clip, Samples]], streams: int, *, with_language: bool
) -> list[Transcript]:
    """Hear clips, so many at once, a little apart; told: whether their language is given."""
    hearings = []
    for at in range(0, len(clips), streams):
        some = clips[at : at + streams]
        hearings += await asyncio.gather(
            *(
                live(recognizer, clip, samples, clip.language if with_language else None, 0.37 * number)
                for number, (clip, samples) in enumerate(some)
            )
        )
    return hearings
