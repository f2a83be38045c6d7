"""ElevenLabs Agents: a conversation on the wire, over loud sounds and a scripted model."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.clients.elevenlabs.agents import RATE, Caller, calling
from tests.clients.openai_realtime import loud, quiet
from tests.support.chat.endpoint import Answer, ChatEndpoint, say
from tests.support.chat.talking import HEARD, SYSTEM, answering
from tests.support.servers.serving import InProcessServer

TURN = quiet(0.4, RATE), loud(0.4, RATE), quiet(1.6, RATE)
LONG = " ".join(["this is a long answer"] * 20)
USER = ("user", HEARD)
HEARD_S = 1.5


class Call(NamedTuple):
    caller: Caller
    server: InProcessServer
    endpoint: ChatEndpoint


StartCall = Callable[..., Awaitable[Call]]


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[StartCall]:
    async with AsyncExitStack() as running:

        async def start(*answers: Answer, agent_id: str = "any", **environment: str) -> Call:
            server, endpoint = await running.enter_async_context(answering(tmp_path, *answers, **environment))
            caller = await running.enter_async_context(calling(server.url, agent_id))
            return Call(caller, server, endpoint)

        yield start


async def test_turns_are_heard_and_answered(call: StartCall) -> None:
    caller, _, endpoint = await call(say("Hi there."), say("Yes."))
    metadata = await caller.initiate()
    assert metadata["conversation_id"].startswith("conv_")
    formats = metadata["user_input_audio_format"], metadata["agent_output_audio_format"]
    assert formats == ("pcm_16000", "pcm_16000")
    for answer in ("Hi there.", "Yes."):
        await caller.speak(*TURN)
        assert (await caller.listen())["agent_response"] == answer
    assert caller.of("user_transcript")[0]["user_transcript"] == HEARD
    assert endpoint.said[0] == [SYSTEM, USER]
    assert endpoint.said[1][:3] == [SYSTEM, USER, ("assistant", "Hi there.")]
    parts = [(body["type"], body["text"]) for body in caller.of("agent_chat_response_part")]
    assert parts[:4] == [("start", ""), ("delta", "Hi"), ("delta", " there."), ("stop", "")]
    letters = sum(map(len, ("Hithere", "Yes")))
    assert len(caller.samples()) / RATE >= 0.1 * letters and np.abs(caller.samples()).max() > 0.1
    ids = [body["event_id"] for _, body in caller.seen]
    assert ids == sorted(set(ids))
    assert caller.pings and caller.pings[0]["ping_ms"] is None


async def test_speech_interrupts_and_the_model_learns_what_was_heard(call: StartCall) -> None:
    caller, _, endpoint = await call(say(LONG), say("Yes."))
    await caller.initiate()
    await caller.speak(*TURN)
    await caller.until("agent_response")
    last = max(body["event_id"] for body in caller.of("audio"))
    await asyncio.sleep(HEARD_S)  # of the answer
    await caller.speak(*TURN)
    interruption = await caller.until("interruption")
    assert interruption["event_id"] > last
    correction = await caller.until("agent_response_correction")
    heard = correction["corrected_agent_response"]
    assert correction["original_agent_response"] == LONG and LONG.startswith(heard)
    assert 1 <= len(heard.split()) <= len(LONG.split()) / 2
    assert (await caller.until("agent_response"))["agent_response"] == "Yes."
    assert endpoint.said[1][1:3] == [USER, ("assistant", heard)]
    assert len(caller.samples(interruption["event_id"])) / RATE < 1


async def test_interrupted_while_it_is_written(call: StartCall) -> None:
    hold = asyncio.Event()
    caller, _, _ = await call(say("One two three. And " + LONG, holds={8: hold}), say("Yes."))
    await caller.initiate()
    await caller.speak(*TURN)
    await caller.until("audio")
    await caller.speak(*TURN)
    interruption = await caller.until("interruption")
    response = await caller.until("agent_response")
    correction = await caller.until("agent_response_correction")
    assert response["agent_response"] == correction["original_agent_response"] != LONG
    assert (await caller.until("agent_response"))["agent_response"] == "Yes."
    assert len(caller.of("agent_response")) == 2 and len(caller.of("interruption")) == 1
    assert len(caller.samples(interruption["event_id"])) / RATE < 1  # "Yes." alone
    hold.set()
