"""POST /v1/realtime/calls: conversations by WebRTC, with aiortc as the caller."""

import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import openai
import pytest
from av import AudioFrame
from av.audio.codeccontext import AudioCodecContext
from websockets.exceptions import InvalidStatus

from kani.core.audio.pcm import pcm16
from kani.core.conversation.paced import Utterance
from kani.protocols.openai.realtime.webrtc.speaker import FRAME, RATE, SETTLED, Speaker
from tests.clients.openai_call import Caller, all_free, calling
from tests.clients.openai_realtime import loud, quiet, realtime, types
from tests.support.chat.endpoint import Answer, ChatEndpoint, say
from tests.support.chat.talking import ANSWER_EVENTS, DELTAS, HEARD, SYSTEM, answering, ask, done, names_of
from tests.support.patience import happens
from tests.support.servers.serving import InProcessServer

TURN = quiet(0.2), loud(0.4, level=0.9)
LONG = "uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince."
BUFFER = "output_audio_buffer"

CallTo = Callable[..., Awaitable["Conversation"]]


class Conversation(NamedTuple):
    caller: Caller
    server: InProcessServer
    endpoint: ChatEndpoint


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[CallTo]:
    """Start a server whose model gives these answers, and call it."""
    async with AsyncExitStack() as running:

        async def start(*answers: Any, **environment: Any) -> Conversation:
            server, endpoint = await running.enter_async_context(answering(tmp_path, *answers, **environment))
            return Conversation(await running.enter_async_context(calling(server)), server, endpoint)

        yield start


async def test_turn_is_answered_on_the_track(call: CallTo) -> None:
    caller, _, endpoint = await call(say("uno dos tres."))
    caller.microphone.say(*TURN)
    events = await caller.until(f"{BUFFER}.stopped")
    names = [name for name in names_of(events) if not name.startswith(BUFFER)]
    assert names[:5] == [
        *("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"),
        *("input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"),
    ]
    assert names[5:] == ANSWER_EVENTS
    assert DELTAS[0] not in types(events)  # audio is on the track
    response_id = next(event["response"]["id"] for event in events if event["type"] == "response.created")
    for name in ("started", "stopped"):
        told = [event["response_id"] for event in events if event["type"] == f"{BUFFER}.{name}"]
        assert told == [response_id]
    places = [types(events).index(each) for each in (f"{BUFFER}.started", "response.done")]
    assert places == sorted(places) and types(events)[-1] == f"{BUFFER}.stopped"
    # Three words of 0.4 s by the tone engine, at its own pitch and level.
    assert 0.9 <= 0.02 * len(caller.loud_at()) <= 1.5
    assert endpoint.said == [[SYSTEM, ("user", HEARD)]]


