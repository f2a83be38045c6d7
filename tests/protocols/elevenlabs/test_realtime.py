"""Realtime speech to text: its libraries, its messages and what is refused, over loud sounds."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from kani.core.audio.pcm import pcm16
from kani.core.errors import Busy
from kani.core.types import Samples
from kani.protocols.elevenlabs.realtime import connection
from kani.protocols.elevenlabs.realtime.connection import MAX_WAITING, PATH
from kani.protocols.elevenlabs.realtime.messages import fault_of
from tests.clients.elevenlabs.listening import (
    RATE,
    understood_by_livekit,
    understood_by_pipecat,
    understood_by_sdk,
)
from tests.clients.openai_realtime import loud, quiet
from tests.runtime.recognition.slow_recognizer import SlowRecognizer, words
from tests.support.loudness import PausingRecognizer
from tests.support.patience import WITHIN_S
from tests.support.servers.serving import InProcessServer, serving

SPEECH = np.concatenate([quiet(0.96, RATE), loud(0.8, RATE), quiet(2.0, RATE)])
WORDS = " ".join(f"w{number}{'.' if number % 5 == 4 else ''}" for number in range(10))

Messages = list[dict[str, Any]]


@pytest.fixture
async def ears(tmp_path: Path) -> AsyncIterator[InProcessServer]:
    async with serving(tmp_path, PausingRecognizer(breaks_above=0.9)) as running:
        yield running


def of(messages: Messages, kind: str) -> Messages:
    return [message for message in messages if message["message_type"] == kind]


async def test_sdk_commits_itself(ears: InProcessServer) -> None:
    """Times count from the start of the connection's audio; each commit is answered, an empty one too."""
    spoken = [SPEECH, SPEECH, quiet(0.0)]
    seen = await understood_by_sdk(ears.http_url, spoken, include_timestamps=True, language_code="spa")
    started = seen[0]
    assert started["message_type"] == "session_started" and started["session_id"]
    expected = {"model_id": "scribe_v2_realtime", "commit_strategy": "manual", "language_code": "spa"}
    assert (
        started["config"].items() >= (expected | {"audio_format": "pcm_16000", "sample_rate": RATE}).items()
    )
    assert [one["text"] for one in of(seen, "committed_transcript")] == [WORDS, WORDS, ""]
    assert [one["text"] for one in of(seen, "partial_transcript")][:3] == ["w0", "w0 w1", "w0 w1 w2"]
    first, second, empty = of(seen, "committed_transcript_with_timestamps")
    assert (first["text"], first["language_code"]) == (WORDS, "es")
    assert "".join(item["text"] for item in first["words"]) == WORDS
    assert [item["type"] for item in first["words"]] == ["word", "spacing"] * 9 + ["word"]
    edges = [edge for item in first["words"] for edge in (item["start"], item["end"])]
    assert edges == sorted(edges) and edges[0] == pytest.approx(0.96, abs=0.01)
    assert second["words"][0]["start"] == pytest.approx(0.96 + len(SPEECH) / RATE, abs=0.01)
    assert (empty["words"], empty["language_code"]) == ([], None)


async def test_sdk_has_the_server_commit(ears: InProcessServer) -> None:
    seen = await understood_by_sdk(
        ears.http_url, [SPEECH, SPEECH], vad=True, include_language_detection=True, vad_threshold=0.3
    )
    assert next(one["text"] for one in of(seen, "committed_transcript")) == WORDS
    timed = of(seen, "committed_transcript_with_timestamps")
    assert [(one["words"], one["language_code"]) for one in timed] == [(None, "en")] * 2
    assert len(timed[1]["text"].split()) == 10


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"vad_silence_threshold_secs": 1.6}, 20),
        ({"vad_silence_threshold_secs": 0.4}, 10),
        ({"vad_silence_threshold_secs": 0.4, "min_silence_duration_ms": 1600}, 20),
        ({"vad_silence_threshold_secs": 0.4, "min_speech_duration_ms": 1200}, 20),
    ],
)
async def test_client_says_which_pause_ends_a_segment(
    ears: InProcessServer, options: dict[str, Any], count: int
) -> None:
    speech = np.concatenate([*(quiet(0.96, RATE), loud(0.8, RATE)) * 2, quiet(2.0, RATE)])
    seen = await understood_by_sdk(ears.http_url, [speech], vad=True, **options)
    assert len(of(seen, "committed_transcript")[0]["text"].split()) == pytest.approx(count, abs=1)


