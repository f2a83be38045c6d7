"""Sound inside items of a conversation: heard, told, answered, bounded."""

import asyncio
import base64
import threading
from typing import Any

import numpy as np
import pytest

from kani.core.audio.encoding import create_encoder
from kani.core.errors import EngineFailed
from kani.core.types import Samples
from kani.protocols.openai.realtime import client_events, item_audio
from kani.protocols.openai.realtime.client_events import MAX_AUDIO_BYTES
from kani.protocols.openai.realtime.session_config import FORMATS
from tests.clients.openai_realtime import RATE, TRANSCRIPTION, Client, loud, quiet, types
from tests.protocols.health import wait_for_idle
from tests.support.chat.endpoint import say
from tests.support.chat.talking import SYSTEM, StartTalk, done
from tests.support.loudness import HeldRecognizer
from tests.support.patience import happens

WORD = "¡bum, hm."
"""A loud second of a recording, as the recogniser of the tests hears it."""

HEARS = {"input": {"transcription": {"model": "whisper-1"}}}


def encoded(samples: Samples, name: str = "audio/pcm") -> str:
    data = create_encoder(FORMATS[name], RATE).feed(samples)
    return base64.b64encode(data).decode()


def sound(*seconds: float, name: str = "input_audio", **fields: Any) -> dict[str, Any]:
    """A part of a message; seconds: loud, quiet, loud …"""
    pieces = [(quiet if at % 2 else loud)(length) for at, length in enumerate(seconds)]
    return {"type": name, "audio": encoded(np.concatenate(pieces)), **fields}


def spoken(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [*parts], **fields}


def text(words: str) -> dict[str, Any]:
    return {"type": "input_text", "text": words}


async def send(client: Client, *parts: dict[str, Any], **fields: Any) -> None:
    await client.send("conversation.item.create", item=spoken(*parts, **fields))


async def item(client: Client, item_id: str) -> dict[str, Any]:
    await client.send("conversation.item.retrieve", item_id=item_id)
    found: dict[str, Any] = (await client.until("conversation.item.retrieved"))[-1]["item"]
    return found


async def test_a_spoken_message_is_answered_by_its_words(talk: StartTalk) -> None:
    client, server, endpoint = await talk(say("uno."))
    await send(client, sound(1.0, 1.0, 1.0), id="said")
    await client.send("response.create")
    response = await done(client)
    assert response["status"] == "completed"
    assert endpoint.said == [[SYSTEM, ("user", f"{WORD} {WORD}")]]
    # Its events are those of a session that asks for no transcripts.
    assert not [name for name in types(client.seen) if name.startswith(TRANSCRIPTION)]
    assert (await item(client, "said"))["content"] == [
        {"type": "input_audio", "transcript": f"{WORD} {WORD}"}
    ]
    await client.websocket.close()
    await wait_for_idle(server)


async def test_transcripts_are_told_part_by_part(talk: StartTalk) -> None:
    client, _, endpoint = await talk(say("uno."))
    await client.configure("realtime", audio=HEARS, output_modalities=["text"])
    parts = sound(1.0), text("written"), sound(1.0, 0.5, 1.5), sound(0.5), sound(1.0, transcript="given")
    await send(client, *parts, id="said")
    assert (await client.transcripts(3))[0] == WORD
    (added,) = client.of("conversation.item.added")
    assert [part.get("transcript", "-") for part in added["item"]["content"]] == [
        None,
        "-",
        None,
        None,
        "given",
    ]
    told = client.of(f"{TRANSCRIPTION}.completed")
    assert [(event["item_id"], event["content_index"], event["transcript"]) for event in told] == [
        ("said", 0, WORD),
        ("said", 2, f"{WORD} {WORD}"),
        ("said", 3, ""),
    ]
    assert [event["usage"]["seconds"] for event in told] == [1.0, 3.0, 0.5]
    assert told[0]["languages"] == [{"code": "es"}]
    for event in told:
        deltas = [
            each["delta"]
            for each in client.of(f"{TRANSCRIPTION}.delta")
            if each["content_index"] == event["content_index"]
        ]
        assert "".join(deltas) == event["transcript"]
    await client.send("response.create")
    await done(client)
    assert endpoint.said == [[SYSTEM, ("user", f"{WORD}\nwritten\n{WORD} {WORD}\ngiven")]]


