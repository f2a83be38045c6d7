"""ElevenLabs Agents: a conversation on the wire, over loud sounds and a scripted model."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from websockets.asyncio.client import connect

from kani.protocols.elevenlabs.agents import connection
from kani.protocols.elevenlabs.agents.config import MAX_FILE
from kani.protocols.elevenlabs.agents.routes import NO_MODEL
from kani.protocols.elevenlabs.agents.tools import NO_OBJECT, NO_RESULT
from kani.protocols.shared.conversation import ConnectionLimits
from tests.clients.elevenlabs.agents import PATH, RATE, Caller, calling
from tests.clients.openai_realtime import loud, quiet
from tests.support.chat.endpoint import Answer, ChatEndpoint, say
from tests.support.chat.talking import HEARD, SYSTEM, answering
from tests.support.event_loop import virtual_time
from tests.support.loudness import HearsAgain, PausingRecognizer
from tests.support.patience import WITHIN_S, happens
from tests.support.servers.serving import InProcessServer, serving

TURN = quiet(0.4, RATE), loud(0.4, RATE), quiet(1.6, RATE)
INITIATION = "conversation_initiation_client_data"
LONG = " ".join(["this is a long answer"] * 20)
USER = ("user", HEARD)
HANGS_UP = [{"type": "system", "name": "end_call", "description": "Ends the call."}]
HEARD_S = 1.5


class Call(NamedTuple):
    caller: Caller
    server: InProcessServer
    endpoint: ChatEndpoint


StartCall = Callable[..., Awaitable[Call]]


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[StartCall]:
    async with AsyncExitStack() as running:

        async def start(*answers: Answer, agent_id: str = "any", **environment: Any) -> Call:
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


async def test_client_says_who_the_agent_is(call: StartCall) -> None:
    caller, server, endpoint = await call(say("Vale."))
    override = {
        "agent": {
            "prompt": {"prompt": "Eres {{name}}."},
            "first_message": "Hola, soy {{ name }}, {{age}}.",
            "language": "es",
        },
        "tts": {"voice_id": "tone_es", "speed": 1.1, "stability": 0.5},
    }
    await caller.send(
        INITIATION,
        conversation_config_override=override,
        dynamic_variables={"name": "Ana", "age": 42},
        custom_llm_extra_body={},
        source_info={"source": "test"},
    )
    kind, _ = await caller.receive()
    assert kind == "conversation_initiation_metadata"
    # The agent speaks first, without the model.
    assert (await caller.listen())["agent_response"] == "Hola, soy Ana, 42." and not endpoint.said
    [segment] = server.engine.segments
    assert (segment.voice, segment.language, segment.speed) == ("tone_es", "es", 1.1)
    await caller.speak(*TURN)
    await caller.listen()
    assert endpoint.said == [[("system", "Eres Ana."), ("assistant", "Hola, soy Ana, 42."), USER]]


async def test_what_has_no_effect_is_named_once(call: StartCall) -> None:
    caller, _, endpoint = await call(say("Yes."))
    # Before the initiation, as the package sends it; it must not take the place of that.
    await caller.send("enclave_setup_config", agent_config_dict={})
    assert (await caller.until("error"))["message"] == "type: enclave_setup_config is not served"
    override = {
        "agent": {"prompt": {"prompt": "Be kind.", "llm": "gpt-5"}, "native_mcp_server_ids": []},
        "tts": {"stability": 0.5},
        "conversation": {"text_only": True, "client_events": ["audio"]},
    }
    await caller.send(INITIATION, conversation_config_override=override)
    place = "without effect here: conversation_config_override."
    named = (await caller.until("error"))["message"]
    assert named.startswith(place) and named.removeprefix(place).split(", conversation_config_override.") == [
        "agent.prompt.llm",
        "conversation.client_events",
        "tts.stability",
    ]
    file = {"file_id": "f", "mime_type": "image/png"}
    await caller.send("multimodal_message", text={"type": "user_message", "text": "Look"}, file=file)
    assert (await caller.until("error"))["message"].startswith("file: files are not served")
    assert (await caller.until("agent_response"))["agent_response"] == "Yes."
    assert endpoint.said == [[("system", "Be kind."), ("user", "Look")]]
    assert len(caller.of("error")) == 3


TOOLS = "conversation_config_override.agent.prompt.tools"
WEATHER = {
    "type": "client",
    "name": "weather",
    "description": "The weather.",
    "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
    "expects_response": True,
    "response_timeout_secs": 0.1,
}


async def test_tools_are_the_clients(call: StartCall) -> None:
    asked = Answer(["Let me look."], calls=[("weather", '{"town": "Lima"}'), ("broken", "[1]")])
    late = Answer(calls=[("weather", "{}")])
    caller, _, endpoint = await call(asked, say("It rains."), late, say("Sorry."), agent_id="../agents/x")
    prompt = {"prompt": "Be kind.", "tools": [WEATHER, {"type": "webhook", "name": "hook"}]}
    await caller.send(
        INITIATION,
        conversation_config_override={"agent": {"prompt": prompt}},
        custom_llm_extra_body={"tools": [{"type": "function", "function": {"name": "broken"}}]},
    )
    refused = await caller.until("error")
    assert refused["message"].startswith(f"{TOOLS}[1].type: only client tools")
    await caller.send("user_message", text="Does it rain?")
    wanted = await caller.until("client_tool_call")
    place = {"tool_name": "weather", "tool_call_id": "call_weather", "parameters": {"town": "Lima"}}
    assert wanted.items() >= place.items()
    await caller.send("client_tool_result", tool_call_id="call_weather", result="rain", is_error=False)
    await caller.until("agent_response")
    assert caller.of("agent_response")[0]["agent_response"] == "Let me look."
    assert (await caller.until("agent_response"))["agent_response"] == "It rains."
    names = [tool["function"]["name"] for tool in endpoint.requests[0]["tools"]]
    assert names == ["weather", "broken"]
    system, user, assistant, *results = endpoint.requests[1]["messages"]
    assert (system["content"], user["content"]) == ("Be kind.", "Does it rain?")
    assert [each["id"] for each in assistant["tool_calls"]] == ["call_weather", "call_broken"]
    contents = {each["tool_call_id"]: each["content"] for each in results}
    assert contents == {"call_weather": "rain", "call_broken": NO_OBJECT}
    # A client that does not answer is not waited for without end.
    await caller.send("user_message", text="And now?")
    await caller.until("client_tool_call")
    assert (await caller.until("agent_response"))["agent_response"] == "Sorry."
    assert endpoint.said[-1][-1] == ("tool", "error: nothing has come within 0.1 s")
    assert len(caller.of("client_tool_call")) == 2


@pytest.mark.parametrize("given", [{}, {"expects_response": False}, {"expects_response": None}])
async def test_result_that_is_not_expected_is_not_waited_for(call: StartCall, given: dict[str, Any]) -> None:
    """ElevenLabs' own default: a tool is awaited where it says so."""
    caller, _, endpoint = await call(Answer(calls=[("weather", "{}")]), say("Done."))
    tool = WEATHER | {"response_timeout_secs": 600}
    del tool["expects_response"]
    await caller.initiate(agent={"prompt": {"tools": [tool | given]}}, text_only=True)
    await caller.send("user_message", text="Show me the weather")
    await caller.until("client_tool_call")
    await caller.send("client_tool_result", tool_call_id="call_weather", result="too late")
    assert (await caller.until("agent_response"))["agent_response"] == "Done."
    assert endpoint.said[1][-1] == ("tool", NO_RESULT)


