"""Finds speech by the probabilities of a voice, and tells how likely a pause lasts."""

import math

from kani.core.recognizer import VOICE_CHUNK_S

# Speech begins at the first probability and ends below the second: with 0.35 quiet ends of words are cut off.
_ON, _OFF = 0.5, 0.2
# Loud chunks that begin speech; a click is one chunk.
_ONSET_CHUNKS = 2

Pauses = tuple[float, float, float, float]
"""A number for each of ``PAUSE_LENGTHS_S``."""

# Seconds of silence after which a pause of each of PAUSE_LENGTHS_S has the probability _LIKELY: after a word
# that ends a sentence, and after any other.
_LIKELY_AFTER_S: Pauses = (0.30, 0.50, 0.70, 1.10)
_LIKELY_AFTER_UNENDED_S: Pauses = (0.30, 0.50, 1.00, 1.50)
_LIKELY = 0.6


class SpeechGate:
    """Detects speech and silence by the voice probabilities. Times are in seconds of the stream."""

    def __init__(self, on: float = _ON) -> None:
        """on: probability at which speech begins."""
        self._on = on
        self.now_s = 0.0
        self.speaking = False
        self.onset_s = 0.0  # start of the speech that goes on, or of the last
        self.speech_end_s = 0.0  # end of the last speech; 0 before any
        self._chunks = 0
        self._loud = 0

    def feed(self, voice: float) -> None:
        begun_s = self._chunks * VOICE_CHUNK_S
        self._chunks += 1
        self.now_s = self._chunks * VOICE_CHUNK_S
        self._loud = self._loud + 1 if voice >= self._on else 0
        if self.speaking:
            self.speaking = voice >= _OFF
        elif self._loud >= _ONSET_CHUNKS:
            self.speaking = True
            self.onset_s = begun_s - (_ONSET_CHUNKS - 1) * VOICE_CHUNK_S
        if self.speaking:
            self.speech_end_s = self.now_s

    @property
    def silence_s(self) -> float:
        """Seconds since the end of the last speech; 0 during speech."""
        return self.now_s - self.speech_end_s


def pause_probabilities(gate: SpeechGate, *, sentence_ended: bool) -> Pauses:
    """See ``Step.pause_probabilities``. sentence_ended: whether the last word ends a sentence."""
    if not gate.speech_end_s:
        return 1.0, 1.0, 1.0, 1.0
    return after_silence(gate.silence_s, _LIKELY_AFTER_S if sentence_ended else _LIKELY_AFTER_UNENDED_S)


def after_silence(silence_s: float, likely_after_s: Pauses) -> Pauses:
    """Return the probabilities of pauses that are likely (0.6) after so many seconds of silence each."""
    half, one, two, three = (_probability(silence_s, after_s) for after_s in likely_after_s)
    return half, one, two, three


def _probability(silence_s: float, likely_after_s: float) -> float:
    scale = -math.log(1 - _LIKELY)
    return 1 - math.exp(-scale * (silence_s / likely_after_s) ** 3)
