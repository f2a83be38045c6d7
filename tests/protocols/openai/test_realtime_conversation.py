"""WS /v1/realtime with a language model: turns answered, tools, interruptions, failures."""

import asyncio
import base64
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kani.core.audio.pcm import pcm16
from kani.engines.chat import endpoint as chat
from kani.engines.chat.endpoint import ChatSettings
from kani.protocols.openai.realtime.server_events import EventSender
from tests.clients.openai_realtime import BETA, loud, quiet, realtime, text_item, types
from tests.protocols.health import wait_for_idle
from tests.support.chat.endpoint import Answer, chat_endpoint, say
from tests.support.chat.talking import (
    ANSWER_EVENTS,
    DELTAS,
    HEARD,
    SYSTEM,
    TURN,
    TURN_EVENTS,
    StartTalk,
    ask,
    done,
    names_of,
    transcript_of,
    write,
)
from tests.support.loudness import PausingRecognizer
from tests.support.patience import happens
from tests.support.servers.serving import serving

WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
BOTH = ("user", f"{HEARD}\nw5 w6 w7 w8 w9.")


async def test_a_turn_is_answered_in_the_order_of_events(talk: StartTalk) -> None:
    client, server, endpoint = await talk(say("uno dos tres."))
    session = client.seen[0]["session"]
    assert (session["instructions"], session["tool_choice"]) == ("Be brief.", "auto")
    await client.append(*TURN)
    events = await client.until("response.done")
    assert names_of(events) == [*TURN_EVENTS, *ANSWER_EVENTS]
    response = events[-1]["response"]
    assert transcript_of(events) == "uno dos tres." == response["output"][0]["content"][0]["transcript"]
    usage = response["usage"]
    assert (usage["total_tokens"], usage["input_tokens"], usage["output_tokens"]) == (18, 11, 7)
    assert usage["input_token_details"]["cached_tokens"] == 3
    # It is transcribed though the client did not ask for a transcript.
    assert endpoint.said == [[SYSTEM, ("user", HEARD)]]
    for stage in ("decided", "heard", "first_token", "first_audio"):
        turn = {"protocol": "openai-realtime", "stage": stage}
        assert await server.figure("kani_turn_seconds_count", **turn) == 1


async def test_model_is_told_all_of_twenty_turns(talk: StartTalk) -> None:
    client, server, endpoint = await talk(lambda body: say(f"eco {len(body['messages'])}."))
    await client.configure("realtime", output_modalities=["text"])
    for _ in range(20):
        await client.append(*TURN)
        await done(client)
    texts = [f"w{at} w{at + 1} w{at + 2} w{at + 3} w{at + 4}." for at in range(0, 100, 5)]
    told = [
        each
        for at, text in enumerate(texts)
        for each in (("user", text), ("assistant", f"eco {2 * at + 2}."))
    ]
    assert endpoint.said == [[SYSTEM, *told[: 2 * at + 1]] for at in range(20)]
    await client.websocket.close()
    await wait_for_idle(server)


async def test_answer_has_the_language_of_the_turn(talk: StartTalk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "ChatSettings", partial(ChatSettings, stall_s=3600.0))
    # Fewer than the 24 characters that tell the language where none is expected.
    answer = say("Yes, of course. It is so.", holds={4: asyncio.Event()})
    client, _, _ = await talk(answer)
    await client.append(*TURN)
    await client.until(DELTAS[0])


