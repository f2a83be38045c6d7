"""Exact messages of the relay, over the tone engine."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kani.core.session.voice_resolver import LanguageMemory
from kani.protocols.elevenlabs.relay import messages
from kani.protocols.elevenlabs.relay import utterance as relay_utterance
from kani.protocols.elevenlabs.relay.alignment_files import RelayLogs
from kani.protocols.elevenlabs.relay.settings import RelaySettings, RelayState
from kani.protocols.elevenlabs.relay.utterance import RelayContext, Send, Utterance
from kani.protocols.elevenlabs.settings import ElevenLabsSettings
from kani.protocols.shared.idle_flush import IdleFlush
from tests.core.session.test_session import serving
from tests.support.tone import ToneEngine

RATE = 22_050


class Received:
    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.lasts: list[bool] = []

    async def send(self, message: str, *, last: bool = False) -> None:
        self.messages.append(json.loads(message))
        self.lasts.append(last)

    def samples(self, index: int) -> list[float]:
        pcm = base64.b64decode(self.messages[index]["audio"])
        return (np.frombuffer(pcm, "<i2") / 32768).tolist()


async def synthesize(house: RelayContext, text: str, send: Send) -> None:
    utterance = Utterance(house, "", (), LanguageMemory(), send)
    utterance.feed(text)
    utterance.finish()
    await utterance.synthesize()
    assert utterance.closed


@asynccontextmanager
async def housed(engine: ToneEngine, folder: Path) -> AsyncIterator[RelayContext]:
    async with serving(engine, folder) as service:
        settings = RelaySettings("tone_es", log_alignment=False, log_outputs=False, logs_dir=folder)
        logs = RelayLogs(folder, alignment=False, outputs=False)
        yield RelayContext(service, ElevenLabsSettings(), settings, RelayState(), logs)


async def test_chunks_have_exact_times(tmp_path: Path) -> None:
    heard = Received()
    async with housed(ToneEngine(), tmp_path) as house:
        await synthesize(house, "hola sol", heard.send)
    *chunks, last = heard.messages
    starts = [time for chunk in chunks for time in chunk["char_times"]]
    durations = [time for chunk in chunks for time in chunk["char_durations"]]
    assert [char for chunk in chunks for char in chunk["chars"]] == list("hola sol")
    assert starts == [0, 100, 200, 300, 400, 400, 500, 600]
    assert durations == [100, 100, 100, 100, 0, 100, 100, 100]
    assert [chunk["chunk_index"] for chunk in chunks] == list(range(len(chunks)))
    counts = [len(heard.samples(index)) for index in range(len(chunks))]
    assert sum(counts) == round(0.7 * RATE)
    assert max(counts) <= relay_utterance.MAX_CHUNK_SAMPLES
    total = sum(int(2 * count / (2 * RATE) * 1000) for count in counts)
    assert last == {"type": "complete", "total_chars": 8, "total_duration_ms": total, "text": "hola sol"}
    assert heard.lasts == [False] * len(chunks) + [True]


async def test_engine_failure_keeps_audio_before_it(tmp_path: Path) -> None:
    heard = Received()
    async with housed(ToneEngine(), tmp_path) as house:
        await synthesize(house, "hola kaputt sol", heard.send)
    assert heard.messages[-1] == {"type": "error", "message": "the tone broke"}
    assert heard.lasts[-1] and not any(heard.lasts[:-1])
    assert {message["type"] for message in heard.messages[:-1]} == {"chunk"}
    assert sum(len(heard.samples(index)) for index in range(len(heard.messages) - 1)) > 0.3 * RATE


async def test_idle_utterance_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_utterance, "FLUSH_AFTER_S", 0.05)
    monkeypatch.setattr(relay_utterance, "FINISH_AFTER_S", 0.2)
    heard = Received()
    async with housed(ToneEngine(), tmp_path) as house:
        utterance = Utterance(house, "", (), LanguageMemory(), heard.send)
        utterance.feed("hola")
        async with asyncio.timeout(300):
            await utterance.synthesize()
        assert utterance.closed
    assert heard.messages[-1]["type"] == "complete" and heard.messages[-1]["text"] == "hola"


async def test_idle_time_counts_from_last_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_utterance, "FLUSH_AFTER_S", 0.05)
    engine, heard = ToneEngine(), Received()
    async with housed(engine, tmp_path) as house:
        utterance = Utterance(house, "", (), LanguageMemory(), heard.send)
        utterance.feed("hola")
        await asyncio.sleep(0.1)
        utterance._flush_timer = IdleFlush(60.0)
        speaking = asyncio.create_task(utterance.synthesize())
        async with asyncio.timeout(300):
            while engine.words != ["hola"]:
                await asyncio.sleep(0)
        utterance.finish()
        await speaking
    assert heard.messages[-1]["type"] == "complete"


def test_messages_match_original_bytes() -> None:
    assert messages.chunk(3, b"\x01\x02", "aم", [0, 5], [5, 7]) == (
        '{"type":"chunk","audio":"AQI=","char_times":[0,5],"char_durations":[5,7],'
        '"chars":["a","\\u0645"],"chunk_index":3}'
    )
    assert messages.complete("a", 5) == '{"type":"complete","total_chars":1,"total_duration_ms":5,"text":"a"}'
    assert messages.complete("\ud83d", 0).endswith('"text":"\\ud83d"}')
    assert (messages.STOPPED, messages.PONG) == ('{"type":"stopped"}', '{"type":"pong"}')
    assert messages.duration_ms(bytes(76_000)) == 1723
