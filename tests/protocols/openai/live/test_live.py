"""WS /v1/live/sessions: sound at its pace, words in step with it, interruptions, delegated work, errors."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from kani.core.audio.encoding import AudioFormat
from kani.core.conversation import paced
from kani.protocols.openai.realtime.session_config import FORMATS, PCM
from tests.clients.openai_live import AUDIO, HEARD, SAID, LiveClient, live
from tests.clients.openai_realtime import loud, quiet
from tests.support.chat.endpoint import Answer, ChatEndpoint, say
from tests.support.chat.talking import answering
from tests.support.loudness import PausingRecognizer
from tests.support.servers.serving import InProcessServer, serving

TURN = quiet(0.2), loud(0.4), quiet(1.2)
LONG = " ".join(["this is a long answer"] * 20)
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
RESPONSES = {"type": "responses", "responses": {"model": "gpt-5.6-luna", "tools": [WEATHER]}}
FURTHER = {"triggers": [], "store": True, "safety_identifier": "user 1", "idle_timeout_s": None}


class Talk(NamedTuple):
    client: LiveClient
    endpoint: ChatEndpoint
    server: InProcessServer


StartTalk = Callable[..., Awaitable[Talk]]


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[StartTalk]:
    async with AsyncExitStack() as running:

        async def start(*answers: Any, words: Any = (), audio_format: Any = PCM, **session: Any) -> Talk:
            recognizer = PausingRecognizer(words=words)
            server, endpoint = await running.enter_async_context(
                answering(tmp_path, *answers, recognizer=recognizer)
            )
            client = await running.enter_async_context(live(server.url, audio_format, **session))
            return Talk(client, endpoint, server)

        yield start


async def spoken(client: LiveClient, text: str) -> None:
    """Wait until an answer was spoken to its last word, and half a second of silence came after it."""
    await client.until(lambda: client.text().endswith(text) and client.loud_s)
    await client.until(lambda: len(client.samples) / client.rate > client.loud_s[-1] + 0.5)


async def test_sound_comes_as_it_is_heard_and_words_with_it(talk: StartTalk) -> None:
    client, endpoint, _ = await talk(say("Hello there, how is it going?"), instructions="Be kind.")
    started = client.seen[0]
    assert started["type"] == "session.started" and started["client_event_id"] == "start"
    session = started["session"]
    assert session["id"].startswith("live_") and session["status"] == "active"
    assert 3500 < session["expires_at"] - time.time() <= 3600
    await client.say(*TURN)
    await spoken(client, "going?")
    # From the start on, and at no time more of it than was to be heard, but for a small head start.
    begun, _ = client.frames[0]
    ahead_s, sent_s = [], 0.0
    for came, samples in client.frames:
        sent_s += len(samples) / client.rate
        ahead_s.append(sent_s - (came - begun))
    assert max(ahead_s) <= 0.2
    assert not client.samples[: round(client.loud_s[0] * client.rate)].any()
    # Each word comes right before the frame in which it begins.
    words = client.of(SAID)
    assert client.text() == "Hello there, how is it going?"
    for word in words:
        assert 0 <= word["start_ms"] / 1000 - word["at_s"] <= paced.FRAME_S + 0.001
        assert word["end_ms"] >= word["start_ms"]
    assert words[0]["at_s"] == pytest.approx(client.loud_s[0], abs=paced.FRAME_S)
    heard = client.of(HEARD)
    assert [event["start_ms"] for event in heard] == sorted(event["start_ms"] for event in heard)
    assert client.text(HEARD).startswith("w0 w1 ")
    assert endpoint.said == [[("system", "Be kind."), ("user", client.text(HEARD))]]
    closed = await client.close()
    assert closed["type"] == "session.closed" and closed["reason"] == "close_requested"
    assert closed["usage"]["seconds"] == pytest.approx(sent_s, abs=0.5) and client.close_code == 1000
    names = {event["type"] for event in client.seen}
    assert names == {"session.started", SAID, HEARD, "session.closed"}
    assert len({event["event_id"] for event in client.seen}) == len(client.seen)


async def test_words_stop_the_answer_and_the_model_knows_what_was_heard(talk: StartTalk) -> None:
    client, endpoint, _ = await talk(say(LONG), say("Yes."))
    await client.say(*TURN)
    await client.until(lambda: len(client.of(SAID)) > 5)
    sent_s = len(client.samples) / client.rate
    await client.say(loud(0.6), quiet(1.2))
    await spoken(client, "Yes.")
    assert any(after - before > 0.2 for before, after in pairwise(client.loud_s) if after > sent_s)
    heard = dict(endpoint.said[-1])["assistant"]
    assert heard and LONG.startswith(heard) and len(heard) < len(LONG)
    # What the client has of it is what was played.
    assert client.text().removesuffix("Yes.").strip().startswith(heard)
    assert len(client.text()) < len(heard) + 40


async def test_listeners_sound_lets_the_answer_go_on(talk: StartTalk) -> None:
    client, endpoint, _ = await talk(say("this is a long answer to you"), words=("Mhm.", "", ""))
    await client.send("session.commentary.append", content="Speak.", delegation_id=None)
    await client.until(lambda: len(client.of(SAID)) > 2)
    await client.say(loud(0.24), quiet(0.8))
    await spoken(client, "you")
    assert len(endpoint.requests) == 1 and not client.of(HEARD)


async def test_other_formats(talk: StartTalk) -> None:
    _, _, server = await talk(say("Hello."))

    async def speak(audio_format: AudioFormat) -> None:
        async with live(server.url, audio_format) as client:
            rate = audio_format.sample_rate
            assert client.seen[0]["session"]["audio"]["format"] == {"type": audio_format.name, "rate": rate}
            await client.say(quiet(0.2, rate), loud(0.4, rate), quiet(1.2, rate))
            await spoken(client, "Hello.")
            assert client.text(HEARD).startswith("w0 ") and len(client.frames[0][1]) == paced.FRAME_S * rate

    formats = replace(PCM, sample_rate=16_000), FORMATS["audio/pcmu"], FORMATS["audio/pcma"]
    await asyncio.gather(*map(speak, formats))


async def test_commentary_is_answered_and_the_rest_is_known(talk: StartTalk) -> None:
    client, endpoint, _ = await talk(say("Hello."), say("It is late."))
    await client.send("session.instructions.append", event_id="a", content="Be kind.", delegation_id=None)
    appended = await client.next("session.instructions.appended")
    assert appended["client_event_id"] == "a" and appended["end_ms"] >= appended["start_ms"] >= 0
    await client.send("session.thinking.append", content="It is ten.", delegation_id=None)
    await client.next("session.thinking.appended")
    await client.send("session.commentary.append", content="Greet now.", delegation_id=None)
    await client.next("session.commentary.appended")
    await spoken(client, "Hello.")
    assert endpoint.said[0] == [("system", "Be brief.\n\nBe kind.\nIt is ten.\nGreet now."), ("user", "...")]
    # One that comes while an answer is spoken is answered after it.
    await client.send("session.commentary.append", content="Say the time.", delegation_id=None)
    await spoken(client, "It is late.")
    assert client.text().split() == "Hello. It is late.".split()


async def test_muted_microphone_is_silent(talk: StartTalk) -> None:
    client, endpoint, _ = await talk(say("Hello."))
    await client.send("session.input_audio.mute", event_id="m")
    assert (await client.next("session.input_audio.muted"))["client_event_id"] == "m"
    await client.say(*TURN)
    await client.send("session.input_audio.unmute")
    await client.next("session.input_audio.unmuted")
    await client.say(*TURN)
    await spoken(client, "Hello.")
    assert len(endpoint.requests) == 1 and client.text(HEARD).startswith("w0 ")


def inner(client: LiveClient) -> list[dict[str, Any]]:
    return [event["event"] for event in client.of("response.event")]


async def test_tool_is_called_by_delegation_to_responses(talk: StartTalk) -> None:
    asks = Answer(["One moment."], calls=[("weather", '{"city": "Rome"}')])
    client, endpoint, _ = await talk(asks, say("It is sunny."), delegation=RESPONSES)
    assert client.seen[0]["session"]["delegation"]["responses"]["tools"][0]["name"] == "weather"
    await client.say(*TURN)
    await client.until(lambda: len(inner(client)) == 3)
    delegation = client.of("session.delegation.created")[0]["delegation"]
    created, done, completed = inner(client)
    assert delegation["target"] == "responses" and delegation["response_id"] == created["response"]["id"]
    assert [each["type"] for each in (created, done, completed)] == [
        *("response.created", "response.output_item.done", "response.completed")
    ]
    assert completed["response"]["usage"]["input_tokens_details"] == {
        "cached_tokens": 3,
        "cache_write_tokens": 0,
    }
    item = done["item"]
    assert (item["type"], item["status"], item["name"]) == ("function_call", "completed", "weather")
    assert json.loads(item["arguments"]) == {"city": "Rome"}
    await client.send("response.create", event_id="early")
    assert (await client.next("error"))["error"]["client_event_id"] == "early"
    result = {"type": "function_call_output", "call_id": item["call_id"], "output": "sunny"}
    await client.send("response.item.create", item=result)
    await client.send("response.create")
    await spoken(client, "It is sunny.")
    await client.until(lambda: len(inner(client)) == 5)
    assert {event["delegation_id"] for event in client.of("response.event")} == {delegation["id"]}
    assert [each["type"] for each in inner(client)[3:]] == ["response.created", "response.completed"]
    assert client.text() == "One moment. It is sunny."
    assert endpoint.requests[-1]["messages"][-1] == {
        "role": "tool",
        "content": "sunny",
        "tool_call_id": item["call_id"],
    }
    assert endpoint.requests[0]["tools"][0]["function"]["name"] == "weather"


async def test_work_is_handed_over_to_the_client(talk: StartTalk) -> None:
    asks = Answer(calls=[("hand_over", "{}")])
    client, endpoint, _ = await talk(asks, say("I look."), say("It is sunny."), delegation={"type": "client"})
    await client.say(*TURN)
    delegation = (await client.next("session.delegation.created"))["delegation"]
    assert delegation["target"] == "client" and not client.of("response.event")
    await spoken(client, "I look.")
    await client.send("session.commentary.append", content="Sunny.", delegation_id=delegation["id"])
    await spoken(client, "It is sunny.")
    assert len(client.of("session.delegation.created")) == 1
    assert [message["role"] for message in endpoint.requests[-1]["messages"]][-2:] == ["system", "user"]


async def test_fields_of_events_that_have_no_effect_are_named(talk: StartTalk) -> None:
    asks = Answer(calls=[("weather", "{}")])
    client, endpoint, _ = await talk(asks, say("It is sunny."), say("Yes."), delegation=RESPONSES)
    await client.say(*TURN)
    await client.until(lambda: len(inner(client)) == 3)
    result = {
        "type": "function_call_output",
        "output": "sunny",
        "call_id": inner(client)[1]["item"]["call_id"],
    }
    await client.send("response.item.create", item=result)
    await client.send("response.create", event_id="r", response={"instructions": "Shout."})
    notice = await client.next("info")
    assert (notice["message"], notice["client_event_id"]) == ("response: is not served", "r")
    await spoken(client, "It is sunny.")
    known = client.of("session.delegation.created")[0]["delegation"]["id"]
    for event_id, delegation_id in (("none", None), ("known", known), ("unknown", "deleg_none")):
        place = {"event_id": event_id, "delegation_id": delegation_id}
        await client.send("session.thinking.append", content="It is ten.", **place)
    await client.next("session.thinking.appended", 3)
    # The content counts, as that of a client with a delegation of an earlier session.
    notice = await client.next("info", 2)
    assert notice["client_event_id"] == "unknown"
    assert notice["message"].startswith("delegation_id: no delegation has this id")
    await client.say(*TURN)
    await spoken(client, "Yes.")
    assert str(endpoint.said[-1]).count("It is ten.") == 3
    assert len(client.of("info")) == 2


async def test_each_field_without_an_effect_is_named_once_and_not_too_many(talk: StartTalk) -> None:
    client, _, _ = await talk(say("Hello."))
    many = {f"field_{number:03}": 1 for number in range(200)}
    for _ in range(2):
        await client.send("session.input_audio.mute", custom=1, nothing=None, off=False)
    for number in range(10):
        await client.send("session.input_audio.unmute", **many)
        await client.next("session.input_audio.unmuted", number + 1)
    await client.send("session.input_audio.mute")
    await client.next("session.input_audio.muted", 3)
    named = [event["message"].removesuffix(": is not served") for event in client.of("info")]
    assert named == ["custom", *sorted(many)[:99]]


async def test_tools_change_while_it_runs(talk: StartTalk) -> None:
    client, endpoint, _ = await talk(say("Hello."), delegation=RESPONSES)
    other = WEATHER | {"name": "time"}
    given = {
        "type": "responses",
        "acknowledgement_delay_ms": 500,
        "responses": {
            "reasoning": {"effort": "low", "hidden": ["kept by nobody"]},
            "tools": [other, {"type": "web_search"}],
            "instructions": "Tell.",
            "text": {"verbosity": "low"},
        },
    }
    await client.send("session.update", event_id="u", session={"delegation": given})
    updated = await client.next("session.updated")
    assert updated["client_event_id"] == "u"
    backend = updated["session"]["delegation"]["responses"]
    assert [tool["name"] for tool in backend.pop("tools")] == ["time"]
    assert backend["instructions"] == "Tell." and backend["reasoning"] == {"effort": "low"}
    notices = [await client.next("info", count) for count in (1, 2, 3)]
    assert [notice["message"] for notice in notices[:2]] == [
        "session.delegation.acknowledgement_delay_ms: is not served",
        "session.delegation.responses.text: is not served",
    ]
    assert "tools[1].type" in notices[2]["message"]
    assert {notice["client_event_id"] for notice in notices} == {"u"}
    await client.say(*TURN)
    await spoken(client, "Hello.")
    assert endpoint.requests[-1]["tools"][0]["function"]["name"] == "time"
    assert endpoint.said[-1][0] == ("system", "Be brief.\n\nTell.")


BAD: list[tuple[str, dict[str, Any], str, str]] = [
    ("session.start", {}, "invalid_state", "type: the session has started"),
    ("nonsense", {}, "unknown_event", "type: unknown event 'nonsense' (known: session.start, "),
    ("decision.create", {}, "unsupported", "type: decision.create is not served"),
    ("session.output_audio.fixture.play", {"audio": ""}, "unsupported", "type: session.output_audio.fix"),
    (
        "session.commentary.append",
        {"delegation_id": None},
        "missing_required_parameter",
        "content: is required",
    ),
    (
        "session.thinking.append",
        {"content": "x" * 70_000},
        "invalid_value",
        "content: too long (at most 65536",
    ),
    ("session.input_audio.append", {"audio": "%"}, "invalid_value", "audio: is not base64"),
    ("session.update", {"session": {"model": "m"}}, "immutable_parameter", "session.model: cannot change"),
    (
        "session.update",
        {"session": {"delegation": {"type": "responses", "responses": {}}}},
        *("immutable_parameter", "session.delegation.type: cannot change"),
    ),
    ("response.create", {}, "invalid_state", "response.create requires Responses delegation."),
]


async def test_bad_events_are_named(talk: StartTalk) -> None:
    client, _, _ = await talk(say("Hello."))
    for number, (kind, fields, code, message) in enumerate(BAD, 1):
        await client.send(kind, event_id=f"e{number}", **fields)
        event = await client.next("error", number)
        assert event["client_event_id"] == event["error"]["client_event_id"] == f"e{number}"
        assert event["error"]["code"] == code and event["error"]["message"].startswith(message), event
    await client.say(*TURN)
    await spoken(client, "Hello.")


BAD_STARTS: list[tuple[dict[str, Any], str, str]] = [
    (
        {"audio": {"format": {"type": "audio/pcm", "rate": 48_000}}},
        "session.audio.format.rate",
        "16000 or 24000",
    ),
    ({"delegation": {"type": "decisions"}}, "session.delegation.type", "one of client, responses"),
    ({"triggers": [{}]}, "session.triggers", ""),
    ({"input": [{"role": "user", "content": []}]}, "session.input[0].content", ""),
]


@pytest.mark.parametrize(("session", "param", "message"), BAD_STARTS)
async def test_what_cannot_start_ends(
    talk: StartTalk, session: dict[str, Any], param: str, message: str
) -> None:
    _, _, server = await talk(say("Hello."))
    async with live(server.url, **session) as client:
        error = (await client.next("error"))["error"]
        assert error["param"] == param and message in error["message"], error
        await client.until(lambda: client.close_code == 1008)


async def test_without_a_model_the_session_is_forbidden(tmp_path: Path) -> None:
    async with serving(tmp_path, PausingRecognizer()) as server, live(server.url) as client:
        error = (await client.next("error"))["error"]
        assert error["code"] == "forbidden" and "--llm" in error["message"]
        await client.until(lambda: client.close_code == 1008)
        names = {each["id"] for each in (await server.get("/v1/models")).json()["data"]}
        assert "gpt-live-1" not in names and "gpt-realtime" in names


async def test_doors(talk: StartTalk) -> None:
    client, _, server = await talk(say("Hello."), audio={"output": {"voice": "vesper"}}, **FURTHER)
    assert (await client.next("info"))["message"] == "session.store: is not served"
    notice = await client.next("info", 2)
    assert notice["client_event_id"] == "start" and "the default voice speaks" in notice["message"]
    assert notice["message"].startswith("session.audio.output.voice: unknown voice 'vesper'")
    for path in ("/live/sessions", "/openai/v1/live/sessions"):
        async with live(server.url, path=path) as other:
            assert other.seen[0]["type"] == "session.started"
    names = {each["id"] for each in (await server.get("/v1/models")).json()["data"]}
    assert {"gpt-live-1", "gpt-live-1.1"} <= names
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"{server.url}/v1/live/sessions/live_1/attach"):
            pass
    assert refused.value.response.status_code == 404
    async with connect(
        f"{server.url}/v1/live/sessions",
        subprotocols=["openai-insecure-api-key.any"],  # type: ignore[list-item]
    ) as browser:
        assert browser.subprotocol == "openai-insecure-api-key.any"


async def test_fields_of_the_audio_that_are_not_served_are_named(talk: StartTalk) -> None:
    audio = {"input": {"noise_reduction": {"type": "near_field"}}, "output": {"voice": "alloy", "speed": 2}}
    client, _, _ = await talk(say("Hello."), audio=audio)
    notices = [await client.next("info", count) for count in (1, 2)]
    assert [notice["message"] for notice in notices] == [
        "session.audio.input: is not served",
        "session.audio.output.speed: is not served",
    ]


async def test_model_that_fails_is_named_and_the_session_goes_on(talk: StartTalk) -> None:
    down = Answer(status=500, error={"error": {"message": "out of memory"}})
    client, _, _ = await talk(down, say("Hello."))
    await client.say(*TURN)
    error = (await client.next("error"))["error"]
    assert error["type"] == "server_error" and "out of memory" in error["message"]
    await client.say(*TURN)
    await spoken(client, "Hello.")
    assert len(client.of("error")) == 1


async def test_history_is_what_the_session_began_with(talk: StartTalk) -> None:
    history = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "My name is Ana."}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Hello Ana."}]},
        {"role": "developer", "content": [{"text": "She is in a hurry."}]},
    ]
    client, endpoint, _ = await talk(say("Hello."), input=history)
    await client.say(*TURN)
    await spoken(client, "Hello.")
    roles = [role for role, _ in endpoint.said[0]]
    assert roles == ["system", "user", "assistant", "system", "user"]
    assert np.abs(client.samples).max() > 0.1 and AUDIO not in {event["type"] for event in client.seen}