@pytest.mark.parametrize("ahead_s", [30.0, 0.3], ids=["made", "being made"])
async def test_speech_cuts_the_answer_and_the_model_knows_what_was_heard(
    call: CallTo, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    monkeypatch.setattr("kani.core.conversation.paced.MAX_AHEAD_S", ahead_s)
    caller, _, endpoint = await call(say(LONG), say("vale."))
    caller.microphone.say(*TURN)
    await caller.until(f"{BUFFER}.started")
    await happens(lambda: len(caller.loud_at()) >= 60)
    caller.microphone.say(*TURN)
    events = await caller.until("conversation.item.truncated")
    cut = events[-1]
    assert events[-2]["type"] == f"{BUFFER}.cleared"
    assert 1000 <= cut["audio_end_ms"] < 400 * len(LONG.split())
    answered = await done(caller)
    if ahead_s < 1:
        assert answered["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        answered = await done(caller)
    assert answered["output"][0]["content"][0]["transcript"] == "vale."
    await caller.until(f"{BUFFER}.stopped")
    # What came is what was played, and the word of the next answer.
    assert 0.02 * len(caller.loud_at()) == pytest.approx(cut["audio_end_ms"] / 1000 + 0.4, abs=0.15)
    await caller.send("conversation.item.retrieve", item_id=cut["item_id"])
    item = (await caller.until("conversation.item.retrieved"))[-1]["item"]
    heard = item["content"][0]["transcript"]
    assert heard and LONG.startswith(heard) and len(heard) < len(LONG)
    assert endpoint.said[-1] == [SYSTEM, ("user", HEARD), ("assistant", heard), ("user", "w5 w6 w7 w8 w9.")]


async def test_what_is_left_to_play_is_known_from_the_track() -> None:
    utterance = Utterance(RATE)
    utterance.add(4.0)
    utterance.play(3 * RATE)
    assert 0.5 < utterance.remaining_s <= 1.0


async def test_lasting_silence_is_not_encoded_and_sound_after_it_is_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    track = Speaker(lambda *_: None)
    encoder, decoder = track._encoder, AudioCodecContext.create("libopus", "r")
    encoded = list[AudioFrame]()

    def encode(frame: AudioFrame) -> Any:
        encoded.append(frame)
        return encoder.encode(frame)

    monkeypatch.setattr(track, "_encoder", SimpleNamespace(encode=encode))
    silent = [await track.recv() for _ in range(SETTLED + 30)]
    assert len(encoded) < SETTLED
    assert [packet.pts for packet in silent] == list(range(0, len(silent) * 960, 960))
    tone = (0.3 * np.sin(np.arange(FRAME) / 4)).astype(np.float32)
    monkeypatch.setattr(track, "take", lambda count: tone)
    sounding = [await track.recv() for _ in range(10)]
    frames = [frame.to_ndarray() for each in silent + sounding for frame in decoder.decode(each)]
    peaks = [np.abs(frame).max() / 32768 for frame in frames]
    assert max(peaks[: len(silent)]) < 0.01 < 0.2 < max(peaks[len(silent) :]) < 0.5


async def test_client_clears_the_answer(call: CallTo) -> None:
    caller, _, _ = await call(say(LONG))
    caller.microphone.say(*TURN)
    await caller.until(f"{BUFFER}.started")
    await happens(lambda: len(caller.loud_at()) >= 25)
    await caller.send("response.cancel")  # an error where all was made already
    await caller.send(f"{BUFFER}.clear")
    cut = (await caller.until("conversation.item.truncated"))[-1]
    assert 400 <= cut["audio_end_ms"] < 400 * len(LONG.split())
    await caller.send("conversation.item.truncate", item_id=cut["item_id"], content_index=0, audio_end_ms=400)
    assert (await caller.until("conversation.item.truncated"))[-1]["audio_end_ms"] == 400


async def test_tool_is_called_and_answered_over_what_is_still_played(call: CallTo) -> None:
    tool = {"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}}
    calls = Answer(["Un momento por favor."], calls=[("clock", "{}")])
    caller, _, endpoint = await call(calls, say("Son las dos."), say("vale."))
    await caller.configure("realtime", tools=[tool])
    caller.microphone.say(*TURN)
    called = (await caller.until("response.function_call_arguments.done"))[-1]
    await caller.until("response.done")
    assert f"{BUFFER}.stopped" not in types(caller.seen)
    output = {"type": "function_call_output", "call_id": called["call_id"], "output": "14:00"}
    await caller.send("conversation.item.create", item=output)
    await caller.send("response.create")
    await caller.until(f"{BUFFER}.stopped", 2)
    roles = [each.get("role") for each in endpoint.requests[1]["messages"]]
    assert roles == ["system", "user", "assistant", "tool"]
    # Both were heard, one after the other: four and three words.
    assert 2.2 <= 0.02 * len(caller.loud_at()) <= 3.6


async def test_answer_rests_while_a_voice_over_it_is_judged(call: CallTo) -> None:
    caller, _, _ = await call(say(LONG))
    detection = {"turn_detection": {"type": "semantic_vad"}, "transcription": {"language": "es"}}
    await caller.configure("realtime", audio={"input": detection})
    await caller.send("response.create", response={"input": []})
    await caller.until(f"{BUFFER}.started")
    await happens(lambda: len(caller.loud_at()) >= 25)
    caller.microphone.say(loud(0.12, level=0.9))
    moments = []
    for _ in range(2):
        await caller.until("rate_limits.updated")
        moments.append(time.perf_counter())
    told = caller.of("rate_limits.updated")
    assert [event["details"]["state"] for event in told] == ["heard", "ignored"]
    await caller.until(f"{BUFFER}.stopped")
    # On a busy machine the microphone's audio comes at once, and is judged at once.
    judged_s = moments[1] - moments[0]
    assert max(later - earlier for earlier, later in pairwise(caller.loud_at())) > judged_s - 0.15
    assert f"{BUFFER}.cleared" not in types(caller.seen)


async def test_caller_whose_track_is_silent_is_answered(call: CallTo) -> None:
    caller, _, _ = await call(say("vale."))
    caller.microphone.say(*TURN)
    await caller.until("input_audio_buffer.speech_started")
    await happens(lambda: caller.microphone.is_silent)
    caller.sender.replaceTrack(None)  # no more packets, as of one who is muted
    assert (await done(caller))["status"] == "completed"


async def test_sdk_configures_the_session_and_hangs_up(call: CallTo) -> None:
    first, server, _ = await call(say("vale."))
    await first.close()
    caller = Caller()
    async with openai.AsyncOpenAI(api_key="any", base_url=f"{server.http_url}/v1") as sdk:
        own: Any = {"type": "realtime", "instructions": "Sé breve.", "audio": {"output": {"voice": "marin"}}}
        answer = await sdk.realtime.calls.create(sdp=await caller.offer(), session=own)
        await caller.connect(answer.text)
        created = (await caller.until("session.created"))[-1]["session"]
        assert (created["instructions"], created["audio"]["output"]["voice"]) == ("Sé breve.", "marin")
        await sdk.realtime.calls.hangup(answer.response.headers["location"].rpartition("/")[2])
        await caller.ended()
        with pytest.raises(openai.NotFoundError):
            await sdk.realtime.calls.hangup("rtc_unknown")
    await caller.close()
    await all_free(server)


async def test_written_answers_and_formats_of_the_websocket_are_taken(call: CallTo) -> None:
    caller, _, _ = await call(say("uno dos."))
    pcmu = {"format": {"type": "audio/pcmu"}}
    await caller.configure("realtime", audio={"input": pcmu, "output": pcmu})
    caller.microphone.say(*TURN)
    await caller.until(f"{BUFFER}.stopped")
    assert caller.loud_at()
    await caller.configure("realtime", output_modalities=["text"])
    written = await ask(caller, "¿Y?")
    assert written["output"][0]["content"][0]["text"] == "uno dos."


async def test_event_beyond_the_data_channel_is_an_error(call: CallTo) -> None:
    caller, _, _ = await call(say("vale."))
    many = [{"type": "function", "name": f"f{n}", "description": "d" * 1800} for n in range(100)]
    await caller.configure("realtime", tools=many)
    await caller.send("session.update", session={"type": "realtime", "instructions": "i" * 100_000})
    assert (await caller.until("error"))[-1]["error"]["code"] == "event_too_large"


async def test_spoken_message_on_the_channel_is_answered(call: CallTo) -> None:
    caller, _, endpoint = await call(say("uno."))
    audio = base64.b64encode(pcm16(loud(2.0))).decode()
    item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}]}
    await caller.send("conversation.item.create", item=item)
    await caller.send("response.create")
    await done(caller)
    # A loud second of a recording is these words.
    assert endpoint.said == [[SYSTEM, ("user", "¡bum, hm. ¡bum, hm.")]]


