"""Turns of LiveKit's agents by this server, in each set-up of examples/livekit_turns.py, without a room."""

import asyncio
import importlib
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytest

from kani.core.types import Samples
from tests.clients.openai.conftest import RATE, spoken
from tests.clients.openai_realtime import quiet
from tests.clients.test_livekit_agent import example
from tests.conftest import ServerProcess, StartServer
from tests.judges.judge import word_error_rate
from tests.support.chat.endpoint import chat_endpoint, say
from tests.support.patience import WITHIN_S, happens

LONG = " ".join(["We go to the market for some fruit, and then we walk home through the park."] * 40)
INTERRUPTION = "No, please wait a moment."


@pytest.fixture(scope="module")
def sounds(server: ServerProcess) -> list[Samples]:
    """A listener's word, a burst of noise, and what interrupts."""
    listener, interruption = spoken(server, ("Uh-huh.", "af_heart"), (INTERRUPTION, "am_michael"))
    noise = 0.1 * np.random.default_rng(0).standard_normal(round(0.2 * RATE)).astype(np.float32)
    return [listener, noise, interruption]


@pytest.mark.heard
@pytest.mark.parametrize("setup", ["realtime", "half-cascade", "cascade"])
async def test_word_interrupts_agent_and_listener_does_not(
    start_server: StartServer, sounds: list[Samples], setup: str
) -> None:
    from livekit.agents import Agent
    from livekit.agents.utils import http_context

    turns: Any = example("livekit_turns")
    devices: Any = importlib.import_module("tests.support.livekit_devices")
    answers = chain([say(LONG)], repeat(say("All right.")))  # LiveKit may ask before a turn has ended
    async with chat_endpoint(lambda _: next(answers)) as endpoint, http_context.open():
        server = await asyncio.to_thread(start_server, "--llm", endpoint.url)
        settings = {"SETUP": setup, "SPEECH_SERVER": server.http_url}
        session: Any = turns.build_session(settings | {"LLM_URL": endpoint.url, "LLM_MODEL": "m"})
        microphone = devices.Microphone()
        session.input.audio, session.output.audio = microphone, devices.Loudspeaker(real_time=True)
        speaking = asyncio.Event()
        session.on("agent_state_changed", lambda e: speaking.set() if e.new_state == "speaking" else None)
        await session.start(Agent(instructions=turns.TASK))
        handle = session.generate_reply(user_input="Go on.")
        async with asyncio.timeout(WITHIN_S):
            await speaking.wait()
            # LiveKit hears nobody in the first three seconds, while echo cancelling settles.
            listener, noise, interruption = sounds
            await microphone.speak(np.concatenate([quiet(3.5), listener, quiet(2.0), noise, quiet(1.0)]))
            assert not handle.interrupted
            await microphone.speak(np.concatenate([interruption, quiet(3.0)]))
            await handle.wait_for_playout()
            await happens(lambda: len(endpoint.requests) > 1)
            await session.aclose()
            for part in (session.llm, session.stt, session.tts):
                if part is not None:
                    await part.aclose()
    assert handle.interrupted
    said = [each["content"] for each in endpoint.requests[-1]["messages"] if each["role"] == "user"]
    # The listener's word is in no turn.
    assert len(said) == 2 and word_error_rate(INTERRUPTION, said[1], "en") <= 0.2, said
