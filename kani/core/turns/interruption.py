"""Decides if a voice over an answer interrupts it, for everything that answers.

A word does, or a voice that goes on. A listener's "mhm", a cough, other noises and the answer's own echo do
not. See docs/conversation.md.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from kani.core.recognizer import STEP_S, RecognizedWord, Step
from kani.core.turns.backchannels import is_backchannel
from kani.core.types import Samples

LIKELY = 0.6
"""Probability of a 2 s pause from which on all words before it are known (``Recognizer.recognize``)."""

SAID_S = 0.3
"""Seconds of voice in which something was said, though no word is recognised; a cough has less."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Thresholds of the decision."""

    voice: float = 0.5  # least probability of a voice
    voice_s: float = 0.6  # voice that interrupts before its words are known: "sí, sí" has less
    word_s: float = 0.15  # least voice of a word: recognisers hear words in coughs as well
    nothing_s: float = 0.2  # silence after which a voice without words was nothing


TUNING = Tuning()


class Verdict(enum.Enum):
    """Knowledge about a voice over an answer."""

    OPEN = enum.auto()
    """Nothing is known yet."""

    INTERRUPTS = enum.auto()
    """It interrupts."""

    NOTHING = enum.auto()
    """It was nothing, and has ended."""


class VoiceOverAnswer:
    """Judges one stretch of voice over an answer, from its first step on; times are the recogniser's."""

    def __init__(self, is_echo: Callable[[Samples], bool], tuning: Tuning = TUNING) -> None:
        """is_echo: returns whether audio is the answer's own, come back."""
        self._is_echo = is_echo
        self._tuning = tuning
        self.echo_until_s = 0.0
        """End of the answer's echo so far."""
        self._silence_s = 0.0
        self.words: list[RecognizedWord] = []
        """Words so far that are not of an echo."""
        self.voiced_s = 0.0
        """Seconds of voice so far that are not the answer's echo."""

    def is_of_echo(self, word: RecognizedWord) -> bool:
        """Return True if a word was heard in the answer's echo."""
        return (word.start_s + word.end_s) / 2 <= self.echo_until_s

    def add_word(self, word: RecognizedWord) -> None:
        """Take a word of the stretch; those of an echo do not count."""
        if not self.is_of_echo(word):
            self.words.append(word)

    def judge(self, step: Step, heard: Callable[[], Samples]) -> Verdict:
        """Return what is known after a step; heard: returns the last ``HEARD_S`` of audio until its end."""
        now_s = (step.index + 1) * STEP_S
        voiced_s = step.voiced_s(self._tuning.voice)
        if voiced_s and self._is_echo(heard()):
            self.echo_until_s = now_s
            self.words.clear()
            voiced_s = 0.0
        self.voiced_s += voiced_s
        self._silence_s = 0.0 if voiced_s else self._silence_s + STEP_S
        if self.interrupts:
            return Verdict.INTERRUPTS
        known = step.settled or step.pause_probabilities[2] >= LIKELY
        silent = self._silence_s >= self._tuning.nothing_s
        return Verdict.NOTHING if known and silent else Verdict.OPEN

    @property
    def interrupts(self) -> bool:
        """True if there is a word so far, or enough voice, that is more than a listener's."""
        if not self.words or self.voiced_s < self._tuning.word_s:
            return self.voiced_s >= self._tuning.voice_s
        return not is_backchannel([word.text for word in self.words], self.words[-1].language)
