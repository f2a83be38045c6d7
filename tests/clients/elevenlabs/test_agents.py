"""ElevenLabs' packages for conversations, unmodified: greeting, turns, a tool, an interruption, a goodbye."""

import asyncio
import json
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import httpx2
import numpy as np
import pytest
import soxr
from elevenlabs.client import ElevenLabs

from kani.core.audio.pcm import from_pcm16, pcm16
from kani.core.audio.playback import Playback
from tests.clients.openai.conftest import RATE as SPOKEN_RATE
from tests.clients.openai.conftest import assert_understood, spoken
from tests.conftest import ServerProcess, StartServer
from tests.judges.judge import hear
from tests.support.chat.endpoint import Answer, chat_endpoint, say
from tests.support.patience import WITHIN_S, until
from tests.support.programs import installed, node

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from elevenlabs.conversational_ai.conversation import (
        AudioInterface,
        ClientTools,
        Conversation,
        ConversationInitiationData,
    )

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

RATE = 16_000
VOICE, CALLER = "af_heart", "am_michael"  # of espeak's words Whisper hears some as others
HEARD_S = 1.0  # of the story, until the caller speaks into it
GREETING = "Good morning, this is the harbour office."
SAID = (
    "Good morning, can you hear me well?",
    "What is the weather like in Lima today?",
    "Please tell me a long story about the sea.",
    "What is the name of the capital of France?",
    "Thank you very much, goodbye.",
)
HEARD_WELL = "Yes, I can hear you very well."
RAIN = "It rains in Lima, so take an umbrella with you."
STORY = " ".join(["A fisherman went out to the sea, and he came back with an empty boat in the evening."] * 6)
CAPITAL = "The capital of France is Paris."
GOODBYE = "Goodbye, and have a nice day."
TOOLS = [{"type": "system", "name": "end_call", "description": "Ends the call."}]
AGENT = {"prompt": {"prompt": "Be brief.", "tools": TOOLS}, "first_message": GREETING, "language": "en"}


def script(body: dict[str, Any]) -> Answer:
    """Answer by the last message: a request that is begun early may come twice."""
    last = body["messages"][-1]
    said = last["content"].lower()
    if last["role"] == "tool":
        return say(RAIN)
    if "weather" in said:
        return Answer(calls=[("weather", '{"town": "Lima"}')])
    if "bye" in said:
        return Answer(say(GOODBYE).pieces, calls=[("end_call", "{}")])
    answers = {"story": STORY, "capital": CAPITAL, "france": CAPITAL}
    return say(next((answer for word, answer in answers.items() if word in said), HEARD_WELL))


