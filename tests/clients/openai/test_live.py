"""Clients of OpenAI's Live API of other makers, unmodified: a greeting, ten turns with a tool and an
interruption, and a goodbye, as the server's default voice says them and Whisper hears them.
"""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from livekit.agents import Agent, AgentSession, RunContext, function_tool
from livekit.agents.utils import http_context
from livekit.plugins.openai.realtime import GPTLiveModel
from openai import AsyncOpenAI
from pipecat.adapters.schemas.function_schema import FunctionSchema
from pipecat.adapters.schemas.tools_schema import ToolsSchema
from pipecat.frames import frames
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.live.llm import OpenAILiveLLMService
from pipecat.services.openai.responses.llm import OpenAIResponsesLLMService
from pipecat.workers.runner import WorkerRunner

from kani.core.audio.pcm import from_pcm16, pcm16
from kani.core.types import Samples
from tests.clients.openai.conftest import RATE, assert_understood, spoken
from tests.clients.openai_call import Caller
from tests.clients.openai_realtime import quiet
from tests.clients.pipelines import Watch
from tests.conftest import ServerProcess, StartServer
from tests.judges.judge import hear
from tests.support import livekit_devices
from tests.support.chat.endpoint import Answer, ChatEndpoint, chat_endpoint, say
from tests.support.patience import WITHIN_S
from tests.support.servers.address import figure

