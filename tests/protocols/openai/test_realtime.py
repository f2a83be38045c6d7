"""WS /v1/realtime: turns, transcripts and commits of audio in; ends of connections."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal
from unittest.mock import AsyncMock

import numpy as np
import pytest
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketState
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from kani.core.audio.encoding import AudioFormat, create_encoder
from kani.core.audio.pcm import pcm16
from kani.core.errors import EngineUnavailable
from kani.core.recognizer import Recognizer
from kani.core.types import Samples
from kani.protocols.openai.realtime.connection import RealtimeConnection
from kani.protocols.openai.realtime.session_config import TurnDetection, initial_config
from kani.protocols.shared.connection import Client as ServedClient
from kani.protocols.shared.conversation import ConnectionLimits
from tests.clients.openai_realtime import BETA, TRANSCRIPTION, Client, loud, quiet, realtime, text_item, types
from tests.support.chat.talking import TURN_EVENTS
from tests.support.loudness import HearsAgain, PausingRecognizer
from tests.support.patience import WITHIN_S
from tests.support.servers.app_server import KEY, AppServer, StartApp
from tests.support.sessions import started
from tests.support.tone import ToneEngine

VAD = {"type": "server_vad"}
BOTH = pytest.mark.parametrize("detection", [None, VAD])
TURN = [*TURN_EVENTS, f"{TRANSCRIPTION}.completed"]

# No more than what breaks the recogniser: a rest would reach the next recognition where the server is slow.
BREAKING = quiet(0.24), loud(0.1, level=0.9)


Hears = Callable[..., Awaitable[Client]]


@pytest.fixture
async def hears(start_app: StartApp) -> AsyncIterator[Hears]:
    """Start a server with this recogniser and settings, and connect to it."""
    async with AsyncExitStack() as running:

        async def start(recognizer: Recognizer | None = None, **environment: str) -> Client:
            app = start_app(**environment)
            app.service.recognition.recognizer = recognizer
            return await running.enter_async_context(realtime(app.url))

        yield start


async def commit(client: Client, *audio: Samples) -> str:
    if audio:
        await client.append(*audio)
    await client.send("input_audio_buffer.commit")
    return (await client.transcripts(1))[0]


def deltas(client: Client, item_id: str | None = None) -> str:
    events = client.of(f"{TRANSCRIPTION}.delta")
    return "".join(event["delta"] for event in events if item_id in (None, event["item_id"]))


async def test_turns_are_detected_and_transcribed(listener: Client) -> None:
    assert listener.seen[0]["session"]["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
    await listener.append(quiet(0.96), loud(0.4), quiet(1.04), loud(0.8), quiet(0.8))
    assert await listener.transcripts(2) == ["w0 w1 w2 w3 w4.", "w5 w6 w7 w8 w9. w10 w11 w12 w13 w14."]
    events = [event for event in listener.seen[1:] if event["type"] != f"{TRANSCRIPTION}.delta"]
    assert types(events) == TURN * 2
    first, second = (turn[0]["item_id"] for turn in (events[:6], events[6:]))
    assert first != second
    for item_id, turn in ((first, events[:6]), (second, events[6:])):
        assert [event.get("item_id") or event["item"]["id"] for event in turn] == [item_id] * 6
        assert deltas(listener, item_id) == turn[-1]["transcript"]
    assert [events[at]["previous_item_id"] for at in (2, 8)] == [None, first]
    # With 300 ms before the speech, and the silence of 500 ms after it; a chunk of the detector is 32 ms.
    assert [event["audio_start_ms"] for event in events[::6]] == pytest.approx([660, 2100], abs=40)
    assert [event["audio_end_ms"] for event in events[1::6]] == pytest.approx([1860, 3700], abs=70)
    assert events[5]["languages"] == [{"code": "en"}]
    assert events[5]["usage"] == {"type": "duration", "seconds": pytest.approx(1.2, abs=0.08)}


async def test_words_of_an_unknown_language_are_words(hears: Hears) -> None:
    client = await hears(PausingRecognizer(language=""))
    await client.append(quiet(0.8), loud(0.4), quiet(0.8))
    assert await client.transcripts(1) == ["w0 w1 w2 w3 w4."]
    (completed,) = client.of(f"{TRANSCRIPTION}.completed")
    assert "details" not in completed and "languages" not in completed


@pytest.mark.parametrize(
    ("detection", "turns"),
    [
        ({"type": "server_vad", "silence_duration_ms": 350}, 3),
        ({"type": "server_vad", "silence_duration_ms": 1200}, 2),
        ({"type": "server_vad", "threshold": 1.0}, 3),
        # The first pause follows a sentence (its fifth word ends with a full stop), the second does not.
        ({"type": "semantic_vad", "eagerness": "auto"}, 2),
        ({"type": "semantic_vad", "eagerness": "low"}, 1),
    ],
)
async def test_turns_follow_the_settings(listener: Client, detection: dict[str, Any], turns: int) -> None:
    updated = await listener.detect(detection)
    assert detection.items() <= updated["session"]["audio"]["input"]["turn_detection"].items()
    await listener.append(quiet(0.8), loud(0.4), quiet(0.8), loud(0.16), quiet(1.6), loud(0.4), quiet(0.4))
    await listener.send("input_audio_buffer.commit")
    await listener.until(f"{TRANSCRIPTION}.completed", turns)
    assert len(listener.of("input_audio_buffer.speech_stopped")) == turns
    assert deltas(listener) == "".join(e["transcript"] for e in listener.of(f"{TRANSCRIPTION}.completed"))


def test_semantic_turn_ends_by_what_is_said() -> None:
    waits: dict[Literal["low", "high", "auto"], dict[bool | None, float]] = {
        "auto": {True: 0.2, False: 1.5, None: 4.0},
        "low": {True: 1.2, False: 3.0},
        "high": {False: 1.0},
    }
    for eagerness, told in waits.items():
        patience = TurnDetection("semantic_vad", eagerness=eagerness).rule.patience
        assert {each: patience.silence_s(each, sentence_ended=False) for each in told} == told, eagerness


async def test_client_commits_without_turn_detection(listener: Client) -> None:
    await listener.detect(None)
    previous = None
    for _ in range(2):
        await listener.append(quiet(0.08), loud(0.16), quiet(0.24))
        # Words come before the commit, under the id that the commit uses.
        await listener.until(f"{TRANSCRIPTION}.delta", 2)
        assert await commit(listener) == "w0 w1"
        committed = listener.of("input_audio_buffer.committed")[-1]
        assert committed["previous_item_id"] == previous
        previous = committed["item_id"]
        assert deltas(listener, previous) == "w0 w1"
    assert not listener.of("input_audio_buffer.speech_started")


@pytest.mark.parametrize("model", ["gpt-transcribe", "gpt-live-transcribe", "gpt-realtime-whisper"])
async def test_models_without_turn_detection_end_turns_by_the_commit(app: AppServer, model: str) -> None:
    async with realtime(app.url) as listener:
        given = {"transcription": {"model": model}}
        detection = (await listener.configure(audio={"input": given}))["session"]["audio"]["input"]
        assert detection["turn_detection"] is None
        # A pause that would end a turn.
        await listener.append(loud(0.16), quiet(1.5), loud(0.16), quiet(0.24))
        assert await commit(listener) == "w0 w1 w2"
        assert not listener.of("input_audio_buffer.speech_started")
    async with realtime(app.url) as listener:
        asked = {**given, "turn_detection": {"type": "server_vad"}}
        for each in (asked, given):
            detection = (await listener.configure(audio={"input": each}))["session"]["audio"]["input"]
            assert detection["turn_detection"]["type"] == "server_vad"
    async with realtime(app.url, "model=gpt-realtime") as speaker:
        # Of a conversation it ends the turns that are answered.
        detection = (await speaker.configure("realtime", audio={"input": given}))["session"]["audio"]["input"]
        assert detection["turn_detection"]["type"] == "server_vad"


async def test_transcripts_have_log_probabilities_where_they_are_asked_for(
    app: AppServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    include = ["item.input_audio_transcription.logprobs"]
    for told, expected in ((None, None), (-0.25, [("w0", -0.25), (" w1", -0.25)])):
        monkeypatch.setattr(app.service.recognition.recognizer, "log_probability", told)
        async with realtime(app.url) as listener:
            await listener.detect(None)
            assert (await listener.configure(include=[*include, "other"]))["session"]["include"] == include
            await commit(listener, quiet(0.08), loud(0.16), quiet(0.24))
            rows = listener.of(f"{TRANSCRIPTION}.completed")[-1]["logprobs"]
            assert (rows and [(row["token"], row["logprob"]) for row in rows]) == expected
            assert all(bytes(row["bytes"]).decode() == row["token"] for row in rows or ())
            assert (await listener.configure(include=None))["session"]["include"] is None
            await commit(listener, loud(0.16), quiet(0.24))
            assert "logprobs" not in listener.of(f"{TRANSCRIPTION}.completed")[-1]


@BOTH
@pytest.mark.parametrize("audio", [(), (0.02,), (1.0,)])
async def test_commit_of_nothing_is_completed_empty(
    listener: Client, detection: dict[str, Any] | None, audio: tuple[float, ...]
) -> None:
    await listener.detect(detection)
    for seconds in audio:
        await listener.append(quiet(seconds))
    for _ in range(3):
        await listener.send("input_audio_buffer.commit")
    assert await listener.transcripts(3) == [""] * 3
    committed = [event["item_id"] for event in listener.of("input_audio_buffer.committed")]
    completed = listener.of(f"{TRANSCRIPTION}.completed")
    assert committed == [event["item_id"] for event in completed] and len(set(committed)) == 3
    # Without speech an empty transcript is right.
    assert not any("details" in event for event in completed)
    # The connection goes on.
    assert await commit(listener, quiet(0.16), loud(0.16), quiet(0.16)) == "w0 w1"
    assert not listener.of("error")


@BOTH
async def test_cleared_audio_is_forgotten(listener: Client, detection: dict[str, Any] | None) -> None:
    await listener.detect(detection)
    for audio in ([], [quiet(0.4), loud(0.4)]):
        if audio:
            await listener.append(*audio)
        await listener.send("input_audio_buffer.clear")
        await listener.until("input_audio_buffer.cleared")
    assert await commit(listener, quiet(0.8), loud(0.16), quiet(0.08)) == "w0 w1"
    if detection is not None:
        # Positions count all audio, what was cleared included.
        start = listener.of("input_audio_buffer.speech_started")[-1]
        assert start["audio_start_ms"] == pytest.approx(1300, abs=40)


@BOTH
@pytest.mark.parametrize("speaks", [True, False])
async def test_clear_is_answered_after_the_commit_before_it(
    listener: Client, detection: dict[str, Any] | None, speaks: bool
) -> None:
    """openai-agents sends both at once, and takes a clear without a commit for the end of its audio."""
    await listener.detect(detection)
    await listener.append(quiet(0.8), loud(0.4) if speaks else quiet(0.4))
    for event in ("commit", "clear", "clear"):
        await listener.send(f"input_audio_buffer.{event}")
    await listener.until("input_audio_buffer.cleared", 2)
    assert len(listener.of("input_audio_buffer.committed")) == 1
    if not listener.of(f"{TRANSCRIPTION}.completed"):
        await listener.until(f"{TRANSCRIPTION}.completed")
    assert bool(listener.of(f"{TRANSCRIPTION}.completed")[0]["transcript"]) is speaks
    # Nothing is owed any more.
    await listener.append(loud(0.4))
    await listener.send("input_audio_buffer.clear")
    await listener.until("input_audio_buffer.cleared")


@BOTH
async def test_item_holds_what_the_user_said(listener: Client, detection: dict[str, Any] | None) -> None:
    await listener.detect(detection)
    said = await commit(listener, quiet(0.8), loud(0.4))
    item_id = listener.of("input_audio_buffer.committed")[-1]["item_id"]
    if detection is not None:
        # The commit ends the turn that goes on.
        names = types(
            [event for event in listener.seen if item_id == event.get("item_id") or "item" in event]
        )
        assert [name for name in names if not name.endswith("delta")] == TURN and said == "w0 w1 w2 w3 w4."
    await listener.send("conversation.item.retrieve", item_id=item_id)
    item = (await listener.until("conversation.item.retrieved"))[-1]["item"]
    assert item["content"] == [{"type": "input_audio", "transcript": said}] and said
    # One that is deleted is completed all the same.
    await listener.append(quiet(0.8), loud(0.4))
    await listener.send("input_audio_buffer.commit")
    item_id = (await listener.until("input_audio_buffer.committed"))[-1]["item_id"]
    await listener.send("conversation.item.delete", item_id=item_id)
    await listener.until("conversation.item.deleted")
    while listener.of(f"{TRANSCRIPTION}.completed")[-1]["item_id"] != item_id:
        await listener.receive()
    assert not listener.of("error")


async def test_expected_words_may_come_after_the_first_audio(hears: Hears) -> None:
    client = await hears(recognizer := PausingRecognizer())
    await client.append(quiet(0.16), loud(0.08))
    updated = await client.detect(None, prompt="The patient is Ms Zandrell.", keywords=["Brackshaw", " "])
    expected = {"prompt": "The patient is Ms Zandrell.", "keywords": ["Brackshaw"]}
    assert expected.items() <= updated["session"]["audio"]["input"]["transcription"].items()
    assert await commit(client, loud(0.08), quiet(0.16)) == "w0 w1"
    assert set(recognizer.prompts) == {"Brackshaw. The patient is Ms Zandrell."}


async def test_turns_are_heard_again_whole_or_not_at_all(hears: Hears) -> None:
    """The second turn has words from before a configuration."""
    client = await hears(recognizer := HearsAgain("bum"))
    recognizer.go_on.set()

    async def turn() -> str:
        await client.append(loud(1.6), quiet(0.32), loud(1.6), quiet(0.8))
        return (await client.transcripts(1))[0]

    await client.detect(VAD)
    assert "bum" in await turn()
    await client.append(loud(0.24))
    await client.until("input_audio_buffer.speech_started")
    await client.detect(VAD, language="es")
    assert len((await turn()).split()) == 3 + 40
    assert "bum" in await turn()
    await client.detect(VAD, language="en")
    assert "bum" in await turn()


@BOTH
async def test_turn_that_began_before_the_configuration_is_recognized_in_its_language(
    hears: Hears, detection: dict[str, Any] | None
) -> None:
    client = await hears(recognizer := PausingRecognizer())
    # Too little for a word to be decided before the configuration comes.
    await client.append(quiet(0.16), loud(0.08))
    await client.until("input_audio_buffer.speech_started")
    await client.detect(detection, language="ja")
    # Japanese is written without spaces.
    assert await commit(client, loud(0.24), quiet(0.16)) == "ワ0ワ1ワ2ワ3"
    (started,) = client.of("input_audio_buffer.speech_started")
    assert client.of("input_audio_buffer.committed")[0]["item_id"] == started["item_id"]
    # Audio that nothing was told of yet waits for the next one.
    await client.append(loud(0.08))
    told = (await client.detect(None, languages=["es", "en"]))["session"]["audio"]["input"]["transcription"]
    assert (told["language"], told["languages"]) == (None, ["es", "en"])
    assert await commit(client, loud(0.08)) == "w0 w1"
    assert recognizer.languages[-1] is None and recognizer.languages.count("ja") in (1, 2)
    assert recognizer.candidates == {"es", "en"}


async def test_configuration_changes_while_a_turn_goes_on(listener: Client) -> None:
    await listener.detect(VAD)
    await listener.append(quiet(0.8), loud(0.16), quiet(0.16))
    await listener.until(f"{TRANSCRIPTION}.delta", 2)
    await listener.detect(None)
    assert await commit(listener, loud(0.16)) == "w0 w1 w0 w1"
    names = ("input_audio_buffer.speech_started", "input_audio_buffer.committed")
    assert len({listener.of(name)[-1]["item_id"] for name in names}) == 1


@pytest.mark.parametrize(("name", "codec"), [("audio/pcmu", "ulaw"), ("audio/pcma", "alaw")])
async def test_telephone_audio_is_recognized(listener: Client, name: str, codec: Any) -> None:
    samples = np.concatenate([quiet(0.4, 8000), loud(0.24, 8000), quiet(0.24, 8000)])
    data = create_encoder(AudioFormat(codec, 8000), 8000).feed(samples)
    given = {"format": {"type": name}, "turn_detection": None}
    updated = await listener.configure(audio={"input": given})
    assert updated["session"]["audio"]["input"]["format"] == {"type": name}
    await listener.send("input_audio_buffer.append", audio=base64.b64encode(data).decode())
    assert await commit(listener) == "w0 w1 w2"


async def test_beta_client_gets_the_betas_names(app: AppServer) -> None:
    async with realtime(app.url, additional_headers=BETA) as client:
        assert client.seen[0]["type"] == "transcription_session.created"
        session = {
            "input_audio_format": "pcm16",
            "input_audio_transcription": {"model": "whisper-1", "language": "es", "prompt": ""},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
            "input_audio_noise_reduction": {"type": "near_field"},
        }
        await client.send("transcription_session.update", session=session)
        updated = (await client.until("transcription_session.updated"))[-1]["session"]
        assert updated["input_audio_transcription"]["language"] == "es"
        assert updated["turn_detection"]["silence_duration_ms"] == 300 and "audio" not in updated
        await client.append(quiet(0.4), loud(0.16), quiet(0.56))
        assert await client.transcripts(1) == ["w0 w1"]
    names = types(client.seen)
    assert "conversation.item.created" in names
    assert "conversation.item.added" not in names and "conversation.item.done" not in names


async def test_failure_of_the_recognizer_fails_the_item_alone(hears: Hears) -> None:
    client = await hears(PausingRecognizer(breaks_above=0.5))
    await client.detect(None)
    # A success forgives failures; three of them in a row end the connection.
    for _ in range(4):
        await client.append(*BREAKING)
        await client.until(f"{TRANSCRIPTION}.failed")
        assert await commit(client, quiet(0.24), loud(0.16)) == "w0 w1"
    for _ in range(3):
        await client.append(*BREAKING)
        failed = (await client.until(f"{TRANSCRIPTION}.failed"))[-1]
        assert failed["error"]["type"] == "server_error" and failed["item_id"]
    assert await client.close_code() == 1013
    assert types(client.seen)[-1] == "error"


async def test_busy_server_says_so_and_closes(hears: Hears) -> None:
    limits = {"KANI_MAX_CONNECTIONS": "2", "KANI_RATE_PER_MINUTE": "1"}
    client = await hears(PausingRecognizer(), **limits)
    await client.detect(None)
    assert await commit(client, loud(0.16)) == "w0 w1"
    await client.append(loud(0.08))
    assert await client.close_code() == 1013
    assert client.seen[-1]["error"]["code"] == "rate_limit_exceeded"


async def test_disabled_recognizer_is_reported_once(hears: Hears) -> None:
    client = await hears()
    await client.append(quiet(1.0))
    error = (await client.until("error"))[-1]["error"]
    assert "KANI_RECOGNIZER" in error["message"] and error["type"] == "server_error"
    # Speech out still works, and the other nine pieces were no further errors.
    await client.configure("realtime")
    assert len(client.of("error")) == 1


@pytest.mark.parametrize("limit", ["SESSION_S", "IDLE_S"])
async def test_session_ends_after_its_time(hears: Hears, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"kani.protocols.openai.realtime.{limit}", 0.2)
    client = await hears()
    assert await client.close_code() == 1000
    assert client.seen[-1]["error"]["code"] == "session_expired"


async def test_browser_sends_its_key_as_a_subprotocol(start_app: StartApp) -> None:
    app = start_app(KANI_HOST="0.0.0.0", KANI_API_KEYS=KEY)
    url = f"{app.url}/v1/realtime"
    offered: Any = ["realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1"]
    async with connect(f"{url}?intent=transcription", subprotocols=offered) as websocket:
        assert websocket.subprotocol == "realtime"
        assert "transcription_session.created" in str(await websocket.recv())
    offered[1] = "openai-insecure-api-key.wrong"
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, subprotocols=offered)
    assert refused.value.response.status_code == 401
    async with connect(url, additional_headers={"api-key": KEY}) as websocket:
        assert websocket.subprotocol is None


async def test_answer_ends_quietly_once_the_server_has_closed(tmp_path: Path) -> None:
    """A client may take its time to answer the closing handshake, and the answer goes on meanwhile."""
    recognizer = PausingRecognizer()
    recognizer.start = AsyncMock(side_effect=EngineUnavailable("no recogniser"))  # type: ignore[method-assign]
    speech = {"type": "response.create", "response": {"input": [text_item("One two three. " * 20)]}}
    audio = base64.b64encode(pcm16(quiet(0.1))).decode()
    events = [speech, {"type": "input_audio_buffer.append", "audio": audio}]
    closed = asyncio.Event()
    engine = ToneEngine()
    engine.allow = 0

    async def receive() -> Message:
        if not events:
            await asyncio.Event().wait()
        return {"type": "websocket.receive", "text": json.dumps(events.pop(0))}

    async def send(message: Message) -> None:
        if message["type"] == "websocket.close":
            closed.set()
            engine.allow = None
            engine.moved.set()

    scope = {"type": "websocket", "path": "/v1/realtime", "headers": [], "client": ("127.0.0.1", 1)}
    websocket = WebSocket(scope, receive, send)
    websocket.client_state = websocket.application_state = WebSocketState.CONNECTED
    async with started(tmp_path, engine, recognizer=recognizer) as service:
        limits, config = ConnectionLimits(60, 60), initial_config("realtime", None)
        connection = RealtimeConnection(ServedClient(websocket), service, config, limits, beta=False)
        await asyncio.wait_for(connection.run(), WITHIN_S)
    assert closed.is_set()
    assert engine.steps
