"""One utterance on its way: what is to be said, the attempts at it, and what its listener is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

from kani.output_guard import OutputGuard
from kani.runner import Samples, SavedSlot
from kani.sampler import Sampling

MAX_CHUNK_FRAMES = 24
"""The most frames that are spoken at once."""
_EVEN = 4
"""Larger chunks are multiples of this: on a CPU the codec works on so many frames at a time."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What is to be said.

    prompt: tokens, as ``TokenLayout.prompt`` gives them; longest_frames: where it is cut;
    expected_s: how long it will take, roughly, in seconds; request: what its log lines bear; speaker: by
    whom, as many numbers as the model takes, or as the model has it by itself.
    """

    prompt: tuple[int, ...]
    sampling: Sampling
    max_frames: int
    predicted_s: float
    request_id: str = ""
    speaker: tuple[float, ...] = ()


class Ending(Enum):
    """Why there is no more."""

    FINISHED = "said"
    MAX_LENGTH = "the longest that was asked for"
    ANOMALY = "trouble"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, eq=False)
class End:
    """The last event of a stream; ``detail`` says what went wrong."""

    ending: Ending
    detail: str = ""


Listener = Callable[[Samples | End], None]
"""Told of each piece of audio (float32 [samples], in order) and of the end, in the loop's thread.

One that raises is cancelled; nobody else's speech is touched."""


class SequenceState(Enum):
    """Where a stream is."""

    WAITING = "waits for a slot"
    PREFILLING = "its prompt is being read"
    RUNNING = "runs"
    PAUSED = "waits for its listener"
    ENDED = "has ended"


@dataclass(eq=False, slots=True)
class Attempt:
    """One try at saying an utterance.

    pending: frames that were drawn and not yet spoken; spoken: how many were; held: audio that is
    kept back because nothing but silence was spoken so far.
    """

    number: int
    sampling: Sampling
    guard: OutputGuard
    decoded_frames: int = 0
    pending: list[list[int]] = field(default_factory=list)
    withheld: list[Samples] = field(default_factory=list)
    ending: End | None = None

    @property
    def greedy(self) -> bool:
        """Whether it is spoken exactly as the model has it, whatever that is."""
        return self.sampling.temperature == 0

    @property
    def ready_to_decode(self) -> bool:
        """Whether what is pending should be spoken now: one frame at first, then more and more.

        An eighth of what was spoken before is ready in time where a frame by itself is made in seven
        eighths of real time, as on a slow CPU.
        """
        if not self.pending:
            return False
        frames = min(self.decoded_frames // 8, MAX_CHUNK_FRAMES)
        frames -= frames % _EVEN if frames >= _EVEN else frames % 2
        return len(self.pending) >= max(frames, 1) or self.ending is not None


class SpeechSequence:
    """One utterance on its way; made by ``Scheduler.submit``."""

    def __init__(self, utterance: Utterance, listener: Listener, frame_s: float) -> None:
        self.utterance = utterance
        self.listener = listener
        self._frame_s = frame_s
        self.attempt = Attempt(1, utterance.sampling, OutputGuard(utterance.predicted_s, frame_s))
        self.state = SequenceState.WAITING
        self.cancelled = False
        self.sent = False
        self.unconsumed_samples = 0
        self.saved: SavedSlot | None = None

    def retry(self) -> None:
        """Forget what was drawn so far, and draw otherwise."""
        # Any other seed will do; this one is the same each time the utterance is asked for.
        seed = (self.attempt.sampling.seed + 0x9E3779B9) % 2**63
        sampling = replace(self.attempt.sampling, seed=seed)
        watch = OutputGuard(self.utterance.predicted_s, self._frame_s)
        self.attempt = Attempt(self.attempt.number + 1, sampling, watch)
        self.state = SequenceState.WAITING
