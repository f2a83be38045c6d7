"""Voice agents of other makers hold a conversation, unmodified: a tool is called, an answer interrupted.

openai-agents for Python runs in an environment of its own (``test_python``), that for Node by npm.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import llm
from livekit.plugins import openai as livekit_openai
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames import frames
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

from kani.core.audio.pcm import pcm16
from tests.clients.openai.test_node import caller, project  # noqa: F401 - a fixture
from tests.clients.openai.test_python import PYTHON, call
from tests.clients.openai_realtime import loud, quiet
from tests.support.chat.endpoint import Answer, ChatEndpoint, chat_endpoint, say
from tests.support.loudness import PausingRecognizer
from tests.support.patience import WITHIN_S, happens
from tests.support.servers.serving import InProcessServer, serving

RATE = 24_000
TURN = pcm16(np.concatenate([quiet(0.4), loud(0.4), quiet(1.2)]))
LONG = "It is sunny in Oslo today, and it will be sunny tomorrow, and the day after that as well."
LAST = "Yes, of course."

pytestmark = [
    pytest.mark.server,
    # Their own imports and timers.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@asynccontextmanager
async def conversing(folder: Path, *first: Answer) -> AsyncIterator[tuple[InProcessServer, ChatEndpoint]]:
    answers = iter([*first, Answer(calls=[("weather", '{"city": "Oslo"}')]), say(LONG), say(LAST)])
    async with chat_endpoint(lambda _: next(answers)) as endpoint:
        async with serving(folder, PausingRecognizer(), KANI_LLM_URL=endpoint.url) as server:
            yield server, endpoint


def check(endpoint: ChatEndpoint) -> None:
    """The model was told all, and of its own answer what was heard."""
    first, second, third = endpoint.requests[-3:]
    assert first["messages"][-1] == {"role": "user", "content": "w0 w1 w2 w3 w4."}
    assert first["tools"][0]["function"]["name"] == "weather"
    assert second["messages"][-1]["role"] == "tool"
    assert "sunny in Oslo" in second["messages"][-1]["content"]
    heard, last = third["messages"][-2:]
    assert last == {"role": "user", "content": "w5 w6 w7 w8 w9."}
    assert heard["role"] == "assistant" and heard["content"]
    assert LONG.startswith(heard["content"]) and heard["content"] != LONG


@pytest.mark.skipif(not PYTHON, reason="KANI_CLIENTS_PYTHON names no python with openai-agents")
async def test_openai_agents(tmp_path: Path) -> None:
    (tmp_path / "turn.pcm").write_bytes(TURN)
    async with conversing(tmp_path) as (server, endpoint):
        converse = ("agents_converse", {"input": tmp_path / "turn.pcm"})
        (answer,) = await asyncio.to_thread(call, server.http_url, converse)
    assert answer["errors"] == [] and "tool_end" in answer["seen"], answer
    check(endpoint)


async def test_openai_agents_for_node(project: Path, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "turn.pcm").write_bytes(TURN)
    async with conversing(tmp_path) as (server, endpoint):
        call = caller(project / "sdks.mjs", BASE_URL=f"{server.http_url}/v1")
        answer = await asyncio.to_thread(call, "talk", input=tmp_path / "turn.pcm")
    assert answer["errors"] == [] and "tool_end" in answer["seen"], answer
    check(endpoint)


async def test_livekit(tmp_path: Path) -> None:
    @llm.function_tool
    async def weather(city: str) -> str:
        """Tell the weather."""
        return f"sunny in {city}"

    generations: asyncio.Queue[llm.GenerationCreatedEvent] = asyncio.Queue()
    errors: list[Any] = []
    async with conversing(tmp_path) as (server, endpoint), asyncio.timeout(WITHIN_S):
        model = livekit_openai.realtime.RealtimeModel(base_url=f"{server.http_url}/v1", api_key="key")
        session = model.session()
        session.on("generation_created", generations.put_nowait)
        session.on("error", errors.append)
        await session.update_instructions("Be brief.")
        await session.update_tools([weather])
        session.push_audio(rtc.AudioFrame(TURN, RATE, 1, len(TURN) // 2))
        asked = await generations.get()
        (call,) = [each async for each in asked.function_stream]
        context = session.chat_ctx.copy()
        result = f"sunny in {json.loads(call.arguments)['city']}"
        context.items.append(
            llm.FunctionCallOutput(call_id=call.call_id, name=call.name, output=result, is_error=False)
        )
        await session.update_chat_ctx(context)
        session.generate_reply()
        message = await anext(aiter((await generations.get()).message_stream))
        played_s = 0.0
        played = aiter(message.audio_stream)
        while played_s < 1.0:
            played_s += (await anext(played)).duration
        # The server's own clock counts what was played, too.
        await asyncio.sleep(played_s)
        speaking = asyncio.Event()
        session.on("input_speech_started", lambda _: speaking.set())
        session.push_audio(rtc.AudioFrame(TURN, RATE, 1, len(TURN) // 2))
        await speaking.wait()
        # As its AgentSession does.
        session.interrupt()
        session.truncate(message_id=message.message_id, modalities=["audio"], audio_end_ms=1000)
        last = await anext(aiter((await generations.get()).message_stream))
        assert "".join([str(text) async for text in last.text_stream]) == LAST
        await session.aclose()
        await model.aclose()
    assert not errors
    check(endpoint)


class _Listener(FrameProcessor):
    """Speaks after the greeting, and again into the next answer; ``done`` once the last one is spoken."""

    def __init__(self, speak: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self.errors: list[str] = []
        self.done = asyncio.Event()
        self._speak = speak
        self._turns: list[asyncio.Task[None]] = []
        self._interrupted = False
        self._greeting_s = 0.0

    async def process_frame(self, frame: frames.Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case frames.TTSAudioRawFrame() if not self._turns:
                self._greeting_s += len(frame.audio) / 2 / RATE
            case frames.TTSStoppedFrame() if not self._turns:
                self._speak_after(self._greeting_s)
            case frames.TTSAudioRawFrame() if len(self._turns) == 1:
                self._speak_after(1.0)
            case frames.InterruptionFrame() if len(self._turns) == 2:
                self._interrupted = True
            case frames.TTSStoppedFrame() if self._interrupted:
                self.done.set()
            case frames.ErrorFrame():
                self.errors.append(str(frame.error))
                self.done.set()
        await self.push_frame(frame, direction)

    def _speak_after(self, played_s: float) -> None:
        async def speak() -> None:
            await asyncio.sleep(played_s)
            await self._speak()

        self._turns.append(asyncio.create_task(speak()))


async def test_pipecat(tmp_path: Path) -> None:
    async def weather(params: FunctionCallParams) -> None:
        await params.result_callback(f"sunny in {params.arguments['city']}")

    schema = FunctionSchema("weather", "Tell the weather.", {"city": {"type": "string"}}, ["city"])
    async with conversing(tmp_path, say("Hi.")) as (server, endpoint):
        service = OpenAIRealtimeLLMService(api_key="key", base_url=f"{server.url}/v1/realtime")
        service.register_function("weather", weather)
        pair = LLMContextAggregatorPair(
            LLMContext([{"role": "user", "content": "Greet me."}], ToolsSchema(standard_tools=[schema]))
        )
        pieces = [TURN[at : at + 2400] for at in range(0, len(TURN), 2400)]

        async def speak() -> None:
            await worker.queue_frames([frames.InputAudioRawFrame(piece, RATE, 1) for piece in pieces])

        listener = _Listener(speak)
        worker = PipelineWorker(
            Pipeline([pair.user(), service, listener, pair.assistant()]),
            params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
        )
        running = asyncio.create_task(WorkerRunner(handle_sigint=False).run(worker))
        await worker.queue_frames([frames.LLMRunFrame()])
        async with asyncio.timeout(WITHIN_S):
            await listener.done.wait()
            await happens(lambda: len(endpoint.requests) >= 4)
        await worker.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert not listener.errors
    check(endpoint)
