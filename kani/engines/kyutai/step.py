"""Plain data of one step of the network: a frame of each stream in, its text tokens out. No model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kani.core.types import Samples


@dataclass(slots=True)
class Stream:
    """One stream's place in the network."""

    row: int
    """Row of the state's tensors that it owns."""
    position: int = 0
    """Positions of the language model so far: the first is before all audio, then one each frame."""
    token: int = 0
    """Last text token."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The next frame of a stream."""

    stream: Stream
    samples: Samples  # 24 kHz, one frame


@dataclass(frozen=True, slots=True)
class Token:
    """A text token that was chosen."""

    number: int
    position: int  # of the language model
    log_probability: float


@dataclass(frozen=True, slots=True)
class StepResult:
    """Result of one frame."""

    tokens: tuple[Token, ...]  # one; two at a stream's first frame
    pauses: (
        tuple[float, float, float, float] | None
    )  # probabilities of ``PAUSE_LENGTHS_S``, if it has the heads


class StepNetwork(Protocol):
    """A network that makes one step for many streams; called by one thread at a time."""

    @property
    def slots(self) -> int:
        """Streams at once."""

    def step(self, frames: list[Frame]) -> list[StepResult]:
        """Take one frame of each of some streams, and return their results. Raises RuntimeError."""
