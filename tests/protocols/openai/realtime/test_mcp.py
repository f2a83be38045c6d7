"""MCP servers among the tools of a session, over a server of the MCP SDK's."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from kani.protocols.openai.realtime import mcp, mcp_client
from kani.protocols.openai.realtime.server_events import EventSender
from tests.clients.openai_realtime import text_item, types
from tests.support.chat.endpoint import Answer, say
from tests.support.chat.talking import StartTalk, Talk, done, write
from tests.support.patience import happens
from tests.support.servers.asgi import served
from tests.support.servers.mcp_server import ToolServer, tool_server

CLOCK = Answer(["Let me look."], calls=[("clock", '{"zone": "Rome"}')])
PING = b'data: {"id": 1, "method": "ping"}\n\n'
OWN = {"type": "function", "name": "lamp", "parameters": {"type": "object", "properties": {}}}
CALLED = [f"response.mcp_call{step}" for step in ("_arguments.delta", "_arguments.done", ".in_progress")]


@pytest.fixture(params=[False, True], ids=["events", "json"])
async def clocks(request: pytest.FixtureRequest) -> AsyncIterator[ToolServer]:
    async with tool_server(json_response=request.param) as running:
        yield running


def element(clocks: ToolServer, **fields: Any) -> dict[str, Any]:
    return {
        "type": "mcp",
        "server_label": "clocks",
        "server_url": clocks.url,
        "require_approval": "never",
        **fields,
    }


async def begin(talk: StartTalk, clocks: ToolServer, *answers: Any, tools: Any = None, **fields: Any) -> Talk:
    """Start a conversation with the server's tools, once they are listed."""
    begun = await talk(*answers, KANI_MCP_SERVERS=clocks.url)
    tools = [element(clocks, **fields), OWN] if tools is None else tools
    await begun.client.send("session.update", session={"type": "realtime", "tools": tools})
    await begun.client.until("mcp_list_tools.completed")
    await begun.client.until("conversation.item.done")
    return begun


async def test_the_model_calls_a_tool_and_goes_on_with_its_result(
    talk: StartTalk, clocks: ToolServer
) -> None:
    client, _, endpoint = await begin(talk, clocks, CLOCK, say("It is ten."), authorization="secret")
    shown = client.of("session.updated")[-1]["session"]["tools"]
    assert [tool["type"] for tool in shown] == ["function", "mcp"] and "secret" not in json.dumps(shown)
    listed = client.of("conversation.item.done")[-1]["item"]
    assert (listed["type"], listed["server_label"]) == ("mcp_list_tools", "clocks")
    assert [tool["name"] for tool in listed["tools"]] == ["clock", "alarm", "wait"]
    assert listed["tools"][0]["input_schema"]["required"] == ["zone"]
    assert types(client.seen)[-4:] == [
        *("conversation.item.added", "mcp_list_tools.in_progress"),
        *("mcp_list_tools.completed", "conversation.item.done"),
    ]
    # As agents-realtime asks for the item of each list and call.
    await client.send("conversation.item.retrieve", item_id=listed["id"])
    assert (await client.until("conversation.item.retrieved"))[-1]["item"] == listed
    await write(client, "What time is it?")
    first = await done(client)
    assert [item["type"] for item in first["output"]] == ["message", "mcp_call"]
    await client.until("response.mcp_call.completed")
    second = await done(client)
    names = [name for name in types(client.seen) if "mcp_call" in name]
    assert names == [*CALLED, "response.mcp_call.completed"]
    call = next(e["item"] for e in client.of("conversation.item.done") if e["item"]["type"] == "mcp_call")
    assert (call["name"], call["server_label"], call["status"]) == ("clock", "clocks", "completed")
    assert (call["output"], call["error"]) == ("It is ten in Rome.", None)
    assert json.loads(call["arguments"]) == {"zone": "Rome"} and clocks.zones == ["Rome"]
    assert second["output"][0]["content"][0]["transcript"] == "It is ten."
    asked = endpoint.requests[0]["tools"]
    assert {tool["function"]["name"] for tool in asked} == {"clock", "alarm", "wait", "lamp"}
    last = endpoint.requests[-1]["messages"][-2:]
    assert last[0]["tool_calls"][0]["function"]["name"] == "clock"
    assert (last[1]["role"], last[1]["content"]) == ("tool", "It is ten in Rome.")
    assert {headers["authorization"] for _, headers in clocks.asked} == {"Bearer secret"}
    assert not client.of("error")
    await client.websocket.close()
    await happens(lambda: clocks.asked[-1][0] == "DELETE")


