"""A session's audio, divided so that each message's times are right for every client.

Clients read times in two ways. With ``sync_alignment`` all times count from the start of the stream. Other
clients add to each message's times either the length of the audio before it, or the duration of all
characters before it. Both are right only if a message's audio begins with its first character: so audio is
cut there, and the pause after a word is held back until the next word is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from kani.core.timing.characters import FormsClock, TimedForms
from kani.core.types import Samples, SpeechChunk

NO_SAMPLES: Samples = np.zeros(0, np.float32)

PAUSE_PEAK = 0.01
"""Largest amplitude of a pause, -40 dB: above the breath and the noise of a model."""


MAX_HELD_S = 0.1
"""Longest sound that is held back until the character is complete that it speaks."""


@dataclass(frozen=True, slots=True)
class TimedAudio:
    """Some samples, and the characters that are spoken in them."""

    samples: Samples
    characters: TimedForms = field(default_factory=TimedForms)


class TimedAudioFramer:
    """Divides frames of speech at their characters; the samples stay the same.

    A part holds the characters that are spoken in it, as vocode takes the length of a message for the time of
    its characters. sample_rate: hertz of the frames; cut_at_characters: whether a part begins with its first
    character and ends with its last, and the pause after the last timed character is held back until the next
    one is timed; strict: hold back speech too, for engines that time a word only at its end.
    """

    def __init__(
        self, clock: FormsClock, sample_rate: int, *, cut_at_characters: bool, strict: bool = False
    ) -> None:
        self._clock = clock
        self._rate = sample_rate
        self._cut = cut_at_characters
        self._max_peak = math.inf if strict else PAUSE_PEAK
        self._held: Samples = NO_SAMPLES
        self._characters = TimedForms()  # their audio is not complete
        self._sent = 0  # samples returned
        self._timed = 0  # end of the last timed character, in samples since the start

    def feed(self, frame: SpeechChunk) -> list[TimedAudio]:
        characters = self._clock.align(frame.spans)
        if not self._cut:
            return [TimedAudio(frame.samples, characters)]
        self._held = np.concatenate([self._held, frame.samples])
        self._characters += characters
        parts = self._complete()
        if edges_s := characters.written.edges_s:
            self._timed = round(edges_s[-1] * self._rate)
        if not self._characters.written.text and not characters.written.text:
            untimed = self._held[max(0, self._timed - self._sent) :]
            end = self._timed if self._is_pause(untimed) else self._end
            parts.append(TimedAudio(self._take(end)))
        return [part for part in parts if len(part.samples) or part.characters.written.text]

    @property
    def _end(self) -> int:
        """End of the audio so far, in samples since the start."""
        return self._sent + len(self._held)

    def _is_pause(self, samples: Samples) -> bool:
        return bool(np.abs(samples).max(initial=0.0) <= self._max_peak)

    def _complete(self) -> list[TimedAudio]:
        """Return the audio up to the end of the last character that is complete."""
        edges_s = self._characters.written.edges_s
        if not edges_s:
            return []
        before = TimedAudio(self._take(round(edges_s[0] * self._rate)))
        ready = [at for at in self._characters.common_edges() if round(edges_s[at] * self._rate) <= self._end]
        if ready:
            end = round(edges_s[ready[-1]] * self._rate)
            said, self._characters = self._characters.divide(ready[-1])
            return [before, TimedAudio(self._take(end), said)]
        if len(self._held) <= MAX_HELD_S * self._rate or self._is_pause(self._held):
            return [before]
        # A word without a common edge inside, or a long sound: its end is sent without characters.
        said, self._characters = self._characters.divide(self._characters.common_edges()[0])
        return [before, TimedAudio(self._take(self._end), said)]

    def finish(self) -> list[TimedAudio]:
        rest = TimedAudio(self._take(self._end), self._characters)
        return [rest] if len(rest.samples) or rest.characters.written.text else []

    def _take(self, end: int) -> Samples:
        """Remove the held samples before ``end``, counted from the start of the stream."""
        count = max(0, end - self._sent)
        taken, self._held = self._held[:count], self._held[count:]
        self._sent += len(taken)
        return taken