@pytest.mark.parametrize(
    "given",
    [
        {"custom_llm_extra_body": {"tools": [{"type": "function", "function": {"name": "weather"}}]}},
        {"custom_llm_extra_body": {"tools": [WEATHER | {"response_timeout_secs": -1}]}},
    ],
)
async def test_result_is_waited_for(call: StartCall, given: dict[str, Any]) -> None:
    """That of a function as chat completions have it, and one without an end."""
    caller, _, endpoint = await call(Answer(calls=[("weather", "{}")]), say("Done."))
    await caller.send(INITIATION, **given)
    await caller.send("user_message", text="Does it rain?")
    await caller.until("client_tool_call")
    await caller.send("client_tool_result", tool_call_id="call_weather", result="rain")
    assert (await caller.until("agent_response"))["agent_response"] == "Done."
    assert endpoint.said[1][-1] == ("tool", "rain")


@pytest.mark.parametrize("queued", [False, True])
async def test_speech_interrupts_all_that_still_plays(call: StartCall, queued: bool) -> None:
    """The answer after a tool's result is made while the one that called it plays."""
    second = say("It rains.") if queued else say("It rains.", holds={0: asyncio.Event()})
    caller, _, endpoint = await call(Answer([LONG], calls=[("weather", "{}")]), second, say("Yes."))
    await caller.initiate(agent={"prompt": {"tools": [WEATHER | {"response_timeout_secs": 600}]}})
    await caller.send("user_message", text="Does it rain?")
    await caller.until("client_tool_call")
    await caller.send("client_tool_result", tool_call_id="call_weather", result="rain")
    await caller.until("agent_response")
    if queued:
        await caller.until("agent_response")
    await happens(lambda: len(endpoint.requests) == 2)
    await caller.speak(*TURN)
    await caller.until("interruption")
    while (await caller.until("agent_response"))["agent_response"] != "Yes.":
        pass
    corrections = [
        (body["original_agent_response"], body["corrected_agent_response"])
        for body in caller.of("agent_response_correction")
    ]
    heard = corrections[0][1]
    assert corrections == [(LONG, heard), ("It rains.", "")][: 1 + queued]
    assert LONG.startswith(heard) and len(heard) < len(LONG) / 2
    assert ("assistant", "It rains.") not in endpoint.said[-1]
    assert len(caller.of("interruption")) == 1


