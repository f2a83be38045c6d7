"""WS /v1/realtime: given text read aloud, the conversation around it, and cancellation."""

from pathlib import Path
from typing import Any

import pytest

from kani.core.conversation.history import MAX_ITEMS
from tests.clients.openai_realtime import BETA, Client, audio_of, loud, quiet, realtime, text_item, types
from tests.support.chat.talking import ANSWER_EVENTS, DELTAS, done, names_of, transcript_of
from tests.support.loudness import PausingRecognizer
from tests.support.servers.app_server import AppServer
from tests.support.servers.serving import serving

TEXT = "Hello, this is one sentence. And this is the second one."


async def say(client: Client, text: str, **response: Any) -> list[dict[str, Any]]:
    await client.send("response.create", response={"input": [text_item(text)], **response})
    return await client.until("response.done")


async def test_given_text_is_read_in_the_order_of_events(speaker: Client) -> None:
    given = {"conversation": "none", "metadata": {"a": "b"}, "instructions": "Read it with joy."}
    events = await say(speaker, TEXT, **given)
    outside = [name for name in ANSWER_EVENTS if not name.startswith("conversation")]
    assert names_of(events) == outside
    deltas = [event for event in events if event["type"] in DELTAS]
    assert types(deltas)[:2] == [DELTAS[1], DELTAS[0]]
    assert transcript_of(events) == TEXT
    created, item, response = events[0]["response"], events[1]["item"], events[-1]["response"]
    places = {(e["response_id"], e["item_id"], e["output_index"], e["content_index"]) for e in deltas}
    assert places == {(created["id"], item["id"], 0, 0)}
    assert (created["status"], created["output"], created["metadata"]) == ("in_progress", [], {"a": "b"})
    assert (response["id"], response["status"]) == (created["id"], "completed")
    assert response["conversation_id"] is None and response["usage"]["total_tokens"] == 0
    assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": TEXT}]
    # Messages of Open WebUI's engine "openai-realtime".
    both: Any = {"output_modalities": ["audio"], "tools": [], "tool_choice": "none", "instructions": "Read."}
    output = {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "marin"}
    given = {"input": {"turn_detection": None, "transcription": None}, "output": output}
    await speaker.configure("realtime", audio=given, **both)
    assert transcript_of(await say(speaker, TEXT, conversation="none", **both)) == TEXT
    assert not speaker.of("error")
    assert 2 < len(audio_of(events)) / 48_000 < 8
    assert len({event["event_id"] for event in speaker.seen}) == len(speaker.seen)


async def test_conversation_keeps_what_was_spoken(speaker: Client) -> None:
    for text in ("One.", "Two."):
        await speaker.send("conversation.item.create", item=text_item(text))
        await speaker.until("conversation.item.done")
    # In the conversation the answer to it would be its own words.
    await speaker.send("response.create")
    error = (await speaker.receive())["error"]
    assert (error["code"], error["param"]) == ("unsupported", "response.input")
    assert "no language model" in error["message"]
    await speaker.send("response.create", response={"conversation": "none"})
    # The last item of the user is read.
    assert transcript_of(await speaker.until("response.done")) == "Two."
    events = await say(speaker, "Two.")
    assert transcript_of(events) == "Two."
    assert names_of(events) == ANSWER_EVENTS
    spoken = events[-1]["response"]["output"][0]["id"]
    length_ms = round(len(audio_of(events)) / 48)
    truncate = {"item_id": spoken, "content_index": 0}
    await speaker.send("conversation.item.truncate", **truncate, audio_end_ms=length_ms - 10)
    assert (await speaker.receive())["type"] == "conversation.item.truncated"
    await speaker.send("conversation.item.truncate", **truncate, audio_end_ms=length_ms + 10)
    assert (await speaker.receive())["error"]["param"] == "audio_end_ms"
    await speaker.send("conversation.item.retrieve", item_id=spoken)
    assert (await speaker.receive())["item"]["content"][0]["transcript"] == "Two."
    first = speaker.of("conversation.item.added")[0]["item"]["id"]
    response = {"input": [{"type": "item_reference", "id": first}]}
    await speaker.send("response.create", response=response)
    assert transcript_of(await speaker.until("response.done")) == "One."
    await speaker.send("conversation.item.delete", item_id=first)
    assert (await speaker.receive())["type"] == "conversation.item.deleted"
    await speaker.send("response.create", response=response)
    assert (await speaker.receive())["error"]["code"] == "item_not_found"


async def test_items_are_placed_and_bounded(speaker: Client) -> None:
    for at, previous in enumerate([None, None, "root", "i0"]):
        item = {**text_item("x"), "id": f"i{at}"}
        await speaker.send("conversation.item.create", item=item, previous_item_id=previous)
        await speaker.until("conversation.item.done")
    placed = [event["previous_item_id"] for event in speaker.of("conversation.item.added")]
    assert placed == [None, "i0", None, "i0"]
    for at in range(MAX_ITEMS):
        await speaker.send("conversation.item.create", item={**text_item("y"), "id": f"n{at}"})
    await speaker.until("conversation.item.done", MAX_ITEMS)
    await speaker.send("conversation.item.retrieve", item_id="i0")
    assert (await speaker.receive())["error"]["code"] == "item_not_found"