async def test_another_client_joins_the_session_of_a_call(call: CallTo) -> None:
    tool = {"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}}
    caller, server, endpoint = await call(say("uno dos tres."))
    query = f"call_id={caller.location.rpartition('/')[2]}"
    async with realtime(server.url, query) as joined:
        (created,) = joined.seen
        assert created["type"] == "session.created"
        assert created["session"]["id"] == caller.of("session.created")[0]["session"]["id"]
        await joined.send("session.update", session={"type": "realtime", "tools": [tool]})
        for client in (joined, caller):
            assert (await client.until("session.updated"))[-1]["session"]["tools"][0]["name"] == "clock"
        caller.microphone.say(*TURN)
        assert (await joined.until("response.done"))[-1]["response"]["status"] == "completed"
        assert [each["function"]["name"] for each in endpoint.requests[-1]["tools"]] == ["clock"]
    # The call goes on without it, and its end closes the others.
    async with realtime(server.url, query) as joined:
        await caller.close()
        await joined.websocket.wait_closed()


async def test_nobody_joins_a_call_that_is_not_there(call: CallTo) -> None:
    _, server, _ = await call(say("uno."))
    with pytest.raises(InvalidStatus) as refused:
        async with realtime(server.url, "call_id=rtc_none"):
            pass
    answer = refused.value.response
    assert answer.status_code == 404 and b"call_id_not_found" in answer.body
