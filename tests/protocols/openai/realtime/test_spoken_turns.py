"""WS /v1/realtime: interruptions and replies of a word, as the voices of this server say them.

They are sent at the pace of speech, as by a microphone; faster audio counts as a recording.
"""

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from kani.core.turns import second_hearing
from kani.core.types import Samples, Segment
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.whisper.engine import WhisperRecognizer
from kani.runtime.turn_model.model import SmartTurn
from tests.clients.openai_realtime import RATE, TRANSCRIPTION, Client, quiet, realtime, text_item, types
from tests.support.chat.endpoint import ChatEndpoint, chat_endpoint, say
from tests.support.patience import WITHIN_S
from tests.support.servers.serving import serving

pytestmark = pytest.mark.heard

VOICES = {"es": "em_alex", "en": "am_michael"}
LONG = "uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis."
STARTED = "input_audio_buffer.speech_started"
COMPLETED = f"{TRANSCRIPTION}.completed"
PIECE = RATE // 25


async def spoken(kokoro: KokoroEngine, language: str, text: str) -> Samples:
    # In one step: in how many a sentence is spoken depends on how busy the machine is.
    segment = Segment(text, VOICES[language], language, ahead_s=math.inf)
    chunks = [chunk async for chunk in kokoro.synthesize(segment)]
    assert chunks[0].sample_rate == RATE
    return np.concatenate([chunk.samples for chunk in chunks])


@asynccontextmanager
async def microphone(client: Client, *pieces: Samples) -> AsyncIterator[None]:
    """Send pieces at the pace of speech, and silence after them until the body ends."""

    async def send() -> None:
        said, begun, at = np.concatenate(pieces), time.monotonic(), 0
        while True:
            piece = said[at : at + PIECE]
            await client.append(piece if len(piece) == PIECE else quiet(PIECE / RATE))
            at += PIECE
            await asyncio.sleep(begun + at / RATE - time.monotonic())

    sending = asyncio.create_task(send())
    try:
        yield
    finally:
        sending.cancel()


@asynccontextmanager
async def talking(
    folder: Path, recognizer: WhisperRecognizer, language: str, answers: Sequence[str]
) -> AsyncIterator[tuple[Client, ChatEndpoint]]:
    left = iter(map(say, answers))
    async with chat_endpoint(lambda _: next(left)) as endpoint:
        settings = {"KANI_LLM_URL": endpoint.url, "KANI_LLM_EARLY": "false"}
        async with serving(folder, recognizer, turn_model=SmartTurn(), **settings) as server:
            async with realtime(server.url, "model=m") as client:
                given = {"transcription": {"language": language}, "turn_detection": {"type": "semantic_vad"}}
                await client.configure("realtime", audio={"input": given})
                yield client, endpoint


class BusyRecognizer(WhisperRecognizer):
    """Recognises nothing until ``released``: other work has all its threads."""

    def __init__(self, cache: Path) -> None:
        super().__init__(models_dir=None, cache_dir=cache)
        self.released, self.started = threading.Event(), asyncio.Event()

    async def start(self) -> None:
        await super().start()
        for _ in range(self._workers):
            self._scheduler.run_in_background(self.released.wait)
        self.started.set()


@pytest.fixture
def recognizer(cache: Path) -> WhisperRecognizer:
    return WhisperRecognizer(models_dir=None, cache_dir=cache)


async def test_interruption_is_noticed_while_no_word_can_be_recognised(
    tmp_path: Path, kokoro: KokoroEngine, cache: Path
) -> None:
    reply, sentence = [await spoken(kokoro, "es", text) for text in ("Sí.", "Espera, quiero otra cosa.")]
    recognizer = BusyRecognizer(cache)
    async with talking(tmp_path, recognizer, "es", [LONG, "vale."]) as (client, _):
        try:
            await client.append(quiet(0.1))
            await recognizer.started.wait()
            await client.send("conversation.item.create", item=text_item("Hola."))
            await client.send("response.create")
            await client.until("response.output_audio.delta")
            async with microphone(client, quiet(0.4), reply, quiet(0.9), sentence):
                await client.until(STARTED)
            assert COMPLETED not in types(client.seen)
        finally:
            recognizer.released.set()


@pytest.mark.parametrize(
    ("language", "text"), [("es", "Sí."), ("es", "Para."), ("en", "No."), ("en", "Okay.")]
)
async def test_reply_of_a_word_is_answered_whether_it_is_understood_or_not(
    tmp_path: Path, kokoro: KokoroEngine, recognizer: WhisperRecognizer, language: str, text: str
) -> None:
    said = await spoken(kokoro, language, text)
    async with talking(tmp_path, recognizer, language, ["vale."]) as (client, endpoint):
        async with microphone(client, quiet(0.4), said):
            await client.until("response.done")
    (completed,) = client.of(COMPLETED)
    asked = endpoint.said[-1][-1][1]
    assert asked == (completed["transcript"] or "...")


@pytest.mark.parametrize(
    ("language", "parts", "digits"),
    [
        ("en", ("The code is four eight,", "two one,", "nine seven."), "482197"),
        ("es", ("Mi teléfono es el seis tres nueve,", "uno uno ocho,", "siete dos cuatro."), "639118724"),
    ],
)
async def test_number_in_groups_is_one_transcript(
    tmp_path: Path,
    kokoro: KokoroEngine,
    recognizer: WhisperRecognizer,
    monkeypatch: pytest.MonkeyPatch,
    language: str,
    parts: Sequence[str],
    digits: str,
) -> None:
    # A busy machine may need longer for the whole turn than a conversation waits for it.
    for bound in ("LONGEST_WAIT_S", "DICTATED_WAIT_S"):
        monkeypatch.setattr(second_hearing, bound, WITHIN_S)
    groups = [await spoken(kokoro, language, part) for part in parts]
    said = [piece for group in groups for piece in (quiet(0.5), group)]
    async with talking(tmp_path, recognizer, language, ["vale."]) as (client, endpoint):
        async with microphone(client, *said):
            await client.until("response.done")
    (completed,) = client.of(COMPLETED)
    assert "".join(filter(str.isdigit, completed["transcript"])) == digits
    assert endpoint.said[-1][-1][1] == completed["transcript"]