pytestmark = [
    pytest.mark.heard,
    # Their own imports and timers.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

GREETING = "Good morning, this is the station. How can I help you?"
PLAIN = "The train leaves from platform seven."
SUNNY = "It is sunny and warm in Rome today."
STORY = "Once upon a time there was a small town by the sea. " * 8
GOODBYE = "Thank you, and have a good journey."
ASKED = {
    "plain": "Where does the train to the north leave?",
    "tool": "What is the weather in Rome?",
    "story": "Please tell me a long story.",
    "stop": "Stop it please, that is enough for me.",
    "bye": "Thank you very much, and goodbye.",
}
TURNS = ("plain", "plain", "tool", "plain", "plain", "story", "stop", "plain", "plain", "bye")
ANSWERS = {"plain": PLAIN, "tool": SUNNY, "story": STORY, "stop": PLAIN, "bye": GOODBYE}
GREET = "Greet the caller."
SILENT_S = 1.0
QUOTES = '"'
"""Around results, which pipecat sends as JSON."""


def answer(body: dict[str, Any]) -> Answer:
    """Answer by what was said last."""
    last = body["messages"][-1]
    said = last["content"].lower()
    if last["role"] == "tool":
        return say(f"It is {said.strip(QUOTES)} in Rome today.")
    if said == "...":
        return say(GREETING)
    if "weather" in said:
        return Answer(calls=[("weather", '{"city": "Rome"}')])
    if "story" in said:
        return say(STORY.strip())
    return say(GOODBYE if "bye" in said else PLAIN)


@dataclass
class Party:
    """A client as this side hears it: its audio with the time of each piece, and the answers' text."""

    server: ServerProcess
    push: Callable[[Samples], Awaitable[None]]  # into its microphone, 20 ms at a time
    played: list[tuple[float, Samples]] = field(default_factory=list)
    texts: list[tuple[float, str]] = field(default_factory=list)  # of the answers, each with its time
    errors: list[Any] = field(default_factory=list)
    answers: list[tuple[Samples, str]] = field(default_factory=list)  # what was heard, and its text
    tasks: list[asyncio.Task[None]] = field(default_factory=list)  # that run to the end
    _waiting: asyncio.Queue[Samples] = field(default_factory=asyncio.Queue)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def play(self, samples: Samples) -> None:
        self.played.append((time.monotonic(), samples))
        self._news.set()

    def tell(self, text: str) -> None:
        self.texts.append((time.monotonic(), text))
        self._news.set()

    async def news(self) -> None:
        """Wait for the next sound or text."""
        self._news.clear()
        await self._news.wait()

    @property
    def said(self) -> str:
        return "".join(text for _, text in self.texts)

    async def begun(self, word: str, since: float) -> float:
        """Return the time of the first text with a word after ``since``; its sound comes after it."""
        while not (found := [at for at, text in self.texts if at > since and word in text]):
            await self.news()
        return found[0]

    def sounded_at(self, since: float) -> float:
        """Return the time of the last piece with sound after ``since``, 0 without one."""
        found = (at for at, samples in reversed(self.played) if at > since and np.abs(samples).max() > 0.01)
        return next(found, 0.0)

    def _is_silent(self, since: float) -> bool:
        """Return True if there was sound after ``since``, and none for ``SILENT_S``."""
        at = self.sounded_at(since)
        return at > 0 and time.monotonic() - at >= SILENT_S

    async def _is_answering(self) -> bool:
        """Return True while an answer is made: sound may come after a hole in it."""
        scraped = (await self.server.get("/metrics")).text
        return figure(scraped, "kani_sessions") > figure(scraped, "kani_recognition_sessions")

    async def listen(self) -> None:
        due, size = time.monotonic(), RATE // 50
        while True:
            spoken = not self._waiting.empty()
            await self.push(self._waiting.get_nowait() if spoken else np.zeros(size, np.float32))
            if spoken:
                self._waiting.task_done()
            due += 0.02
            await asyncio.sleep(due - time.monotonic())

    async def say(self, samples: Samples) -> None:
        size = RATE // 50
        padded = np.pad(samples, (0, -len(samples) % size))
        for piece in np.split(padded, len(padded) // size):
            self._waiting.put_nowait(piece)
        await self._waiting.join()

    async def hear(self, text: str, since: float) -> None:
        """Wait for an answer of this text, which began after ``since``, and silence after it."""
        last = text.split()[-1]
        while not (
            self.said.rstrip().endswith(last)
            and self._is_silent(since)
            and not await self._is_answering()
            and self._is_silent(since)
        ):
            ended = [task for task in self.tasks if task.done()]
            assert not self.errors and not ended, (self.errors, ended, self.said)
            await asyncio.sleep(0.05)
        self.tell("\n")
        # A machine that is busy with others leaves holes, also within words.
        heard = np.concatenate([each for came, each in self.played if came > since and each.any()])
        self.answers.append((heard, text))


async def converse(party: Party, sentences: dict[str, Samples], begin: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(4 * WITHIN_S):
        party.tasks.append(asyncio.create_task(party.listen()))
        begun = time.monotonic()
        await begin()
        await party.hear(GREETING, begun)
        for turn in TURNS:
            at = time.monotonic()
            await party.say(sentences[turn])
            if turn == "story":
                while party.sounded_at(at) == 0:
                    await party.news()
                await asyncio.sleep(2.0)
                continue
            if turn == "stop":
                at = await party.begun(PLAIN.split()[0], at)  # the story goes on until it is heard
            await party.hear(ANSWERS[turn], at)
        for task in party.tasks:
            task.cancel()
        # What one of them reads, another may read only once it has ended.
        await asyncio.gather(*party.tasks, return_exceptions=True)
    assert not party.errors
    for samples, text in party.answers:
        assert_understood(hear(samples, RATE, "en"), text)


@asynccontextmanager
async def station(start_server: StartServer) -> AsyncIterator[tuple[ServerProcess, ChatEndpoint]]:
    async with chat_endpoint(answer) as endpoint:
        yield await asyncio.to_thread(start_server, KANI_LLM_URL=endpoint.url), endpoint


@pytest.fixture(scope="module")
def sentences(server: ServerProcess) -> dict[str, Samples]:
    said = spoken(server, *((text, "am_michael") for text in ASKED.values()))
    return {name: np.concatenate([quiet(0.2), each]) for name, each in zip(ASKED, said, strict=True)}


def check_requests(endpoint: ChatEndpoint) -> None:
    """The story ends in the history where it was interrupted, and the tool's result is in it."""
    messages = endpoint.requests[-1]["messages"]
    stories = [text for each in messages if (text := each["content"] or "").startswith("Once upon")]
    assert len(stories) == 1 and len(stories[0]) < len(STORY) / 2, stories
    (result,) = [each for each in messages if each["role"] == "tool"]
    assert result["content"].strip(QUOTES) == "sunny and warm"
    assert sum(each["role"] == "user" for each in messages) >= len(TURNS)


DELEGATION: Any = {
    "type": "responses",
    "responses": {
        "model": "gpt-5.6-luna",
        "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
    },
}


async def receive(connection: Any, party: Party, started: asyncio.Event) -> None:
    """Hear a session of the package, and answer its calls of tools."""
    async for event in connection:
        match event.type:
            case "session.started":
                started.set()
            case "session.output_audio.delta":
                party.play(from_pcm16(base64.b64decode(event.delta)))
            case "session.output_transcript.delta":
                party.tell(event.delta)
            case "response.event" if event.event["type"] == "response.output_item.done":
                result = {"type": "function_call_output", "output": "sunny and warm"}
                result["call_id"] = event.event["item"]["call_id"]
                await connection.response.item.create(item=result)
                await connection.response.create()
            case "error":
                party.errors.append(event.error.message)


async def close(connection: Any) -> None:
    await connection.session.close()
    async for event in connection:
        if event.type == "session.closed":
            break
    assert event.reason == "close_requested" and event.usage.seconds > 30


async def converse_by_events(connection: Any, party: Party, sentences: dict[str, Samples]) -> None:
    """Converse in a session of the package that tells its events here, and close it."""
    started = asyncio.Event()
    party.tasks.append(asyncio.create_task(receive(connection, party, started)))
    await started.wait()

    async def begin() -> None:
        await connection.session.commentary.append(content=GREET, delegation_id=None)

    await converse(party, sentences, begin)
    await close(connection)


async def test_openai(start_server: StartServer, sentences: dict[str, Samples]) -> None:
    async with station(start_server) as (server, endpoint):
        async with AsyncOpenAI(api_key="any", base_url=f"{server.http_url}/v1") as client:
            async with client.live.connect(websocket_connection_options={"ping_timeout": None}) as connection:
                await connection.session.start(session={"model": "gpt-live-1", "delegation": DELEGATION})

                async def push(samples: Samples) -> None:
                    await connection.session.input_audio.append(
                        audio=base64.b64encode(pcm16(samples)).decode()
                    )

                party = Party(server, push)
                await converse_by_events(connection, party, sentences)
        check_requests(endpoint)


async def test_openai_by_webrtc(start_server: StartServer, sentences: dict[str, Samples]) -> None:
    """A call, and the package attached to it, which greets and answers tools."""

    class Peer(Caller):
        def take(self, frame: Samples) -> None:
            party.play(frame.reshape(-1, 2).mean(axis=1))

    async with station(start_server) as (server, endpoint):
        async with AsyncOpenAI(api_key="any", base_url=f"{server.http_url}/v1") as client:
            peer = Peer()

            async def push(samples: Samples) -> None:
                peer.microphone.say(samples)

            party = Party(server, push)
            given: Any = {"model": "gpt-live-1", "delegation": DELEGATION}
            transport: Any = {"type": "webrtc", "sdp": await peer.offer()}
            opened = await client.live.create(session=given, transport=transport)
            options: Any = {"ping_timeout": None}
            attached = client.live.sideband.connect(
                session_id=opened.session.id, websocket_connection_options=options
            )
            async with attached as connection:
                await peer.connect(opened.transport.sdp)
                await converse_by_events(connection, party, sentences)
            await peer.close()
        check_requests(endpoint)


async def test_livekit(start_server: StartServer, sentences: dict[str, Samples]) -> None:
    class Loudspeaker(livekit_devices.Loudspeaker):
        async def capture_frame(self, frame: Any) -> None:
            await super().capture_frame(frame)
            party.play(from_pcm16(bytes(frame.data)))

    class Captions(livekit_devices.Captions):
        async def capture_text(self, text: str) -> None:
            party.tell(text)

    @function_tool
    async def weather(context: RunContext[Any], city: str) -> str:
        """Tell the weather."""
        return "sunny and warm"

    microphone = livekit_devices.Microphone()

    async def push(samples: Samples) -> None:
        for frame in livekit_devices.frames(samples):
            microphone._frames.put_nowait(frame)

    async with station(start_server) as (server, endpoint), http_context.open():
        party = Party(server, push)
        model = GPTLiveModel(base_url=f"{server.http_url}/v1", api_key="any")
        session: AgentSession[Any] = AgentSession(llm=model)
        session.input.audio, session.output.audio = microphone, Loudspeaker(real_time=True)
        session.output.transcription = Captions()
        session.on("error", party.errors.append)
        await session.start(Agent(instructions="Be brief.", tools=[weather]))

        async def begin() -> None:
            await session.generate_reply(instructions=GREET)

        await converse(party, sentences, begin)
        roles = [item.role for item in session.history.messages()]
        await session.aclose()
    assert roles[0] == "assistant" and roles.count("user") >= len(TURNS) - 1
    check_requests(endpoint)


async def test_pipecat(start_server: StartServer, sentences: dict[str, Samples]) -> None:
    async def weather(params: FunctionCallParams) -> None:
        await params.result_callback("sunny and warm")

    schema = FunctionSchema("weather", "Tell the weather.", {"city": {"type": "string"}}, ["city"])
    delegation = OpenAILiveLLMService.ResponsesDelegation(
        settings=OpenAIResponsesLLMService.Settings(model="gpt-5.6-luna")
    )
    async with station(start_server) as (server, endpoint):
        service = OpenAILiveLLMService(
            api_key="any", base_url=f"{server.url}/v1/live/sessions", delegation=delegation
        )
        service.register_function("weather", weather)
        messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "developer", "content": GREET}]
        pair = LLMContextAggregatorPair(LLMContext(messages, ToolsSchema(standard_tools=[schema])))

        async def push(samples: Samples) -> None:
            await worker.queue_frames([frames.InputAudioRawFrame(pcm16(samples), RATE, 1)])

        party = Party(server, push)

        def see(frame: frames.Frame) -> None:
            match frame:
                case frames.SpeechOutputAudioRawFrame():
                    party.play(from_pcm16(frame.audio))
                case frames.TTSTextFrame():
                    party.tell(frame.text)
                case frames.ErrorFrame():
                    party.errors.append(frame.error)

        worker = PipelineWorker(
            Pipeline([pair.user(), service, Watch(see), pair.assistant()]),
            params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
            cancel_on_idle_timeout=False,
        )
        running = asyncio.create_task(WorkerRunner(handle_sigint=False).run(worker))

        async def begin() -> None:
            await worker.queue_frames([frames.LLMRunFrame()])

        try:
            await converse(party, sentences, begin)
        finally:
            await worker.cancel()  # or its tasks never end
            with suppress(asyncio.CancelledError):
                await running
        check_requests(endpoint)
