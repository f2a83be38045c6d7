"""The client of chat endpoints: what real servers send, on a real socket."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from kani.core import chat_model
from kani.core.chat_model import ChatEnd, ChatEvent, ChatFailed, ChatRequest, ChatText, ToolCall
from kani.core.errors import EngineUnavailable
from kani.engines.chat import endpoint as endpoint_module
from kani.engines.chat.endpoint import MAX_UNREADABLE, ChatEndpoint, ChatSettings
from kani.engines.chat.reasoning import ReasoningFilter
from tests.support.chat.endpoint import Answer, Script, chat_endpoint, say
from tests.support.chat.endpoint import ChatEndpoint as Served
from tests.support.patience import WITHIN_S, happens

KEY = "sk-geheim-1234"
REQUEST = ChatRequest((chat_model.ChatMessage("user", "Hello."),))
TOOL = chat_model.Tool("weather", "Tells it.", {"type": "object", "properties": {"city": {"type": "string"}}})

DEEP = [500, 900, 3_000, 100_000]


async def answers(model: ChatEndpoint, request: ChatRequest = REQUEST) -> list[ChatEvent]:
    async with aclosing(model.answer(request)) as events:
        return [event async for event in events]


@asynccontextmanager
async def serving(
    script: Script, named: str | None = None, models: Sequence[str] = ("tiny",), **settings: Any
) -> AsyncIterator[tuple[ChatEndpoint, Served]]:
    """A model, by its name if one is given, and its server."""
    async with chat_endpoint(script, models=[*models]) as served:
        model = ChatEndpoint(ChatSettings(served.url, named, **settings))
        try:
            yield model, served
        finally:
            await model.stop()


async def asked(script: Script, request: ChatRequest = REQUEST, **settings: Any) -> list[ChatEvent]:
    async with serving(script, **settings) as (model, _):
        return await answers(model, request)


def text_of(events: list[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, ChatText))


async def test_text_comes_in_pieces_with_usage_and_long_answers_end() -> None:
    odd = [": OPENROUTER PROCESSING\n\n", 'data: {"id": "1"}\n\n', 'data: {"choices": []}\r\n\r\n']
    events = await asked(lambda _: say("It is a fine day.", before=odd))
    pieces = [ChatText(piece) for piece in ("It", " is", " a", " fine", " day.")]
    assert events == [*pieces, ChatEnd("stop", chat_model.ChatUsage(11, 7, 3))]
    events = await asked(lambda _: say("one two three"), max_characters=6)
    assert text_of(events) == "one tw"
    assert isinstance(events[-1], ChatEnd) and events[-1].reason == "length"


async def test_reasoning_is_never_given_out() -> None:
    thought = 'data: {"choices": [{"delta": {"reasoning_content": "Hm.", "content": null}}]}\n\n'
    parts = [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "So: "}]
    listed = f"data: {json.dumps({'choices': [{'delta': {'content': parts}}]})}\n\n"
    pieces = ["<th", "ink>They", " want", " x</thi", "nk>\n\n", "Two", " < three."]
    events = await asked(lambda _: Answer(pieces, before=[thought, listed]))
    assert text_of(events) == "So: \n\nTwo < three."


@pytest.mark.parametrize(
    ("pieces", "leads", "left", "unopened"),
    [
        (["<think>a</think>b"], False, "b", False),
        (["\n<thi", "nk>a<", "/think>", " b"], False, "b", False),
        (["a <", "b> c"], False, "a <b> c", False),
        (["a<think"], False, "a<think", False),
        (["a<think>b"], False, "a", False),
        (["<think>a</think>b<think>c</think>d"], False, "bd", False),
        (["Hm. </thi", "nk> b"], False, "Hm.  b", True),
        (["Hm. </think>b</think> c"], False, "c", True),
        (["Hm. a</th", "ink>\nb", "c"], True, "bc", True),
        (["<think>Hm.</think>b"], True, "b", False),
        ([" a b", " c"], True, "a b c", False),
    ],
)
def test_marks_of_reasoning_may_be_cut(pieces: list[str], leads: bool, left: str, unopened: bool) -> None:
    """Anywhere; of a lead the opening one may be missing."""
    filtered = ReasoningFilter(leads=leads)
    assert "".join(map(filtered.feed, pieces)) + filtered.finish() == left
    assert filtered.unopened is unopened


async def test_reasoning_without_an_opening_mark_is_spoken_once(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(lambda _: say("Hm. I think.</think> Yes."), "tiny") as (model, served):
        assert text_of(await answers(model)) == "Hm. I Yes."
        for _ in range(2):
            assert text_of(await answers(model)) == "Yes."
        served.script = lambda _: say("Two plain words.")
        for _ in range(2):
            assert text_of(await answers(model)) == "Two plain words."
    assert caplog.text.count("--reasoning-parser") == 1


async def test_request_and_calls_of_tools() -> None:
    call = ToolCall("call_1", "weather", '{"city": "Oslo"}')
    messages = (
        chat_model.ChatMessage("system", "Be brief."),
        chat_model.ChatMessage("assistant", "", (call,)),
        chat_model.ChatMessage("tool", "sunny", call_id="call_1"),
    )
    request = ChatRequest(messages, (TOOL,), "weather", 50)
    called = Answer(calls=[("weather", '{"city": "Rome"}'), ("b", "")])
    async with serving(lambda _: called, api_key=KEY) as (model, served):
        events = await answers(model, request)
    called_tools = [ToolCall("call_weather", "weather", '{"city": "Rome"}'), ToolCall("call_b", "b", "")]
    assert events[:2] == called_tools
    assert served.paths == ["/v1/models", "/v1/chat/completions"]
    assert {headers["authorization"] for headers in served.headers} == {f"bearer {KEY}"}
    body = served.requests[0]
    assert (body["model"], body["stream"], body["max_tokens"]) == ("tiny", True, 50)
    function = {"name": "weather", "description": "Tells it.", "parameters": dict(TOOL.parameters)}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    written = {"name": "weather", "arguments": '{"city": "Oslo"}'}
    assert body["messages"][1]["content"] is None
    assert body["messages"][1]["tool_calls"] == [{"id": "call_1", "type": "function", "function": written}]
    assert body["messages"][2] == {"role": "tool", "content": "sunny", "tool_call_id": "call_1"}


async def test_calls_that_share_an_index_stay_apart() -> None:
    data = ""
    for name in ("a", "b"):
        piece = {"index": 0, "id": name, "function": {"name": name, "arguments": {"a": 1}}}
        data += f"data: {json.dumps({'choices': [{'delta': {'tool_calls': [piece]}}]})}\n\n"
    events = await asked(lambda _: Answer(before=[data]))
    assert events[:2] == [ToolCall("a", "a", '{"a":1}'), ToolCall("b", "b", '{"a":1}')]


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (Answer(status=401, error={"error": {"message": KEY}}), "unauthorized", "KANI_LLM_API_KEY"),
        (Answer(status=404, error={"error": "model 'tiny' not found"}), "unknown_model", "'tiny' not found"),
        (Answer(status=400, error={"object": "error", "message": f"no {KEY}"}), "refused", "no (key)"),
        (Answer(status=400, error={"message": "x" * 295 + KEY}), "refused", "xx(key)"),
        (Answer(status=429, error={}), "rate_limited", "no more requests"),
        (Answer(status=500, error="?"), "failed", "HTTP 500"),
        (Answer(error="<html>"), "failed", "sent no stream"),  # a page, at an address without /v1
        *((Answer(status=500, error=f'{{"error": {"[" * n + "]" * n}}}'), "failed", "") for n in DEEP),
        (Answer(before=['data: {"error": {"message": "no memory"}}\n\n']), "failed", "no memory"),
        (say("one two three", dies_after=2), "broken", "broke off"),
        (Answer(["one"], finish=None, dies_after=1), "broken", "broke off"),
        (Answer(before=["data: nonsense\n\n"] * (MAX_UNREADABLE + 1)), "broken", "no chat completion"),
        (Answer(before=["data: " + "x" * 2**20 + "\n\n"]), "broken", "no chat completion"),
    ],
)
async def test_failures_name_their_reason_and_no_key(
    answer: Answer, code: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(ChatFailed) as failed:
        await asked(lambda _: answer, api_key=KEY)
    assert failed.value.code == code and words in str(failed.value), failed.value
    assert KEY not in str(failed.value) + caplog.text


LINES = ["{not json", "[" * 100_000, '{"choices": 5}', '{"choices": [{"delta": {"tool_calls": 1}}]}']


def nested(depth: int) -> str:
    """Parsing it, writing it as JSON and printing it may each nest too deeply."""
    call = f'{{"function": {{"name": "a", "arguments": {"[" * depth + "]" * depth}}}}}'
    return f'{{"choices": [{{"delta": {{"tool_calls": [{call}]}}}}]}}'


@pytest.mark.parametrize("line", [*LINES, *map(nested, DEEP)])
async def test_event_that_cannot_be_read_costs_itself_only(line: str) -> None:
    events = await asked(lambda _: say("One two.", before=[f"data: {line}\n\n"]))
    assert text_of(events) == "One two." and isinstance(events[-1], ChatEnd)


async def test_only_model_is_waited_for_and_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(body: dict[str, Any]) -> Answer:
        known = body["model"] == served.models[0]
        return say("x") if known else Answer(status=404, error={"error": "no such model"})

    monkeypatch.setattr(endpoint_module, "LOADING_RETRY_S", 0.01)
    async with serving(script) as (model, served):
        served.loading = 2
        await answers(model)
        served.models = ["other"]
        with pytest.raises(ChatFailed, match="has no tiny"):
            await answers(model)
        assert text_of(await answers(model)) == "x"


async def test_later_models_take_another_limit() -> None:
    def script(body: dict[str, Any]) -> Answer:
        if "max_tokens" in body:
            error = {"error": {"message": "Use 'max_completion_tokens' instead of 'max_tokens'."}}
            return Answer(status=400, error=error)
        return say(str(body["max_completion_tokens"]))

    request = ChatRequest(REQUEST.messages, max_tokens=9)
    assert text_of(await asked(script, request)) == "9"


async def test_loading_is_told_and_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "WAITING_AFTER_S", 0.02)
    monkeypatch.setattr(endpoint_module, "LOADING_RETRY_S", 0.01)
    loads = [Answer(status=503, error={"error": {"message": "Loading model"}})] * 20
    events = await asked(lambda _: loads.pop() if loads else say("Ready."), stall_s=5)
    assert isinstance(events[0], chat_model.ChatWaiting) and text_of(events) == "Ready."
    with pytest.raises(ChatFailed, match=r"within 0\.1 s") as failed:
        await asked(lambda _: Answer(["x"], holds={0: asyncio.Event()}), first_s=0.1)
    assert failed.value.code == "timeout"


async def test_stall_ends_the_answer_and_its_connection() -> None:
    """So does leaving it."""
    answer = say("one two three", holds={2: asyncio.Event()})
    async with serving(lambda _: answer, "tiny", stall_s=0.1) as (model, served):
        heard: list[ChatEvent] = []
        with pytest.raises(ChatFailed, match=r"nothing more for 0\.1 s"):
            async with aclosing(model.answer(REQUEST)) as events:
                async for event in events:
                    heard.append(event)
        await served.closed.wait()
        assert text_of(heard) == "one two"
        served.closed.clear()
        served.script = lambda _: say("one two three", holds={1: asyncio.Event()})
        async with aclosing(model.answer(REQUEST)) as events:
            assert await anext(events) == ChatText("one")
        await served.closed.wait()
        # A slow one holds no other.
        served.script = lambda _: say("free")
        assert text_of(await answers(model)) == "free"


async def test_second_cancellation_closes_the_stream_too() -> None:
    """Whenever it comes while the first one closes the connection: at each of the loop's turns."""
    for turns in range(8):
        answer = say("one two", holds={1: asyncio.Event()})
        async with serving(lambda _, answer=answer: answer, "tiny") as (model, served):
            reading = asyncio.create_task(answers(model))
            await happens(lambda: served.requests)
            reading.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            async with asyncio.timeout(WITHIN_S):
                await served.closed.wait()