class Telephone(AudioInterface):  # type: ignore[misc]
    """A microphone that is silent unless something is said, and a loudspeaker that keeps what it plays."""

    def __init__(self) -> None:
        self._said: Queue[bytes] = Queue()
        self._ended = threading.Event()
        self._playback = Playback()
        self.played: list[bytes] = []
        self.interruptions: list[int] = []  # how much was played before each

    def start(self, input_callback: Callable[[bytes], None]) -> None:
        def run() -> None:
            while not self._ended.wait(0.25):
                try:
                    input_callback(self._said.get_nowait())
                except Empty:
                    input_callback(bytes(RATE // 2))

        threading.Thread(target=run, daemon=True).start()

    def stop(self) -> None:
        self._ended.set()

    def output(self, audio: bytes) -> None:
        self._playback.add(len(audio) / 2 / RATE)
        self.played.append(audio)

    def interrupt(self) -> None:
        self.interruptions.append(len(self.played))
        self._playback = Playback()

    @property
    def left_s(self) -> float:
        return self._playback.ahead_s

    def heard_s(self, since: int) -> float:
        """Return the seconds that were heard of what is ``played`` from the piece ``since`` on."""
        return sum(map(len, self.played[since:])) / 2 / RATE - self.left_s

    def say(self, samples: bytes) -> None:
        for at in range(0, len(samples), RATE // 2):
            self._said.put(samples[at : at + RATE // 2])


def speech(server: ServerProcess) -> list[bytes]:
    """``SAID``, at ``RATE`` hertz."""
    said = spoken(server, *((text, CALLER) for text in SAID))
    return [pcm16(soxr.resample(samples, SPOKEN_RATE, RATE).astype(np.float32)) for samples in said]


def talk(server: ServerProcess, turns: list[bytes], http: httpx2.Client) -> dict[str, Any]:
    """Have the conversation by ElevenLabs' package for Python; returns what it was told."""
    telephone, told = Telephone(), dict[str, Any](answers=[], said=[], corrected=[], calls=[])
    tools = ClientTools()
    tools.register("weather", lambda given: told["calls"].append(given) or "rain")
    function = {"type": "function", "function": {"name": "weather"}}
    client = ElevenLabs(api_key="k", base_url=server.http_url, httpx_client=http)
    conversation = Conversation(
        client,
        "any",
        requires_auth=True,
        audio_interface=telephone,
        config=ConversationInitiationData(
            {"tools": [function]}, {"agent": AGENT, "tts": {"voice_id": VOICE}}
        ),
        client_tools=tools,
        callback_agent_response=told["answers"].append,
        callback_agent_response_correction=lambda *texts: told["corrected"].append(texts),
        callback_user_transcript=told["said"].append,
        callback_disconnect=lambda details: told.update(ended=details),
    )
    conversation.start_session()
    answers, parts = told["answers"], []
    for number, samples in enumerate(turns):
        if number == 3:
            until(lambda: telephone.heard_s(parts[-1]) >= HEARD_S)
        else:
            until(lambda due=number + 1: len(answers) >= due and not telephone.left_s)
        parts.append(len(telephone.played))
        telephone.say(samples)
    assert conversation.wait_for_session_end()
    # The story goes on until the words spoken into it are heard.
    (parts[3],) = telephone.interruptions
    told["spoken"] = [
        from_pcm16(b"".join(telephone.played[begin:end]))
        for begin, end in zip([0, *parts], [*parts, None], strict=True)
    ]
    return told


def assert_answered(answers: list[str], *, written: bool = False) -> None:
    """The story may be interrupted before it is all written."""
    between = [] if written else [answers[3], CAPITAL]
    assert answers == [GREETING, HEARD_WELL, RAIN, *between, GOODBYE]
    assert written or (STORY.startswith(answers[3]) and len(answers[3]) > 100)


@pytest.mark.heard
async def test_package_for_python(start_server: StartServer, server: ServerProcess) -> None:
    async with asyncio.timeout(2 * WITHIN_S), chat_endpoint(script) as endpoint:
        agents = await asyncio.to_thread(start_server, KANI_LLM_URL=endpoint.url)
        turns = await asyncio.to_thread(speech, server)
        with httpx2.Client() as http:
            told = await asyncio.to_thread(talk, agents, turns, http)
    assert_answered(told["answers"])
    assert len(told["said"]) == len(SAID), told["said"]
    for said, text in zip(told["said"], SAID, strict=True):
        assert_understood(said, text, wrong_at_most=0.35)  # two words of six
    assert [call["town"] for call in told["calls"]] == ["Lima"]
    [(original, corrected)] = told["corrected"]
    assert original == told["answers"][3] and STORY.startswith(corrected) and 2 <= len(corrected.split()) < 60
    texts = (GREETING, HEARD_WELL, RAIN, None, CAPITAL, GOODBYE)
    for samples, text in zip(told["spoken"], texts, strict=True):
        if text is not None:
            assert_understood(hear(samples, RATE, "en"), text, wrong_at_most=0.2)  # one word of six
    assert (told["ended"].reason, told["ended"].close_code) == ("agent", 1000)
    told_model = [
        each["content"] for each in endpoint.requests[-1]["messages"] if each["role"] == "assistant"
    ]
    assert corrected in told_model and told_model[0] == GREETING


@pytest.mark.heard
async def test_package_for_browsers(start_server: StartServer, server: ServerProcess, tmp_path: Path) -> None:
    project = await asyncio.to_thread(installed, Path(__file__).parent / "node", tmp_path)
    overrides = {"agent": {**AGENT, "firstMessage": GREETING}, "tts": {"voiceId": VOICE}}
    async with asyncio.timeout(2 * WITHIN_S), chat_endpoint(script) as endpoint:
        agents = await asyncio.to_thread(start_server, KANI_LLM_URL=endpoint.url)
        turns = [tmp_path / f"{number}.pcm" for number in range(len(SAID))]
        for file, samples in zip(turns, await asyncio.to_thread(speech, server), strict=True):
            file.write_bytes(samples)
        played, run = tmp_path / "played.pcm", project / "agent.mjs"
        spoken_turns = [*turns[:3], "interrupt", *turns[3:]]
        for given in (spoken_turns, ["write", *SAID[:2], SAID[4]]):
            told = await asyncio.to_thread(
                node, run, json.dumps(overrides), played, *given, ORIGIN=agents.url
            )
            events = told["seen"]
            answers = [
                each["agent_response_event"]["agent_response"]
                for each in events
                if each["type"] == "agent_response"
            ]
            written = given[0] == "write"
            assert_answered(answers, written=written)
            assert told["id"].startswith("conv_")
            assert told["calls"] == [{"town": "Lima"}] and told["ended"]["reason"] == "agent"
            assert [each["type"] for each in events].count("interruption") == (not written)
            samples = from_pcm16(played.read_bytes())
            if written:
                assert not len(samples)
            else:
                heard = hear(samples, RATE, "en")
                assert_understood(heard[: len(GREETING)], GREETING, wrong_at_most=0.3)
                assert_understood(heard[-len(GOODBYE) :], GOODBYE, wrong_at_most=0.3)