async def test_an_answer_that_the_client_asks_for_as_well_is_one(talk: StartTalk, clocks: ToolServer) -> None:
    held = asyncio.Event()
    answer = Answer(["It is ten."], holds={0: held})
    client, _, endpoint = await begin(talk, clocks, CLOCK, answer)
    await write(client, "What time is it?")
    await client.until("response.done")
    await client.until("response.created")
    await client.send("response.create")
    await client.send("conversation.item.create", item=text_item("thanks"))
    await client.until("conversation.item.done")
    held.set()
    assert (await done(client))["status"] == "completed"
    assert len(endpoint.requests) == 2 and not client.of("error")


async def test_a_tool_that_fails_tells_the_model_why(talk: StartTalk, clocks: ToolServer) -> None:
    client, _, endpoint = await begin(talk, clocks, Answer(calls=[("alarm", "{}")]), say("No."))
    await write(client, "Wake me.")
    await client.until("response.mcp_call.failed")
    call = (await client.until("conversation.item.done"))[-1]["item"]
    assert call["error"]["type"] == "tool_execution_error" and "no bell" in call["error"]["message"]
    await client.until("response.done")
    assert "no bell" in endpoint.requests[-1]["messages"][-1]["content"]


async def test_the_user_goes_on_while_a_tool_works(talk: StartTalk, clocks: ToolServer) -> None:
    client, _, endpoint = await begin(
        talk, clocks, Answer(calls=[("wait", "{}")]), say("Yes."), say("Waited.")
    )
    await write(client, "Wait.")
    await done(client)
    await write(client, "Are you there?")
    assert (await done(client))["output"][0]["content"][0]["transcript"] == "Yes."
    clocks.may_answer.set()
    assert (await done(client))["output"][0]["content"][0]["transcript"] == "Waited."
    assert ("tool", "waited") in endpoint.said[-1]


async def test_results_wait_for_those_of_the_clients_functions(talk: StartTalk, clocks: ToolServer) -> None:
    both = Answer(calls=[("clock", '{"zone": "Rome"}'), ("lamp", "{}")])
    client, _, endpoint = await begin(talk, clocks, both, say("Done."))
    await write(client, "Light, and the time.")
    await client.until("response.mcp_call.completed")
    result = {"type": "function_call_output", "call_id": "call_lamp", "output": "lit"}
    await client.send("conversation.item.create", item=result)
    await client.send("response.create")
    await client.until("response.created")
    assert (await done(client))["status"] == "completed"
    assert len(endpoint.requests) == 2
    assert {text for role, text in endpoint.said[-1] if role == "tool"} == {"It is ten in Rome.", "lit"}


async def test_calls_in_a_row_have_an_end(
    talk: StartTalk, clocks: ToolServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp, "MAX_CALLS", 3)
    client, _, endpoint = await begin(talk, clocks, Answer(calls=[("clock", '{"zone": "Rome"}')]))
    await write(client, "What time is it?")
    await client.until("response.mcp_call.completed", 3)
    await client.until("response.output_item.done")
    # A fourth request would have begun before the first of these answers ends.
    for _ in range(2):
        await client.send("response.create", response={"conversation": "none"})
        await done(client)
    assert len(endpoint.requests) == 5


async def test_only_an_answer_that_has_begun_by_itself_is_not_refused_twice(
    talk: StartTalk, clocks: ToolServer
) -> None:
    held = [asyncio.Event(), asyncio.Event()]
    calling = Answer(["Let me", " look."], calls=[("clock", '{"zone": "Rome"}')], holds={1: held[0]})
    client, _, endpoint = await begin(talk, clocks, CLOCK, calling, Answer(["Ten."], holds={0: held[1]}))
    await write(client, "What time is it?")
    await done(client)
    # The answer to the result, with fields of its own.
    await client.until("response.created")
    await client.send("response.create", response={"instructions": "Be loud."})
    assert (await client.until("error"))[-1]["error"]["code"] == "conversation_already_has_active_response"
    held[0].set()
    await done(client)
    await client.until("response.created")
    held[1].set()
    await done(client)
    # An answer to the user, who has given a result as well.
    endpoint.script = lambda _: Answer(["Yes", " indeed."], holds={1: asyncio.Event()})
    await write(client, "Are you there?")
    await client.until("response.created")
    await client.send("response.create")
    assert (await client.until("error"))[-1]["error"]["code"] == "conversation_already_has_active_response"