@pytest.mark.parametrize(
    ("models", "named", "reason"),
    [
        (["a", "b"], None, "has 2 models (a, b): name one in KANI_LLM_MODEL"),
        ([], None, "has no model: name one in KANI_LLM_MODEL"),
        (["a", "b"], "c", "has no c, or is no chat endpoint: no such model"),
    ],
)
async def test_start_fails_without_its_model(models: list[str], named: str | None, reason: str) -> None:
    refused = Answer(status=404, error={"error": {"message": "no such model"}})
    async with serving(lambda _: refused, named, models=models) as (model, _):
        with pytest.raises(EngineUnavailable, match=re.escape(reason)) as raised:
            await model.start()
        assert not raised.value.passing
        with pytest.raises(ChatFailed, match=re.escape(reason)):
            await answers(model)


@pytest.mark.parametrize(
    ("models", "named", "status", "found", "asked"),
    [
        (["a"], None, 200, "a", 0),
        (["a", "b"], "b", 200, "b", 0),
        (["b:latest", "c:latest"], "b", 200, "b", 0),
        (["a"], "c", 200, "c", 1),
        *((["tiny"], "b", status, "b", 1) for status in (401, 403, 404, 500)),
    ],
)
async def test_start_finds_the_model_or_believes_the_name(
    models: list[str], named: str | None, status: int, found: str, asked: int
) -> None:
    """By the list, unless it is refused, or else by asking the model."""
    async with serving(lambda _: say("Yes."), named, models, api_key=KEY) as (model, served):
        served.list_status = status
        await model.start()
        assert (model.name, model.description) == (found, f"{found} at {served.url}")
        assert len(served.requests) == asked


async def test_start_goes_on_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(lambda _: say("Yes.")) as (model, served):
        served.loading = 1_000_000
        with monkeypatch.context() as patch:
            patch.setattr(endpoint_module, "START_S", 0.2)
            await model.start()
        assert "no answer in 0.2 s: it may be loading" in model.description
        served.loading, served.list_status = 0, 401
        await model.start()
        assert "requires a key" in model.description
        url = served.url
    model = ChatEndpoint(ChatSettings(url))
    await model.start()
    assert "cannot be reached now: is it running?" in model.description
    with pytest.raises(ChatFailed, match="is it running") as failed:
        await answers(model)
    assert failed.value.code == "unreachable"
    await model.stop()
