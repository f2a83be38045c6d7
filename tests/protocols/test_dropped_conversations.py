"""Conversations that are dropped in the middle: nothing of them stays, in any dialect."""

import asyncio
import base64
import gc
import json
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from kani.core.audio.ogg_opus import OggOpusEncoder
from kani.core.conversation.history import History
from kani.core.conversation.input.audio import InputAudio
from kani.core.conversation.responses import Responses
from kani.core.session.session import SpeechSession
from kani.protocols.shared.conversation import ConversationConnection
from tests.clients.openai_realtime import RATE, loud
from tests.clients.unmute_page import SMALLTALK
from tests.support.chat.endpoint import say
from tests.support.chat.talking import answering
from tests.support.patience import WITHIN_S

LONG = " ".join(["this is a long answer"] * 50)
SOUND = base64.b64encode((loud(0.4) * 32767).astype("<i2").tobytes()).decode()
OPUS = base64.b64encode(OggOpusEncoder(RATE).feed(loud(0.4))).decode()
GAUGES = ("sessions", "recognition_sessions", "connections", "waiting", "slots_in_use")

DIALECTS: Mapping[str, tuple[str, Sequence[Mapping[str, Any]], str, Mapping[str, Any]]] = {
    "realtime": (
        "/v1/realtime?model=m",
        [{"type": "response.create"}],
        "response.output_audio.delta",
        {"type": "input_audio_buffer.append", "audio": SOUND},
    ),
    "live": (
        "/v1/live/sessions",
        [
            {"type": "session.start", "session": {"model": "m"}},
            {"type": "session.commentary.append", "content": "Speak."},
        ],
        "session.output_transcript.delta",
        {"type": "session.input_audio.append", "audio": SOUND},
    ),
    "agents": (
        "/v1/convai/conversation?agent_id=any",
        [
            {"type": "conversation_initiation_client_data"},
            {"type": "user_message", "text": "Hello"},
        ],
        "audio",
        {"user_audio_chunk": SOUND},
    ),
    "unmute": (
        "/v1/realtime",
        [
            {
                "type": "session.update",
                "session": {"instructions": SMALLTALK, "voice": None, "allow_recording": False},
            },
        ],
        "response.audio.delta",
        {"type": "input_audio_buffer.append", "audio": OPUS},
    ),
}


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> weakref.WeakSet[Any]:
    """What a conversation is made of, as far as it is in memory."""
    found: weakref.WeakSet[Any] = weakref.WeakSet()
    for kind in (SpeechSession, History, InputAudio, Responses, ConversationConnection):
        really = kind.__init__

        def begin(made: Any, *args: Any, really: Any = really, **given: Any) -> None:
            found.add(made)
            really(made, *args, **given)

        monkeypatch.setattr(kind, "__init__", begin)
    return found


@pytest.mark.parametrize("way", ["closed", "cut off"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_dropped_conversation_leaves_nothing(
    alive: weakref.WeakSet[Any], tmp_path: Path, dialect: str, way: str
) -> None:
    path, messages, spoken, sound = DIALECTS[dialect]
    async with answering(tmp_path, say(LONG), KANI_COMPAT="1") as (server, _):
        port = server.compat["Kani REST"] if dialect == "unmute" else server.port
        how: Any = {"subprotocols": ["realtime"]} if dialect == "unmute" else {}
        for _ in range(3):
            async with connect(
                f"ws://localhost:{port}{path}", max_size=None, max_queue=None, **how
            ) as client:
                for message in messages:
                    await client.send(json.dumps(message))
                async for received in client:
                    if json.loads(received)["type"] == spoken:
                        break
                await client.send(json.dumps(sound))
                if way == "cut off":
                    client.transport.abort()

        async with asyncio.timeout(WITHIN_S):
            while any([await server.figure(f"kani_{name}") for name in GAUGES]):
                await asyncio.sleep(0.01)
            while alive:
                gc.collect()  # a conversation is a cycle
                await asyncio.sleep(0.01)
