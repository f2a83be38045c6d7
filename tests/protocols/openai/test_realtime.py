"""WS /v1/realtime: turns, transcripts and commits of audio in; ends of connections."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketState
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from kani.core.audio.encoding import AudioFormat, create_encoder
from kani.core.audio.pcm import pcm16
from kani.core.errors import EngineUnavailable
from kani.core.recognizer import Mark, RecognitionEvent, RecognizedWord, Step
from kani.core.types import Samples
from kani.protocols.openai.realtime.connection import ConnectionLimits, RealtimeConnection
from kani.protocols.openai.realtime.session_config import TurnDetection, initial_config
from kani.protocols.openai.realtime.turn_detector import TurnDetector, TurnStarted, TurnStopped
from tests.clients.openai_realtime import BETA, TRANSCRIPTION, Client, loud, quiet, realtime, text_item, types
from tests.support.app_server import KEY, AppServer, StartApp
from tests.support.loudness import PausingRecognizer
from tests.support.patience import WITHIN_S
from tests.support.sessions import build
from tests.support.tone import ToneEngine

VAD = {"type": "server_vad"}
TURN = [
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    f"{TRANSCRIPTION}.completed",
]

# No more than what breaks the recogniser: a rest would reach the next recognition where the server is slow.
BREAKING = quiet(0.24), loud(0.1, level=0.9)


def deltas(client: Client, item_id: str | None = None) -> str:
    events = client.of(f"{TRANSCRIPTION}.delta")
    return "".join(event["delta"] for event in events if item_id in (None, event["item_id"]))


async def test_turns_are_detected_and_transcribed(app: AppServer) -> None:
    async with realtime(app.url) as client:
        assert client.seen[0]["session"]["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
        await client.append(quiet(0.96), loud(0.4), quiet(1.04), loud(0.8), quiet(0.8))
        assert await client.transcripts(2) == ["w0 w1 w2 w3 w4.", "w5 w6 w7 w8 w9. w10 w11 w12 w13 w14."]
    events = [event for event in client.seen[1:] if event["type"] != f"{TRANSCRIPTION}.delta"]
    assert types(events) == ["input_audio_buffer.speech_started", *TURN] * 2
    first, second = (next(e["item_id"] for e in events[at:] if "item_id" in e) for at in (0, 6))
    assert first != second
    for item_id, turn in ((first, events[:6]), (second, events[6:])):
        named = [event.get("item_id") or event["item"]["id"] for event in turn]
        assert named == [item_id] * 6
        assert deltas(client, item_id) == turn[-1]["transcript"]
    assert [events[at]["previous_item_id"] for at in (2, 8)] == [None, first]
    starts, stops = (
        [event[field] for event in client.of(f"input_audio_buffer.speech_{name}")]
        for name, field in (("started", "audio_start_ms"), ("stopped", "audio_end_ms"))
    )
    # With 300 ms before the speech, and the silence of 500 ms after it; a chunk of the detector is 32 ms.
    assert starts == pytest.approx([660, 2100], abs=40)
    assert stops == pytest.approx([1860, 3700], abs=70)
    assert events[5]["languages"] == [{"code": "en"}]
    assert events[5]["usage"] == {"type": "duration", "seconds": pytest.approx(1.2, abs=0.08)}


async def test_turn_without_words_says_so(start_app: StartApp) -> None:
    """A commit without speech does not: its transcript is rightly empty."""
    app = start_app()
    app.service.recognizer = PausingRecognizer(words=[""] * 10)
    async with realtime(app.url) as client:
        await client.append(quiet(0.8), loud(0.8), quiet(0.8))
        assert await client.transcripts(1) == [""]
        await client.append(quiet(0.8))
        await client.send("input_audio_buffer.commit")
        assert await client.transcripts(1) == [""]
    spoken, silent = client.of(f"{TRANSCRIPTION}.completed")
    assert spoken["details"]["code"] == "no_words" and "no words" in spoken["details"]["message"]
    assert "details" not in silent


class Nameless(PausingRecognizer):
    """Hears words without knowing their language."""

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        async with aclosing(super().recognize(audio, language)) as events:
            async for event in events:
                yield replace(event, language="") if isinstance(event, RecognizedWord) else event


async def test_words_of_an_unknown_language_are_words(start_app: StartApp) -> None:
    app = start_app()
    app.service.recognizer = Nameless()
    async with realtime(app.url) as client:
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
async def test_turn_detection_follows_its_settings(
    app: AppServer, detection: dict[str, Any], turns: int
) -> None:
    async with realtime(app.url) as client:
        updated = await client.detect(detection)
        in_force = updated["session"]["audio"]["input"]["turn_detection"]
        assert {name: in_force[name] for name in detection} == detection
        await client.append(quiet(0.8), loud(0.4), quiet(0.8), loud(0.16), quiet(1.6), loud(0.4), quiet(0.4))
        await client.send("input_audio_buffer.commit")
        await client.until(f"{TRANSCRIPTION}.completed", turns)
        assert len(client.of("input_audio_buffer.speech_stopped")) == turns
        assert deltas(client) == "".join(e["transcript"] for e in client.of(f"{TRANSCRIPTION}.completed"))


def test_soft_ends_of_words_belong_to_the_turn() -> None:
    detector = TurnDetector(10.0)
    silent = (0.0, 0.0, 0.0, 0.0)
    detection = TurnDetection(silence_duration_ms=96, prefix_padding_ms=0)
    voices = (0.9, 0.1, 0.9, 0.9, 0.35, 0.35, 0.1, 0.1, 0.1, 0.1)
    events = detector.feed(Step(0, silent, voices), detection)
    # A single loud chunk is a click; 0.35 is below the threshold, and above 0.6 of it.
    assert events == [
        TurnStarted(pytest.approx(10 + 2 * 0.032)),
        TurnStopped(pytest.approx(10 + 9 * 0.032)),
    ]


@pytest.mark.parametrize(
    ("complete", "eagerness", "silence_s"),
    [
        (True, "auto", 0.2),
        (True, "low", 1.2),
        (False, "auto", 1.5),
        (False, "high", 1.0),
        (False, "low", 3.0),
        (None, "auto", 4.0),
    ],
)
def test_semantic_turn_ends_by_what_is_said(
    complete: bool | None, eagerness: Literal["low", "high", "auto"], silence_s: float
) -> None:
    detector = TurnDetector(0.0)
    none = (0.0, 0.0, 0.0, 0.0)
    detection = TurnDetection("semantic_vad", eagerness=eagerness)
    detector.feed(Step(0, none, (0.9,) * 10), detection)
    quiet_steps = 0
    while not detector.feed(Step(1, none, (0.0,), complete=complete), detection):
        quiet_steps += 1
    assert quiet_steps * 0.032 == pytest.approx(silence_s, abs=0.033)


def test_padding_does_not_reach_into_the_turn_before() -> None:
    detection = TurnDetection(silence_duration_ms=96, prefix_padding_ms=300)
    step = Step(0, (0.0, 0.0, 0.0, 0.0), (0.9, 0.9, 0.0, 0.0, 0.0, 0.9, 0.9))
    stopped_s = pytest.approx(10 + 5 * 0.032)
    assert TurnDetector(10.0).feed(step, detection) == [
        TurnStarted(10.0),
        TurnStopped(stopped_s),
        TurnStarted(stopped_s),
    ]


async def test_client_commits_without_turn_detection(app: AppServer) -> None:
    async with realtime(app.url) as client:
        await client.detect(None)
        for word, previous in (("w0 w1", None), ("w0 w1", 0)):
            await client.append(quiet(0.08), loud(0.16), quiet(0.24))
            # Words come before the commit, under the id that the commit uses.
            await client.until(f"{TRANSCRIPTION}.delta", 2)
            await client.send("input_audio_buffer.commit")
            assert await client.transcripts(1) == [word]
            items = [event["item_id"] for event in client.of("input_audio_buffer.committed")]
            committed = client.of("input_audio_buffer.committed")[-1]
            assert committed["previous_item_id"] == (None if previous is None else items[previous])
            assert deltas(client, items[-1]) == word
    assert not client.of("input_audio_buffer.speech_started")


@pytest.mark.parametrize("detection", [None, VAD])
@pytest.mark.parametrize("audio", [(), (0.02,), (1.0,)])
async def test_commit_of_nothing_is_completed_empty(
    app: AppServer, detection: dict[str, Any] | None, audio: tuple[float, ...]
) -> None:
    async with realtime(app.url) as client:
        await client.detect(detection)
        for seconds in audio:
            await client.append(quiet(seconds))
        for _ in range(3):
            await client.send("input_audio_buffer.commit")
        assert await client.transcripts(3) == [""] * 3
        committed = [event["item_id"] for event in client.of("input_audio_buffer.committed")]
        completed = [event["item_id"] for event in client.of(f"{TRANSCRIPTION}.completed")]
        assert committed == completed and len(set(committed)) == 3
        # The connection goes on.
        await client.append(quiet(0.16), loud(0.16), quiet(0.16))
        await client.send("input_audio_buffer.commit")
        assert await client.transcripts(1) == ["w0 w1"]
    assert not client.of("error")


async def test_commit_ends_the_turn_that_goes_on(app: AppServer) -> None:
    async with realtime(app.url) as client:
        await client.append(quiet(0.8), loud(0.4))
        await client.send("input_audio_buffer.commit")
        assert await client.transcripts(1) == ["w0 w1 w2 w3 w4."]
    events = [event for event in client.seen[1:] if event["type"] != f"{TRANSCRIPTION}.delta"]
    assert types(events) == ["input_audio_buffer.speech_started", *TURN]
    assert len({event.get("item_id") or event["item"]["id"] for event in events}) == 1


@pytest.mark.parametrize("detection", [None, VAD])
async def test_cleared_audio_is_forgotten(app: AppServer, detection: dict[str, Any] | None) -> None:
    async with realtime(app.url) as client:
        await client.detect(detection)
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        await client.append(quiet(0.4), loud(0.4))
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        await client.append(quiet(0.8), loud(0.16), quiet(0.08))
        await client.send("input_audio_buffer.commit")
        assert await client.transcripts(1) == ["w0 w1"]
        if detection is not None:
            # Positions count all audio, what was cleared included.
            start = client.of("input_audio_buffer.speech_started")[-1]
            assert start["audio_start_ms"] == pytest.approx(1300, abs=40)


@pytest.mark.parametrize("detection", [None, VAD])
@pytest.mark.parametrize("speaks", [True, False])
async def test_clear_is_answered_after_the_commit_before_it(
    app: AppServer, detection: dict[str, Any] | None, speaks: bool
) -> None:
    """openai-agents sends both at once, and takes a clear without a commit for the end of its audio."""
    async with realtime(app.url) as client:
        await client.detect(detection)
        await client.append(quiet(0.8), loud(0.4) if speaks else quiet(0.4))
        await client.send("input_audio_buffer.commit")
        await client.send("input_audio_buffer.clear")
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared", 2)
        assert len(client.of("input_audio_buffer.committed")) == 1
        if not client.of(f"{TRANSCRIPTION}.completed"):
            await client.until(f"{TRANSCRIPTION}.completed")
        assert bool(client.of(f"{TRANSCRIPTION}.completed")[0]["transcript"]) is speaks
        # Nothing is owed any more.
        await client.append(loud(0.4))
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")


@pytest.mark.parametrize("detection", [None, VAD])
async def test_item_holds_what_the_user_said(app: AppServer, detection: dict[str, Any] | None) -> None:
    async with realtime(app.url) as client:
        await client.detect(detection)
        for _ in range(2):
            await client.append(quiet(0.8), loud(0.4))
            await client.send("input_audio_buffer.commit")
            said = await client.transcripts(1)
            item_id = client.of("input_audio_buffer.committed")[-1]["item_id"]
            await client.send("conversation.item.retrieve", item_id=item_id)
            item = (await client.until("conversation.item.retrieved"))[-1]["item"]
            assert item["content"] == [{"type": "input_audio", "transcript": said[0]}] and said[0]


async def test_deleted_item_is_completed_all_the_same(app: AppServer) -> None:
    async with realtime(app.url) as client:
        await client.detect(None)
        await client.append(quiet(0.8), loud(0.4))
        await client.send("input_audio_buffer.commit")
        item_id = (await client.until("input_audio_buffer.committed"))[-1]["item_id"]
        await client.send("conversation.item.delete", item_id=item_id)
        seen = types(await client.until("conversation.item.deleted"))
        if f"{TRANSCRIPTION}.completed" not in seen:
            await client.transcripts(1)
        assert not client.of("error")


async def test_audio_before_the_configuration_is_recognized_in_its_language(start_app: StartApp) -> None:
    app = start_app()
    recognizer = app.service.recognizer = PausingRecognizer()
    async with realtime(app.url) as client:
        # Too little for a word to be decided before the configuration comes.
        await client.append(quiet(0.16), loud(0.08))
        await client.detect(None, language="ja")
        await client.append(loud(0.24), quiet(0.16))
        await client.send("input_audio_buffer.commit")
        # Japanese is written without spaces.
        assert (await client.transcripts(1))[0] == "w0w1w2w3"
        await client.append(loud(0.08))
        await client.detect(None, languages=["es", "en"])
        await client.append(loud(0.08))
        await client.send("input_audio_buffer.commit")
        assert await client.transcripts(1) == ["w0 w1"]
    assert recognizer.languages[-1] is None and recognizer.languages.count("ja") in (1, 2)


async def test_expected_words_reach_the_recogniser_in_both_generations(start_app: StartApp) -> None:
    app = start_app()
    recognizer = app.service.recognizer = PausingRecognizer()
    async with realtime(app.url) as client:
        # The names come later than the first audio, which is heard with them all the same.
        await client.append(quiet(0.16), loud(0.08))
        await client.detect(None, prompt="The patient is Ms Zandrell.", keywords=["Brackshaw", " "])
        transcription = client.seen[-1]["session"]["audio"]["input"]["transcription"]
        assert transcription["prompt"] == "The patient is Ms Zandrell."
        assert transcription["keywords"] == ["Brackshaw"]
        await client.append(loud(0.08), quiet(0.16))
        await client.send("input_audio_buffer.commit")
        assert await client.transcripts(1) == ["w0 w1"]
    assert set(recognizer.prompts) == {"Brackshaw. The patient is Ms Zandrell."}
    async with realtime(app.url, additional_headers={"OpenAI-Beta": "realtime=v1"}) as client:
        session = {"input_audio_transcription": {"prompt": "Tolliwen"}, "turn_detection": None}
        await client.send("transcription_session.update", session=session)
        await client.until("transcription_session.updated")
        await client.append(loud(0.08), quiet(0.16))
        await client.send("input_audio_buffer.commit")
        assert len(await client.transcripts(1)) == 1
    assert recognizer.prompts[-1] == "Tolliwen"


@pytest.mark.parametrize("detection", [None, VAD])
async def test_turn_that_began_before_the_configuration_is_recognized_in_its_language(
    app: AppServer, detection: dict[str, Any] | None
) -> None:
    async with realtime(app.url) as client:
        await client.append(quiet(0.16), loud(0.08))
        await client.until("input_audio_buffer.speech_started")
        await client.detect(detection, language="ja")
        await client.append(loud(0.24), quiet(0.16))
        await client.send("input_audio_buffer.commit")
        assert await client.transcripts(1) == ["w0w1w2w3"]
    (started,) = client.of("input_audio_buffer.speech_started")
    assert client.of("input_audio_buffer.committed")[0]["item_id"] == started["item_id"]


async def test_configuration_changes_while_a_turn_goes_on(app: AppServer) -> None:
    async with realtime(app.url) as client:
        await client.detect(VAD)
        await client.append(quiet(0.8), loud(0.16), quiet(0.16))
        await client.until(f"{TRANSCRIPTION}.delta", 2)
        await client.detect(None)
        await client.append(loud(0.16))
        await client.send("input_audio_buffer.commit")
        assert await client.transcripts(1) == ["w0 w1 w0 w1"]
        assert (
            client.of("input_audio_buffer.committed")[-1]["item_id"]
            == client.of("input_audio_buffer.speech_started")[-1]["item_id"]
        )


@pytest.mark.parametrize(("name", "codec"), [("audio/pcmu", "ulaw"), ("audio/pcma", "alaw")])
async def test_telephone_audio_is_recognized(app: AppServer, name: str, codec: Any) -> None:
    samples = np.concatenate([quiet(0.4, 8000), loud(0.24, 8000), quiet(0.24, 8000)])
    data = create_encoder(AudioFormat("", codec, 8000, None, ""), 8000).feed(samples)
    async with realtime(app.url) as client:
        audio_input = {"format": {"type": name}, "turn_detection": None}
        updated = await client.configure(audio={"input": audio_input})
        assert updated["session"]["audio"]["input"]["format"] == {"type": name}
        audio = base64.b64encode(data).decode()
        await client.send("input_audio_buffer.append", audio=audio)
        await client.send("input_audio_buffer.commit")
        assert await client.transcripts(1) == ["w0 w1 w2"]


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


async def test_absent_fields_stay_and_null_turns_off(app: AppServer) -> None:
    async with realtime(app.url, "model=gpt-realtime") as client:
        assert client.seen[0]["session"]["model"] == "gpt-realtime"
        assert client.seen[0]["session"]["object"] == "realtime.session"
        detection = {"type": "server_vad", "threshold": 0.7}
        await client.configure("realtime", audio={"input": {"turn_detection": detection}})
        changed = {"input": {"transcription": {"model": "m"}}, "output": {"voice": "marin", "speed": 1.5}}
        audio = (await client.configure("realtime", audio=changed, unknown=1))["session"]["audio"]
        assert audio["input"]["turn_detection"]["threshold"] == 0.7
        assert audio["input"]["transcription"]["model"] == "m"
        assert (audio["output"]["voice"], audio["output"]["speed"]) == ("marin", 1.5)
        off = {"input": {"transcription": None, "turn_detection": None}, "output": {"speed": None}}
        audio = (await client.configure("realtime", audio=off))["session"]["audio"]
        assert audio["input"]["turn_detection"] is None and audio["input"]["transcription"] is None
        assert (audio["output"]["voice"], audio["output"]["speed"]) == ("marin", 1.0)


async def test_refused_fields_cost_no_others(app: AppServer) -> None:
    async with realtime(app.url, "model=gpt-realtime") as client:
        detection = {"type": "semantic_vad", "eagerness": "enormous", "create_response": False}
        audio_input = {
            "format": {"type": "audio/pcm", "rate": 16_000},
            "transcription": {"model": "m", "languages": ["es", "xx"]},
            "turn_detection": detection,
        }
        session = {
            "type": "realtime",
            "instructions": "Be kind.",
            "tools": [{"type": "function", "name": "weather"}],
            "tool_choice": "auto",
            "output_modalities": ["text"],
            "audio": {"input": audio_input, "output": {"voice": "marin", "speed": 9, "format": None}},
        }
        await client.send("session.update", event_id="mine", session=session)
        *errors, updated = await client.until("session.updated")
        assert {error["type"] for error in errors} == {"error"}
        assert {error["error"]["event_id"] for error in errors} == {"mine"}
        assert {error["error"]["param"] for error in errors} == {
            "session.tools",
            "session.output_modalities",
            "session.audio.input.format.rate",
            "session.audio.input.transcription.languages",
            "session.audio.input.turn_detection.eagerness",
            "session.audio.output.speed",
        }
        audio = updated["session"]["audio"]
        assert (audio["output"]["voice"], audio["output"]["speed"]) == ("marin", 1.0)
        assert audio["input"]["transcription"]["model"] == "m"
        assert audio["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}
        in_force = audio["input"]["turn_detection"]
        assert (in_force["type"], in_force["eagerness"]) == ("semantic_vad", "auto")
        assert in_force["create_response"] is False


async def test_refused_fields_of_the_beta_cost_no_others(app: AppServer) -> None:
    async with realtime(app.url, "model=gpt-realtime", additional_headers=BETA) as client:
        transcription = {"model": "m", "language": "xx"}
        session = {"voice": "marin", "speed": 9, "input_audio_transcription": transcription}
        await client.send("session.update", session=session)
        *errors, updated = await client.until("session.updated")
        params = ["session.speed", "session.input_audio_transcription.language"]
        assert [error["error"]["param"] for error in errors] == params
        assert updated["session"]["voice"] == "marin"
        assert updated["session"]["input_audio_transcription"]["model"] == "m"


async def test_failure_of_the_recognizer_fails_the_item_alone(start_app: StartApp) -> None:
    app = start_app()
    app.service.recognizer = PausingRecognizer(breaks_above=0.5)
    async with realtime(app.url) as client:
        await client.detect(None)
        for _ in range(3):
            await client.append(*BREAKING)
            failed = (await client.until(f"{TRANSCRIPTION}.failed"))[-1]
            assert failed["error"]["type"] == "server_error" and failed["item_id"]
        assert await client.close_code() == 1013
    assert types(client.seen)[-1] == "error"


async def test_success_forgives_failures(start_app: StartApp) -> None:
    app = start_app()
    app.service.recognizer = PausingRecognizer(breaks_above=0.5)
    async with realtime(app.url) as client:
        await client.detect(None)
        for _ in range(4):
            await client.append(*BREAKING)
            await client.until(f"{TRANSCRIPTION}.failed")
            await client.append(quiet(0.24), loud(0.16))
            await client.send("input_audio_buffer.commit")
            assert await client.transcripts(1) == ["w0 w1"]


async def test_busy_server_says_so_and_closes(start_app: StartApp) -> None:
    app = start_app(KANI_MAX_CONNECTIONS="2", KANI_RATE_PER_MINUTE="1", KANI_RATE_LIMIT_ENABLED="true")
    app.service.recognizer = PausingRecognizer()
    async with realtime(app.url) as client:
        await client.detect(None)
        await client.append(loud(0.16))
        await client.send("input_audio_buffer.commit")
        assert await client.transcripts(1) == ["w0 w1"]
        await client.append(loud(0.08))
        assert await client.close_code() == 1013
    assert client.seen[-1]["error"]["code"] == "rate_limit_exceeded"


async def test_disabled_recognizer_is_reported_once(start_app: StartApp) -> None:
    app = start_app()
    async with realtime(app.url) as client:
        await client.append(quiet(1.0))
        error = (await client.until("error"))[-1]["error"]
        assert "KANI_RECOGNIZER" in error["message"] and error["type"] == "server_error"
        # Speech out still works, and the other nine pieces were no further errors.
        await client.configure("realtime")
    assert len(client.of("error")) == 1


@pytest.mark.parametrize("variable", ["KANI_REALTIME_SESSION_SECONDS", "KANI_REALTIME_IDLE_SECONDS"])
async def test_session_ends_after_its_time(start_app: StartApp, variable: str) -> None:
    app = start_app(**{variable: "0.2"})
    async with realtime(app.url) as client:
        assert await client.close_code() == 1000
    assert client.seen[-1]["error"]["code"] == "session_expired"


async def test_browser_sends_its_key_as_a_subprotocol(start_app: StartApp) -> None:
    app = start_app(KANI_HOST="0.0.0.0", KANI_API_KEYS=KEY)
    url = f"{app.url}/v1/realtime"
    offered = ["realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1"]
    async with connect(f"{url}?intent=transcription", subprotocols=offered) as websocket:  # type: ignore[arg-type]
        assert websocket.subprotocol == "realtime"
        assert "transcription_session.created" in str(await websocket.recv())
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, subprotocols=["realtime", "openai-insecure-api-key.wrong"])  # type: ignore[list-item]
    assert refused.value.response.status_code == 401
    async with connect(url, additional_headers={"api-key": KEY}) as websocket:
        assert websocket.subprotocol is None


async def test_answer_ends_quietly_once_the_server_has_closed(tmp_path: Path) -> None:
    """A client may take its time to answer the closing handshake, and the answer goes on meanwhile."""

    class Broken(PausingRecognizer):
        async def start(self) -> None:
            raise EngineUnavailable("no recogniser")

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
    service = build(tmp_path, engine, recognizer=Broken())
    await service.start()
    limits, config = ConnectionLimits(60, 60), initial_config("realtime", None)
    connection = RealtimeConnection(websocket, service, config, limits, beta=False)
    await asyncio.wait_for(connection.run(), WITHIN_S)
    await service.stop()
    assert closed.is_set()
    assert engine.steps