async def test_calls_of_one_answer_are_answered_once(
    talk: StartTalk, clocks: ToolServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, both_are_there = EventSender.send, asyncio.Barrier(2)

    async def send_late(sender: EventSender, name: str, /, **fields: Any) -> None:
        if name == "response.mcp_call.completed" and await both_are_there.wait() == 0:
            await happens(lambda: len(endpoint.requests) == 2)
        await send(sender, name, **fields)

    monkeypatch.setattr(EventSender, "send", send_late)
    both = Answer(calls=[("wait", "{}"), ("wait", "{}")])
    client, _, endpoint = await begin(talk, clocks, both, say("Done."))
    await write(client, "Wait twice.")
    await done(client)
    clocks.may_answer.set()
    told = await client.until("response.mcp_call.completed", 2)
    if all(event["type"] != "response.done" for event in told):  # it may come before the second result
        await done(client)
    await client.send("response.create", response={"conversation": "none"})
    await done(client)
    assert len(endpoint.requests) == 3


async def test_a_result_after_those_of_the_clients_functions_is_answered(
    talk: StartTalk, clocks: ToolServer
) -> None:
    both = Answer(calls=[("wait", "{}"), ("lamp", "{}")])
    client, _, endpoint = await begin(talk, clocks, both, say("It is lit."), say("Waited."))
    await write(client, "Light, and wait.")
    await done(client)
    result = {"type": "function_call_output", "call_id": "call_lamp", "output": "lit"}
    await client.send("conversation.item.create", item=result)
    await client.send("response.create")
    await done(client)
    clocks.may_answer.set()
    assert (await done(client))["output"][0]["content"][0]["transcript"] == "Waited."
    assert {text for role, text in endpoint.said[-1] if role == "tool"} == {"waited", "lit"}


async def test_a_server_that_is_left_ends_its_requests_and_no_conversation(
    talk: StartTalk, clocks: ToolServer
) -> None:
    client, _, _ = await begin(talk, clocks, Answer(calls=[("wait", "{}")]), say("No."))
    await write(client, "Wait.")
    await done(client)
    await client.configure("realtime", tools=[OWN])
    await client.until("response.mcp_call.failed")
    assert (await done(client))["status"] == "completed"
    assert [method for method, _ in clocks.asked].count("DELETE") == 1


async def test_a_tool_of_a_server_that_was_left_fails(talk: StartTalk, clocks: ToolServer) -> None:
    held = asyncio.Event()
    calling = Answer(["Let me", " look."], calls=[("clock", '{"zone": "Rome"}')], holds={1: held})
    client, _, endpoint = await begin(talk, clocks, calling, say("I cannot."))
    await write(client, "What time is it?")
    await happens(lambda: len(endpoint.requests) == 1)
    await client.configure("realtime", tools=[OWN])
    await happens(lambda: clocks.asked[-1][0] == "DELETE")
    held.set()
    await client.until("response.mcp_call.failed")
    await client.until("response.created")
    assert (await done(client))["status"] == "completed" and not clocks.zones


async def test_a_server_that_is_named_for_a_moment_is_left(talk: StartTalk, clocks: ToolServer) -> None:
    client, _, endpoint = await talk(say("Yes."), KANI_MCP_SERVERS=clocks.url)
    for tools in ([element(clocks)], [OWN], [element(clocks)], [element(clocks)]):
        await client.send("session.update", session={"type": "realtime", "tools": tools})
    await client.until("session.updated", 4)
    if not client.of("mcp_list_tools.completed"):
        await client.until("mcp_list_tools.completed")
    await write(client, "Hello.")
    await done(client)
    assert {tool["function"]["name"] for tool in endpoint.requests[-1]["tools"]} == {"clock", "alarm", "wait"}
    assert len(client.of("mcp_list_tools.completed")) == 1


async def test_a_listing_that_has_failed_is_tried_again(talk: StartTalk, clocks: ToolServer) -> None:
    client, _, _ = await talk(say("Yes."), KANI_MCP_SERVERS=clocks.url)
    for clocks.refuses, outcome in ((True, "error"), (False, "mcp_list_tools.completed")):
        await client.send("session.update", session={"type": "realtime", "tools": [element(clocks)]})
        await client.until(outcome)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"server_url": "http://127.0.0.1:9/mcp"}, "unsupported", "server_url"),
        ({"server_url": None, "connector_id": "c"}, "invalid_type", "server_url"),
        ({"require_approval": "always"}, "invalid_value", "require_approval"),
        ({"headers": {"Host": "example.org"}}, "invalid_value", "headers"),
        ({"authorization": "a\r\nX: b"}, "invalid_value", "authorization"),
        ({"allowed_tools": {"read_only": True}}, "invalid_value", "allowed_tools"),
    ],
)
async def test_an_element_that_is_not_served_goes_by_itself(
    talk: StartTalk, fields: dict[str, Any], code: str, param: str
) -> None:
    listed = ToolServer("http://127.0.0.1:9/listed")
    client, _, _ = await talk(say("uno."), KANI_MCP_SERVERS=listed.url)
    tools = [element(listed) | fields, OWN]
    await client.send("session.update", session={"type": "realtime", "tools": tools})
    error = (await client.until("error"))[-1]["error"]
    assert (error["code"], error["param"]) == (code, f"session.tools[0].{param}")
    updated = (await client.until("session.updated"))[-1]["session"]
    assert [tool["name"] for tool in updated["tools"]] == ["lamp"]


