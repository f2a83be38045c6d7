"""A session's audio in pieces that go with the characters said in them, for both ways to count their times.

Clients count in two ways. Those that ask for ``sync_alignment`` take every time as one since the start of
the stream. The others add to each message's times either how much audio came before it, or how long all
characters before it lasted. Both are right only where a message that tells characters begins with the audio
of the first of them: so audio is cut there, and the pause behind a word waits until it is known what follows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from protocols.elevenlabs.websocket.messages import Alignment, Alignments
from speech.timing.characters import FormsClock, TimedForms
from speech.types import Samples, SpeechChunk

NO_SAMPLES: Samples = np.zeros(0, np.float32)

PAUSE_PEAK = 0.01
"""The loudest sample of a pause: breath and the noise of a model, -40 dB."""


@dataclass(frozen=True, slots=True)
class TimedAudio:
    """Some samples, and the characters that begin in them."""

    samples: Samples
    reading: TimedForms = field(default_factory=TimedForms)


class TimedAudioFramer:
    """Frames of a session's speech become pieces; they are the same samples.

    sample_rate: hertz of the frames; cuts: whether a piece with characters begins with the first of them.
    Then the pause behind the last character that is told is held back, until what follows it is known. So
    is speech, if ``strict``: some engines tell a word only when they know its end.
    """

    def __init__(
        self, clock: FormsClock, sample_rate: int, *, cut_at_characters: bool, strict: bool = False
    ) -> None:
        self._clock = clock
        self._rate = sample_rate
        self._cuts = cut_at_characters
        self._quiet = math.inf if strict else PAUSE_PEAK
        self._held: Samples = NO_SAMPLES
        self._sent = 0
        self._told = 0

    def feed(self, frame: SpeechChunk) -> list[TimedAudio]:
        """The pieces that are ready."""
        reading = self._clock.align(frame.spans)
        if not self._cuts:
            return [TimedAudio(frame.samples, reading)]
        self._held = np.concatenate([self._held, frame.samples])
        pieces = []
        if edges_s := reading.written.edges_s:
            begin, self._told = (round(edge * self._rate) for edge in (edges_s[0], edges_s[-1]))
            if len(before := self._take(begin)):
                pieces.append(TimedAudio(before))
            pieces.append(TimedAudio(self._take(self._told), reading))
        else:
            unknown = self._held[max(0, self._told - self._sent) :]
            pause = np.abs(unknown).max(initial=0.0) <= self._quiet
            if len(rest := self._take(self._told if pause else self._sent + len(self._held))):
                pieces.append(TimedAudio(rest))
        return pieces

    def finish(self) -> list[TimedAudio]:
        """What was held back."""
        return [TimedAudio(self._take(self._sent + len(self._held)))] if len(self._held) else []

    def _take(self, end: int) -> Samples:
        """What is held of the samples up to ``end``, counted from the start of the stream."""
        count = max(0, end - self._sent)
        taken, self._held = self._held[:count], self._held[count:]
        self._sent += len(taken)
        return taken


class AlignmentClock:
    """Characters' times as the protocol tells them.

    absolute: since the start of the stream; else since the end of the characters before them, which is what
    those have added up who add. Both alignments of a message count from the same moment: a client may take
    the one where the other is not.
    """

    def __init__(self, *, absolute: bool) -> None:
        self._absolute = absolute
        self._told_ms = 0

    def take(self, reading: TimedForms) -> Alignments:
        """The times of the next characters."""
        origin_ms = 0 if self._absolute else self._told_ms
        written, said = (
            Alignment(characters.text, *characters.milliseconds(origin_ms)) if characters.text else None
            for characters in (reading.written, reading.spoken)
        )
        if written is not None:
            self._told_ms = origin_ms + written.starts_ms[-1] + written.durations_ms[-1]
        return Alignments(written, said)
