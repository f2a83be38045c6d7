"""Speech of several sessions, one after the other: the turns of a dialogue, passages in several voices."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from kani.core.audio.resampling import reframe
from kani.core.session.session import SpeechSession
from kani.core.types import SpeechChunk


@dataclass(frozen=True, slots=True)
class Passage:
    """The text and the session that speaks it."""

    open: Callable[[], SpeechSession]
    pieces: Sequence[str | float]  # texts, and pauses in seconds
    pause_s: float = 0.0  # silence before it


class SpokenPassages:
    """Speaks passages; leave by ``async with``, which frees everything.

    The first session is opened at once, so that its refusal is known before any audio.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        """Raises InvalidRequest or Busy. ``open`` must not refer to this object: that would be a cycle."""
        self._passages = passages
        self.session = passages[0].open()
        """Session of the current passage."""
        self.duration_s = 0.0
        """Seconds of the speech so far."""

    async def speak(self) -> AsyncGenerator[tuple[int, float, SpeechChunk], None]:
        """Yield the speech: the number of a passage, when it began (seconds), and a chunk of its session.

        All chunks have the sample rate of the first. Raises SpeechError.
        """
        sample_rate = samples = 0
        for number, passage in enumerate(self._passages):
            start = samples
            if number:
                await self.session.aclose()
                silence = np.zeros(round(passage.pause_s * sample_rate), np.float32)
                samples += len(silence)
                yield number, start / sample_rate, SpeechChunk(silence, sample_rate, 0.0)
                self.session, start = passage.open(), samples
            async with aclosing(self._speak(passage, sample_rate)) as chunks:
                async for chunk in chunks:
                    sample_rate = chunk.sample_rate
                    samples += len(chunk.samples)
                    self.duration_s = samples / sample_rate
                    yield number, start / sample_rate, chunk

    async def _speak(self, passage: Passage, sample_rate: int) -> AsyncGenerator[SpeechChunk, None]:
        """Speak a passage in the current session, at ``sample_rate`` hertz unless that is 0."""
        session = self.session
        for piece in passage.pieces:
            if isinstance(piece, str):
                session.feed(piece)
            else:
                session.add_pause(piece)
        session.finish()
        async for chunk in reframe(aiter(session), sample_rate) if sample_rate else session:
            yield chunk

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.__aexit__(kind, error, trace)
