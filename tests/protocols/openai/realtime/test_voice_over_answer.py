"""WS /v1/realtime with a language model: voices over an answer that interrupt it, and those that do not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from kani.core.conversation import echo
from tests.clients.openai_realtime import RATE, Client, audio_of, loud, quiet, realtime, text_item, types
from tests.support.chat.endpoint import ChatEndpoint, chat_endpoint, say
from tests.support.loudness import PausingRecognizer
from tests.support.serving import serving

LONG = "uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece."
SHORT = loud(0.24), quiet(0.8)
DELTA = "response.output_audio.delta"
STARTED = "input_audio_buffer.speech_started"
UPDATED = "rate_limits.updated"


@asynccontextmanager
async def answered(
    folder: Path, words: Sequence[str], text: str = LONG, detection: str = "semantic_vad"
) -> AsyncIterator[tuple[Client, ChatEndpoint]]:
    """A client that hears an answer of ``text``; what it says is heard as ``words``."""
    answers = iter([say(text), say("vale.")])
    async with chat_endpoint(lambda _: next(answers)) as endpoint:
        recognizer = PausingRecognizer(words=words)
        async with serving(folder, recognizer, KANI_LLM_URL=endpoint.url, KANI_LLM_EARLY="false") as server:
            async with realtime(server.url, "model=m") as client:
                given = {"transcription": {"language": "es"}, "turn_detection": {"type": detection}}
                await client.configure("realtime", audio={"input": given})
                await client.send("conversation.item.create", item=text_item("Hola."))
                await client.send("response.create")
                await client.until(DELTA)
                yield client, endpoint


def states(client: Client) -> list[str]:
    """States of voices over the answer that the client was sent."""
    return [event["details"]["state"] for event in client.of(UPDATED)]


@pytest.mark.parametrize("words", [("Ajá,", "sí", "sí."), ("", "", "")], ids=["listener", "cough"])
async def test_listener_and_noises_interrupt_nothing(tmp_path: Path, words: Sequence[str]) -> None:
    async with answered(tmp_path, words) as (client, endpoint):
        await client.append(*SHORT)
        await client.until(UPDATED, 2)
        await client.send("conversation.item.create", item=text_item("Adiós."))
        await client.until("conversation.item.done")
    assert states(client) == ["heard", "ignored"]
    seen = types(client.seen)
    assert not {STARTED, "input_audio_buffer.committed"} & {*seen}
    assert len(endpoint.requests) == 1


async def test_word_interrupts_and_is_answered(tmp_path: Path) -> None:
    async with answered(tmp_path, ("¡Para!", "", "")) as (client, endpoint):
        await client.append(loud(0.24), quiet(2.0))
        events = await client.until("conversation.item.input_audio_transcription.completed")
        await client.until("response.done")
    assert states(client) == ["heard", "interrupts"]
    assert events[-1]["transcript"] == "¡Para!"
    assert [name for name in types(events) if name in (STARTED, UPDATED)] == [UPDATED, STARTED, UPDATED]
    assert endpoint.said[-1][-1][1].endswith("¡Para!")


async def test_answer_that_was_broken_off_is_heard_no_more(tmp_path: Path) -> None:
    async with answered(tmp_path, ("¡Para!", "", "", "Sí.", "", "")) as (client, _):
        await client.until("response.done")  # all of it was sent, and would be played for seconds
        given = {"turn_detection": {"type": "semantic_vad", "create_response": False}}
        await client.configure("realtime", audio={"input": given})
        await client.append(loud(0.24), quiet(2.0))
        await client.until("conversation.item.input_audio_transcription.completed")
        await client.append(loud(0.24), quiet(0.8))
        await client.until(STARTED)
    assert states(client) == ["heard", "interrupts"]


async def test_voice_that_goes_on_interrupts_before_its_words_are_known(tmp_path: Path) -> None:
    async with answered(tmp_path, [""] * 12) as (client, _):
        await client.append(loud(0.8))
        await client.until(STARTED)


async def test_echo_of_the_answer_interrupts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "EARLIEST_S", 9.0)  # it comes back before it can have been played
    async with answered(tmp_path, ()) as (client, _):
        heard = np.frombuffer(audio_of(client.seen), "<i2").astype(np.float32) / 32768
        while len(heard) < RATE:
            await client.until(DELTA)
            heard = np.frombuffer(audio_of(client.seen), "<i2").astype(np.float32) / 32768
        await client.append(quiet(0.4), heard[:RATE], quiet(0.8))
        await client.append(*SHORT)
        await client.until(STARTED)
    # Only the voice after the echo is one.
    assert states(client) == ["heard"]


async def test_plain_voice_detection_interrupts_at_once(tmp_path: Path) -> None:
    async with answered(tmp_path, ("Ajá.", "", ""), detection="server_vad") as (client, _):
        await client.append(loud(0.24))
        await client.until(STARTED)
    assert states(client) == []


async def test_what_is_said_at_the_end_is_a_reply(tmp_path: Path) -> None:
    async with answered(tmp_path, ("Sí.", "", ""), text="¿Y?") as (client, endpoint):
        await client.until("response.done")
        await client.append(loud(0.24), quiet(2.0))
        await client.until("response.done")
    assert states(client) == []
    assert endpoint.said[-1][-1][1].endswith("Sí.")


async def test_commit_makes_a_turn_of_a_voice_that_is_not_judged_yet(tmp_path: Path) -> None:
    async with answered(tmp_path, ("Ajá.", "", "")) as (client, endpoint):
        await client.append(loud(0.24))
        await client.until(UPDATED)
        await client.send("input_audio_buffer.commit")
        await client.until("input_audio_buffer.committed")
        while len(client.of("response.done")) < 2:
            await client.receive()
    assert states(client) == ["heard", "interrupts"]
    assert endpoint.said[-1][-1][1].endswith("Ajá.")


async def test_clear_forgets_a_voice_that_is_not_judged_yet(tmp_path: Path) -> None:
    async with answered(tmp_path, ("", "", "")) as (client, _):
        await client.append(loud(0.24))
        await client.until(UPDATED)
        await client.send("input_audio_buffer.clear")
        await client.until(UPDATED)
    assert states(client) == ["heard", "ignored"]
    assert STARTED not in types(client.seen)