@pytest.mark.parametrize("name", FORMATS)
async def test_sound_is_in_the_format_of_its_side(talk: StartTalk, name: str) -> None:
    client, _, endpoint = await talk(say("uno."))
    other = next(each for each in FORMATS if each != name)
    formats = {"input": {"format": {"type": name}}, "output": {"format": {"type": other}}}
    await client.configure("realtime", audio=formats, output_modalities=["text"])
    own = {"type": "input_audio", "audio": encoded(np.append(loud(1.0), quiet(1.0)), name)}
    past = {"type": "output_audio", "audio": encoded(np.append(loud(2.0), quiet(1.0)), other)}
    await client.send(
        "conversation.item.create", item={"type": "message", "role": "assistant", "content": [past]}
    )
    await send(client, own)
    await client.send("response.create")
    await done(client)
    assert endpoint.said == [[SYSTEM, ("assistant", f"{WORD} {WORD}"), ("user", WORD)]]


@pytest.mark.parametrize("conversation", ["auto", "none"])
async def test_sound_without_length_has_no_words(talk: StartTalk, conversation: str) -> None:
    client, _, endpoint = await talk(say("uno."))
    await client.configure("realtime", audio=HEARS, output_modalities=["text"])
    item = spoken({"type": "input_audio", "audio": ""}, text("written"))
    if conversation == "auto":
        await client.send("conversation.item.create", item=item)
        assert await client.transcripts(1) == [""]
        await client.send("response.create")
    else:
        await client.send("response.create", response={"conversation": "none", "input": [item]})
    await done(client)
    assert endpoint.said == [[SYSTEM, ("user", "written")]]


async def test_a_session_that_writes_down_hears_items(listener: Client) -> None:
    await listener.detect(None, language="en")
    await send(listener, sound(1.0))
    assert await listener.transcripts(1) == [WORD]
    assert listener.of(f"{TRANSCRIPTION}.completed")[0]["languages"] == [{"code": "en"}]


async def test_input_of_a_response_is_heard(talk: StartTalk) -> None:
    client, server, endpoint = await talk(say("uno."))
    await client.configure("realtime", audio=HEARS, output_modalities=["text"])
    given = [spoken(text("first")), spoken(sound(1.0), sound(2.0))]
    await client.send("response.create", response={"input": given, "conversation": "none"})
    await done(client)
    assert endpoint.said == [[SYSTEM, ("user", f"first\n{WORD}\n{WORD} {WORD}")]]
    # Such an item is none of the conversation: nothing tells of it.
    assert not [name for name in types(client.seen) if "item.input_audio" in name]
    await client.websocket.close()
    await wait_for_idle(server)


async def test_a_response_waits_for_words_and_others_do_not(talk: StartTalk) -> None:
    recognizer = HeldRecognizer(0.5)
    client, server, endpoint = await talk(say("uno."), recognizer=recognizer)
    await client.configure("realtime", output_modalities=["text"])
    await send(client, sound(1.0))
    await client.send("response.create")
    await client.until("response.created")
    await happens(lambda: recognizer.holding)
    response = {"conversation": "none", "input": [spoken(text("meanwhile"))]}
    await client.send("response.create", response=response)
    await done(client)
    assert endpoint.said == [[SYSTEM, ("user", "meanwhile")]]
    recognizer.go_on.set()
    await done(client)
    assert endpoint.said[1:] == [[SYSTEM, ("user", WORD)]]
    assert server is not None


async def test_a_cancelled_response_hears_no_further(talk: StartTalk) -> None:
    recognizer = HeldRecognizer(0.5)
    client, server, endpoint = await talk(say("uno."), recognizer=recognizer)
    await client.send("response.create", response={"conversation": "none", "input": [spoken(sound(1.0))]})
    await happens(lambda: recognizer.holding)
    await client.send("response.cancel")
    assert (await done(client))["status"] == "cancelled"
    await happens(lambda: recognizer.closed)
    assert not endpoint.said and not server.service.budgets.recognition.used
    await wait_for_idle(server)


async def test_who_leaves_takes_the_sound_along(talk: StartTalk) -> None:
    recognizer = HeldRecognizer(0.5)
    client, server, _ = await talk(say("uno."), recognizer=recognizer)
    for _ in range(3):
        await send(client, sound(1.0))
    await happens(lambda: recognizer.holding)
    assert server.service.budgets.recognition.used
    await client.websocket.close()
    await wait_for_idle(server)
    assert recognizer.closed and not server.service.budgets.recognition.used


class Broken(HeldRecognizer):
    async def transcribe(self, *_: Any) -> Any:
        raise EngineFailed("the recogniser failed")
        yield


