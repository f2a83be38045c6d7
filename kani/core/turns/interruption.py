"""What interrupts an answer: a listener who speaks, and not every sound.

A listener's "mhm", a cough, a keyboard, music and the answer's own echo interrupt nothing. A word does, and
so does a voice that goes on.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import median

from kani.core.recognizer import STEP_S, VOICE_CHUNK_S, RecognizedWord, Step
from kani.core.turns.backchannels import is_backchannel
from kani.core.turns.words import plain


@dataclass(frozen=True, slots=True)
class Tuning:
    """Thresholds, in seconds unless named otherwise; see docs/listening.md."""

    voice_s: float = 0.4  # voice that interrupts without a word
    voice: float = 0.6  # least probability of such a voice
    gap_s: float = 0.13  # of less voice, at most, within it
    quiet_db: float = 8.0  # a voice so much quieter than the listener's usual one is an echo, or far away
    backchannel_s: float = 1.2  # voice with which words that show attention become a turn
    usual_steps: int = 40  # of the listener's own speech that give the usual level
    fewest_steps: int = 5
    echo_words: int = 60  # last words of the answer that may come back
    heard_s: float = 2.0  # from a voice until its words are decided, at most
    quiet_words: int = 3  # in a row that are not the answer's, where the voice was quiet: an echo is misheard


TUNING = Tuning()


class Interruption:
    """Decides when the answer that is spoken is to stop.

    Feed every step and word of the recognition session, which has to judge turns so that steps have levels.
    Call ``begin`` when an answer starts to sound, ``said`` with its words as they are spoken, and ``end``
    when it is over. ``feed`` and ``add_word`` return True once in each answer, when it is to stop.
    """

    def __init__(self, *, by_voice: bool = True, tuning: Tuning = TUNING) -> None:
        """by_voice: False where the answer's echo is not cancelled: then words alone interrupt."""
        self._by_voice = by_voice
        self._tuning = tuning
        self._answering = self._stopped = False
        self._levels: deque[float] = deque(maxlen=tuning.usual_steps)
        self._answer: deque[str] = deque(maxlen=tuning.echo_words)
        self._voice_s = self._gap_s = 0.0
        self._attention_s = 0.0  # voice since the answer began, or since the last long silence
        self._since_near_s = 0.0  # since a voice that is no echo
        self._own_words = 0  # of a quiet voice, in a row

    @property
    def usual_db(self) -> float | None:
        """Level of the listener's speech in dB relative to full scale; None before there was enough of it."""
        return median(self._levels) if len(self._levels) >= self._tuning.fewest_steps else None

    def begin(self) -> None:
        """Watch for interruptions from here on."""
        self._answering, self._stopped = True, False
        self._answer.clear()
        self._restart()

    def end(self) -> None:
        """Watch no more: what comes is the listener's turn."""
        self._answering = False

    def said(self, text: str) -> None:
        """Take words of the answer that are spoken now; heard again, they are its echo."""
        self._answer.extend(word for word in map(plain, text.split()) if word)

    def feed(self, step: Step) -> bool:
        """Take the next step; return True if the answer is to stop."""
        voiced = [voice >= self._tuning.voice for voice in step.voices]
        if not self._answering:
            if step.level_db is not None and voiced and all(voiced):
                self._levels.append(step.level_db)
            return False
        near = not self._is_quiet(step.level_db)
        for loud in voiced:
            self._add_chunk(loud=loud and near)
        long_enough = self._voice_s >= self._tuning.voice_s - VOICE_CHUNK_S / 2
        return self._by_voice and long_enough and self._stop()

    def add_word(self, word: RecognizedWord) -> bool:
        """Take a word that the listener may have said; return True if the answer is to stop."""
        if not self._answering:
            return False
        bare = plain(word.text)
        if not bare:
            return False
        if bare in self._answer:
            self._own_words = 0
            return False
        self._own_words += 1
        if self._since_near_s > self._tuning.heard_s and self._own_words < self._tuning.quiet_words:
            return False
        if is_backchannel(bare, word.language) and self._attention_s < self._tuning.backchannel_s:
            return False
        return self._stop()

    def _add_chunk(self, *, loud: bool) -> None:
        self._since_near_s = 0.0 if loud else self._since_near_s + VOICE_CHUNK_S
        if loud:
            self._voice_s += VOICE_CHUNK_S
            self._attention_s += VOICE_CHUNK_S
            self._gap_s = 0.0
            return
        self._gap_s += VOICE_CHUNK_S
        if self._gap_s > self._tuning.gap_s:
            self._voice_s = 0.0
        if self._gap_s > 10 * STEP_S:
            self._attention_s = 0.0

    def _is_quiet(self, level_db: float | None) -> bool:
        usual_db = self.usual_db
        if level_db is None or usual_db is None:
            return False
        return level_db < usual_db - self._tuning.quiet_db

    def _stop(self) -> bool:
        stops, self._stopped = not self._stopped, True
        return stops

    def _restart(self) -> None:
        self._voice_s = self._gap_s = self._attention_s = 0.0
        self._since_near_s, self._own_words = math.inf, 0
