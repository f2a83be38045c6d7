"""WS /v1/realtime with a language model: turns answered, tools, interruptions, failures."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from kani.core.audio.pcm import pcm16
from kani.core.recognizer import Mark, RecognitionEvent, RecognizedWord, Recognizer
from kani.core.types import Samples
from kani.protocols.openai.realtime.server_events import EventSender
from tests.clients.openai_realtime import BETA, Client, Event, loud, quiet, realtime, text_item, types
from tests.support.chat.endpoint import Answer, ChatEndpoint, Script, chat_endpoint, say
from tests.support.loudness import PausingRecognizer
from tests.support.serving import InProcessServer, serving

TURN = quiet(0.4), loud(0.4), quiet(0.8)
HEARD = "w0 w1 w2 w3 w4."
DELTAS = ("response.output_audio.delta", "response.output_audio_transcript.delta")
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@asynccontextmanager
async def talking(
    folder: Path, script: Script, recognizer: Recognizer | None = None, **environment: str
) -> AsyncIterator[tuple[InProcessServer, ChatEndpoint]]:
    async with chat_endpoint(script) as endpoint:
        fixed = {"KANI_LLM_EARLY": "false"}  # or the number of requests would depend on the machine's load
        fixed |= {"KANI_LLM_URL": endpoint.url, "KANI_LLM_INSTRUCTIONS": "Be brief."}
        environment = fixed | environment
        async with serving(folder, recognizer or PausingRecognizer(), **environment) as server:
            yield server, endpoint


async def write(client: Client, text: str) -> None:
    await client.send("conversation.item.create", item=text_item(text))
    await client.until("conversation.item.done")


async def ask(client: Client, text: str, **response: Any) -> list[Event]:
    await write(client, text)
    await client.send("response.create", response=response)
    return await client.until("response.done")


def transcript_of(events: list[Event]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == DELTAS[1])


async def test_a_turn_is_answered_in_the_order_of_events(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: say("uno dos tres.")) as (server, endpoint):
        async with realtime(server.url, "model=m") as client:
            session = client.seen[0]["session"]
            assert (session["instructions"], session["tool_choice"]) == ("Be brief.", "auto")
            await client.append(*TURN)
            events = await client.until("response.done")
        async with httpx.AsyncClient() as http:
            metrics = (await http.get(f"{server.http_url}/metrics")).text
    assert [name for name in types(events) if name not in DELTAS] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    response = events[-1]["response"]
    assert transcript_of(events) == "uno dos tres." == response["output"][0]["content"][0]["transcript"]
    usage = response["usage"]
    assert (usage["total_tokens"], usage["input_tokens"], usage["output_tokens"]) == (18, 11, 7)
    assert usage["input_token_details"]["cached_tokens"] == 3
    # It is transcribed though the client did not ask for a transcript.
    assert endpoint.said == [[("system", "Be brief."), ("user", HEARD)]]
    for stage in ("decided", "heard", "first_token", "first_audio"):
        assert f'kani_turn_seconds_count{{protocol="openai-realtime",stage="{stage}"}} 1.0' in metrics


async def test_answer_is_spoken_while_it_is_written(tmp_path: Path) -> None:
    hold = asyncio.Event()
    text = "Good morning, this is a fine day. We are going to the market, and then we are coming home."
    answer = say(text, holds={12: hold})
    async with talking(tmp_path, lambda _: answer) as (server, _), realtime(server.url, "m=m") as client:
        await write(client, "Hola.")
        await client.send("response.create")
        await client.until(DELTAS[0])  # the end is not written yet
        hold.set()
        assert (await client.until("response.done"))[-1]["response"]["status"] == "completed"


async def test_answer_begins_sooner_in_the_language_of_the_turn(tmp_path: Path) -> None:
    # Fewer than the 24 characters that tell the language where none is expected.
    answer = say("Yes, of course. It is so.", holds={4: asyncio.Event()})
    async with talking(tmp_path, lambda _: answer, KANI_LLM_STALL_SECONDS="3600") as (server, _):
        async with realtime(server.url, "m=m") as client:
            await client.append(*TURN)
            await client.until(DELTAS[0])


async def test_tool_is_called_and_its_result_is_answered(tmp_path: Path) -> None:
    def script(body: dict[str, Any]) -> Answer:
        if body["messages"][-1]["role"] == "tool":
            return say("hace sol.")
        return say("espera.", calls=[("weather", '{"city": "Oslo"}')])

    async with talking(tmp_path, script) as (server, endpoint), realtime(server.url, "m=m") as client:
        session = {
            "tools": [WEATHER],
            "tool_choice": "auto",
            "instructions": "Sé breve.",
            "max_output_tokens": 99,
        }
        updated = await client.configure("realtime", **session)
        assert session.items() <= updated["session"].items()
        events = await ask(client, "¿Qué tiempo hace?")
        call = events[-1]["response"]["output"][1]
        assert (call["type"], call["name"], call["arguments"]) == (
            "function_call",
            "weather",
            '{"city": "Oslo"}',
        )
        names = types(events)
        assert names[names.index("response.function_call_arguments.delta") - 2 :] == [
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
        await client.send("conversation.item.create", item=output)
        await client.until("conversation.item.done")
        await client.send("response.create")
        assert transcript_of(await client.until("response.done")) == "hace sol."
    first, second = endpoint.requests
    assert (first["tools"][0]["function"]["name"], first["max_tokens"]) == ("weather", 99)
    assert first["messages"][0]["content"] == "Sé breve."
    asked, result = second["messages"][-2:]
    assert (asked["content"], asked["tool_calls"][0]["id"]) == ("espera.", call["call_id"])
    assert result == {"role": "tool", "content": "sunny", "tool_call_id": call["call_id"]}


async def test_interruption_keeps_exactly_the_words_heard(tmp_path: Path) -> None:
    answers = iter([say("uno dos tres cuatro cinco seis siete."), say("vale."), say("eso.")])
    async with talking(tmp_path, lambda _: next(answers)) as (server, endpoint):
        server.engine.allow = 4
        async with realtime(server.url, "m=m") as client:
            await client.append(*TURN)
            sent = ""
            while "tres" not in sent:
                sent += transcript_of(await client.until(DELTAS[1]))
            item = client.of("response.output_item.added")[0]["item"]["id"]
            await client.append(*TURN)
            done = (await client.until("response.done"))[-1]["response"]
            assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
            assert server.engine.under_way == 0
            # Words of 0.1 s a letter: 0.3 s of "uno", 0.3 s of "dos", and the half of "tres" is not reached.
            end = {"item_id": item, "content_index": 0, "audio_end_ms": 720}
            await client.send("conversation.item.truncate", **end)
            server.engine.allow = None
            server.engine.moved.set()
            await client.until("response.done")
            await client.send("conversation.item.retrieve", item_id=item)
            kept = (await client.until("conversation.item.retrieved"))[-1]["item"]
            assert kept["content"][0]["transcript"] == "uno dos"
            await ask(client, "¿Y qué más?")
    assert ("assistant", "uno dos") in endpoint.said[-1]
    assert len(endpoint.said) == 3


async def test_speech_while_the_model_thinks_joins_the_turn(tmp_path: Path) -> None:
    answers = iter([say("nunca.", holds={0: asyncio.Event()}), say("vale.")])
    async with talking(tmp_path, lambda _: next(answers)) as (server, endpoint):
        async with realtime(server.url, "m=m") as client:
            await client.append(*TURN)
            await client.until("response.created")
            while not endpoint.requests:  # or it may be cancelled before it is asked
                await asyncio.sleep(0.01)
            await client.append(*TURN)
            await endpoint.closed.wait()
            events = await client.until("response.done", 2)
    assert transcript_of(events) == "vale."
    assert endpoint.said[-1] == [("system", "Be brief."), ("user", f"{HEARD}\nw5 w6 w7 w8 w9.")]


async def test_answers_in_writing_and_outside_the_conversation(tmp_path: Path) -> None:
    def script(body: dict[str, Any]) -> Answer:
        return say(f"messages: {len(body['messages'])}")

    async with talking(tmp_path, script) as (server, endpoint), realtime(server.url, "m=m") as client:
        await client.configure("realtime", output_modalities=["text"])
        events = await ask(client, "Hola.")
        deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
        assert "".join(deltas) == "messages: 2" and len(deltas) == 2
        assert events[-1]["response"]["output"][0]["content"] == [
            {"type": "output_text", "text": "messages: 2"}
        ]
        outside = {"conversation": "none", "instructions": "Sort it.", "metadata": {"a": "b"}}
        given = {**outside, "input": [text_item("x")]}
        await client.send("response.create", response=given)
        done = (await client.until("response.done"))[-1]["response"]
        assert (done["conversation_id"], done["metadata"]) == (None, {"a": "b"})
        assert endpoint.said[-1] == [("system", "Sort it."), ("user", "x")]
        # With the conversation as its input, and without a trace in it.
        await client.send("response.create", response=outside)
        await client.until("response.done")
        assert [role for role, _ in endpoint.said[-1]] == ["system", "user", "assistant", "user"]
    assert not server.engine.segments


async def test_beta_names(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: say("uno.")) as (server, _):
        async with realtime(server.url, "m=m", additional_headers=BETA) as client:
            session = {"modalities": ["text"], "instructions": "x", "max_response_output_tokens": 5}
            await client.send("session.update", session=session)
            updated = (await client.until("session.updated"))[-1]["session"]
            assert session.items() <= updated.items()
            await client.send("conversation.item.create", item=text_item("Hola."))
            await client.send("response.create")
            events = await client.until("response.done")
    assert "response.text.delta" in types(events) and "response.text.done" in types(events)


FAILURES = [
    (Answer(status=401, error={"error": {"message": "no"}}), "llm_unauthorized"),
    (Answer(status=404, error={"error": {"message": "model 'm' not found"}}), "llm_unknown_model"),
    (say("uno dos tres cuatro.", dies_after=2), "llm_broken"),
    (say("uno dos tres.", holds={2: asyncio.Event()}), "llm_timeout"),
]


@pytest.mark.parametrize(("answer", "code"), FAILURES, ids=[code for _, code in FAILURES])
async def test_failures_of_the_model_are_events_and_the_socket_lives(
    tmp_path: Path, answer: Answer, code: str
) -> None:
    answers = iter([answer, say("vale.")])
    settings = {"KANI_LLM_STALL_SECONDS": "0.2", "KANI_LLM_API_KEY": "sk-1"}
    async with talking(tmp_path, lambda _: next(answers), **settings) as (server, _):
        async with realtime(server.url, "m=m") as client:
            done = (await ask(client, "Hola."))[-1]["response"]
            assert (done["status"], done["status_details"]["error"]["code"]) == ("failed", code)
            assert client.of("error")[0]["error"]["code"] == code
            assert "sk-1" not in str(client.seen)
            # What was written before is still said.
            said = [item["content"][0]["transcript"] for item in done["output"]]
            assert said in ([], ["uno dos"])
            assert (await ask(client, "¿Sigues ahí?"))[-1]["response"]["status"] == "completed"


async def test_nothing_at_the_address(tmp_path: Path) -> None:
    async with chat_endpoint(lambda _: say("x")) as gone:
        url = gone.url
    async with serving(tmp_path, PausingRecognizer(), KANI_LLM_URL=url) as server:
        async with realtime(server.url, "m=m") as client:
            await client.append(*TURN)
            assert (await client.until("error"))[-1]["error"]["code"] == "llm_unreachable"
            assert (await client.until("response.done"))[-1]["response"]["status"] == "failed"


async def test_long_answer_is_incomplete(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: say("uno dos.", finish="length")) as (server, _):
        async with realtime(server.url, "m=m") as client:
            done = (await ask(client, "Hola."))[-1]["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")


async def test_loading_model_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kani.engines.chat.endpoint.WAITING_AFTER_S", 0.05)
    hold = asyncio.Event()
    async with talking(tmp_path, lambda _: say("uno.", holds={0: hold})) as (server, _):
        async with realtime(server.url, "m=m") as client:
            await write(client, "Hola.")
            await client.send("response.create")
            details = (await client.until("rate_limits.updated"))[-1]["details"]
            assert details["code"] == "llm_waiting"
            hold.set()
            assert transcript_of(await client.until("response.done")) == "uno."


async def test_silence_after_an_answer_is_broken(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: say("a.")) as (server, endpoint):
        async with realtime(server.url, "m=m") as client:
            detection = {"type": "server_vad", "idle_timeout_ms": 200}
            await client.configure("realtime", audio={"input": {"turn_detection": detection}})
            await ask(client, "Hola.")
            events = await client.until("response.done")
    names = types(events)
    assert names.index("input_audio_buffer.timeout_triggered") < names.index("response.created")
    assert endpoint.said[1][-2:] == [("assistant", "a."), ("user", "...")]


async def test_conversations_do_not_hold_each_other(tmp_path: Path) -> None:
    hold = asyncio.Event()

    def script(body: dict[str, Any]) -> Answer:
        text = body["messages"][-1]["content"]
        return say(f"eco {text}", holds={0: hold} if text == "lento" else {})

    async with talking(tmp_path, script) as (server, _):
        async with realtime(server.url, "m=m") as slow:
            await write(slow, "lento")
            await slow.send("response.create")
            await slow.until("response.created")

            async def talk(number: int) -> str:
                async with realtime(server.url, "m=m") as client:
                    return transcript_of(await ask(client, f"n{number}"))

            assert await asyncio.gather(*map(talk, range(8))) == [f"eco n{number}" for number in range(8)]
            hold.set()
            assert transcript_of(await slow.until("response.done")) == "eco lento"
            # The second one outside may run at the same time as one inside.
            await slow.send("response.create", response={"conversation": "none"})
            await slow.until("response.done")


async def test_client_that_leaves_ends_its_request(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: say("uno dos.", holds={1: asyncio.Event()})) as (server, endpoint):
        async with realtime(server.url, "m=m") as client:
            await write(client, "Hola.")
            await client.send("response.create")
            await client.until("response.created")
            while not endpoint.requests:
                await asyncio.sleep(0.01)
        await endpoint.closed.wait()


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"tools": [{"type": "mcp", "server_url": "x"}]}, "session.tools[0].type"),
        ({"tools": [{"type": "function"}]}, "session.tools[0]"),
        ({"tool_choice": {"type": "function", "name": "other"}}, "session.tool_choice"),
        ({"tool_choice": "sometimes"}, "session.tool_choice"),
        ({"instructions": 5}, "session.instructions"),
        ({"max_output_tokens": 0}, "session.max_output_tokens"),
    ],
)
async def test_fields_that_cannot_be_served(tmp_path: Path, session: dict[str, Any], param: str) -> None:
    async with talking(tmp_path, lambda _: say("uno.")) as (server, _), realtime(server.url, "m=m") as client:
        await client.send("session.update", session={"type": "realtime", "speed": 1.2, **session})
        assert (await client.until("error"))[-1]["error"]["param"] == param
        assert (await client.until("session.updated"))[-1]["session"]["audio"]["output"]["speed"] == 1.2


async def test_half_a_surrogate_pair_ends_no_connection(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: say("uno.")) as (server, endpoint):
        async with realtime(server.url, "m=m") as client:
            tool = {**WEATHER, "parameters": {"type": "object", "description": "x\ud83d"}}
            await client.configure("realtime", tools=[tool], instructions="Be brief\ud83d.")
            assert (await ask(client, "Hola\ud83d."))[-1]["response"]["status"] == "completed"
    assert endpoint.said == [[("system", "Be brief?."), ("user", "Hola?.")]]


class EarlyWords(PausingRecognizer):
    """Hears a voice, and no words, in what comes after the first second."""

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        async for event in super().recognize(audio, language):
            if not isinstance(event, RecognizedWord) or event.start_s < 1:
                yield event


async def test_cough_before_the_answer_does_not_lose_it(tmp_path: Path) -> None:
    answers = iter([say("nunca.", holds={0: asyncio.Event()}), say("vale.")])
    async with talking(tmp_path, lambda _: next(answers), EarlyWords()) as (server, endpoint):
        async with realtime(server.url, "m=m") as client:
            await client.append(*TURN)
            await client.until("response.created")
            while not endpoint.requests:  # or it may be cancelled before it is asked
                await asyncio.sleep(0.01)
            await client.append(*TURN)
            assert transcript_of(await client.until("response.done", 2)) == "vale."
    assert endpoint.said[-1] == [("system", "Be brief."), ("user", HEARD)]


async def test_speech_before_the_turn_is_transcribed_joins_it(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: say("vale.")) as (server, endpoint):
        async with realtime(server.url, "m=m") as client:
            # In one event, so that the second turn goes on when the words of the first are known.
            samples = np.concatenate([quiet(0.4), loud(0.4), quiet(0.72), loud(0.4), quiet(0.8)])
            audio = base64.b64encode(pcm16(samples)).decode()
            await client.send("input_audio_buffer.append", audio=audio)
            await client.until("response.done")
    assert endpoint.said == [[("system", "Be brief."), ("user", f"{HEARD}\nw5 w6 w7 w8 w9.")]]


async def test_next_response_begins_after_the_last_event_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, second = EventSender.send, asyncio.Event()
    created = []

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
    answers = iter([say("uno dos.", holds={1: hold}), say("vale.")])
    async with talking(tmp_path, lambda _: next(answers)) as (server, _):
        async with realtime(server.url, "m=m") as client:
            detection = {"type": "server_vad", "interrupt_response": False}
            await client.configure("realtime", audio={"input": {"turn_detection": detection}})
            await client.append(*TURN)
            await client.until("response.created")
            await client.append(*TURN, quiet(1))
            await client.until("conversation.item.done")
            hold.set()
            events = await client.until("response.done", 2)
    assert [name for name in types(events) if name in ("response.created", "response.done")] == [
        "response.done",
        "response.created",
        "response.done",
    ]
