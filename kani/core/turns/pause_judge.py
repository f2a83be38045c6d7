"""Decides whether a speaker who pauses has said all: every protocol's end of speech uses it.

The sound (``TurnModel``) and the words judge together. By just the sound, cut sentences are often taken for
complete: so a turn is complete at once only if its last word ends a sentence as well, unless a pause has cut
the sentence or the recogniser writes no marks. See docs/listening.md.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from kani.core.errors import EngineUnavailable
from kani.core.recognizer import STEP_S, RecognizedWord, Step
from kani.core.turns.recent_audio import RecentAudio
from kani.core.turns.speech_gate import Pauses, SpeechGate, after_silence
from kani.core.turns.words import goes_on, is_reply
from kani.core.types import Samples
from kani_text.writing import ends_turn

log = logging.getLogger(__name__)


class TurnModel(Protocol):
    """A model that hears whether a speaker has said all. It never blocks the event loop."""

    async def prepare(self) -> None:
        """Load what is needed. Raises EngineUnavailable."""

    async def completeness(self, samples: Samples, sample_rate: int) -> float:
        """Return the probability, in [0, 1], that the speaker has said all.

        samples: the last ``HEARD_S`` seconds up to a pause, at ``sample_rate`` hertz. Raises
        EngineUnavailable.
        """


@dataclass(frozen=True, slots=True)
class Tuning:
    """Thresholds of the judgement; see docs/listening.md."""

    ask_s: float = 0.2  # silence after which the model is asked
    longest_wait_s: float = 0.25  # for the model, until the pause counts as unknown
    complete: tuple[tuple[float, float], ...] = ((0.0, 0.985), (0.55, 0.97), (1.0, 0.92))
    # silence, and the least probability of a complete turn from it on
    reply_s: float = 0.5  # silence that ends a short reply, however it sounds
    before_reply_s: float = 2.0  # least silence before it: what follows a shorter one goes on with a turn
    no_mark: float = 0.07  # that a last word without the mark of an end takes off the probability, unless a
    # pause has cut the sentence: recognisers often write no mark then
    unmarked_words: int = 20  # a recogniser that wrote so many words without a mark writes none
    complete_after_s: Pauses = (0.20, 0.25, 0.30, 0.60)  # silence with which a pause is likely
    unfinished_after_s: Pauses = (0.30, 0.75, 1.50, 2.00)


TUNING = Tuning()

HEARD_S = 8.0
"""Seconds of audio that the model hears."""

_RECENT_WORDS = 16


PROBABLE = 0.5
"""Least probability that the speaker has said all, where a turn has probably ended."""


def has_probably_ended(step: Step, words: Sequence[str], language: str) -> bool:
    """Return True if a turn has probably ended with a step of a pause: its answer may be prepared.

    words: of the turn, up to the pause; language: their primary subtag.
    """
    if not (step.settled and words):
        return False
    completeness = PROBABLE if step.completeness is None else step.completeness
    least = PROBABLE if ends_turn(words[-1]) else TUNING.complete[-1][1]
    return completeness >= least and not goes_on(words, language)


class PauseJudge:
    """Judges the pauses of one stream: feed what the recogniser reads and yields, in order."""

    def __init__(self, model: TurnModel, sample_rate: int, at: int = 0, tuning: Tuning = TUNING) -> None:
        """sample_rate: hertz of the recogniser's audio; at: place of its first sample in the stream."""
        self._model = model
        self._rate = sample_rate
        self._tuning = tuning
        self._gate = SpeechGate()
        self._start_s: float | None = None  # of the first step, where the gate's time begins
        self._audio = RecentAudio(sample_rate, HEARD_S, at)
        self._words: deque[RecognizedWord] = deque(maxlen=_RECENT_WORDS)
        self._begun_s = 0.0  # start of the speech since a silence of ``before_reply_s``, in the gate's time
        self._resumed_s = 0.0  # start of what follows its last pause
        self._unmarked = 0  # words since the stream's start without a mark; -1 once there was one
        self._loading: asyncio.Task[None] = asyncio.ensure_future(model.prepare())
        self._asked: asyncio.Task[float] | None = None  # in this pause
        self._patient = True  # until the model has been waited for in this pause

    def add_audio(self, samples: Samples) -> None:
        self._audio.add(samples)

    def add_word(self, word: RecognizedWord) -> None:
        self._words.append(word)
        if self._unmarked >= 0:
            self._unmarked = -1 if ends_turn(word.text) else self._unmarked + 1

    async def judge(self, step: Step) -> Step:
        """Return the step with what is known of the pause, which takes as long as the model does."""
        if self._start_s is None:
            self._start_s = step.index * STEP_S
        for voice in step.voices:
            ended_s = self._gate.speech_end_s
            self._gate.feed(voice)
            paused_s = self._gate.onset_s - ended_s
            if not ended_s or paused_s >= self._tuning.before_reply_s:
                self._begun_s = self._resumed_s = self._gate.onset_s
            elif paused_s >= self._tuning.ask_s:
                self._resumed_s = self._gate.onset_s
        end = (step.index + 1) * round(STEP_S * self._rate)
        self._audio.forget(end)
        if self._gate.speaking or not self._gate.speech_end_s or not step.voices:
            self._forget()
            return step
        if self._asked is None and self._gate.silence_s >= self._tuning.ask_s:
            heard = self._audio.before(end)
            self._asked = asyncio.ensure_future(self._model.completeness(heard, self._rate))
        if not step.settled:
            return step
        completeness = await self._completeness()
        complete = None if completeness is None else self._is_complete(completeness) or self._is_reply
        return replace(
            step,
            complete=complete,
            completeness=completeness,
            pause_probabilities=self._pauses(step.pause_probabilities, complete),
        )

    @property
    def guess(self) -> float | None:
        """Probability by the sound that the pause so far ends the turn; None if it is not known yet."""
        asked = self._asked
        heard = asked is not None and asked.done() and not asked.cancelled() and asked.exception() is None
        return asked.result() if asked is not None and heard else None

    def _is_complete(self, completeness: float) -> bool:
        silence_s = self._gate.silence_s
        return any(silence_s >= after_s and completeness >= least for after_s, least in self._tuning.complete)

    @property
    def _is_reply(self) -> bool:
        """True in the pause after a short reply."""
        words = self._said
        silent = self._gate.silence_s >= self._tuning.reply_s
        return silent and bool(words) and is_reply([word.text for word in words], words[-1].language)

    @property
    def _said(self) -> list[RecognizedWord]:
        """The last words that no silence of ``before_reply_s`` follows."""
        begun_s = (self._start_s or 0.0) + self._begun_s
        return [word for word in self._words if word.end_s > begun_s]

    @property
    def _continues(self) -> bool:
        """True if the speech since the last pause continues a sentence: its end often gets no mark."""
        resumed_s = (self._start_s or 0.0) + self._resumed_s
        before = [word.text for word in self._said if word.end_s <= resumed_s]
        return before != [] and not ends_turn(before[-1])

    async def _completeness(self) -> float | None:
        """Return how likely the turn is complete; None if neither the words nor the model can tell."""
        words = [word.text for word in self._said]
        onset_s = (self._start_s or 0.0) + self._gate.onset_s
        if not words or self._words[-1].end_s <= onset_s:
            return None  # a sound without words
        if goes_on(words, self._words[-1].language):
            return 0.0
        heard = await self._heard()
        enough = ends_turn(words[-1]) or self._continues or self._unmarked > self._tuning.unmarked_words
        return heard if heard is None or enough else max(0.0, heard - self._tuning.no_mark)

    async def _heard(self) -> float | None:
        """Return what the model says of this pause; None if it is too slow, or missing."""
        if self._asked is None:
            return None
        if not self._asked.done() and self._patient:
            await asyncio.wait((self._asked,), timeout=self._tuning.longest_wait_s)
            self._patient = False
        if not self._asked.done():
            return None
        try:
            return self._asked.result()
        except EngineUnavailable as error:
            if self._patient:
                log.warning("%s", error)
            self._patient = False
            return None

    def _pauses(self, pauses: Pauses, complete: bool | None) -> Pauses:
        if complete is None:
            return pauses
        after_s = self._tuning.complete_after_s if complete else self._tuning.unfinished_after_s
        judged = after_silence(self._gate.silence_s, after_s)
        half, one, two, three = map(max if complete else min, pauses, judged)
        return half, one, two, three

    def _forget(self) -> None:
        """Forget the pause before, as speech goes on."""
        self._patient = True
        asked, self._asked = self._asked, None
        if asked is not None and not asked.cancel():
            # Retrieved, or asyncio logs the error as never retrieved.
            asked.exception()

    async def aclose(self) -> None:
        """End what the model still computes for this stream."""
        left = [self._loading, *([] if self._asked is None else [self._asked])]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