async def test_only_allowed_tools_are_the_models_and_only_while_they_are_named(
    talk: StartTalk, clocks: ToolServer
) -> None:
    allowed = {"tool_names": ["clock"]}
    client, _, endpoint = await begin(talk, clocks, say("Yes."), allowed_tools=allowed)
    for kept, names in ((["voice"], {"clock", "lamp"}), (["tools"], {"lamp"})):
        change = {"tools": [OWN]} if kept == ["tools"] else {"instructions": "Be kind."}
        await client.configure("realtime", **change)
        await write(client, "Hello.")
        await done(client)
        assert {tool["function"]["name"] for tool in endpoint.requests[-1]["tools"]} == names
    # An answer outside the conversation calls none: there is no place for a result.
    await client.send("session.update", session={"type": "realtime", "tools": [element(clocks)]})
    await client.until("mcp_list_tools.completed")
    await client.send("response.create", response={"conversation": "none"})
    await done(client)
    assert "tools" not in endpoint.requests[-1]


@pytest.mark.parametrize(
    ("status", "kind", "body", "reason"),
    [
        (500, "text/plain", b"", "HTTP 500"),
        (307, "text/plain", b"", "HTTP 307"),
        (200, "application/json", b"{", "not MCP"),
        (200, "application/json", b"[" * 5000, "not MCP"),
        (200, "application/json", b'{"id": 1, "error": {"code": -3, "message": "no"}}', ": no"),
        (200, "application/json", b'{"id": 7, "result": {}}', "no result"),
        (200, "text/event-stream", PING + b'data: {"id": 1, "error": {"message": "no"}}\n\n', ": no"),
        (200, "application/json", b" " * (mcp_client.MAX_BYTES + 1), "gave no answer"),
        (200, "text/event-stream", b"data: {}\n\n", "no result"),
    ],
)
async def test_a_server_that_does_not_answer_as_it_should(
    talk: StartTalk, status: int, kind: str, body: bytes, reason: str
) -> None:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", kind.encode()), (b"location", b"http://127.0.0.1:9/")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async with served(answer) as port:
        url = f"http://127.0.0.1:{port}/"
        client, _, endpoint = await talk(say("uno."), KANI_MCP_SERVERS=url)
        tools = [element(ToolServer(url)), OWN]
        await client.send("session.update", session={"type": "realtime", "tools": tools})
        await client.until("mcp_list_tools.failed")
        error = (await client.until("error"))[-1]["error"]
        assert error["code"] == "mcp_list_tools_failed" and reason in error["message"]
        await write(client, "Hello.")
        assert (await done(client))["status"] == "completed"
        assert [tool["function"]["name"] for tool in endpoint.requests[-1]["tools"]] == ["lamp"]
