"""What the ears can do, by each protocol that listens, over recognisers that hear loud sounds or are slow."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError
from wyoming.event import Event

from kani.composition import speech_service
from kani.core.diarization.diarizer import Diarizer
from kani.core.recognizer import NO_WORDS, Recognizer
from kani.engines.remote.connectors import RemoteWorker
from kani.engines.remote.link import Link
from kani.engines.remote.recognizer import UNKNOWN, RemoteRecognizer
from kani.engines.remote.unloading import UnloadingLink
from kani.engines.worker.service import Worker
from kani.library import asynchronous
from tests.clients import unmute_page
from tests.clients.kyutai.wire import KEY as KYUTAI
from tests.clients.openai_realtime import BETA, Client, loud, quiet, realtime
from tests.core.diarization.test_diarization import levels
from tests.engines.remote.test_remote import KEY, working
from tests.protocols.listening import doors
from tests.protocols.listening.doors import (
    DIARIZING,
    LIVE,
    RECORDINGS,
    Door,
    House,
    Refused,
    Speakers,
    opened,
)
from tests.protocols.wyoming.exchange import ask
from tests.support.loudness import LoudnessRecognizer, PausingRecognizer
from tests.support.patience import happens
from tests.support.servers.socket_folder import socket_folder

SPEECH = np.concatenate([quiet(0.96), loud(1.2), quiet(2.0)])
WORDS = " ".join(f"w{number}{'.' if number % 5 == 4 else ''}" for number in range(15))
NAMES = ("Zandrell", "Tolliwen")

DOORS = (*RECORDINGS, *LIVE)
SAY_WHY: dict[Door, str] = {
    doors.realtime_transcription: NO_WORDS,
    doors.realtime_beta: NO_WORDS,
    doors.realtime_conversation: NO_WORDS,
    doors.unmute: NO_WORDS,
    doors.library_conversation: NO_WORDS,
    doors.command_line: "no words were recognised",
}
"""What is said of speech without words, where the protocol has a place for it."""
OWN_PROCESS = (
    *(doors.library_recording, doors.library_listening, doors.library_conversation),
    doors.command_line,
)
"""Doors whose recogniser is loaded and freed by the program itself."""


Furnish = Callable[..., Awaitable[House]]


@pytest.fixture
async def furnish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Furnish]:
    """Open every door; the library gets the recogniser and the diarizer themselves."""
    async with AsyncExitStack() as running:

        async def start(recognizer: Recognizer, diarizer: Diarizer | None = None) -> House:
            monkeypatch.setattr(speech_service.Builder, "recognizer", lambda *_: recognizer)
            for module in (asynchronous, speech_service):
                monkeypatch.setattr(module, "build_diarizer", lambda: diarizer)
            return await running.enter_async_context(opened(tmp_path, recognizer, diarizer=diarizer))

        yield start


def by_name(these: Sequence[Door | Speakers]) -> Any:
    return pytest.mark.parametrize("door", these, ids=[each.__name__ for each in these])


def understood(door: Door) -> str:
    return WORDS if door in LIVE else "¡boom, hm." if door is doors.openai_translation else "¡bum, hm."


@by_name([door for door in DOORS if door is not doors.unmute])
async def test_expected_words_reach_the_recogniser(furnish: Furnish, door: Door) -> None:
    recognizer = PausingRecognizer()
    house = await furnish(recognizer)
    assert await door(house, SPEECH, NAMES) == understood(door)
    prompt = recognizer.prompts[-1] if door in LIVE else recognizer.options.prompt
    assert "Zandrell, Tolliwen" in prompt
    # The next client expects nothing.
    recognizer.prompts.clear()
    assert await door(house, SPEECH, ()) == understood(door)
    assert not recognizer.prompts and not recognizer.options.prompt


@by_name(DOORS)
async def test_speech_without_words_is_told_honestly(furnish: Furnish, door: Door) -> None:
    # No second of a recording is loud enough for a word; without words a turn of Unmute's ends after 4 s.
    speech = np.concatenate([quiet(0.7), loud(0.6), quiet(5.0)])
    house = await furnish(PausingRecognizer(words=[""] * 20))
    if (reason := SAY_WHY.get(door)) is None:
        assert await door(house, speech, ()) == ""
        return
    with pytest.raises(Refused, match=reason):
        await door(house, speech, ())


@by_name(DIARIZING)
async def test_speakers_are_named(furnish: Furnish, door: Speakers) -> None:
    louder = loud(1.0, level=0.9)
    recording = np.concatenate([quiet(1.0), loud(1.0), quiet(1.0), louder, loud(1.0), quiet(1.0)])
    house = await furnish(PausingRecognizer(), levels())
    said = await door(house, recording)
    assert said == [("A", "¡bum, hm."), ("B", "¡bum, hm."), ("A", "¡bum, hm.")]


async def beta(client: Client, reduction: Any) -> Any:
    session = {"input_audio_noise_reduction": reduction, "turn_detection": doors.VAD}
    await client.send("transcription_session.update", session=session)
    return (await client.until("transcription_session.updated"))[-1]["session"]["input_audio_noise_reduction"]


async def current(client: Client, kind: str, reduction: Any) -> Any:
    given = {"transcription": {}, "noise_reduction": reduction, "turn_detection": doors.VAD}
    updated = await client.configure(kind, audio={"input": given})
    return updated["session"]["audio"]["input"]["noise_reduction"]


@pytest.mark.parametrize("kind", ["transcription", "realtime", "beta"])
async def test_noise_reduction_is_accepted_and_changes_no_sample(furnish: Furnish, kind: str) -> None:
    recognizer = PausingRecognizer()
    query, how = ("model=gpt-realtime" if kind == "realtime" else "intent=transcription"), {}
    if kind == "beta":
        how = {"additional_headers": BETA}
    house = await furnish(recognizer)
    for reduction in (None, {"type": "near_field"}):
        async with realtime(house.server.url, query, **how) as client:
            given = beta(client, reduction) if kind == "beta" else current(client, kind, reduction)
            assert await given is None  # which is in force
            await client.append(SPEECH)
            assert await client.transcripts(1) == [WORDS]
            assert not client.of("error")
    plain, reduced = map(np.concatenate, recognizer.heard)
    # The silence at the end is read or not when the connection ends.
    length = min(len(plain), len(reduced))
    assert np.abs(plain[:length]).max() > 0.4 and np.array_equal(plain[:length], reduced[:length])


@pytest.fixture
async def worker() -> AsyncIterator[str]:
    with socket_folder() as folder:
        async with working(Worker(None, PausingRecognizer()), folder) as address:
            yield address


@by_name([door for door in DOORS if door not in OWN_PROCESS])
async def test_idle_recogniser_is_unloaded_and_hears_again(worker: str, furnish: Furnish, door: Door) -> None:
    recognizer = RemoteRecognizer(UNKNOWN)
    recognizer.use(UnloadingLink("ears", Link(RemoteWorker(worker, KEY, recognizer.changed))))
    recognizer.unload_after(0.01)
    house = await furnish(recognizer)
    for _ in range(2):
        await happens(lambda: not recognizer.loaded)
        assert await door(house, SPEECH, ()) == understood(door)


REASON = "whisper-large is too slow on this machine for live speech"


@pytest.fixture
async def slow(furnish: Furnish) -> House:
    """Its recogniser is too slow for live speech: each protocol says so, and recordings are transcribed."""
    recognizer = LoudnessRecognizer()
    recognizer.info = replace(recognizer.info, recordings_only=REASON, live_delay_s=4.321)
    return await furnish(recognizer)


@by_name(DOORS)
async def test_live_speech_alone_is_refused_with_the_reason(slow: House, door: Door) -> None:
    speech = np.concatenate([loud(1.0), quiet(1.0)])
    if door in RECORDINGS:
        assert (await door(slow, speech, ())).endswith("m, hm.")
        return
    with pytest.raises(Refused, match=f"^{REASON}"):
        await door(slow, speech, ())


async def test_lists_and_health_offer_no_live_speech(slow: House) -> None:
    server = slow.server
    whole = (await server.get("/health")).json()
    models = {one["id"] for one in (await server.get("/v1/models")).json()["data"]}
    modules = (await server.get("/api/modules_info")).json()
    health = whole["recognizer"]
    assert (health["live"], health["live_delay"]) == (False, 4.32)
    assert not whole["conversations"]
    assert "whisper-1" in models and "gpt-realtime" not in models
    assert [one["path"] for one in modules] == ["/api/tts_streaming"]
    assert f"only recordings: {REASON}" in server.banner
    assert not (await unmute_page.health(f"http://localhost:{server.compat['Kani REST']}"))["stt_up"]
    (info,) = await ask(server.streams["Wyoming"], Event("describe"), last="info")
    assert info.data["asr"] == [] and info.data["tts"]
    # Refusals are faults of the server.
    async with realtime(server.url) as talking:
        await talking.append(loud(0.4))
        assert (await talking.until("error"))[-1]["error"]["type"] == "server_error"
    async with connect(f"{server.url}/api/asr-streaming", additional_headers=KYUTAI) as websocket:
        await websocket.recv()
        with pytest.raises(ConnectionClosedError, match="1011"):
            await websocket.recv()