async def test_text_without_speech(call: StartCall) -> None:
    caller, server, endpoint = await call(say("Hi there."), say(LONG), say("Fine."))
    await caller.initiate(text_only=True)  # as the package for Python has it
    await caller.send("contextual_update", text="The page is 1.", context_id="page")
    await caller.send("contextual_update", text="The user is Ana.")
    await caller.send("contextual_update", text="The page is 2.", context_id="page")
    await caller.speak(*TURN)  # is not heard
    await caller.send("user_message", text="Hello")
    assert (await caller.until("agent_response"))["agent_response"] == "Hi there."
    assert endpoint.said == [[("system", "Be brief.\nThe user is Ana.\nThe page is 2."), ("user", "Hello")]]
    await caller.send("user_message", text="Look")
    await caller.until("agent_response")
    assert not caller.of("audio") and not server.engine.segments and not caller.of("user_transcript")


NOT_SERVED = [
    ("feedback", {"event_id": 1, "score": "like"}, "no conversation is kept"),
    ("mcp_tool_approval_result", {"tool_call_id": "a", "is_approved": True}, "no call of an MCP tool waits"),
]


async def test_known_messages_that_are_not_served_are_named(call: StartCall) -> None:
    caller, _, _ = await call(say("Hi."))
    await caller.initiate()
    for kind, fields, reason in NOT_SERVED:
        await caller.send(kind, **fields)
        error = await caller.until("error")
        assert error["message"].startswith(f"type: {kind} is not served: {reason}")
    await caller.send("user_message", text="Hello")
    assert (await caller.until("agent_response"))["agent_response"] == "Hi."


