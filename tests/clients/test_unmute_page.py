"""What Unmute's load test does, by one command and without a GPU: a recogniser hears, a voice is heard."""

import asyncio

import numpy as np
import pytest

from kani import AsyncSpeech
from tests.clients import unmute_page as page
from tests.clients.openai_realtime import quiet
from tests.conftest import StartServer
from tests.judges.judge import hear, word_error_rate
from tests.support.chat.endpoint import chat_endpoint, say

GREETING = "Good morning, what can I do for you?"
QUESTION = "Which platform does the train to the north leave from?"
ANSWER = "It leaves from platform seven."


@pytest.mark.heard
async def test_a_turn_is_heard_on_both_sides(start_server: StartServer) -> None:
    async with AsyncSpeech() as speech:
        asked = await speech.say(QUESTION, voice="af_heart")
    assert asked.sample_rate == page.RATE
    # The last message is "..." for silence.
    answers = {"...": GREETING}
    async with chat_endpoint(lambda b: say(answers.get(b["messages"][-1]["content"], ANSWER))) as endpoint:
        server = await asyncio.to_thread(start_server, "--compat", "--llm", endpoint.url)
        port = server.compat["Kani REST"]
        assert (await page.health(f"http://localhost:{port}"))["ok"]
        listed = await page.voices(f"http://localhost:{port}")
        voice = next(each for each in listed if each["source"]["path_on_server"] == "af_heart")
        async with page.calling(port) as caller:
            await caller.configure("af_heart", voice["instructions"])
            await caller.speak(quiet(0.5))
            await caller.until(page.AudioDone)
            assert caller.history[-1]["content"] == GREETING
            await caller.speak(quiet(0.5), asked.samples, quiet(2.0))
            # On a machine that is slow to hear, the assistant breaks the silence before.
            while caller.history[-1]["content"] != ANSWER:
                before = len(caller.samples)
                await caller.until(page.AudioDone)
    assert word_error_rate(QUESTION, endpoint.said[-1][-1][1], "en") <= 0.15
    spoken = hear(np.concatenate(caller.samples[before:]), page.RATE, "en")
    assert word_error_rate(ANSWER, spoken, "en") <= 0.15
