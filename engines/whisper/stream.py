"""One stream as it is heard: which audio is kept, when a pass over it is due, what is decided.

No model and no event loop in it: audio and the passes' answers go in, what was heard comes out.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from engines.whisper.local_agreement import HypothesisWord, agreed_count, ends_sentence, is_complete
from engines.whisper.passes import PassInput, PassResult
from engines.whisper.vad import SAMPLE_RATE, SpeechGate, VoiceStream, pause_probabilities
from speech.recognizer import STEP_S, Mark, RecognizedWord, Step
from speech.recognizer import RecognitionEvent as Told
from speech.types import Samples

STEP_SAMPLES = round(STEP_S * SAMPLE_RATE)
"""Samples of a ``Step``, and the most that are taken in at a time."""

# Audio is kept from so long before the voice begins.
_BEFORE_S = 0.3
# A pass needs so much of it, and so much that the one before had not.
_FIRST_S, _MORE_S = 1.0, 0.15
# After so much silence all that was said is decided; after so much its audio is forgotten.
_DECIDE_S, _FORGET_S = 0.25, 0.6
# A word that ends so close to the audio's end may be half a word. Any other is told once two passes agree on
# it; or at once if each of its tokens is so likely, and passes come no more often than that.
_MARGIN_S = 0.2
_SURE, _SELDOM_S = 0.7, 0.4
# With so much audio what is decided is forgotten up to some words; with so much more, what is not
# agreed on is decided too, up to the last seconds.
_LONG_S, _LONGEST_S, _LAST_S = 6.0, 12.0, 2.0
_KEPT_WORDS = 4
# No word is told to lie further outside of what the detector takes for speech.
_OUTSIDE_S = 0.05
# So much behind a mark the words before it are decided.
_MARK_S = 0.5
# Of so much speech its language can be told; of less, where that is so certain.
_LANGUAGE_S, _CERTAIN_S, _CERTAIN = 1.5, 0.6, 0.9
# Audio that comes more than so much faster than it can have been spoken, and so many seconds of it, is a
# recording, not somebody who speaks now.
_FASTER, _AHEAD_S = 1.5, 0.9
# With so many marks that wait, no more audio is needed for the first of them to be due.
_MOST_MARKS = 64


class RecognitionStream:
    """One stream. ``told`` is what was heard and is to be passed on, in order."""

    def __init__(
        self, voices: VoiceStream, language: str | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.events: deque[Told] = deque()
        self._voices = voices
        self._clock = clock
        # How far ahead of the clock the audio is, and when that was so.
        self._lead_s = 0.0
        self._at = clock()
        self._gate = SpeechGate()
        self._language = language
        self._taken = 0
        self._steps = 0
        self._marks: deque[tuple[float, Mark]] = deque()
        self.audio_ended = False
        """Whether no more audio comes."""
        # The audio that is kept, and where it begins.
        self._audio = np.zeros(0, np.float32)
        self._start = 0
        self._prefix: list[HypothesisWord] = []
        self._prefix_ends: list[float] = []
        self._before: tuple[HypothesisWord, ...] = ()
        # Words before this time are decided; the last of them ends at that.
        self._decided_s = 0.0
        self._last_end_s = 0.0
        # When somebody began to speak after all before was decided.
        self._onset_s = 0.0
        self._sentence_ended = True
        # Whether the pass under way comes long after the one before it.
        self._seldom = False
        # The pass under way: where its audio ends, whether it decides all, up to where it does anyway.
        self._passed = 0
        self._under_way: tuple[int, bool, float] | None = None
        # The end of what had been said when it began.
        self._said_s = 0.0

    @property
    def pass_running(self) -> bool:
        """Whether a pass is under way."""
        return self._under_way is not None

    @property
    def now_s(self) -> float:
        """Seconds of audio that were taken in."""
        return self._taken / SAMPLE_RATE

    @property
    def finished(self) -> bool:
        """Whether the audio is over and all that was said in it is told."""
        return self.audio_ended and not self._undecided and not self._marks and self._under_way is None

    @property
    def is_backlog(self) -> bool:
        """Whether the audio comes faster than it can have been spoken."""
        return self._lead_s > _AHEAD_S

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for the pass that is wanted: a speaker who pauses."""
        return self._decisive and not self.is_backlog

    @property
    def pass_due(self) -> bool:
        """Whether a pass over the audio is due now."""
        if self._under_way is not None or not self._undecided:
            return False
        if self._decisive:
            return True
        new_s = self.now_s - max(self._passed, self._start) / SAMPLE_RATE
        return self._gate.speaking and not self.is_backlog and self._kept_s >= _FIRST_S and new_s >= _MORE_S

    @property
    def full(self) -> bool:
        """Whether no more audio can be taken in before a pass has ended."""
        if self._under_way is None and not self.pass_due:
            return False
        paused = self._undecided and self._gate.silence_s >= _FORGET_S - STEP_S
        crowded = self._kept_s >= _LONGEST_S or len(self._marks) >= _MOST_MARKS
        return paused or crowded or (self.is_backlog and self._decisive)

    def feed(self, samples: Samples) -> None:
        """Take in more audio (16 kHz), at most ``STEP`` samples."""
        at, self._at = self._at, self._clock()
        lead_s = max(0.0, self._lead_s - _FASTER * (self._at - at)) + len(samples) / SAMPLE_RATE
        # Bounded, so that somebody who goes on speaking behind a backlog is soon taken for that.
        self._lead_s = min(lead_s, 2 * _AHEAD_S)
        self._audio = np.concatenate([self._audio, samples])
        self._taken += len(samples)
        for voice in self._voices.feed(samples):
            first = not self._undecided
            self._gate.feed(voice)
            if first and self._gate.speaking:
                self._onset_s = self._gate.onset_s
        self._forget()
        while (self._steps + 1) * STEP_SAMPLES <= self._taken:
            pauses = pause_probabilities(self._gate, sentence_ended=self._sentence_ended)
            self.events.append(Step(self._steps, pauses))
            self._steps += 1
        self._return_marks()

    def add_mark(self, mark: Mark) -> None:
        """A mark at this place."""
        self._marks.append((self.now_s, mark))
        self._return_marks()

    def end(self) -> None:
        """The audio is over."""
        self.audio_ended = True
        self._return_marks()

    def begin_pass(self) -> PassInput:
        """The pass that is due; ``finish`` must be called with its answer before the next."""
        decides_all = self._pausing
        until_s = self.now_s - _LAST_S if self._kept_s >= _LONGEST_S else 0.0
        if self._due_mark_s is not None:
            until_s = max(until_s, self._due_mark_s)
        again = self._passed > self._start
        self._seldom = again and self._taken - self._passed >= _SELDOM_S * SAMPLE_RATE
        self._passed = self._taken
        self._said_s = self._gate.speech_end_s
        self._under_way = (self._taken, decides_all, until_s)
        prefix = tuple(token for guess in self._prefix for token in guess.tokens)
        return PassInput(self._audio, self._language, prefix)

    def finish_pass(self, heard: PassResult) -> None:
        """What came of the pass."""
        assert self._under_way is not None
        end, decides_all, until_s = self._under_way
        self._under_way = None
        end_s = end / SAMPLE_RATE
        if decides_all:
            until_s = end_s
        self._settle_language(heard)
        if self._language is not None or until_s:
            self._commit(heard, end_s, until_s, decides_all=decides_all)
        self._decided_s = max(self._decided_s, until_s)
        if self._kept_s >= _LONG_S:
            self._cut()
        self._forget()
        self._return_marks()

    def _settle_language(self, heard: PassResult) -> None:
        """Settle what language the stream is in, once there is enough of it to tell."""
        spoken_s = self._gate.speech_end_s - self._start / SAMPLE_RATE - _BEFORE_S
        certain = heard.language_probability >= _CERTAIN and spoken_s >= _CERTAIN_S
        if self._language is None and heard.has_speech and (certain or spoken_s >= _LANGUAGE_S):
            self._language = heard.language

    def _commit(self, heard: PassResult, end_s: float, until_s: float, *, decides_all: bool) -> None:
        """Tell the words that are decided, and remember the others for the next pass."""
        if not heard.has_speech:
            self._before = ()
            return
        begun_s = self._start / SAMPLE_RATE
        guesses = tuple(word.word for word in heard.words)
        common = agreed_count(self._before, guesses)
        told = 0
        for word in heard.words:
            start_s, stop_s = begun_s + word.start_s, begun_s + word.end_s
            sure = self._seldom and word.probability >= _SURE and is_complete(guesses, told)
            known = told < common or sure
            if not (decides_all or start_s < until_s or (known and stop_s <= end_s - _MARGIN_S)):
                break
            self._tell(word.word, start_s, stop_s)
            told += 1
        self._before = guesses[told:]

    def _tell(self, guess: HypothesisWord, start_s: float, end_s: float) -> None:
        latest_s = self._said_s + _OUTSIDE_S
        start_s = max(min(max(start_s, self._onset_s - _OUTSIDE_S), latest_s), self._last_end_s)
        end_s = max(min(end_s, latest_s), start_s)
        self._last_end_s = end_s
        self._prefix.append(guess)
        self._prefix_ends.append(end_s)
        self._sentence_ended = ends_sentence(guess.text)
        if guess.normalized:
            self.events.append(RecognizedWord(guess.text, start_s, end_s))

    @property
    def _kept_s(self) -> float:
        return len(self._audio) / SAMPLE_RATE

    @property
    def _undecided(self) -> bool:
        return self._gate.speech_end_s > self._decided_s

    @property
    def _pausing(self) -> bool:
        """Whether what was said is complete, so that all of it can be decided."""
        return self.audio_ended or (not self._gate.speaking and self._gate.silence_s >= _DECIDE_S)

    @property
    def _due_mark_s(self) -> float | None:
        """The place of the first mark, if enough audio has come since."""
        if not self._marks:
            return None
        place_s = self._marks[0][0]
        due = self.now_s >= place_s + _MARK_S or len(self._marks) >= _MOST_MARKS
        return place_s if due else None

    @property
    def _decisive(self) -> bool:
        """Whether the pass that is due has to decide something, agreed on or not."""
        return self._undecided and (
            self._pausing or self._due_mark_s is not None or self._kept_s >= _LONGEST_S
        )

    def _return_marks(self) -> None:
        while self._marks and (not self._undecided or self._decided_s >= self._marks[0][0]):
            self.events.append(self._marks.popleft()[1])

    def _cut(self) -> None:
        """Forget the audio of the words that are decided, but for the last of them."""
        kept = len(self._prefix) - _KEPT_WORDS
        if kept > 0:
            self._drop_before(self._prefix_ends[kept - 1])
            del self._prefix[:kept], self._prefix_ends[:kept]
        if self._kept_s >= _LONGEST_S:
            # No words in all that, whatever it is that sounds like a voice.
            self._restart(self.now_s - _LAST_S)

    def _forget(self) -> None:
        """Forget audio that nobody speaks in, but for the beginning that a word may have there."""
        if self._under_way is not None or self._undecided:
            return
        if self._gate.silence_s >= _FORGET_S or not self._gate.speech_end_s:
            self._restart(self.now_s - _BEFORE_S)

    def _restart(self, at_s: float) -> None:
        self._drop_before(at_s)
        self._prefix.clear()
        self._prefix_ends.clear()
        self._before = ()

    def _drop_before(self, at_s: float) -> None:
        gone = min(max(round(at_s * SAMPLE_RATE) - self._start, 0), len(self._audio))
        self._audio = self._audio[gone:]
        self._start += gone