async def test_tool_is_called_and_its_result_is_answered(talk: StartTalk) -> None:
    calls = [("weather", '{"city": "Oslo"}')]
    client, _, endpoint = await talk(say("espera.", calls=calls), say("hace sol."))
    session = {"tools": [WEATHER], "tool_choice": "auto", "instructions": "Sé breve."}
    session |= {"max_output_tokens": 99}
    updated = await client.configure("realtime", **session)
    assert session.items() <= updated["session"].items()
    await write(client, "¿Qué tiempo hace?")
    events = await client.until("response.done")
    call = events[-1]["response"]["output"][1]
    assert (call["type"], call["name"], call["arguments"]) == ("function_call", *calls[0])
    names = types(events)
    arguments = ["response.function_call_arguments.delta", "response.function_call_arguments.done"]
    of_call = [*ANSWER_EVENTS[1:3], *arguments, *ANSWER_EVENTS[-3:]]
    assert names[names.index(arguments[0]) - 2 :] == of_call
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
    await client.send("conversation.item.create", item=output)
    await client.send("response.create")
    assert transcript_of(await client.until("response.done")) == "hace sol."
    first, second = endpoint.requests
    assert (first["tools"][0]["function"]["name"], first["max_tokens"]) == ("weather", 99)
    assert first["messages"][0]["content"] == "Sé breve."
    asked, result = second["messages"][-2:]
    assert (asked["content"], asked["tool_calls"][0]["id"]) == ("espera.", call["call_id"])
    assert result == {"role": "tool", "content": "sunny", "tool_call_id": call["call_id"]}


async def test_item_without_room_beside_other_conversations_is_refused(talk: StartTalk) -> None:
    client, server, _ = await talk()
    budget = server.service.budgets.conversations
    budget.limit, budget.small = 2000, 100
    await client.send("conversation.item.create", item=text_item("x" * 3000))
    error = (await client.until("error"))[-1]["error"]
    told = (error["type"], error["code"], error["message"])
    assert told == ("server_error", "server_busy", "too much text is being kept: try again later")
    await client.send("conversation.item.create", item=text_item("x" * 50))
    await client.until("conversation.item.done")
    await client.websocket.close()
    await happens(lambda: not budget.used)


