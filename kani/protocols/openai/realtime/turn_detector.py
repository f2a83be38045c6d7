"""Turn detection: where speech starts and stops, by the probabilities of a voice in the input audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from kani.core.recognizer import STEP_S, VOICE_CHUNK_S, Step
from kani.core.turns.pause_judge import has_probably_ended
from kani.core.types import Samples
from kani.protocols.openai.realtime.session_config import TurnDetection
from kani.text.writing import ends_turn

ONSET_CHUNKS = 2
"""Loud chunks in a row that begin speech; a click is one chunk."""

OFF_FACTOR = 0.6
"""Speech goes on down to this part of the threshold. In 80 sentences with 10 dB of noise, 0.4 finds the ends
0.1 s later in the median; 0.7 cuts one in a pause of 0.26 s."""

PROBABLE_AFTER_S = 0.2
"""Silence after which a turn with a complete sentence has probably ended."""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """Speech has begun; ``start_s``: with the padding before it, in seconds of the audio."""

    start_s: float


@dataclass(frozen=True, slots=True)
class TurnStopped:
    """A turn has ended; ``end_s``: with the silence that ended it, in seconds of the audio."""

    end_s: float


class Turns(Protocol):
    """Learns of the turns of the input."""

    def started(self) -> None:
        """Speech has begun."""

    def holds_voice(self, heard: Samples, sample_rate: int) -> bool:
        """Return True if a voice that begins is to be judged before it counts as a turn.

        heard: the last seconds of the input, at ``sample_rate`` hertz.
        """

    def is_echo(self, heard: Samples, sample_rate: int) -> bool:
        """Return True if what the input has just heard is an answer."""

    def paused(self, text: str, language: str) -> None:
        """A turn has probably ended: its words, and their language. Called at each step of the pause."""

    def went_on(self) -> None:
        """There is speech in a turn that goes on. Called at each step of it."""

    def stopped(self, end_s: float) -> None:
        """A turn has ended, ``end_s`` seconds into the audio."""

    def fell_silent(self) -> None:
        """No turn goes on any more, also if the last one has not stopped: its audio was dropped, say."""

    def transcribed(self, language: str, *, said: bool) -> None:
        """All words of a turn that is to be answered are known; language: primary subtag, or empty.

        said: whether anything was said, in words or not.
        """


class TurnDetector:
    """Finds the turns of a stream of audio, which begins ``start_s`` seconds into the session's."""

    def __init__(self, start_s: float) -> None:
        self.now_s = start_s
        """End of the audio so far, in seconds."""
        self.in_turn = False
        """True from the start of a turn until it has stopped."""
        self.speaking = False
        """True in the speech of a turn, False in its pauses."""
        self.held = False
        """Set while the turn that goes on may be none: silence does not end it."""
        self._speech_end_s = start_s
        self._last_stop_s = start_s
        self._loud = 0
        self._sentence_ended = False
        self._worded = False  # the speech before the pause has words
        self._settled = False  # and all of them are known
        self._complete: bool | None = None  # as the pause so far is judged

    def add_word(self, text: str) -> None:
        """Take a word of the turn; a semantic detection ends turns earlier after a complete sentence."""
        self._worded = True
        self._sentence_ended = ends_turn(text)

    def feed(self, step: Step, detection: TurnDetection) -> list[TurnStarted | TurnStopped]:
        """Take the next step of the audio; returns the turns that started or stopped in it."""
        if step.complete is not None:
            self._complete = step.complete
        self._settled = step.settled
        events = [self._feed_chunk(voice, VOICE_CHUNK_S, detection) for voice in step.voices]
        if not step.voices:
            speaking = max(step.pause_probabilities) == 0
            events.append(self._feed_chunk(float(speaking), STEP_S, detection))
        return [event for event in events if event is not None]

    def _feed_chunk(
        self, voice: float, duration_s: float, detection: TurnDetection
    ) -> TurnStarted | TurnStopped | None:
        begun_s = self.now_s
        self.now_s += duration_s
        self._loud = self._loud + 1 if voice >= detection.threshold else 0
        # Within a turn one loud chunk is enough, or a short word between two pauses would be missed.
        onset_chunks = 1 if self.in_turn or duration_s >= STEP_S else ONSET_CHUNKS
        if self.speaking:
            self.speaking = voice >= OFF_FACTOR * detection.threshold
        elif self._loud >= onset_chunks:
            self.speaking = True
            self._sentence_ended = self._worded = False
            self._complete = None
            onset_s = begun_s - (onset_chunks - 1) * duration_s
        if self.speaking:
            self._speech_end_s = self.now_s
            if not self.in_turn:
                self.in_turn = True
                start_s = onset_s - detection.prefix_padding_ms / 1000
                return TurnStarted(max(start_s, self._last_stop_s))
        elif self.in_turn and not self.held and self._silence_ends_turn(detection):
            return self.stop()
        return None

    def _silence_ends_turn(self, detection: TurnDetection) -> bool:
        # Nothing more is known of speech in which no word is recognised: it is not waited for.
        ended = self._sentence_ended or (self._settled and not self._worded)
        needed_s = detection.silence_s(self._complete, sentence_ended=ended)
        return self.now_s - self._speech_end_s >= needed_s

    def probably_ended(self, step: Step, words: Sequence[str], language: str) -> bool:
        """Return True in a pause of a turn that has probably ended.

        step: the last that was fed; words: of the turn so far; language: their primary subtag.
        """
        paused = self.in_turn and not self.speaking and self.now_s - self._speech_end_s >= PROBABLE_AFTER_S
        return paused and has_probably_ended(step, words, language)

    def tell(self, turns: Turns, step: Step, text: str, language: str) -> None:
        """Let ``turns`` know of the turn's speech and its probable end; see ``probably_ended``."""
        if self.speaking:
            turns.went_on()
        elif self.probably_ended(step, text.split(), language):
            turns.paused(text, language)

    def forget(self) -> None:
        """Forget the turn that goes on: it was none."""
        self.in_turn = self.speaking = False

    def stop(self) -> TurnStopped:
        """End the turn that goes on here."""
        self.in_turn = self.speaking = False
        self._last_stop_s = self.now_s
        return TurnStopped(self.now_s)
