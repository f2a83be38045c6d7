"""When the characters of ElevenLabs' WebSockets are said: against an engine whose every sample is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialects.elevenlabs.contexts import Context, Output
from dialects.elevenlabs.timed_audio import QUIET, Pieces, Times, joined
from dialects.elevenlabs.ws_messages import ClientMessage, Timing, Writer
from speech.characters import CharacterClock, TimedCharacters
from speech.encoding import AudioFormat
from speech.request import Limits
from speech.service import SpeechService
from speech.types import Samples, Span, SpeechChunk, SpeechRequest
from tests.dialects.elevenlabs_clients.wire import Heard, assert_tiles
from tests.speech.test_session import serving
from tests.tone import LETTER_S, RATE, ToneEngine

PCM = AudioFormat("pcm_1000", "pcm", RATE, None, "audio/pcm")
TEXTS = st.lists(
    st.sampled_from(["hola ", "qué tal", ". ", ", ", "\n\n", "3,5 € ", "¿Sí? ", "…", "🎉", "\u200f", " y ", "😀"]),
    min_size=1,
    max_size=12,
).map("".join)


@asynccontextmanager
async def context(
    service: SpeechService, *, absolute: bool = False, strict: bool = False, auto_mode: bool = False
) -> AsyncIterator[Context]:
    """A context that speaks Spanish."""
    opened = Context(
        lambda voice: service.open(SpeechRequest(language="es"), protocol="elevenlabs"),
        Output(PCM, absolute, strict),
        auto_mode=auto_mode,
    )
    try:
        yield opened
    finally:
        await opened.aclose()


async def hear(opened: Context) -> Heard:
    """All that a context says, as it goes over the wire."""
    heard = Heard()
    async for data, timing in opened.audio():
        heard.parts.append((data, []))
        if timing is not None:
            message = Writer().audio(data, timing)
            heard.parts.pop()
            heard.take(__import__("json").loads(message))
    return heard
