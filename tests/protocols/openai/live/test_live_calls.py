"""POST /v1/live/sessions: a Live session by WebRTC, and OpenAI's package attached to it."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import openai
import pytest
from openai.resources.live.sideband import AsyncSidebandConnection
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kani.core.audio.pcm import from_pcm16
from kani.core.types import Samples
from kani.protocols.openai.live import MAX_BYTES
from tests.clients.openai_call import CALLS, LIVE, Caller, all_free, calling, live_calling
from tests.clients.openai_live import HEARD, SAID, live
from tests.clients.openai_realtime import loud, quiet
from tests.support.chat.endpoint import Answer, ChatEndpoint, say
from tests.support.chat.talking import answering
from tests.support.loudness import PausingRecognizer
from tests.support.patience import WITHIN_S, happens
from tests.support.servers.serving import InProcessServer, serving

TURN = quiet(0.2), loud(0.4, level=0.9)
LONG = " ".join(["this is a long answer"] * 20)
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
RESPONSES = {"type": "responses", "responses": {"model": "gpt-5.6-luna", "tools": [WEATHER]}}
LARGE: Any = {"instructions": "i" * 150_000, "delegation": RESPONSES}
TOOLS = [WEATHER | {"name": f"f{n}", "description": "d" * 1800} for n in range(100)]
MANY_TOOLS: Any = {"delegation": {"type": "responses", "responses": {"tools": TOOLS}}}
CLOSED = "session.closed"
APPENDED, SPOKEN = "session.input_audio.append", "session.output_audio.delta"


class Sideband:
    """A client of OpenAI's package that is attached; ``seen`` is every event."""

    def __init__(self, connection: AsyncSidebandConnection) -> None:
        self.session, self.response = connection.session, connection.response
        self.seen: list[Any] = []
        self.ended = False
        self._came = asyncio.Event()
        self._connection = connection
        self._task = asyncio.create_task(self._receive())

    async def _receive(self) -> None:
        with suppress(ConnectionClosed):
            async for event in self._connection:
                self.seen.append(event)
                self._came.set()
        self.ended = True
        self._came.set()

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.seen if event.type == kind]

    def text(self, kind: str = SAID) -> str:
        return "".join(event.delta for event in self.of(kind))

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until a condition holds, which is asked after each event."""
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                self._came.clear()
                await self._came.wait()

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Talk(NamedTuple):
    caller: Caller
    sideband: Sideband
    server: InProcessServer
    endpoint: ChatEndpoint


StartTalk = Callable[..., Awaitable[Talk]]


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[StartTalk]:
    """Start a server whose model gives these answers, open a session on it, and attach to that."""
    async with AsyncExitStack() as running:

        async def start(*answers: Any, words: Any = (), **session: Any) -> Talk:
            opened = answering(tmp_path, *answers, recognizer=PausingRecognizer(words=words))
            server, endpoint = await running.enter_async_context(opened)
            caller = await running.enter_async_context(live_calling(server, **session))
            sdk = openai.AsyncOpenAI(api_key="any", base_url=f"{server.http_url}/v1")
            await running.enter_async_context(sdk)
            attached = sdk.live.sideband.connect(session_id=caller.location)
            sideband = Sideband(await running.enter_async_context(attached))
            running.push_async_callback(sideband.aclose)
            await sideband.until(lambda: sideband.seen)
            return Talk(caller, sideband, server, endpoint)

        yield start


async def test_call_is_greeted_heard_and_answered(talk: StartTalk) -> None:
    caller, sideband, server, endpoint = await talk(say("Hello there."), say("It is late."))
    (started,) = caller.of("session.started")
    assert started["session"]["id"] == caller.location == sideband.seen[0].session.id
    assert sideband.seen[0].type == "session.started" and sideband.seen[0].session.status == "active"
    await sideband.session.commentary.append(content="Greet now.", delegation_id=None)
    await sideband.until(lambda: sideband.text() == "Hello there.")
    await happens(lambda: 0.02 * len(caller.loud_at()) >= 0.6)
    await caller.until("session.commentary.appended")
    # The caller speaks once the greeting is heard.
    await happens(lambda: not caller.loud_at(caller.heard[-1][0] - 0.3))
    begun = caller.heard[-1][0]
    caller.microphone.say(*TURN)
    await sideband.until(lambda: sideband.text().endswith("late."))
    await happens(lambda: 0.02 * len(caller.loud_at(begun)) >= 0.6)
    assert sideband.text(HEARD).startswith("w0 ")
    assert endpoint.said[-1][-1] == ("user", sideband.text(HEARD))
    await caller.send("session.close")
    events = await caller.ended()
    assert events[-1]["type"] == CLOSED and events[-1]["reason"] == "close_requested"
    texts = ["".join(event["delta"] for event in caller.of(kind)) for kind in (SAID, HEARD)]
    assert texts == [sideband.text(), sideband.text(HEARD)]
    await sideband.until(lambda: sideband.ended)
    assert sideband.of(CLOSED)[0].usage.seconds > 1.5
    await all_free(server)


async def test_attached_client_steers_the_session(talk: StartTalk) -> None:
    asks = Answer(["One moment."], calls=[("weather", "{}")])
    caller, sideband, _, endpoint = await talk(asks, say("It is sunny."), delegation=RESPONSES)
    await sideband.session.instructions.append(content="Speak slowly.", delegation_id=None, event_id="i")
    await sideband.until(lambda: sideband.of("session.instructions.appended"))
    caller.microphone.say(*TURN)

    def calls() -> list[Any]:
        events = [event.event for event in sideband.of("response.event")]
        return [event["item"] for event in events if event["type"] == "response.output_item.done"]

    await sideband.until(calls)
    assert endpoint.said[0][0] == ("system", "Be brief.\n\nSpeak slowly.")
    item = calls()[0]
    result: Any = {"type": "function_call_output", "call_id": item["call_id"], "output": "sunny"}
    await sideband.response.item.create(item=result)
    await sideband.response.create()
    await sideband.until(lambda: sideband.text().endswith("sunny."))
    assert endpoint.requests[-1]["messages"][-1]["content"] == "sunny"
    # A letter of the tone engine takes 0.1 s.
    await happens(lambda: 0.02 * len(caller.loud_at()) >= 1.2)
    await sideband.session.close()
    await sideband.until(lambda: sideband.ended)
    assert sideband.of(CLOSED)[0].reason == "close_requested"
    assert (await caller.ended())[-1]["type"] == CLOSED


async def test_words_stop_the_answer_on_the_track(talk: StartTalk) -> None:
    caller, sideband, _, endpoint = await talk(say(LONG), say("Yes."))
    caller.microphone.say(*TURN)
    await happens(lambda: 0.02 * len(caller.loud_at()) >= 1.0)
    caller.microphone.say(loud(0.6, level=0.9))
    await sideband.until(lambda: sideband.text().endswith("Yes."))
    heard = dict(endpoint.said[-1])["assistant"]
    assert heard and LONG.startswith(heard) and len(heard) < len(LONG) / 2
    # What was told is what was heard, and no more of it than was on its way.
    assert len(sideband.text().removesuffix("Yes.").strip()) < len(heard) + 40


async def test_muted_track_is_not_heard(talk: StartTalk) -> None:
    caller, sideband, _, endpoint = await talk(say("Hello."))
    await sideband.session.input_audio.mute()
    await sideband.until(lambda: sideband.of("session.input_audio.muted"))
    caller.microphone.say(*TURN)
    await happens(lambda: caller.microphone.is_silent)
    await sideband.session.input_audio.unmute()
    await sideband.until(lambda: sideband.of("session.input_audio.unmuted"))
    caller.microphone.say(*TURN)
    await sideband.until(lambda: sideband.text() == "Hello.")
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("answering", [False, True])
async def test_end_of_the_call_is_told_to_those_who_are_attached(talk: StartTalk, answering: bool) -> None:
    caller, sideband, server, _ = await talk(say(LONG))
    if answering:
        caller.microphone.say(*TURN)
        await sideband.until(lambda: len(sideband.of(SAID)) > 2)
    await caller.close()
    await sideband.until(lambda: sideband.ended)
    (closed,) = sideband.of(CLOSED)
    assert closed is sideband.seen[-1] and closed.reason == "remote_hangup"
    await all_free(server)


async def end(caller: Caller, sideband: Sideband, server: InProcessServer, *, stops: bool) -> None:
    """Stop the server, or hang up, while an answer is heard; return once the attached client knows."""
    caller.microphone.say(*TURN)
    await sideband.until(lambda: len(sideband.of(SAID)) > 2)
    if stops:
        server.stop.set()
    else:
        assert (await server.post(f"{LIVE}/{caller.location}/hangup")).status_code == 200
    await sideband.until(lambda: sideband.ended)


@pytest.mark.parametrize("stops", [False, True])
async def test_end_that_is_not_the_callers_is_told_to_all(talk: StartTalk, stops: bool) -> None:
    caller, sideband, server, _ = await talk(say(LONG))
    await end(caller, sideband, server, stops=stops)
    told, reason = (await caller.ended())[-1], "connection_lost" if stops else "close_requested"
    assert (told["type"], told["reason"]) == (CLOSED, reason)
    (closed,) = sideband.of(CLOSED)
    assert closed is sideband.seen[-1] and closed.reason == reason


@pytest.mark.parametrize("stops", [False, True])
async def test_call_ends_though_its_last_event_is_too_large(talk: StartTalk, stops: bool) -> None:
    """It has all of the session: more than a message on the data channel may be."""
    caller, sideband, server, _ = await talk(say(LONG), **LARGE)
    await sideband.session.update(session=MANY_TOOLS)
    await caller.until("error")
    await end(caller, sideband, server, stops=stops)
    assert sideband.seen[-1].type == CLOSED
    await caller.ended()
    if not stops:
        await all_free(server)


async def test_client_that_attaches_takes_no_audio_from_another(talk: StartTalk) -> None:
    caller, sideband, server, _ = await talk(say("Hello."))
    async with openai.AsyncOpenAI(api_key="any", base_url=f"{server.http_url}/v1") as sdk:
        for count in range(1, 9):
            await sideband.until(lambda count=count: len(sideband.of(SPOKEN)) >= 2 * count)
            # The reflected audio is on its way in packets of 0.02 s: it comes at another place each time.
            await asyncio.sleep(0.013 * count)
            async with sdk.live.sideband.connect(session_id=caller.location) as other:
                await asyncio.wait_for(other.recv(), WITHIN_S)
    await sideband.until(lambda: len(sideband.of(SPOKEN)) >= 20)
    assert all(one.end_ms == next_.start_ms for one, next_ in pairwise(sideband.of(SPOKEN)))


def heard_by(sideband: Sideband, kind: str) -> Samples:
    pieces = [event.audio if kind == APPENDED else event.delta for event in sideband.of(kind)]
    return from_pcm16(b"".join(map(b64decode, pieces)))


async def test_attached_client_hears_both_sides(talk: StartTalk) -> None:
    caller, sideband, _, _ = await talk(say("Hello."))
    await sideband.session.input_audio.mute()
    await sideband.until(lambda: sideband.of("session.input_audio.muted"))
    caller.microphone.say(*TURN)
    # It hears what the caller says, muted or not; 0.4 s at 24 kHz, and Opus' own blur.
    await sideband.until(lambda: 8000 < np.sum(np.abs(heard_by(sideband, APPENDED)) > 0.1) < 12_000)
    assert not sideband.text() and not np.any(heard_by(sideband, SPOKEN))
    await sideband.session.input_audio.unmute()
    caller.microphone.say(*TURN)
    await sideband.until(lambda: sideband.text() == "Hello.")
    await sideband.until(lambda: np.sum(np.abs(heard_by(sideband, SPOKEN)) > 0.01) > 0.3 * 24_000)
    pieces = sideband.of(SPOKEN)
    assert all(len(b64decode(each.delta)) == 48 * (each.end_ms - each.start_ms) > 0 for each in pieces)
    assert all(one.end_ms == next_.start_ms for one, next_ in pairwise(pieces))
    assert not caller.of(SPOKEN) and not caller.of(APPENDED)


async def test_server_of_the_application_hangs_up(talk: StartTalk) -> None:
    caller, sideband, server, _ = await talk(say("Hello."))
    async with openai.AsyncOpenAI(api_key="any", base_url=f"{server.http_url}/v1") as sdk:
        await sdk.live.sessions.hangup(caller.location)
        await caller.ended()
        await sideband.until(lambda: sideband.ended)
        with pytest.raises(openai.NotFoundError):
            await sdk.live.sessions.hangup(caller.location)
    await all_free(server)


async def test_nobody_attaches_to_a_session_that_is_no_call(talk: StartTalk) -> None:
    caller, _, server, _ = await talk(say("Hello."))
    async with live(server.url) as client, calling(server) as other:
        call_id = other.location.rpartition("/")[2]
        for session_id in ("live_none", client.seen[0]["session"]["id"], call_id):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(f"{server.url}{LIVE}/{session_id}/attach"):
                    pass
            answer = refused.value.response
            assert answer.status_code == 404 and b"session_id_not_found" in answer.body
        # Nor does a client of the other API, which an ephemeral key may be.
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{server.url}/v1/realtime?call_id={caller.location}"):
                pass
        assert refused.value.response.status_code == 404
        assert (await server.post(f"{CALLS}/{caller.location}/hangup")).status_code == 404


async def test_error_on_the_data_channel_has_the_form_of_the_api(talk: StartTalk) -> None:
    caller, sideband, _, _ = await talk(say("Hello."), **LARGE)
    await sideband.session.update(session=MANY_TOOLS)
    error = (await caller.until("error"))[-1]
    assert (
        error["event_id"] and error["error"]["code"] == "event_too_large" and "event_id" not in error["error"]
    )


async def test_package_opens_a_session(talk: StartTalk) -> None:
    _, _, server, _ = await talk(say("Hello."))
    caller = Caller()
    async with openai.AsyncOpenAI(api_key="any", base_url=f"{server.http_url}/v1") as sdk:
        given: Any = {
            "model": "gpt-live-1",
            "instructions": "Be kind.",
            "audio": {"output": {"voice": "marin"}},
        }
        transport: Any = {"type": "webrtc", "sdp": await caller.offer()}
        opened = await sdk.live.create(session=given, transport=transport)
    await caller.connect(opened.transport.sdp)
    session = (await caller.until("session.started"))[-1]["session"]
    assert (session["id"], session["instructions"]) == (opened.session.id, "Be kind.")
    assert session["audio"]["output"]["voice"] == "marin"
    await caller.close()


async def test_what_is_not_served_is_named(talk: StartTalk) -> None:
    _, _, server, _ = await talk(say("Hello."))
    async with live_calling(server, "/live/sessions", store=True) as caller:
        assert (await caller.until("info"))[-1]["message"] == "session.store: is not served"
    session, transport = {"model": "m"}, {"type": "webrtc", "sdp": "v=0"}
    restricted: dict[str, Any] = {"data_channel": {"allowed_client_events": []}}
    bad: list[tuple[dict[str, Any], int, str]] = [
        ({"session": session}, 400, "transport"),
        ({"session": session, "transport": {"type": "sip", "sdp": ""}}, 400, "transport.type"),
        ({"session": session, "transport": transport}, 400, "sdp"),
        ({"session": {}, "transport": transport}, 400, "session.model"),
        ({"session": session | {"client": restricted}, "transport": transport}, 400, "session.client"),
        ({"session": session | {"triggers": [{}]}, "transport": transport}, 400, "session.triggers"),
        ({"session": session, "transport": transport | {"sdp": "a" * MAX_BYTES}}, 413, ""),
    ]
    for body, status, param in bad:
        refused = await server.post(LIVE, json=body)
        error = refused.json()["error"]
        assert (refused.status_code, error["param"] or "") == (status, param), error
    for method, path in (("POST", "fork"), ("GET", "content"), ("POST", "refer")):
        refused = await server.request(method, f"{LIVE}/live_1/{path}")
        assert refused.status_code == 404 and "none is stored" in refused.json()["error"]["message"]


async def test_without_a_model_it_is_forbidden(tmp_path: Path) -> None:
    async with serving(tmp_path, PausingRecognizer()) as server:
        body = {"session": {"model": "m"}, "transport": {"type": "webrtc", "sdp": "v=0"}}
        refused = await server.post(LIVE, json=body)
        assert refused.status_code == 403 and "--llm" in refused.json()["error"]["message"]