@pytest.mark.parametrize("before_s", [0.0, 0.5])
@pytest.mark.parametrize("after_s", [0.7, 3.0])
async def test_slow_recogniser_has_whole_segments_committed(
    tmp_path: Path, before_s: float, after_s: float
) -> None:
    """Words come after the pause, whether audio goes on or not; what is said meanwhile belongs to them."""
    recognizer = SlowRecognizer()
    async with (
        serving(tmp_path, recognizer) as server,
        session(server.url, commit_strategy="vad", vad_silence_threshold_secs=0.6) as websocket,
    ):
        for spoken, text in (
            ([(1, 6)], "w1 w2 w3 w4 w5 w6"),
            ([(7, 9), (10, 12)], "w7 w8 w9 w10 w11 w12"),
            ([(1, 1)], "w1"),
        ):
            parts = [piece for one in spoken for piece in (words(*one), quiet(after_s, RATE))]
            audio = np.concatenate([quiet(before_s, RATE), *parts])
            recognizer.decide.clear()
            for at in range(0, len(audio), RATE // 10):
                await websocket.send(chunk(audio[at : at + RATE // 10]))
            await recognizer.hears(len(audio) / RATE)
            recognizer.decide.set()
            committed = (await until(websocket, "committed_transcript"))[-1]
            assert committed["text"] == text


async def test_transcript_that_comes_late_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "IDLE_TIMEOUT_S", 0.1)
    recognizer = SlowRecognizer()
    async with serving(tmp_path, recognizer) as server, session(server.url) as websocket:
        await websocket.send(chunk(words(1, 6), commit=True))
        await asyncio.sleep(0.5)
        recognizer.decide.set()
        seen, _ = await rest(websocket)
    assert [one["text"] for one in of(seen, "committed_transcript")] == ["w1 w2 w3 w4 w5 w6"]
    assert seen[-1]["message_type"] == "insufficient_audio_activity"


@pytest.mark.parametrize("after_s", [0.0, 0.4])
async def test_segment_is_committed_where_its_silence_is_not_sent(
    ears: InProcessServer, monkeypatch: pytest.MonkeyPatch, after_s: float
) -> None:
    """Messages without audio are silence, too; a segment without words is not answered."""
    monkeypatch.setattr(connection, "UNSENT_S", 0.1)
    spoken = np.concatenate([quiet(0.96, RATE), loud(0.8, RATE), quiet(after_s, RATE)])
    query = {"commit_strategy": "vad", "vad_silence_threshold_secs": 0.6, "include_timestamps": True}
    seen: Messages = []
    async with session(ears.url, **query) as websocket:
        for audio in (spoken, quiet(0.96, RATE), spoken):
            await websocket.send(chunk(audio))
            for _ in range(10):
                await asyncio.sleep(0.1)
                await websocket.send(chunk())
            if audio is spoken:
                seen += await until(websocket, "committed_transcript_with_timestamps")
    assert [one["text"] for one in of(seen, "committed_transcript")] == [WORDS, WORDS]
    starts = [one["words"][0]["start"] for one in of(seen, "committed_transcript_with_timestamps")]
    assert starts == pytest.approx([0.96, 0.96 + len(spoken) / RATE + 0.96], abs=0.01)


@pytest.mark.parametrize("options", [{}, {"server_vad": {}}, {"include_timestamps": True}])
async def test_livekit_understands(ears: InProcessServer, options: dict[str, Any]) -> None:
    given = {"previous_text": "Before.", "keyterms": ["Zandrell"], "language_code": "en", **options}
    events = await understood_by_livekit(ears.http_url, SPEECH, **given)
    kinds = [event.type for event in events if event.type != "recognition_usage"]
    assert kinds[:2] == ["start_of_speech", "interim_transcript"]
    final = events[-1].alternatives[0]
    assert (final.text, final.language) == (WORDS, "en")
    if options.get("include_timestamps"):
        assert final.words and final.words[0].start_time == pytest.approx(0.96, abs=0.01)


@pytest.mark.parametrize("vad", [False, True])
async def test_pipecat_understands(ears: InProcessServer, vad: bool) -> None:
    address = ears.http_url.removeprefix("http://")
    assert await understood_by_pipecat(address, SPEECH, vad=vad, include_timestamps=vad) == WORDS


@asynccontextmanager
async def session(url: str, **query: Any) -> AsyncIterator[ClientConnection]:
    asked = urlencode({"model_id": "scribe_v2_realtime", **query}, doseq=True)
    async with connect(f"{url}{PATH}?{asked}", max_queue=None) as websocket:
        yield websocket


def chunk(samples: Samples | None = None, **fields: Any) -> str:
    audio = base64.b64encode(pcm16(quiet(0.0) if samples is None else samples)).decode()
    return json.dumps({"message_type": "input_audio_chunk", "audio_base_64": audio} | fields)


async def until(websocket: ClientConnection, kind: str, count: int = 1) -> Messages:
    """Receive up to the ``count``-th message of that kind."""
    seen: Messages = []
    while len(of(seen, kind)) < count:
        seen.append(json.loads(await asyncio.wait_for(websocket.recv(), WITHIN_S)))
    return seen


async def rest(websocket: ClientConnection) -> tuple[Messages, int | None]:
    """Receive up to the close of the connection; returns that and its code."""
    seen: Messages = []
    with suppress(ConnectionClosed):
        async with asyncio.timeout(WITHIN_S):
            async for message in websocket:
                seen.append(json.loads(message))
    return seen, websocket.close_code


async def test_text_before_and_parameters_without_effect(ears: InProcessServer) -> None:
    async with session(ears.url) as websocket:
        await websocket.send(chunk(SPEECH, previous_text="Before."))
        await websocket.send(chunk(previous_text="Later."))
        seen, _ = await rest(websocket)
    assert seen[-1]["error"] == "previous_text: may come with the first audio only"
    query = {"no_verbatim": "true", "transcript_edit": "Shout", "filter_background_audio": "false", "x": "y"}
    async with session(ears.url, **query) as websocket:
        started = json.loads(await websocket.recv())
    assert started["config"]["unused"] == ["no_verbatim", "transcript_edit"]


async def test_languages_and_codings_are_told_apart(tmp_path: Path, ears: InProcessServer) -> None:
    recognizer = PausingRecognizer()
    async with serving(tmp_path, recognizer) as server:
        for others, expected in (([], "es"), (["es"], "es"), (["en"], None)):
            async with session(server.url, language_code="es", secondary_languages=others) as websocket:
                await websocket.send(chunk(SPEECH, commit=True))
                await until(websocket, "committed_transcript")
            assert recognizer.languages[-1] == expected
    loud_second, silence = b"\x80" * 4000, b"\xff" * 16_000
    async with session(ears.url, audio_format="ulaw_8000", vad_threshold=0.5) as websocket:
        audio = base64.b64encode(silence + loud_second[:800] + silence).decode()
        await websocket.send(chunk(audio_base_64=audio, sample_rate=8000, commit=True))
        seen, code = await rest(websocket)
    # Full scale, at which this recogniser breaks.
    assert (seen[-1]["message_type"], code) == ("transcriber_error", 1011)
    assert "the recogniser failed" in seen[-1]["error"]


@pytest.mark.parametrize(
    ("limit", "value", "chunks", "kind"),
    [
        ("IDLE_TIMEOUT_S", 0.02, 0, "insufficient_audio_activity"),
        ("MAX_RECORDING_S", 4, 2, "session_time_limit_exceeded"),
    ],
)
async def test_session_ends_when_nothing_comes_or_too_much(
    ears: InProcessServer, monkeypatch: pytest.MonkeyPatch, limit: str, value: float, chunks: int, kind: str
) -> None:
    monkeypatch.setattr(connection, limit, value)
    async with session(ears.url) as websocket:
        for _ in range(chunks):
            await websocket.send(chunk(SPEECH))
        seen, code = await rest(websocket)
    assert (seen[-1]["message_type"], code) == (kind, 1000)


async def test_long_segment_is_committed(ears: InProcessServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LONGEST_SEGMENT_S", 1.4)
    async with session(ears.url) as websocket:
        await websocket.send(chunk(SPEECH))
        seen = await until(websocket, "committed_transcript")
    assert 3 <= len(seen[-1]["text"].split()) < 10


async def test_commits_that_pile_up_are_throttled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer, loaded = PausingRecognizer(), asyncio.Event()
    monkeypatch.setattr(recognizer, "start", loaded.wait)
    async with serving(tmp_path, recognizer) as server, session(server.url) as websocket:
        for _ in range(MAX_WAITING + 2):
            await websocket.send(chunk(SPEECH, commit=True))
        await until(websocket, "commit_throttled")
        loaded.set()
        seen = await until(websocket, "committed_transcript", MAX_WAITING)
        # What was not committed goes on in the next segment.
        await websocket.send(chunk(commit=True))
        last = (await until(websocket, "committed_transcript"))[-1]
    assert [one["text"] for one in of(seen, "committed_transcript")] == [WORDS] * MAX_WAITING
    assert len(last["text"].split()) == 20


async def test_full_server_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path, PausingRecognizer(), KANI_RATE_PER_MINUTE="1") as server:
        async with session(server.url) as first, session(server.url) as second:
            await first.send(chunk(SPEECH))
            await until(first, "partial_transcript")
            await second.send(chunk(SPEECH))
            seen, code = await rest(second)
    assert (seen[-1]["message_type"], code) == ("rate_limited", 1013)
    assert fault_of(Busy("full")).message_type == "resource_exhausted"


async def test_server_that_stops_commits_what_was_said(ears: InProcessServer) -> None:
    async with session(ears.url) as websocket:
        await websocket.send(chunk(SPEECH))
        await until(websocket, "partial_transcript")
        ears.stop.set()
        seen, code = await rest(websocket)
    assert [message["text"] for message in of(seen, "committed_transcript")] == [WORDS]
    assert code == 1001
