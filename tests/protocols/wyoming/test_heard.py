"""Speech by Wyoming, recognised through Wyoming, by a default server."""

import asyncio
import io
from collections.abc import AsyncGenerator

import numpy as np
import pytest
import soundfile
import soxr

from kani.core.audio.pcm import pcm16
from kani.core.types import Samples
from tests.conftest import StartServer
from tests.judges.judge import word_error_rate
from tests.protocols.wyoming import home_assistant
from tests.protocols.wyoming.home_assistant import RATE

pytestmark = pytest.mark.heard

WRONG_AT_MOST = 0.15
PIECE = RATE // 50

TEXTS = {
    "es": "Claro que sí, ahora mismo enciendo la luz de la cocina y bajo las persianas del salón.",
    "en": "Sure, I am turning on the kitchen light now, and I will close the blinds in a minute.",
}


async def written(text: str) -> AsyncGenerator[str]:
    """Words as a language model writes them, with the space before each."""
    for number, word in enumerate(text.split()):
        yield f" {word}" if number else word
        await asyncio.sleep(0.04)


async def spoken(port: int, text: str, voice: str) -> Samples:
    stream = home_assistant.stream_tts_audio(port, written(text), voice)
    rate = soundfile.info(io.BytesIO(await anext(stream))).samplerate
    audio = np.frombuffer(b"".join([piece async for piece in stream]), "<i2").astype(np.float32) / 32768
    return np.asarray(soxr.resample(audio, rate, RATE), np.float32)


async def microphone(*samples: Samples) -> AsyncGenerator[bytes]:
    """Audio as it is spoken."""
    pcm = pcm16(np.concatenate(samples))
    for start in range(0, len(pcm), 2 * PIECE):
        yield pcm[start : start + 2 * PIECE]
        await asyncio.sleep(PIECE / RATE)


async def recording(samples: Samples) -> AsyncGenerator[bytes]:
    """Audio as fast as it is taken."""
    yield pcm16(samples)


async def test_written_text_is_understood(start_server: StartServer) -> None:
    port = start_server(
        "--wyoming", "--kokoro-decoder", "onnx", KANI_WYOMING_END_OF_SPEECH="true"
    ).wyoming_port
    program = (await home_assistant.load_info(port)).tts[0]
    best = home_assistant.voices_by_language(program)
    assert (best["es"][0], best["en"][0]) == ("ef_dora", "af_heart")
    quiet = np.zeros(4 * RATE, np.float32)
    for language, text in TEXTS.items():
        speech = await spoken(port, text, best[language][0])
        # The server ends the command in the silence: what is said after it is not heard.
        live = await home_assistant.process_audio_stream(port, microphone(speech, quiet, speech), language)
        assert live is not None and word_error_rate(text, live, language) <= WRONG_AT_MOST, live
        whole = await home_assistant.process_audio_stream(port, recording(speech), language)
        assert whole is not None and word_error_rate(text, whole, language) <= WRONG_AT_MOST, whole
