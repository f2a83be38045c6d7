"""Recognition of one stream: results of steps and probabilities of a voice in, recognition events out.

No model and no event loop.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from kani.core.recognizer import STEP_S, Mark, Step
from kani.core.turns.speech_gate import SpeechGate, pause_probabilities
from kani.engines.kyutai.delays import Delays
from kani.engines.kyutai.step import StepResult
from kani.engines.kyutai.words import TimedWord, WordAssembler
from kani.runtime.transcript import ends_sentence

MOST_WHILE_UNDECIDED = 0.5
"""Highest probability of a pause while words before it may still come; clients act from 0.6 on."""


class RecognitionStream:
    """Recognition of one stream. ``events`` are to be passed on, in order."""

    def __init__(self, delays: Delays, words: WordAssembler) -> None:
        self.events: deque[TimedWord | Step | Mark] = deque()
        self._delays = delays
        self._words = words
        self._gate = SpeechGate()
        self._marks: deque[tuple[float, Mark]] = deque()
        self._position = 0
        self._steps = 0
        self._sentence_ended = False

    def add_mark(self, mark: Mark, at_s: float) -> None:
        """Place a mark at a time of the audio, in seconds."""
        self._marks.append((at_s, mark))
        self._return_marks()

    def take(self, result: StepResult, voices: list[float] | None) -> None:
        """Accept the result of the next frame. voices: of the audio in it; None for a frame of silence."""
        for token in result.tokens:
            self._position = token.position
            self._add(self._words.take(token))
        if voices is not None:
            for voice in voices:
                self._gate.feed(voice)
            pauses = self._pauses(result)
            self.events.append(Step(self._steps, pauses, tuple(voices), settled=self._settled))
            self._steps += 1
        self._return_marks()

    def finish(self) -> None:
        """End the last word; every mark is due."""
        self._add(self._words.finish(min(self._decided_s, self._steps * STEP_S)))
        self.events.extend(mark for _, mark in self._marks)
        self._marks.clear()

    @property
    def _decided_s(self) -> float:
        """Time of the audio before which every word has begun."""
        return self._delays.time_s(self._position)

    @property
    def _settled(self) -> bool:
        """True if no word of the speech so far may still come."""
        return not self._words.pending and self._gate.speech_end_s <= max(self._decided_s, 0.0)

    def _add(self, words: list[TimedWord]) -> None:
        # After the audio's end, the text's delay runs on in silence.
        limit_s = (self._steps + 1) * STEP_S
        for word in words:
            start_s, end_s = min(word.start_s, limit_s), min(word.end_s, limit_s)
            self.events.append(replace(word, start_s=start_s, end_s=end_s))
            self._sentence_ended = ends_sentence(word.text)

    def _pauses(self, result: StepResult) -> tuple[float, float, float, float]:
        pauses = result.pauses
        if pauses is None:
            pauses = pause_probabilities(self._gate, sentence_ended=self._sentence_ended)
        if self._settled:
            return pauses
        half, one, two, three = (min(pause, MOST_WHILE_UNDECIDED) for pause in pauses)
        return half, one, two, three

    def _return_marks(self) -> None:
        while self._marks:
            at_s, mark = self._marks[0]
            begun = self._words.pending and self._words.pending_since_s < at_s
            if begun or self._decided_s < at_s:
                return
            self.events.append(mark)
            self._marks.popleft()