@pytest.mark.parametrize(
    ("format_name", "beta_name", "bytes_a_second"),
    [("audio/pcm", "pcm16", 48_000), ("audio/pcmu", "g711_ulaw", 8000), ("audio/pcma", "g711_alaw", 8000)],
)
async def test_formats_and_speed_of_both_generations(
    app: AppServer, speaker: Client, format_name: str, beta_name: str, bytes_a_second: int
) -> None:
    plain = len(audio_of(await say(speaker, TEXT))) / 48_000
    output = {"format": {"type": format_name}, "speed": 1.25, "voice": {"id": "espeak:en"}}
    await speaker.configure("realtime", audio={"output": output})
    audio = audio_of(await say(speaker, TEXT))
    assert len(audio) / bytes_a_second == pytest.approx(plain / 1.25, rel=0.12)
    async with realtime(app.url, "model=m", additional_headers=BETA) as client:
        assert client.seen[0]["type"] == "session.created"
        session = {"output_audio_format": beta_name, "speed": 1.25, "voice": "espeak:en"}
        await client.send("session.update", session={"modalities": ["audio", "text"], **session})
        assert (await client.until("session.updated"))[-1]["session"]["output_audio_format"] == beta_name
        events = await say(client, TEXT, modalities=["text", "audio"])
    audio = audio_of(events, "response.audio.delta")
    assert len(audio) / bytes_a_second == pytest.approx(plain / 1.25, rel=0.12)
    assert {"response.audio_transcript.done", "conversation.item.created"} <= {*types(events)}
    current = [name for name in types(events) if "output_audio" in name or name.endswith("item.added")]
    assert current == ["response.output_item.added"]


async def test_voice_and_format_of_one_response(speaker: Client) -> None:
    output = {"format": {"type": "audio/pcmu"}, "voice": "espeak:es"}
    events = await say(speaker, TEXT, audio={"output": output})
    assert events[-1]["response"]["audio"]["output"]["voice"] == "espeak:es"
    assert len(audio_of(events)) < 8000 * 8
    # The next one has the session's again.
    assert len(audio_of(await say(speaker, TEXT))) > 48_000 * 2


async def test_responses_outside_the_conversation_run_side_by_side(speaker: Client) -> None:
    for number in range(4):
        response = {"input": [text_item(f"{TEXT} {number}.")], "conversation": "none"}
        await speaker.send("response.create", response=response)
    events = await speaker.until("response.done", 4)
    spoken = {e["response"]["id"]: e["response"] for e in events if e["type"] == "response.done"}
    assert len(spoken) == 4
    for response_id, response in spoken.items():
        own = [event for event in events if event.get("response_id") == response_id]
        assert transcript_of(own) == response["output"][0]["content"][0]["transcript"]


async def test_cancel_stops_the_engine(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, realtime(server.url, "model=m") as client:
        engine = server.engine
        engine.allow = 0
        given = {"input": [text_item("uno dos tres cuatro cinco seis siete ocho nueve.")]}
        await client.send("response.create", response=given)
        await client.until("response.content_part.added")
        await engine.permit(5)
        await client.until(DELTAS[0])
        await client.send("response.create", response=given)
        error = (await client.until("error"))[-1]["error"]
        assert error["code"] == "conversation_already_has_active_response"
        await client.send("response.cancel", response_id="resp_other")
        assert (await client.until("error"))[-1]["error"]["code"] == "response_cancel_not_active"
        await client.send("response.cancel")
        response = await done(client)
        details = {"type": "cancelled", "reason": "client_cancelled"}
        assert (response["status"], response["status_details"]) == ("cancelled", details)
        assert response["output"][0]["status"] == "incomplete"
        assert engine.under_way == 0 and len(engine.words) <= 6
        await client.send("response.cancel", event_id="mine")
        error = (await client.receive())["error"]
        assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "mine")
        engine.allow = None
        assert transcript_of(await say(client, "siete ocho.")) == "siete ocho."


async def test_speech_that_waits_is_sent_in_few_events(tmp_path: Path) -> None:
    words = 20  # of 0.4 s, made at once; at another rate a piece of 0.4 s is a little longer or shorter
    async with serving(tmp_path) as server, realtime(server.url, "model=m") as client:
        events = await say(client, "hola " * words)
    assert len(audio_of(events)) / 48_000 == pytest.approx(0.4 * words)
    assert types(events).count(DELTAS[0]) < 1.5 * words


async def test_speech_interrupts_the_response(tmp_path: Path) -> None:
    given = {"input": [text_item("uno dos tres cuatro cinco seis siete ocho nueve.")]}
    async with serving(tmp_path, PausingRecognizer()) as server, realtime(server.url, "model=m") as client:
        server.engine.allow = 5
        detection = {"type": "server_vad", "create_response": False}
        await client.configure("realtime", audio={"input": {"turn_detection": detection}})
        await client.send("response.create", response=given)
        await client.until(DELTAS[0])
        await client.append(quiet(0.4), loud(0.4))
        assert (await done(client))["status_details"] == {"type": "cancelled", "reason": "turn_detected"}


async def test_speech_that_asks_for_an_answer_is_unsupported(speaker: Client) -> None:
    await speaker.append(quiet(0.4), loud(0.4), quiet(0.8))
    assert (await speaker.until("error"))[-1]["error"]["code"] == "unsupported"
    # Nothing was transcribed, as nothing asked for it.
    assert not [event for event in speaker.seen if "transcription" in event["type"]]
