"""What an engine is to the core: a few facts, and segments in, audio out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from speech.types import Segment, SpeechChunk, Voice


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine can do.

    sample_rate: hertz of all its chunks. voices: those it speaks by itself; default_voices: the
    voice id for each primary language subtag it speaks (its keys are the engine's languages).
    speed_range: speeds it renders natively and intelligibly; the core stretches beyond. uses:
    names of ``SpeechRequest`` and ``Sampling`` fields and options that it takes into account
    (voice, language, speed and max_tokens are always taken care of). places: how many segments it
    speaks at once. streams_inside_segment: whether its first chunk of a segment comes early, so
    that whole sentences can be given to it. timing: whether each word has its span; else one span
    covers the segment.
    cloning: "none", "nearest voice" or "embedding".
    """

    name: str
    version: str
    sample_rate: int
    voices: tuple[Voice, ...]
    default_voices: Mapping[str, str]
    places: int = 1
    speed_range: tuple[float, float] = (0.25, 4.0)
    uses: frozenset[str] = field(default_factory=frozenset)
    streams_inside_segment: bool = False
    timing: bool = True
    cloning: str = "none"


class Engine(Protocol):
    """One source of voices. It never blocks the event loop."""

    @property
    def info(self) -> EngineInfo:
        """Facts that are true once ``start`` has returned."""

    async def start(self) -> None:
        """Load what is needed. Raises EngineUnavailable with the reason and the cure."""

    async def stop(self) -> None:
        """Free everything; no synthesis is under way any more."""

    def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """Speak one segment.

        Yields chunks in order; their ``start_s`` and spans count from the segment's first sample
        and point into ``segment.text``. A span covers one word (its characters, no surrounding
        space); spans are in order and do not overlap. The engine leaves out its model's own
        silence before and after the speech (at most 50 ms stay): pauses are the session's.

        Cancelling the awaiting task or closing the generator stops the work within one step of
        the model, and returns only when the engine is free again. Raises EngineFailed.
        """
