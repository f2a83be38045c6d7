"""Live recognition by a package's session: its words and the server's voice detector as recognition events.

No model and no event loop: the worker's events and probabilities of a voice go in, recognition events out.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

from kani.core.recognizer import STEP_S, Mark, RecognitionEvent, RecognizedWord, Step
from kani.core.turns.speech_gate import SpeechGate, pause_probabilities
from kani_text.writing import ends_turn

MOST_WHILE_UNDECIDED = 0.5
"""Highest probability of a pause while words before it may still come; clients act from 0.6 on."""


class SessionEvents:
    """Events of one stream. ``events`` are to be passed on, in order, and ``marks`` once it has ended."""

    def __init__(self, delay_s: float) -> None:
        """delay_s: seconds from a word to its recognition, at most."""
        self.events: deque[RecognitionEvent] = deque()
        self._marks: deque[tuple[float, Mark]] = deque()
        self._voices: deque[list[float]] = deque()
        self._gate = SpeechGate()
        self._delay_s = delay_s
        self._decided_s = 0.0
        self._within_word = False
        self._sentence_ended = False
        self._end_s = math.inf

    @property
    def marks(self) -> list[Mark]:
        """Marks that wait for the words before them."""
        return [mark for _, mark in self._marks]

    def add_voices(self, voices: list[float]) -> None:
        """Accept the probabilities of a voice in the next step of audio, before the worker has it."""
        self._voices.append(voices)

    def add_mark(self, mark: Mark, at_s: float) -> None:
        self._marks.append((at_s, mark))
        self._return_decided_marks()

    def add_word(self, word: RecognizedWord) -> None:
        """Accept the worker's next word, which ends no later than the audio."""
        word = replace(word, start_s=min(word.start_s, self._end_s), end_s=min(word.end_s, self._end_s))
        # A word that began after a mark must not come before it.
        self._return_marks(word.start_s)
        self.events.append(word)
        self._sentence_ended = ends_turn(word.text)

    def add_step(self, step: Step) -> None:
        """Accept the worker's next step; its pauses are negative where the package tells none."""
        self._decided_s = max((step.index + 1) * STEP_S - self._delay_s, 0.0)
        self._within_word = not step.settled
        if not self._voices:
            # The last, incomplete step of the audio.
            return
        voices = self._voices.popleft()
        for voice in voices:
            self._gate.feed(voice)
        settled = step.settled and self._gate.speech_end_s <= self._decided_s
        pauses = step.pause_probabilities
        if pauses[0] < 0:
            pauses = pause_probabilities(self._gate, sentence_ended=self._sentence_ended)
        if not settled:
            half, one, two, three = (min(pause, MOST_WHILE_UNDECIDED) for pause in pauses)
            pauses = half, one, two, three
        self.events.append(Step(step.index, pauses, tuple(voices), settled=settled))
        self._return_decided_marks()

    def end(self, end_s: float) -> None:
        """Accept the end of the audio, in seconds; words still come."""
        self._end_s = end_s

    def _return_decided_marks(self) -> None:
        if not self._within_word:
            self._return_marks(self._decided_s)

    def _return_marks(self, until_s: float) -> None:
        while self._marks and self._marks[0][0] <= until_s:
            self.events.append(self._marks.popleft()[1])
