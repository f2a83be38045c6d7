"""Times utterances through Kani's scheduler, submitted as the engine does."""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from kani.engines.kani.model.loader import KaniModel
from kani.engines.kani.model.runner import Samples
from kani.engines.kani.model.sampler import Sampling
from kani.engines.kani.model.sequence import End, Ending, Utterance
from kani.engines.kani.model.tokens import END_OF_TEXT, START_OF_TEXT, TokenLayout

PROMPT_TOKENS = 60

_AROUND_TEXT = 5
_PATIENCE_S = 600.0
_MOMENT_S = 0.2


class Listening:
    """One utterance, submitted now. All times are seconds since then.

    arrivals_s, durations_s: arrival and length of each piece; ``first`` is set with the first, ``over`` at
    the end; steps_at_first, steps_at_end: the scheduler's frame counter then.
    """

    def __init__(self, kani: KaniModel, seed: int, frames: int) -> None:
        self.arrivals_s: list[float] = []
        self.durations_s: list[float] = []
        self.first, self.over = threading.Event(), threading.Event()
        self.steps_at_first = self.steps_at_end = 0
        self.end: End | None = None
        self._kani = kani
        self._submitted = threading.Event()
        length_s = frames * kani.frame_s
        utterance = Utterance(tuple(prompt(kani.layout, seed)), Sampling(seed=seed), frames, length_s)
        self.asked = time.perf_counter()
        self.stream = kani.scheduler.submit(utterance, self._told)
        self._submitted.set()

    def _told(self, event: Samples | End) -> None:
        now = time.perf_counter() - self.asked
        if isinstance(event, End):
            self.end, self.steps_at_end = event, self._kani.scheduler.frames
            self.over.set()
            return
        if not self.arrivals_s:
            self.steps_at_first = self._kani.scheduler.frames
            self.first.set()
        self.arrivals_s.append(now)
        self.durations_s.append(len(event) / self._kani.sample_rate)
        self._submitted.wait()
        self._take(len(event))

    def _take(self, samples: int) -> None:
        """Acknowledge audio that has just come."""
        self._kani.scheduler.acknowledge(self.stream, samples)

    def wait_first(self) -> Listening:
        """Wait for the first audio. Raises RuntimeError if there is none."""
        if not self.first.wait(_PATIENCE_S):
            raise RuntimeError("a stream was never heard")
        return self

    def wait(self) -> Listening:
        """Wait for the end. Raises RuntimeError for an unexpected ending."""
        if not self.over.wait(_PATIENCE_S) or self.end is None:
            raise RuntimeError("a stream never ended")
        if self.end.ending not in (Ending.FINISHED, Ending.MAX_LENGTH):
            raise RuntimeError(f"a stream ended with {self.end.ending.value}: {self.end.detail}")
        return self

    def cancel(self) -> None:
        """Cancel, and wait until the slot is free."""
        self._kani.scheduler.cancel(self.stream)
        if not self.over.wait(_PATIENCE_S):
            raise RuntimeError("a cancelled stream never ended")

    @property
    def audio_s(self) -> float:
        """Seconds of audio received."""
        return sum(self.durations_s)

    @property
    def real_time_factor(self) -> float:
        """Seconds per second of audio, from the first piece on."""
        return (self.arrivals_s[-1] - self.arrivals_s[0]) / (self.audio_s - self.durations_s[0])

    @property
    def stalled(self) -> bool:
        """Check if immediate playback would have had a gap."""
        heard = self.arrivals_s[0]
        for arrival, duration in zip(self.arrivals_s, self.durations_s, strict=True):
            if arrival > heard:
                return True
            heard += duration
        return False


class _Clock(threading.Thread):
    """Calls listeners when they have played a piece, for ever."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._due: list[tuple[float, int, PlayingListening, int]] = []
        self._changed = threading.Condition()
        self._number = 0
        self.start()

    def at(self, when: float, listening: PlayingListening, samples: int) -> None:
        """Call it at a time of ``time.perf_counter``."""
        with self._changed:
            self._number += 1
            heapq.heappush(self._due, (when, self._number, listening, samples))
            self._changed.notify()

    def run(self) -> None:
        """See ``Thread.run``."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._due))
                left_s = self._due[0][0] - time.perf_counter()
                if left_s > 0:
                    self._changed.wait(left_s)
                    continue
                _, _, listening, samples = heapq.heappop(self._due)
            listening.played(samples)


class PlayingListening(Listening):
    """A listener that acknowledges audio once it has played it, from its first piece on."""

    clock: ClassVar[_Clock | None] = None

    def _take(self, samples: int) -> None:
        if PlayingListening.clock is None:
            PlayingListening.clock = _Clock()
        PlayingListening.clock.at(self.asked + self.arrivals_s[0] + self.audio_s, self, samples)

    def played(self, samples: int) -> None:
        """Acknowledge samples."""
        self._kani.scheduler.acknowledge(self.stream, samples)


def prompt(layout: TokenLayout, seed: int) -> list[int]:
    """A prompt of PROMPT_TOKENS tokens around random text."""
    chance = random.Random(seed)
    words = PROMPT_TOKENS - _AROUND_TEXT - 1
    text = [chance.randrange(END_OF_TEXT + 1, layout.text_vocabulary) for _ in range(words)]
    return layout.prompt([START_OF_TEXT, *text])


def first_audio(kani: KaniModel, times: int) -> list[float]:
    """Seconds to the first audio of solo sequences, each cancelled then."""
    found = []
    for seed in range(times):
        listening = Listening(kani, seed, kani.runner.max_frames).wait_first()
        listening.cancel()
        found.append(listening.arrivals_s[0])
    return found


@dataclass(frozen=True, slots=True)
class Together:
    """Sequences submitted at the same time."""

    streams: int  # their number
    audio_s: float  # audio of all
    wall_s: float  # until the last ended
    first_s: Sequence[float]  # first audio of each
    stalled: int  # number of sequences with a gap

    @property
    def throughput(self) -> float:
        """Audio seconds per second, prompts included."""
        return self.audio_s / self.wall_s


def together(kani: KaniModel, count: int, frames: int, kind: type[Listening] = Listening) -> Together:
    """Run ``count`` sequences of ``frames`` frames at once."""
    begun = time.perf_counter()
    streams = [kind(kani, seed, frames) for seed in range(count)]
    audio_s = sum(stream.wait().audio_s for stream in streams)
    wall_s = time.perf_counter() - begun
    first_s = [stream.arrivals_s[0] for stream in streams]
    return Together(count, audio_s, wall_s, first_s, sum(stream.stalled for stream in streams))


def cancels(kani: KaniModel, times: int) -> list[tuple[int, int]]:
    """All slots taken and one stream more that waits: one of them is cancelled, over and over.

    For each, in steps of the scheduler (a frame of every stream): from the cancel until the slot
    was free, and until the stream that had waited, its prompt read, was heard.
    """
    chance = random.Random(0)
    longest = kani.runner.max_frames
    running = [Listening(kani, seed, longest) for seed in range(kani.runner.slots)]
    for listening in running:
        listening.wait_first()
    found = []
    for seed in range(times):
        waiting = Listening(kani, len(running) + seed, longest)
        gone = running.pop(chance.randrange(len(running)))
        # At any moment of a step: without this, always at its end, when something was heard.
        time.sleep(chance.uniform(0, _MOMENT_S))
        before = kani.scheduler.frames
        gone.cancel()
        waiting.wait_first()
        found.append((gone.steps_at_end - before, waiting.steps_at_first - before))
        running.append(waiting)
    for listening in running:
        listening.cancel()
    return found
