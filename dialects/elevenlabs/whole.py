"""Answers that are sent once all of their speech is there, and how much memory they may take."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from speech.characters import CharacterClock, TimedCharacters
from speech.encoding import AudioFormat, WholeFile
from speech.errors import Busy
from speech.session import SpeechSession
from speech.types import Span

MAX_BYTES = 512 * 1024 * 1024
"""Of all answers together: an hour and a half of the largest format; three days of MP3."""


class Budget:
    """``limit`` bytes, of which each answer takes as it grows."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    @contextmanager
    def held(self) -> Iterator[Share]:
        """A share of it, given back however one leaves."""
        share = Share(self)
        try:
            yield share
        finally:
            self._left += share.size

    def take(self, size: int) -> None:
        """Take so many bytes. Raises Busy where they are not left."""
        if size > self._left:
            raise Busy("too much speech waits to be sent whole: ask for /stream, or try again later")
        self._left -= size


class Share:
    """What one answer has of a budget: ``size`` bytes."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.size = 0

    def take(self, size: int) -> None:
        """Take so many bytes more. Raises Busy where they are not left."""
        self._budget.take(size)
        self.size += size


async def whole_speech(
    session: SpeechSession, text: str, audio_format: AudioFormat, share: Share
) -> tuple[bytes, TimedCharacters]:
    """All of a session as a file, and when each character of its ``text`` is said. Raises SpeechError."""
    clock = CharacterClock()
    clock.feed(text)
    spans: list[Span] = []
    file: WholeFile | None = None
    async for chunk in session:
        if file is None:
            file = WholeFile(audio_format, chunk.sample_rate)
        share.take(await asyncio.to_thread(file.add, chunk.samples))
        spans += chunk.spans
    assert file is not None, "there is no speech without a chunk"
    data = await asyncio.to_thread(file.finish)
    return data, clock.take(spans)
