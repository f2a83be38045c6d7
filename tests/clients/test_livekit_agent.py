"""LiveKit's agents with this server: examples/livekit_agent.py and livekit_turns.py, without a room."""

import asyncio
import importlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import chain, pairwise, repeat
from typing import Any

import jwt
import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from kani.core.types import Samples
from tests.clients.openai.conftest import RATE, assert_understood, spoken
from tests.clients.openai_realtime import quiet
from tests.conftest import ROOT, ServerProcess, StartServer
from tests.judges.judge import hear, word_error_rate
from tests.support.chat.endpoint import Answer, chat_endpoint, say
from tests.support.patience import WITHIN_S, happens

EXAMPLES = ROOT / "examples"
WRONG_AT_MOST = 0.04
SPANISH = "Buenos días. Hoy vamos a preparar una tortilla de patatas con mucha cebolla, ¿te parece bien?"
ENGLISH = "Good morning. The train to the north leaves from platform seven, and it never waits for anybody."
SAID = ("The train to the north leaves from platform seven.", "Please take your bags with you.")

Begin = Callable[..., Awaitable[Any]]


def example(name: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        return importlib.import_module(name)


@pytest.fixture(scope="module")
def agent() -> Any:
    return example("livekit_agent")


@pytest.fixture(scope="module")
def devices(agent: Any) -> Any:
    return importlib.import_module("tests.support.livekit_devices")


@pytest.fixture(scope="module")
def sentences(server: ServerProcess) -> list[Samples]:
    return spoken(server, *((text, "af_heart") for text in SAID))


@pytest.fixture
async def conversation(agent: Any, devices: Any, server: ServerProcess) -> AsyncIterator[Begin]:
    from livekit.agents import Agent
    from livekit.agents.utils import http_context

    begun = []

    async def begin(microphone: Any = None, **choices: str) -> Any:
        given = {"speech_server": server.url, **choices}
        chosen = agent.Choices.of({name.upper(): value for name, value in given.items()})
        session = agent.session(chosen)
        session.input.audio = microphone
        session.output.audio = devices.Loudspeaker()
        session.output.transcription = devices.Captions()
        await session.start(Agent(instructions=chosen.agent_task))
        begun.append(session)
        return session

    async with http_context.open():
        yield begin
        for session in begun:
            await session.aclose()


def assert_heard(samples: Samples, text: str, language: str) -> None:
    assert_understood(hear(samples, RATE, language), text, language, WRONG_AT_MOST)


def texts(session: Any) -> list[tuple[str, str]]:
    return [(item.role, item.text_content.rstrip()) for item in session.history.messages()]


@pytest.mark.heard
async def test_agent_is_intelligible_and_its_transcript_timed(conversation: Begin) -> None:
    session = await conversation()
    for text, language, voice in ((SPANISH, "es", "ef_dora"), (ENGLISH, "en", "af_heart")):
        session.tts.update_options(voice_id=voice)
        session.output.audio.played.clear()
        session.output.transcription.shown.clear()
        await session.say(text).wait_for_playout()
        played = session.output.audio.samples
        assert_heard(played, text, language)
        shown = session.output.transcription.shown
        assert "".join(shown).strip() == text and len(shown) == len(text.split())
        # A word ends where the next begins, to the millisecond that the protocol's times have.
        seams = [(before.end_time, after.start_time) for before, after in pairwise(shown)]
        assert all(end_s == pytest.approx(start_s, abs=0.002) for end_s, start_s in seams)
        assert shown[0].start_time == pytest.approx(0.0, abs=0.001)
        assert shown[-1].end_time == pytest.approx(len(played) / RATE, abs=0.02)
    assert texts(session) == [("assistant", SPANISH), ("assistant", ENGLISH)]


async def test_recognition_has_interim_and_final_transcripts_by_turn(
    agent: Any, devices: Any, server: ServerProcess, sentences: list[Samples]
) -> None:
    """A muted microphone ends a turn."""
    both = np.concatenate([quiet(0.5), sentences[0], quiet(1.5), sentences[1]])
    # As a telephone room gives it, and as a stereo microphone does.
    events = []
    async with agent.KyutaiSTT(server.url, language="en").stream() as stream:
        for frame in devices.frames(both, channels=2):
            stream.push_frame(frame)
        stream.end_input()
        async for event in stream:
            events.append(event)
    kinds = [event.type.value for event in events]
    ends = [number for number, kind in enumerate(kinds) if kind == "end_of_speech"]
    assert len(ends) == 2 and ends[-1] == len(events) - 1
    for turn, text in zip((events[: ends[0] + 1], events[ends[0] + 1 :]), SAID, strict=True):
        *interim, final = [event.alternatives[0] for event in turn[1:-1]]
        assert [event.type.value for event in turn] == [
            *("start_of_speech", *["interim_transcript"] * len(interim), "final_transcript", "end_of_speech")
        ]
        assert [len(said.words) for said in interim] == list(range(1, len(final.words) + 1))
        assert all(final.text.startswith(said.text) for said in interim) and interim[-1].text == final.text
        assert word_error_rate(text, final.text, "en") == 0.0, final.text
        assert len({event.request_id for event in turn}) == 1
        assert all(word.start_time <= word.end_time for word in final.words)
        assert (final.start_time, final.end_time) == (final.words[0].start_time, final.words[-1].end_time)
        assert final.language == "en"
    first, second = (events[number - 1].alternatives[0] for number in ends)
    began_s = 0.5 + len(sentences[0]) / RATE + 1.5
    assert first.end_time <= began_s - 1.0 and began_s - 0.1 <= second.start_time
    assert second.end_time <= len(both) / RATE + 0.1
    async with agent.KyutaiSTT(server.url).stream() as stream, asyncio.timeout(WITHIN_S):
        for frame in devices.frames(np.repeat(sentences[1], 2), rate=48_000):
            stream.push_frame(frame)
        final = await anext(event async for event in stream if event.type.value == "final_transcript")
    assert word_error_rate(SAID[1], final.alternatives[0].text, "en") == 0.0


@pytest.mark.heard
async def test_agent_answers_question(conversation: Begin, devices: Any, sentences: list[Samples]) -> None:
    microphone = devices.Microphone()
    session = await conversation(microphone, speech_voice="af_heart", speech_language="en")
    answered = asyncio.Event()
    session.on("agent_state_changed", lambda event: event.old_state == "speaking" and answered.set())
    await microphone.speak(np.concatenate([sentences[0], quiet(1.5)]))
    async with asyncio.timeout(WITHIN_S):
        await answered.wait()
    (heard_by, heard), (said_by, said) = texts(session)
    assert (heard_by, said_by) == ("user", "assistant") and heard == said
    assert word_error_rate(SAID[0], heard, "en") == 0.0
    assert_heard(session.output.audio.samples, SAID[0], "en")


@pytest.mark.heard
async def test_agent_speaks_language_models_answer(conversation: Begin) -> None:
    async with chat_endpoint(lambda _: say(SPANISH)) as endpoint:
        session = await conversation(llm_url=endpoint.url, llm_model="small", llm_key="k-1")
        await session.generate_reply(user_input="¿Qué tiempo hará?").wait_for_playout()
    assert texts(session) == [("user", "¿Qué tiempo hará?"), ("assistant", SPANISH)]
    assert_heard(session.output.audio.samples, SPANISH, "es")
    (request,), (told,), (headers,) = endpoint.requests, endpoint.said, endpoint.headers
    assert (request["model"], request["stream"], headers["authorization"]) == ("small", True, "bearer k-1")
    assert told[0][0] == "system" and told[0][1].startswith("Eres un asistente de voz.")
    assert told[1:] == [("user", "¿Qué tiempo hará?")]


@pytest.mark.server
@pytest.mark.parametrize("status", [401, 404, None])
async def test_models_error_is_livekits(agent: Any, status: int | None) -> None:
    from livekit.agents import APIConnectionError, APIStatusError, llm

    refusal = Answer(status=status or 0, error={"error": {"message": "no such key"}})
    async with chat_endpoint(lambda _: refusal) as endpoint:
        url = endpoint.url if status else "http://localhost:9/v1"
        with pytest.raises(APIStatusError if status else APIConnectionError) as refused:
            [text async for text in agent.model(url, "small", "k")(llm.ChatContext.empty())]
    if status:
        assert refused.value.status_code == status and not refused.value.retryable
    else:
        assert url in str(refused.value) and refused.value.retryable


@asynccontextmanager
async def failing(ears: Any, devices: Any) -> AsyncIterator[Any]:
    from livekit.agents import APIConnectOptions

    async with ears.stream(conn_options=APIConnectOptions(max_retry=0, timeout=WITHIN_S)) as stream:
        for frame in devices.frames(quiet(0.1)):
            stream.push_frame(frame)
        yield stream


async def test_errors_of_hearing_are_livekits(agent: Any, devices: Any, espeak_server: ServerProcess) -> None:
    from livekit.agents import APIConnectionError, APIStatusError

    async with failing(agent.KyutaiSTT("ws://localhost:9"), devices) as stream:
        with pytest.raises(APIConnectionError, match="cannot be reached"):
            await anext(stream)
    for given, status in (({"key": "guessed"}, 401), ({"language": "xx-none"}, 400)):
        async with failing(agent.KyutaiSTT(espeak_server.url, **given), devices) as stream:
            with pytest.raises(APIStatusError) as refused:
                await anext(stream)
        assert refused.value.status_code == status and not refused.value.retryable


async def test_busy_or_stopped_server_is_retried(agent: Any, devices: Any, start_server: StartServer) -> None:
    from livekit.agents import APIConnectionError

    server = start_server("--engine", "espeak", KANI_RATE_PER_MINUTE="1")
    ears = agent.KyutaiSTT(server.url)
    async with failing(ears, devices) as one, failing(ears, devices) as other:
        both = [asyncio.create_task(anext(stream)) for stream in (one, other)]
        (busy,), (served,) = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(APIConnectionError, match="no free channels") as refused:
            busy.result()
        await asyncio.to_thread(server.stop)
        with pytest.raises(APIConnectionError, match="has gone") as gone:
            await served
    assert refused.value.retryable and gone.value.retryable


@pytest.mark.server
def test_environment_sets_choices(agent: Any) -> None:
    chosen = agent.Choices.of({"SPEECH_SERVER": "wss://tts.example.test", "LLM_MODEL": "m", "HOME": "/"})
    assert (chosen.speech_server, chosen.llm_model) == ("wss://tts.example.test", "m")
    assert chosen.speech_voice == "ef_dora"
    told = agent.__doc__
    assert all(name.upper() in told for name in agent.Choices.__dataclass_fields__)


@pytest.mark.heard
async def test_agent_registers_with_livekit_server() -> None:
    from livekit.protocol.agent import RegisterWorkerResponse, ServerMessage, WorkerMessage

    came: asyncio.Future[tuple[dict[str, Any], Any]] = asyncio.get_running_loop().create_future()
    secret = "a-secret-of-more-than-32-characters-9f2c"

    async def worker(socket: ServerConnection) -> None:
        token = socket.request.headers["authorization"].removeprefix("Bearer ")
        message = WorkerMessage.FromString(await socket.recv())
        registered = RegisterWorkerResponse(worker_id="AW_1")
        await socket.send(ServerMessage(register=registered).SerializeToString())
        came.set_result((jwt.decode(token, secret, algorithms=["HS256"]), message))
        await socket.wait_closed()

    async with serve(worker, "127.0.0.1", 0) as listening:
        url = f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        livekit = {"LIVEKIT_URL": url, "LIVEKIT_API_KEY": "APIx", "LIVEKIT_API_SECRET": secret}
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(EXAMPLES / "livekit_agent.py"), "dev", env=os.environ | livekit
        )
        try:
            claims, message = await asyncio.wait_for(came, WITHIN_S)
        finally:
            process.terminate()
            await asyncio.wait_for(process.wait(), WITHIN_S)
    assert claims["iss"] == "APIx" and claims["video"]["agent"] is True
    assert message.WhichOneof("message") == "register"


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
    start_server: StartServer, devices: Any, sounds: list[Samples], setup: str
) -> None:
    from livekit.agents import Agent
    from livekit.agents.utils import http_context

    turns: Any = example("livekit_turns")
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
