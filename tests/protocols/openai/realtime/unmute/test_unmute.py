"""Unmute's dialect of /v1/realtime, on the port that its page and its load test use."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedOK

from kani.core.audio.ogg_opus import OggOpusEncoder
from kani.core.conversation.items import Message, Part, SpokenText
from kani.core.types import Voice
from kani.protocols.openai.realtime.unmute import connection, opus
from kani.protocols.openai.realtime.unmute.events import chat_history
from kani.protocols.openai.realtime.unmute.lists import describe_voices
from tests.clients import unmute_page as page
from tests.clients.openai_realtime import loud, quiet
from tests.support.chat.endpoint import Answer, ChatEndpoint, say
from tests.support.chat.talking import HEARD, answering
from tests.support.loudness import PausingRecognizer
from tests.support.patience import WITHIN_S
from tests.support.servers.serving import InProcessServer, serving

TURN = quiet(0.4), loud(0.4), quiet(1.6)
LONG = " ".join(["this is a long answer"] * 20)
OPENING = ("user", "...")


class Call(NamedTuple):
    caller: page.Caller
    port: int
    endpoint: ChatEndpoint
    server: InProcessServer


StartCall = Callable[..., Awaitable[Call]]


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[StartCall]:
    async with AsyncExitStack() as running:

        async def start(*answers: Answer, words: Sequence[str] = (), **environment: str) -> Call:
            recognizer = PausingRecognizer(words=words)
            how = {"KANI_COMPAT": "1", **environment}
            answered = answering(tmp_path, *answers, recognizer=recognizer, **how)
            server, endpoint = await running.enter_async_context(answered)
            port = server.compat["Kani REST"]
            return Call(await running.enter_async_context(page.calling(port)), port, endpoint, server)

        yield start


async def test_conversation_as_the_load_test_has_it(call: StartCall) -> None:
    caller, port, endpoint, _ = await call(say("Hi there."), say("Yes, yes."), say("No."))
    assert await page.health(f"http://localhost:{port}") == {
        **dict.fromkeys(("tts_up", "stt_up", "llm_up", "ok"), True),
        "voice_cloning_up": False,
    }
    spanish, english = await page.voices(f"http://localhost:{port}")
    assert english["good"] and english["instructions"] == {"type": "smalltalk", "language": "en"}
    assert english["source"]["source_type"] == "file" and "Spanish" in spanish["instructions"]["text"]
    voice = english["source"]["path_on_server"]
    instructions = {**page.SMALLTALK, "text": None}
    updated = await caller.configure(voice)
    assert updated.session == {"instructions": instructions, "voice": voice, "allow_recording": False}
    # The assistant speaks first, and without a sound of the user.
    await caller.until(page.AudioDone)
    assert caller.history == [{"role": "assistant", "content": "Hi there."}]
    for number in (1, 2):
        await caller.speak(*TURN)
        created = await caller.until(page.Created)
        # The load test reads the user's words from what comes before.
        assert caller.history[-1] == {"role": "user", "content": caller.history[-1]["content"]}
        assert created.response.chat_history == caller.history and created.response.voice == voice
        await caller.until(page.AudioDone)
        assert [turn["role"] for turn in caller.history[-2:]] == ["user", "assistant"]
        assert len(caller.answers) == number + 1
    system, *said = endpoint.said[-1]
    assert system[0] == "system" and system[1].startswith("Be brief.\n\n") and "Bye!" in system[1]
    assert said == [
        *(("assistant", "Hi there."), ("user", HEARD)),
        *(("assistant", "Yes, yes."), ("user", "w5 w6 w7 w8 w9.")),
    ]
    assert endpoint.said[0][1:] == [OPENING]
    first = caller.of(page.Heard)[0]
    assert first.delta == "w0" and first.start_time == pytest.approx(0.4, abs=0.1)
    assert [event.delta for event in caller.of(page.Text)][:2] == ["Hi", "there."]
    assert "".join(event.delta for event in caller.of(page.TextReady)[:2]) == "Hi there."
    assert [event.text for event in caller.of(page.TextDone)][1] == "Yes, yes."
    # One stream with one head, whole pages after each answer: all that was said is heard.
    pages = b"".join(base64.b64decode(event.delta) for event in caller.of(page.Audio))
    assert pages.count(b"OpusHead") == 1
    letters = sum(map(len, ("Hithere", "Yesyes", "No")))
    assert sum(map(len, caller.samples)) / page.RATE >= 0.1 * letters
    assert np.abs(np.concatenate(caller.samples)).max() > 0.1


async def test_client_that_says_nothing_is_not_waited_for_without_end(
    call: StartCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kani.protocols.openai.realtime.IDLE_S", 0.1)
    _, port, _, _ = await call(say("Hi."))
    url = f"ws://localhost:{port}/v1/realtime"
    async with asyncio.timeout(WITHIN_S), connect(url, subprotocols=["realtime"]) as silent:  # type: ignore[list-item]
        types = [json.loads(message)["type"] async for message in silent]
    assert types == ["session.created", "error"]


async def test_audio_is_sent_no_faster_than_it_is_played(call: StartCall) -> None:
    caller, _, _, _ = await call(say("Hello there, how is it going?"))
    await caller.configure("barack_demo.wav")
    await caller.until(page.AudioDone)
    # A voice of Kyutai's becomes the default one.
    [warning] = caller.of(page.Failed)
    assert warning.error["type"] == "warning" and "barack_demo.wav" in warning.error["message"]
    [times] = caller.answers
    assert times.audio_s > 2
    # The head start, the last piece, and the silence that fills the last page.
    assert times.done - times.audio >= times.audio_s - connection.AHEAD_S - 3 * 0.08


async def test_words_are_sent_right_before_their_sound(call: StartCall) -> None:
    words = ["Hello", "there", "how", "is", "it", "going", "on", "over", "there"]
    caller, _, _, _ = await call(say(" ".join(words) + "."))
    await caller.configure()
    await caller.until(page.AudioDone)
    begins_s = [0.1 * sum(map(len, words[:number])) for number in range(len(words))]
    sent_s, early_s = 0.0, []
    for event in caller.seen:
        if isinstance(event, page.Text):
            early_s.append(begins_s[len(early_s)] - sent_s)
        sent_s += 0.08 * isinstance(event, page.Audio)
    assert len(early_s) == len(words) and max(early_s) <= 0.2


async def test_word_interrupts_and_the_model_learns_what_was_heard(call: StartCall) -> None:
    caller, _, endpoint, _ = await call(say(LONG), say("Yes."))
    await caller.configure()
    while len(caller.of(page.Text)) < 3:
        await caller.receive()
    await caller.speak(*TURN)
    await caller.until(page.Interrupted)
    sent = len(caller.of(page.Audio))
    await caller.until(page.Created)
    assert len(caller.of(page.Audio)) == sent and not caller.of(page.AudioDone)
    await caller.until(page.AudioDone)
    while len(caller.history) < 3:
        await caller.receive()
    cut, user, answer = caller.history
    assert cut["content"].endswith("—") and LONG.startswith(heard := cut["content"].removesuffix("—"))
    assert heard and (user["content"], answer["content"]) == (HEARD, "Yes.")
    assert endpoint.said[-1][1:] == [("assistant", heard), ("user", HEARD)]
    # An answer that was not heard at all is not in the history.
    first, second = (Message(text, "user", (Part("input_audio", text, True),)) for text in ("What", "is it?"))
    unheard = Message("answer", "assistant", status="incomplete", spoken=SpokenText())
    assert chat_history([first, unheard, second]) == [{"role": "user", "content": "What is it?"}]


async def test_answer_rests_while_a_voice_is_judged(call: StartCall) -> None:
    caller, _, endpoint, _ = await call(say(LONG), words=("Mhm.", "", ""))
    await caller.configure()
    while len(caller.of(page.Text)) < 3:
        await caller.receive()
    await caller.speak(loud(0.24))
    with pytest.raises(TimeoutError):
        while True:
            async with asyncio.timeout(0.7):
                await caller.receive()
    assert not caller.of(page.AudioDone)
    await caller.speak(quiet(0.8))
    await caller.until(page.Audio)
    assert not caller.of(page.Interrupted) and len(endpoint.requests) == 1


async def test_silence_is_broken_by_the_assistant(call: StartCall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SILENCE_MS", 50.0)
    monkeypatch.setattr(connection, "HANG_UP_AFTER_S", 0.0)
    caller, _, endpoint, _ = await call(say("Hi."), say("Hello?"), say("Bye!"))
    await caller.configure()
    # The third answer ends the conversation.
    with pytest.raises(ConnectionClosedOK):
        await caller.until(page.Failed)
    assert [turn["content"] for turn in caller.history] == ["Hi.", "...", "Hello?", "...", "Bye!"]
    assert endpoint.said[1][1:] == [("assistant", "Hi."), OPENING]


async def test_without_a_model_an_error_says_what_to_do(tmp_path: Path) -> None:
    async with serving(tmp_path, PausingRecognizer(), KANI_COMPAT="1") as server:
        port = server.compat["Kani REST"]
        up = await page.health(f"http://localhost:{port}")
        assert not up["ok"] and not up["llm_up"] and up["stt_up"]
        async with page.calling(port) as caller:
            await caller.configure()
            error = (await caller.until(page.Failed)).error
            assert error["code"] == "no_language_model" and "--llm" in error["message"]
            # What is said is written down all the same.
            await caller.speak(*TURN)
            assert (await caller.until(page.Heard)).delta == "w0"
            await caller.until(page.SpeechStopped)
            assert len(caller.of(page.Failed)) == 1


async def test_bad_events_are_named(call: StartCall) -> None:
    unknown = {"allow_recording": True, "instructions": {"type": "pirate"}}
    no_type = "session.instructions.type: there is no 'pirate' (known: con"
    bad: list[tuple[str, dict[str, Any], str]] = [
        ("session.update", {"session": {}}, "session.allow_recording: is needed"),
        ("session.update", {"session": unknown}, no_type),
        ("response.create", {}, "type: unknown event 'response.create'"),
        ("input_audio_buffer.append", {}, "audio: must be a string of base64"),
        ("input_audio_buffer.append", {"audio": "%"}, "audio: is not base64"),
        ("input_audio_buffer.append", {"audio": "A" * (opus.MAX_CHARACTERS + 1)}, "audio: too large"),
    ]
    caller, _, _, _ = await call(say("Yes."))
    await caller.configure()
    for kind, fields, message in bad:
        await caller.send(kind, **fields)
        assert (await caller.until(page.Failed)).error["message"].startswith(message)
    await caller.speak(*TURN)
    await caller.until(page.AudioDone)


async def test_pages_of_an_older_stream_and_damage_are_left_out(call: StartCall) -> None:
    older = OggOpusEncoder()
    caller, _, _, _ = await call(say("Yes."))
    await caller.configure(instructions=None)
    for _ in range(20):
        await caller.append(older.feed(loud(0.08)))
    await caller.append(page.Caller(caller.websocket)._header)
    await caller.append(b"no pages" * 40_000)
    error = (await caller.until(page.Failed)).error
    assert error["message"].startswith("audio: must be Ogg Opus")
    await caller.speak(*TURN)  # a new stream
    assert (await caller.until(page.Heard)).start_time == pytest.approx(0.4, abs=0.1)


async def test_neighbours_on_the_port_are_served_as_before(call: StartCall) -> None:
    _, port, _, server = await call(say("Yes."))
    keyed = await server.get(f"http://localhost:{port}/v1/voices", headers={"xi-api-key": "any"})
    elsewhere = await server.get("/v1/voices")
    assert keyed.json().keys() == elsewhere.json().keys() == {"voices"}
    for path, protocols in (("?model=m", ["realtime"]), ("", ["realtime", "openai-insecure-api-key.k"])):
        async with connect(f"ws://localhost:{port}/v1/realtime{path}", subprotocols=protocols) as other:  # type: ignore[arg-type]
            greeting = json.loads(await asyncio.wait_for(other.recv(), WITHIN_S))
            assert greeting["type"] == "session.created"
    # With no more than the sub-protocol the first event tells.
    async with connect(f"ws://localhost:{port}/v1/realtime", subprotocols=["realtime"]) as other:
        await other.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))
        names = [json.loads(await asyncio.wait_for(other.recv(), WITHIN_S))["type"] for _ in range(2)]
        assert names == ["session.created", "session.updated"]


def test_page_can_begin_with_a_voice_of_any_list() -> None:
    """It begins with one whose language is English or not given."""
    spanish, nameless = Voice("ana", "Ana", "es", "kani"), Voice("custom:me", "me", "", "")
    alone = describe_voices([spanish])[0]["instructions"]
    assert alone["language"] is None and alone["text"].endswith("Speak Spanish.")
    listed = describe_voices([spanish, nameless, Voice("bo", "Bo", "en-GB", "kani")])
    languages = [each["instructions"] and each["instructions"]["language"] for each in listed]
    assert languages == ["fr/en", None, "en"]
