"""Answers that are sent once all of their speech is there."""

from __future__ import annotations

import asyncio

from protocols.shared.memory_budget import Reservation
from speech.audio.encoding import AudioFormat, FileEncoder
from speech.session.session import SpeechSession
from speech.timing.characters import FormsClock, TimedForms
from speech.types import Span

MAX_ANSWER_BYTES = 512 * 1024 * 1024
"""Of all answers together: an hour and a half of the largest format; three days of MP3."""


async def encode_whole(
    session: SpeechSession, text: str, audio_format: AudioFormat, share: Reservation
) -> tuple[bytes, TimedForms]:
    """All of a session as a file, and when each character of its ``text`` is said. Raises SpeechError."""
    clock = FormsClock()
    clock.feed(text)
    spans: list[Span] = []
    file: FileEncoder | None = None
    async for chunk in session:
        if file is None:
            file = FileEncoder(audio_format, chunk.sample_rate)
        share.grow(await asyncio.to_thread(file.add, chunk.samples))
        spans += chunk.spans
    assert file is not None, "there is no speech without a chunk"
    data = await asyncio.to_thread(file.finish)
    return data, clock.align(spans)
