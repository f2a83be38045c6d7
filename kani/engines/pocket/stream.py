"""One stream of speech: what is to be spoken, its state between frames, and how it ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

if TYPE_CHECKING:
    from kani.engines.pocket.codec import DecoderState
    from kani.engines.pocket.flow_lm import LanguageModel
    from kani.engines.pocket.transformer import KeyValueCache

Samples = npt.NDArray[np.float32]

END_LOGIT = -4.0
"""Logit of the end of speech from which on a frame counts as one."""

FIRST_END = 6
"""First frame that may end speech: before a voice begins, the logit is high now and then."""


class Ending(Enum):
    """Cause of a stream's end."""

    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"


Listener = Callable[["Samples | Ending"], None]
"""Receives a stream's audio and, last, its ending; called by the scheduler's threads."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A text to be spoken."""

    language: LanguageModel
    voice: KeyValueCache
    tokens: tuple[int, ...]
    max_frames: int
    frames_after_end: int
    temperature: float  # variance of the noise
    seed: int


@dataclass(eq=False, slots=True)
class State:
    """State of a stream from one frame to the next."""

    cache: KeyValueCache
    condition: Tensor  # of the next frame, [1, size]
    decoder: DecoderState


@dataclass(eq=False, slots=True)
class Stream:
    """An utterance that is being spoken."""

    utterance: Utterance
    listener: Listener
    cancelled: bool = False
    state: State | None = None  # None until the text was read
    frames: int = 0  # sampled
    consumed: int = 0  # samples that the listener has done with
    remaining: int = -1  # frames after the end of speech; -1 before it
    undecoded: list[Tensor] = field(default_factory=list)
    complete: bool = False  # the last frame was sampled
    started: bool = False  # audio was decoded
    ending: Ending | None = None
    noise: torch.Generator = field(default_factory=torch.Generator)

    def __post_init__(self) -> None:
        self.noise.manual_seed(self.utterance.seed % 2**63)

    def draw_noise(self, size: int) -> Tensor:
        """Noise of the next frame: [size]."""
        return torch.randn(size, generator=self.noise) * math.sqrt(self.utterance.temperature)

    @property
    def begun(self) -> State:
        """The state of a stream after its text was read."""
        assert self.state is not None
        return self.state

    def count_frame(self, end_logit: float) -> None:
        """Count a sampled frame; it is the last one where the end of speech or the limit is reached."""
        if self.remaining < 0 and end_logit > END_LOGIT and self.frames >= FIRST_END:
            self.remaining = self.utterance.frames_after_end
        self.frames += 1
        self.complete = self.remaining == 0 or self.frames >= self.utterance.max_frames
        if self.remaining > 0:
            self.remaining -= 1