async def test_failures_are_told(talk: StartTalk) -> None:
    client, server, endpoint = await talk(say("uno."), recognizer=Broken())
    await client.configure("realtime", output_modalities=["text"])
    await send(client, sound(1.0), text("written"), id="said")
    (failed,) = [event for event in await client.until(f"{TRANSCRIPTION}.failed") if "error" in event]
    assert (failed["item_id"], failed["content_index"]) == ("said", 0)
    assert "the recogniser failed" in failed["error"]["message"]
    await client.send("response.create")
    await done(client)
    assert endpoint.said == [[SYSTEM, ("user", "written")]]
    # Of the input of a response no event can tell, so the response does.
    await client.send("response.create", response={"conversation": "none", "input": [spoken(sound(1.0))]})
    response = await done(client)
    assert response["status"] == "failed" and len(endpoint.said) == 1
    assert "the recogniser failed" in response["status_details"]["error"]["message"]
    assert not server.service.budgets.recognition.used


AUDIO = "item.content[1].audio"
BAD = [
    ({"type": "input_audio", "audio": "###"}, "invalid_value", AUDIO),
    ({"type": "input_audio", "audio": 7}, "invalid_type", AUDIO),
    ({"type": "input_audio", "audio": base64.b64encode(b"odd").decode()}, "invalid_value", AUDIO),
    ({"type": "input_audio"}, "missing_required_parameter", AUDIO),
    ({"type": "input_audio", "input_audio": {"data": "AAAA"}}, "missing_required_parameter", AUDIO),
]


@pytest.mark.parametrize(("part", "code", "param"), BAD)
async def test_what_is_wrong_is_named(talk: StartTalk, part: dict[str, Any], code: str, param: str) -> None:
    client, _, _ = await talk(say("uno."))
    await send(client, text("written"), part, id="said")
    error = (await client.until("error"))[-1]["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert param in error["message"]
    response = {"conversation": "none", "input": [spoken(text("x"), part)]}
    await client.send("response.create", response=response)
    error = (await client.until("error"))[-1]["error"]
    assert (error["code"], error["param"]) == (code, param.replace("item", "response.input[0]", 1))
    # Nothing of it was kept.
    await client.send("conversation.item.retrieve", item_id="said")
    assert (await client.until("error"))[-1]["error"]["code"] == "item_not_found"


async def test_too_much_sound_is_refused(talk: StartTalk) -> None:
    client, server, _ = await talk(say("uno."))
    await send(client, {"type": "input_audio", "audio": "A" * (MAX_AUDIO_BYTES // 3 * 4 + 8)})
    error = (await client.until("error"))[-1]["error"]
    assert (error["code"], error["param"]) == ("audio_too_large", "item.content[0].audio")
    assert "15 MiB" in error["message"]
    # Where others hold all that there is, a long message is refused, and a short one is not.
    budget = server.service.budgets.recognition
    with budget.share() as others:
        others.hold(budget.limit)
        await send(client, sound(30.0))
        error = (await client.until("error"))[-1]["error"]
        assert error["code"] == "server_busy" and "too much audio" in error["message"]
        await client.configure("realtime", audio=HEARS)
        await send(client, sound(1.0))
        assert await client.transcripts(1) == [WORD]
    assert not budget.used


async def test_a_client_with_much_sound_waits_for_its_own(
    talk: StartTalk, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognizer = HeldRecognizer(0.5)
    client, server, _ = await talk(say("uno."), recognizer=recognizer)
    await client.configure("realtime", audio=HEARS)
    monkeypatch.setattr(item_audio, "MOST_HELD", 100_000)
    for number in range(4):
        await send(client, sound(1.0), id=f"item{number}")
    await happens(lambda: recognizer.holding)
    added = (await client.until("conversation.item.done", 2))[-1]["item"]
    assert added["id"] == "item1"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await client.websocket.recv()
    assert server.service.budgets.recognition.used <= 100_000
    recognizer.go_on.set()
    assert await client.transcripts(4) == [WORD] * 4


async def test_without_a_model_sound_is_no_text_to_read(speaker: Client) -> None:
    await speaker.send("response.create", response={"input": [spoken(text("read this"), sound(1.0))]})
    error = (await speaker.until("error"))[-1]["error"]
    assert (error["code"], error["param"]) == ("unsupported", "response.input[0].content[1].audio")


async def test_long_sound_is_decoded_in_a_thread(talk: StartTalk, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set[str]()

    def noted(work: Any) -> Any:
        def run(*args: Any) -> Any:
            threads.add(threading.current_thread().name.split("_")[0])
            return work(*args)

        return run

    for module, name in ((client_events, "_decode_audio"), (item_audio, "wav")):
        monkeypatch.setattr(module, name, noted(getattr(module, name)))
    client, _, _ = await talk(say("uno."))
    await client.configure("realtime", audio=HEARS)
    await send(client, sound(4.0))
    assert await client.transcripts(1) == [" ".join([WORD] * 4)]
    assert threads == {"streams"}