async def test_interruption_keeps_exactly_the_words_heard(talk: StartTalk) -> None:
    client, server, endpoint = await talk(say("uno dos tres cuatro cinco seis siete."), say("vale."))
    server.engine.allow = 4
    await client.append(*TURN)
    sent = ""
    while "tres" not in sent:
        sent += transcript_of(await client.until(DELTAS[1]))
    item = client.of("response.output_item.added")[0]["item"]["id"]
    await client.append(*TURN)
    assert (await done(client))["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert server.engine.under_way == 0
    # Words of 0.1 s a letter: 0.3 s of "uno", 0.3 s of "dos", and the half of "tres" is not reached.
    end = {"item_id": item, "content_index": 0, "audio_end_ms": 720}
    await client.send("conversation.item.truncate", **end)
    server.engine.allow = None
    server.engine.moved.set()
    await done(client)
    await client.send("conversation.item.retrieve", item_id=item)
    kept = (await client.until("conversation.item.retrieved"))[-1]["item"]
    assert kept["content"][0]["transcript"] == "uno dos"
    await ask(client, "¿Y qué más?")
    assert ("assistant", "uno dos") in endpoint.said[-1]
    assert len(endpoint.said) == 3


async def test_answers_in_writing_and_outside_the_conversation(talk: StartTalk) -> None:
    client, server, endpoint = await talk(lambda body: say(f"messages: {len(body['messages'])}"))
    await client.configure("realtime", output_modalities=["text"])
    await write(client, "Hola.")
    events = await client.until("response.done")
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert "".join(deltas) == "messages: 2" and len(deltas) == 2
    content = [{"type": "output_text", "text": "messages: 2"}]
    assert events[-1]["response"]["output"][0]["content"] == content
    outside = {"conversation": "none", "instructions": "Sort it.", "metadata": {"a": "b"}}
    await client.send("response.create", response={**outside, "input": [text_item("x")]})
    response = await done(client)
    assert (response["conversation_id"], response["metadata"]) == (None, {"a": "b"})
    assert endpoint.said[-1] == [("system", "Sort it."), ("user", "x")]
    # With the conversation as its input, and without a trace in it.
    await client.send("response.create", response=outside)
    await done(client)
    assert [role for role, _ in endpoint.said[-1]] == ["system", "user", "assistant", "user"]
    assert not server.engine.segments


async def test_beta_names(talk: StartTalk) -> None:
    client, _, _ = await talk(say("uno."), headers=BETA)
    session = {"modalities": ["text"], "instructions": "x", "max_response_output_tokens": 5}
    await client.send("session.update", session=session)
    updated = (await client.until("session.updated"))[-1]["session"]
    assert session.items() <= updated.items()
    await ask(client, "Hola.")
    assert {"response.text.delta", "response.text.done"} <= {*types(client.seen)}


FAILURES = [
    (Answer(status=401, error={"error": {"message": "no"}}), "llm_unauthorized"),
    (Answer(status=404, error={"error": {"message": "model 'm' not found"}}), "llm_unknown_model"),
    (say("uno dos tres cuatro.", dies_after=2), "llm_broken"),
    (say("uno dos tres.", holds={2: asyncio.Event()}), "llm_timeout"),
]


@pytest.mark.parametrize(("answer", "code"), FAILURES, ids=[code for _, code in FAILURES])
async def test_failure_of_the_model_is_an_event(
    talk: StartTalk, answer: Answer, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "ChatSettings", partial(ChatSettings, stall_s=0.2))
    client, _, _ = await talk(answer, say("vale."), KANI_LLM_API_KEY="sk-1")
    response = await ask(client, "Hola.")
    assert (response["status"], response["status_details"]["error"]["code"]) == ("failed", code)
    assert client.of("error")[0]["error"]["code"] == code
    assert "sk-1" not in str(client.seen)
    # What was written before is still said.
    assert [item["content"][0]["transcript"] for item in response["output"]] in ([], ["uno dos"])
    assert (await ask(client, "¿Sigues ahí?"))["status"] == "completed"


async def test_nothing_at_the_address(tmp_path: Path) -> None:
    async with chat_endpoint(lambda _: say("x")) as gone:
        url = gone.url
    async with serving(tmp_path, PausingRecognizer(), KANI_LLM_URL=url) as server:
        async with realtime(server.url, "m=m") as client:
            await client.append(*TURN)
            assert (await client.until("error"))[-1]["error"]["code"] == "llm_unreachable"
            assert (await done(client))["status"] == "failed"


async def test_long_answer_is_incomplete(talk: StartTalk) -> None:
    response = await ask((await talk(say("uno dos.", finish="length"))).client, "Hola.")
    assert (response["status"], response["status_details"]["reason"]) == ("incomplete", "max_output_tokens")


async def test_loading_model_is_told(talk: StartTalk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kani.engines.chat.endpoint.WAITING_AFTER_S", 0.05)
    hold = asyncio.Event()
    client, _, _ = await talk(say("uno.", holds={0: hold}))
    await write(client, "Hola.")
    assert (await client.until("rate_limits.updated"))[-1]["details"]["code"] == "llm_waiting"
    hold.set()
    assert transcript_of(await client.until("response.done")) == "uno."


async def test_silence_after_an_answer_is_broken(talk: StartTalk) -> None:
    client, _, endpoint = await talk(say("a."))
    detection = {"type": "server_vad", "idle_timeout_ms": 200}
    await client.configure("realtime", audio={"input": {"turn_detection": detection}})
    await ask(client, "Hola.")
    names = types(await client.until("response.done"))
    assert names.index("input_audio_buffer.timeout_triggered") < names.index("response.created")
    assert endpoint.said[1][-2:] == [("assistant", "a."), ("user", "...")]


async def test_conversations_do_not_hold_each_other(talk: StartTalk) -> None:
    hold = asyncio.Event()

    def echo(body: dict[str, Any]) -> Answer:
        text = body["messages"][-1]["content"]
        return say(f"eco {text}", holds={0: hold} if text == "lento" else {})

    slow, server, _ = await talk(echo)
    await write(slow, "lento")
    await slow.until("response.created")

    async def other(number: int) -> str:
        async with realtime(server.url, "m=m") as client:
            await ask(client, f"n{number}")
            return transcript_of(client.seen)

    assert await asyncio.gather(*map(other, range(8))) == [f"eco n{number}" for number in range(8)]
    hold.set()
    assert transcript_of(await slow.until("response.done")) == "eco lento"
    # The second one outside may run at the same time as one inside.
    await slow.send("response.create", response={"conversation": "none"})
    await done(slow)


async def test_client_that_leaves_ends_its_request(talk: StartTalk) -> None:
    client, _, endpoint = await talk(say("uno dos.", holds={1: asyncio.Event()}))
    await write(client, "Hola.")
    await client.until("response.created")
    await happens(lambda: endpoint.requests)
    await client.websocket.close()
    await endpoint.closed.wait()


async def test_fields_that_cannot_be_served(talk: StartTalk) -> None:
    client, _, _ = await talk(say("uno."))
    for session, param in (
        ({"tools": [{"type": "mcp", "server_url": "x"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": {"type": "function", "name": "other"}}, "tool_choice"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"instructions": 5}, "instructions"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
    ):
        await client.send("session.update", session={"type": "realtime", "speed": 1.2, **session})
        assert (await client.until("error"))[-1]["error"]["param"] == f"session.{param}"
        updated = (await client.until("session.updated"))[-1]["session"]
        assert updated["audio"]["output"]["speed"] == 1.2
        await client.configure("realtime", speed=1.0)


async def test_half_a_surrogate_pair_ends_no_connection(talk: StartTalk) -> None:
    client, _, endpoint = await talk(say("uno."))
    tool = {**WEATHER, "parameters": {"type": "object", "description": "x\ud83d"}}
    await client.configure("realtime", tools=[tool], instructions="Be brief\ud83d.")
    assert (await ask(client, "Hola\ud83d."))["status"] == "completed"
    assert endpoint.said == [[("system", "Be brief?."), ("user", "Hola?.")]]


@pytest.mark.parametrize("second", ["words", "cough"])
async def test_speech_while_the_model_thinks_joins_the_turn(talk: StartTalk, second: str) -> None:
    """A cough is no words, and does not lose the answer either."""
    hears = PausingRecognizer(words=HEARD.split() + [""] * 5) if second == "cough" else None
    never = say("nunca.", holds={0: asyncio.Event()})
    client, _, endpoint = await talk(never, say("vale."), recognizer=hears)
    await client.append(*TURN)
    await client.until("response.created")
    await happens(lambda: endpoint.requests)  # or it may be cancelled before it is asked
    await client.append(*TURN)
    await endpoint.closed.wait()
    assert transcript_of(await client.until("response.done", 2)) == "vale."
    assert endpoint.said[-1] == [SYSTEM, BOTH if second == "words" else ("user", HEARD)]


async def test_speech_before_the_turn_is_transcribed_joins_it(talk: StartTalk) -> None:
    client, _, endpoint = await talk(say("vale."))
    # In one event, so that the second turn goes on when the words of the first are known.
    samples = np.concatenate([quiet(0.4), loud(0.4), quiet(0.72), loud(0.4), quiet(0.8)])
    await client.send("input_audio_buffer.append", audio=base64.b64encode(pcm16(samples)).decode())
    await done(client)
    assert endpoint.said == [[SYSTEM, BOTH]]


async def test_next_response_begins_after_the_last_event_of_the_one_before(
    talk: StartTalk, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, second, created = EventSender.send, asyncio.Event(), []

    async def slow(self: EventSender, name: str, /, **fields: Any) -> None:
        await send(self, name, **fields)
        if name == "response.created":
            created.append(name)
            if len(created) == 2:
                second.set()
        if name == "response.content_part.done" and len(created) == 1:
            with suppress(TimeoutError):
                await asyncio.wait_for(second.wait(), 0.3)

    monkeypatch.setattr(EventSender, "send", slow)
    hold = asyncio.Event()
    client, _, _ = await talk(say("uno dos.", holds={1: hold}), say("vale."))
    detection = {"type": "server_vad", "interrupt_response": False}
    await client.configure("realtime", audio={"input": {"turn_detection": detection}})
    await client.append(*TURN)
    await client.until("response.created")
    await client.append(*TURN, quiet(1))
    await client.until("conversation.item.done")
    hold.set()
    names = types(await client.until("response.done", 2))
    order = [name for name in names if name in ("response.created", "response.done")]
    assert order == ["response.done", "response.created", "response.done"]
    # The turn in between did not interrupt.
    assert {event["response"]["status"] for event in client.of("response.done")} == {"completed"}