async def test_pings_tell_how_long_the_last_one_took(
    call: StartCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PING_S", 0.2)
    caller, _, _ = await call(say("Hi."))
    caller.answers_pings = False
    await caller.initiate()
    unanswered = [await caller.ping() for _ in range(3)]
    # Neither of them is the last one.
    for event_id in (99, unanswered[0]["event_id"]):
        await caller.send("pong", event_id=event_id)
    await caller.send("feedback")
    await caller.until("error")
    await caller.ping()
    assert {ping["ping_ms"] for ping in caller.pings} == {None}
    caller.answers_pings = True
    while (told := (await caller.ping())["ping_ms"]) is None:
        pass
    assert 1 <= told < 1000 * WITHIN_S


async def test_activity_keeps_the_conversation_open(call: StartCall, monkeypatch: pytest.MonkeyPatch) -> None:
    idle_s = 3.0
    monkeypatch.setattr(connection, "LIMITS", ConnectionLimits(60.0, idle_s))
    with virtual_time():
        caller, _, _ = await call(say("Hi."))
        await caller.initiate(text_only=True)
        for _ in range(8):
            await asyncio.sleep(idle_s / 2)
            await caller.send("user_activity")
        await caller.send("user_message", text="Hello")
        assert (await caller.until("agent_response"))["agent_response"] == "Hi."
        code, reason = await caller.closed()
    assert code == 1000 and reason == "no event came for 3 s" and len(caller.of("error")) == 1


async def test_listeners_sound_lets_the_answer_go_on(call: StartCall) -> None:
    hears = PausingRecognizer(words=("Mhm.", "", ""))
    caller, _, endpoint = await call(say("this is a long answer to you " * 2), recognizer=hears)
    await caller.initiate()
    await caller.send("user_message", text="Tell me")
    await caller.until("agent_response")
    await caller.speak(loud(0.24, RATE), quiet(0.8, RATE))
    await asyncio.sleep(caller.left_s)  # until it is played
    await caller.send("feedback")
    await caller.until("error")
    assert not caller.of("interruption") and not caller.of("user_transcript")
    assert len(endpoint.requests) == 1


async def test_written_message_interrupts(call: StartCall) -> None:
    caller, _, endpoint = await call(say(LONG), say("Yes."))
    await caller.initiate(conversation={"text_only": False})
    await caller.send("user_message", text="Tell me")
    await caller.until("audio")
    await caller.send("user_message", text="Stop")
    await caller.until("interruption")
    correction = await caller.until("agent_response_correction")
    assert len(correction["corrected_agent_response"]) < len(LONG)
    assert (await caller.until("agent_response"))["agent_response"] == "Yes."
    assert endpoint.said[-1][-1][1].endswith("Stop")


async def test_agent_of_a_file_hangs_up(call: StartCall, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "agents"
    folder.mkdir(parents=True)
    agent = {"agent": {"prompt": {"prompt": "Be a host.", "tools": HANGS_UP}, "first_message": "Welcome."}}
    (folder / "host.json").write_text(json.dumps({"agent_id": "host", "conversation_config": agent}))
    goodbye = Answer(["Goodbye", " now."], calls=[("end_call", "{}")])
    caller, _, endpoint = await call(goodbye, agent_id="host")
    await caller.initiate()
    await caller.listen()
    await caller.send("user_message", text="Bye")
    began = time.monotonic()
    assert await caller.closed() == (1000, "the agent has ended the call")
    kinds = [kind for kind, _ in caller.seen]
    assert kinds[-1] == "agent_tool_response" and caller.seen[-1][1]["tool_name"] == "end_call"
    assert [body["agent_response"] for body in caller.of("agent_response")] == ["Welcome.", "Goodbye now."]
    # The user has heard it to its end.
    last = caller.of("agent_response")[0]["event_id"]
    assert time.monotonic() - began >= len(caller.samples(last)) / RATE
    assert endpoint.said[0][0] == ("system", "Be a host.")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"tts": {"speed": 9}}', "agents/host.json.tts.speed: must be"),
        ("{", "agents/host.json: is not JSON"),
        ("[]", "agents/host.json: a JSON object is expected, not a list"),
        (" " * (MAX_FILE + 1), f"agents/host.json: cannot be read: longer than {MAX_FILE} bytes"),
    ],
)
async def test_wrong_file_is_named(call: StartCall, tmp_path: Path, content: str, reason: str) -> None:
    folder = tmp_path / "data" / "agents"
    folder.mkdir(parents=True)
    (folder / "host.json").write_text(content)
    caller, _, _ = await call(agent_id="host")
    await caller.send(INITIATION)
    code, said = await caller.closed()
    assert code == 1008 and said.startswith(reason) and str(tmp_path) not in said


async def test_what_is_said_to_a_goodbye_goes_on(call: StartCall) -> None:
    goodbye = Answer([LONG[:109]], calls=[("end_call", "{}")])
    caller, _, _ = await call(goodbye, say("Yes."))
    await caller.initiate(agent={"prompt": {"tools": HANGS_UP}})
    await caller.send("user_message", text="Bye")
    await caller.until("agent_response")
    await caller.speak(*TURN[:2])  # the turn goes on when the goodbye would have ended
    await caller.until("interruption")
    await asyncio.sleep(caller.left_s + 0.5)
    await caller.speak(TURN[2])
    assert (await caller.until("agent_response"))["agent_response"] == "Yes."


@pytest.mark.parametrize("calls", [["end_call"], ["weather", "end_call"], ["end_call", "weather"]])
async def test_words_are_told_before_the_agent_hangs_up(
    call: StartCall, monkeypatch: pytest.MonkeyPatch, calls: list[str]
) -> None:
    """Also where the same answer calls a tool without a result."""
    monkeypatch.setattr("kani.core.turns.second_hearing.LATE_S", WITHIN_S)
    recognizer = HearsAgain("Nineteen.")
    caller, *_ = await call(Answer(["Bye."], calls=[(name, "{}") for name in calls]), recognizer=recognizer)
    tools = [*HANGS_UP, WEATHER | {"expects_response": False}]
    await caller.initiate(agent={"prompt": {"tools": tools}})
    await caller.speak(quiet(0.4, RATE), loud(1.6, RATE), quiet(2.0, RATE))
    await caller.until("agent_response")
    hanging_up = asyncio.create_task(caller.closed())
    await asyncio.wait([hanging_up], timeout=caller.left_s + 0.3)
    assert not hanging_up.done()
    recognizer.go_on.set()
    await hanging_up
    assert [body["user_transcript"] for body in caller.of("user_transcript")] == ["Nineteen."]


