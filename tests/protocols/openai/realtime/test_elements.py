"""Elements of a client's event that are not served go by themselves, and what is served is kept."""

from typing import Any

import pytest

from kani.core.conversation import history
from tests.clients.openai_realtime import Client
from tests.support.chat.endpoint import Answer, say
from tests.support.chat.talking import StartTalk, done

PIXEL = "data:image/png;base64,iVBORw0KGgo="
CLOCK = {"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}}
MCP = {"type": "mcp", "server_label": "files", "server_url": "https://mcp.invalid"}
NAMELESS = {"type": "function"}


def text(words: str) -> dict[str, Any]:
    return {"type": "input_text", "text": words}


def picture(url: Any = PIXEL) -> dict[str, Any]:
    return {"type": "input_image", "image_url": url, "detail": "auto"}


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [*parts]}


async def errors(client: Client, count: int) -> list[tuple[str, str]]:
    found = [each["error"] for each in await client.until("error", count) if each["type"] == "error"]
    return [(error["code"], error["param"]) for error in found]


async def test_tools_are_left_beside_those_that_are_not_served(talk: StartTalk) -> None:
    client, _, endpoint = await talk(say("uno."))
    await client.send("session.update", session={"type": "realtime", "tools": [MCP, CLOCK, NAMELESS, MCP]})
    assert await errors(client, 3) == [
        ("invalid_value", "session.tools[0].type"),
        ("missing_required_parameter", "session.tools[1].name"),
        ("invalid_value", "session.tools[1].type"),
    ]
    updated = (await client.until("session.updated"))[-1]["session"]
    assert [tool["name"] for tool in updated["tools"]] == ["clock"]
    await client.send("response.create", response={"tools": [CLOCK | {"name": "other"}, MCP]})
    assert await errors(client, 1) == [("invalid_value", "response.tools[1].type")]
    assert (await done(client))["status"] == "completed"
    assert [tool["function"]["name"] for tool in endpoint.requests[-1]["tools"]] == ["other"]
    # Where no tool is left, the session's do not take their place.
    await client.send("response.create", event_id="e1", response={"tools": [MCP]})
    assert (await client.until("error"))[-1]["error"]["event_id"] == "e1"
    assert (await done(client))["status"] == "completed"
    assert "tools" not in endpoint.requests[-1]


async def test_pictures_go_to_the_model_with_the_words_beside_them(talk: StartTalk) -> None:
    client, _, endpoint = await talk(say("uno."))
    await client.send("conversation.item.create", item=message(text("Look:"), picture()))
    item = (await client.until("conversation.item.done"))[-1]["item"]
    assert item["content"] == [{"type": "input_text", "text": "Look:"}, {"type": "input_image"}]
    await client.send("response.create")
    assert (await done(client))["status"] == "completed"
    assert endpoint.requests[-1]["messages"][-1]["content"] == [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
    ]


async def test_a_model_without_eyes_is_asked_again_without_pictures_and_options(talk: StartTalk) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        seen = any(isinstance(each["content"], list) for each in body["messages"])
        if seen or "reasoning_effort" in body:
            return Answer(status=400, error={"message": "not supported"})
        return say("uno.")

    client, _, endpoint = await talk(answer)
    await client.configure("realtime", reasoning={"effort": "low"}, parallel_tool_calls=False, tools=[CLOCK])
    await client.send("conversation.item.create", item=message(text("Look:"), picture()))
    for requests in (3, 1):
        before = len(endpoint.requests)
        await client.send("response.create")
        assert (await done(client))["status"] == "completed"
        assert len(endpoint.requests) - before == requests
    assert endpoint.requests[0]["reasoning_effort"] == "low"
    assert endpoint.requests[0]["parallel_tool_calls"] is False


@pytest.mark.parametrize(
    ("part", "code", "field"),
    [
        (picture("https://example.org/a.png"), "invalid_value", "image_url"),
        (picture("data:text/html;base64,AAAA"), "invalid_value", "image_url"),
        (picture(5), "invalid_value", "image_url"),
        (picture(PIXEL + "A" * history.MAX_PICTURES), "string_above_max_length", "image_url"),
        ({"type": "input_video", "video": "x"}, "unsupported", "type"),
    ],
)
async def test_the_words_are_left_beside_a_part_that_is_not_served(
    talk: StartTalk, part: dict[str, Any], code: str, field: str
) -> None:
    client, _, endpoint = await talk(say("uno."))
    await client.send("conversation.item.create", item=message(part, text("How are you?")))
    assert await errors(client, 1) == [(code, f"item.content[0].{field}")]
    await client.send("response.create")
    assert (await done(client))["status"] == "completed"
    assert endpoint.said[-1][-1] == ("user", "How are you?")
    asked = {"conversation": "none", "input": [message(part, text("Here?"))]}
    await client.send("response.create", response=asked)
    assert await errors(client, 1) == [(code, f"response.input[0].content[0].{field}")]
    assert (await done(client))["status"] == "completed"
    assert endpoint.said[-1][-1] == ("user", "Here?")


async def test_pictures_of_one_item_have_a_limit_together_and_are_the_users(talk: StartTalk) -> None:
    client, _, _ = await talk(say("uno."))
    large = picture(PIXEL + "A" * (history.MAX_PICTURES // 2))
    await client.send("conversation.item.create", item=message(large, large))
    assert await errors(client, 1) == [("string_above_max_length", "item.content")]
    said = {**message(text("x"), picture()), "role": "assistant"}
    await client.send("conversation.item.create", item=said)
    assert await errors(client, 1) == [("unsupported", "item.content[1].type")]


async def test_the_oldest_pictures_go_first(talk: StartTalk) -> None:
    client, _, endpoint = await talk(say("uno."))
    for number in range(3):
        large = PIXEL + "A" * (history.MAX_PICTURES // 2 - 100)
        await client.send("conversation.item.create", item=message(text(str(number)), picture(large)))
        await client.until("conversation.item.done")
    await client.send("response.create")
    assert (await done(client))["status"] == "completed"
    (words, *pictures) = endpoint.requests[-1]["messages"][-1]["content"]
    assert (words["text"], len(pictures)) == ("0\n1\n2", 2)