async def test_user_is_faster_than_the_greeting(call: StartCall) -> None:
    caller, _, _ = await call(say("Yes."))
    await caller.send(INITIATION, conversation_config_override={"agent": {"first_message": "Welcome."}})
    await caller.send("user_message", text="Are you there?")
    while (await caller.until("agent_response"))["agent_response"] != "Yes.":
        pass


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"agent": {"language": "xx"}}, "xx"),
        ({"tts": {"voice_id": "nobody"}}, "nobody"),
        ({"agent": {"first_message": 1}}, "conversation_config_override.agent.first_message: must be"),
        ({"agent": {"first_message": "{{long}}" * 1001}}, "dynamic_variables: too long in the text"),
        *(
            (
                {"agent": {"prompt": {"tools": [WEATHER | {"response_timeout_secs": seconds}]}}},
                f"{TOOLS}[0].response_timeout_secs: has to be",
            )
            for seconds in (0, -0.5)
        ),
        ({"conversation_config": []}, "conversation_config_override.conversation_config: must be an object"),
    ],
)
async def test_wrong_override_is_refused(call: StartCall, fields: dict[str, Any], reason: str) -> None:
    caller, _, _ = await call(say("Hi."))
    variables = {"long": 100 * "a"}
    await caller.send(INITIATION, conversation_config_override=fields, dynamic_variables=variables)
    code, said = await caller.closed()
    assert code == 1008 and reason in said and not caller.seen


async def test_wrong_messages_change_nothing(call: StartCall) -> None:
    caller, _, _ = await call(say("Hi."))
    await caller.until("conversation_initiation_metadata")  # it comes unasked, too
    wrong: dict[str, str | bytes] = {
        "the message: is not JSON": "{",
        "type: unknown message 'dance'": '{"type": "dance"}',
        'text: must be {"text": a string': '{"type": "multimodal_message", "text": "a"}',
        "user_audio_chunk: is not base64": '{"user_audio_chunk": "?"}',
        "text: is needed": '{"type": "contextual_update"}',
        f"type: {INITIATION} comes once": f'{{"type": "{INITIATION}"}}',
        "binary messages are not supported": b"1",
    }
    for reason, message in wrong.items():
        await caller.websocket.send(message)
        error = await caller.until("error")
        assert error["message"].startswith(reason) and error["error_type"] == "invalid_message"
    await caller.send("user_message", text="Hello")
    assert (await caller.until("agent_response"))["agent_response"] == "Hi."


async def test_what_the_model_does_wrong_is_told(call: StartCall) -> None:
    caller, _, _ = await call(Answer(status=500, error={"error": {"message": "no memory"}}))
    await caller.initiate()
    await caller.send("user_message", text="Hello")
    error = await caller.until("error")
    assert error["error_type"] == "llm_error" and "no memory" in error["message"]


async def test_calls_before_the_conversation(tmp_path: Path) -> None:
    async with answering(tmp_path, say("Hi."), KANI_API_KEYS="secret", KANI_HOST="0.0.0.0") as (server, _):
        key = {"xi-api-key": "secret"}
        path = f"{PATH}/get-signed-url?agent_id=a%26b"
        url = (await server.get(path, headers=key)).json()["signed_url"]
        assert url.startswith(f"{server.url}{PATH}?agent_id=a%26b&token=")
        missing = await server.get(f"{PATH}/get-signed-url", headers=key)
        assert missing.status_code == 400 and missing.json()["detail"]["message"] == "agent_id: is needed"
        async with connect(url, subprotocols=["convai"]) as websocket:  # type: ignore[list-item]
            assert websocket.subprotocol == "convai"
            await Caller(websocket).initiate()
        async with connect(url) as again:
            assert (await Caller(again).closed())[0] == 1008  # the token is used up
    async with serving(tmp_path) as server, calling(server.url) as caller:
        assert await caller.closed() == (1011, NO_MODEL)


async def test_conversations_that_break_off_leave_nothing(call: StartCall) -> None:
    never = asyncio.Event()
    caller, server, _ = await call(say("One two three. And " + LONG, holds={8: never}))
    await caller.initiate()
    for at in range(6):
        async with calling(server.url) as dropped:
            await dropped.initiate()
            if at % 2:
                await dropped.send("user_message", text="Tell me")
                await dropped.until("audio")
            else:
                await dropped.speak(*TURN[:2])
            dropped.websocket.transport.abort()
    await caller.websocket.close()
    for name in ("kani_connections", "kani_sessions", "kani_recognition_sessions"):
        async with asyncio.timeout(WITHIN_S):
            while await server.figure(name):
                await asyncio.sleep(0.01)
    assert not server.service.budgets.conversations.used
