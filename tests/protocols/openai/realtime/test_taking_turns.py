"""WS /v1/realtime with a language model: answers begun in a pause or taken back, and voices over them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest

from kani.core.conversation import echo
from kani.core.recognizer import Mark, RecognitionEvent, RecognizedWord
from kani.core.types import Samples
from tests.clients.openai_realtime import RATE, TRANSCRIPTION, Client, audio_of, loud, quiet, types
from tests.support.chat.endpoint import Answer, ChatEndpoint, say
from tests.support.chat.talking import DELTAS, HEARD, SYSTEM, StartTalk, ask, done, write
from tests.support.loudness import LIVE, HearsAgain, PausingRecognizer
from tests.support.patience import WITHIN_S, happens
from tests.support.servers.serving import InProcessServer

EARLY = {"KANI_LLM_EARLY": "true"}
SENTENCE = quiet(0.4), loud(0.4)  # HEARD
PAUSE = quiet(0.32)
"""Shorter than the silence that ends a turn."""

REST = quiet(0.48)
USER = ("user", HEARD)
WHOLE = ("user", f"{HEARD} w5 w6 w7 w8 w9.")


async def listen(client: Client, detection: dict[str, Any], **session: Any) -> None:
    """Have turns detected so, in Spanish."""
    given = {"transcription": {"language": "es"}, "turn_detection": detection}
    await client.configure("realtime", audio={"input": given}, **session)


async def early_answers(server: InProcessServer) -> dict[str, float]:
    """Numbers of the metrics, by the outcome."""
    lines = (await server.get("/metrics")).text.splitlines()
    counts = [line.rsplit(" ", 1) for line in lines if line.startswith("kani_early_answers_total{")]
    return {labels.split('outcome="')[1].split('"')[0]: float(value) for labels, value in counts}


@pytest.mark.parametrize("modality", ["audio", "text"])
async def test_answer_is_ready_when_the_turn_ends(talk: StartTalk, modality: str) -> None:
    client, server, endpoint = await talk(say("uno dos tres."), **EARLY)
    await client.configure("realtime", output_modalities=[modality])
    await client.append(*SENTENCE, PAUSE)
    # Asked, and spoken, 0.2 s of silence before the turn ends.
    await happens(lambda: server.engine.segments if modality == "audio" else endpoint.requests)
    begun = await client.until("input_audio_buffer.speech_started")
    await client.append(REST)
    events = begun + await client.until("response.done")
    assert await early_answers(server) == {"started": 1, "used": 1}
    assert types(events).index("input_audio_buffer.committed") < types(events).index("response.created")
    assert types(events)[1] == "input_audio_buffer.speech_stopped"
    content = events[-1]["response"]["output"][0]["content"][0]
    assert content.get("transcript", content.get("text")) == "uno dos tres."
    assert events[-1]["response"]["usage"]["total_tokens"] == 18
    assert endpoint.said == [[SYSTEM, USER]]


async def test_speaker_who_goes_on_hears_nothing_of_it(talk: StartTalk) -> None:
    never = say("Nunca jamás en la vida. Y nunca más.", holds={6: asyncio.Event()})
    client, server, endpoint = await talk(never, say("vale."), **EARLY)
    await client.append(*SENTENCE, PAUSE)
    await happens(lambda: server.engine.segments)
    await client.append(loud(0.4))
    await asyncio.wait_for(endpoint.closed.wait(), WITHIN_S)
    await happens(lambda: not server.engine.under_way)
    # Audio comes faster than it is spoken: the turn ends only after its answer was begun early.
    await client.append(PAUSE)
    await happens(lambda: len(endpoint.said) == 2)
    await client.append(REST)
    assert (await done(client))["output"][0]["content"][0]["transcript"] == "vale."
    await ask(client, "¿Y?")
    assert await early_answers(server) == {"started": 2, "dropped": 1, "used": 1}
    assert types(client.seen).count("response.created") == 2
    assert "Nunca" not in str(client.seen)
    later = [SYSTEM, WHOLE, ("assistant", "vale."), ("user", "¿Y?")]
    assert endpoint.said == [[SYSTEM, USER], [SYSTEM, WHOLE], later]


async def test_without_the_setting_nothing_is_asked_before_the_end(talk: StartTalk) -> None:
    client, server, endpoint = await talk(say("vale."))
    await client.append(*SENTENCE, PAUSE, loud(0.4), quiet(0.8))
    await done(client)
    assert await early_answers(server) == {}
    assert endpoint.said == [[SYSTEM, WHOLE]]


class LastWord(PausingRecognizer):
    """Decides one more word once the turn has ended."""

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        async for event in super().recognize(audio, language):
            if isinstance(event, Mark):
                yield RecognizedWord("más", 0.7, 0.8, "en")
            yield event


@pytest.mark.parametrize("change", ["words", "instructions"])
async def test_answer_to_anything_else_is_not_used(talk: StartTalk, change: str) -> None:
    recognizer = LastWord() if change == "words" else None
    client, server, endpoint = await talk(say("nunca."), say("vale."), recognizer=recognizer, **EARLY)
    await client.append(*SENTENCE, PAUSE)
    await happens(lambda: server.engine.segments)
    if change == "instructions":
        await client.configure("realtime", instructions="Sé breve.")
    await client.append(REST)
    assert (await done(client))["output"][0]["content"][0]["transcript"] == "vale."
    assert (await early_answers(server))["dropped"] == 1
    last = [SYSTEM, ("user", f"{HEARD} más")] if change == "words" else [("system", "Sé breve."), USER]
    assert endpoint.said == [[SYSTEM, USER], last]


LONG_TURN = quiet(0.4), loud(1.6), PAUSE, REST


@pytest.mark.parametrize("cores", [2, 4])
async def test_answer_that_sounds_first_is_to_the_words_heard_live(
    talk: StartTalk, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr("kani.core.turns.second_hearing.LONGEST_WAIT_S", WITHIN_S)
    monkeypatch.setattr("kani.core.turns.second_hearing.BESIDE_ANSWERS", cores > 2)
    client, _, endpoint = await talk(say("vale."), recognizer=(recognizer := HearsAgain("Nineteen.")))
    await listen(client, {"type": "server_vad"})
    await client.append(*LONG_TURN)
    await client.until(DELTAS[0])
    assert not client.of(f"{TRANSCRIPTION}.completed")
    await happens(lambda: recognizer.asked)
    recognizer.go_on.set()
    (completed,) = (await client.until(f"{TRANSCRIPTION}.completed"))[-1:]
    assert completed["transcript"] == "Nineteen."
    if not client.of("response.done"):
        await done(client)
    await ask(client, "¿Y?")
    asked = [("user", LIVE)], [("user", "Nineteen."), ("assistant", "vale."), ("user", "¿Y?")]
    assert endpoint.said == [[SYSTEM, *messages] for messages in asked]


@pytest.mark.parametrize(
    ("whole", "asked"), [("So, we WENT - " + LIVE[11:], [LIVE]), ("Nineteen.", [LIVE, "Nineteen."])]
)
async def test_other_words_of_the_whole_are_asked_anew_before_a_sound(
    talk: StartTalk, monkeypatch: pytest.MonkeyPatch, whole: str, asked: list[str]
) -> None:
    monkeypatch.setattr("kani.core.turns.second_hearing.LONGEST_WAIT_S", WITHIN_S)
    monkeypatch.setattr("kani.core.turns.second_hearing.BESIDE_ANSWERS", True)
    held = asyncio.Event()
    scripts = say("nunca.", holds={0: held}), say("vale.")
    client, server, endpoint = await talk(*scripts, recognizer=(recognizer := HearsAgain(whole)))
    await listen(client, {"type": "server_vad"})
    await client.append(*LONG_TURN)
    await happens(lambda: endpoint.requests)
    recognizer.go_on.set()
    (completed,) = (await client.until(f"{TRANSCRIPTION}.completed"))[-1:]
    assert completed["transcript"] == whole
    held.set()
    response = await done(client)
    assert response["output"][0]["content"][0]["transcript"] == ("nunca." if len(asked) == 1 else "vale.")
    assert endpoint.said == [[SYSTEM, ("user", words)] for words in asked]
    assert await early_answers(server) == {"started": 1, "used" if len(asked) == 1 else "dropped": 1}


async def test_dictated_words_are_answered_once_they_are_heard_as_a_whole(
    talk: StartTalk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kani.core.turns.second_hearing.DICTATED_WAIT_S", WITHIN_S)
    monkeypatch.setattr("kani.core.turns.second_hearing.dictates", lambda words, language: True)
    client, _, endpoint = await talk(
        say("vale."), recognizer=(recognizer := HearsAgain("612 34 56")), **EARLY
    )
    await client.append(*LONG_TURN)
    await client.until("input_audio_buffer.committed")
    assert not endpoint.requests
    recognizer.go_on.set()
    await done(client)
    assert endpoint.said == [[SYSTEM, ("user", "612 34 56")]]


async def test_failure_of_an_early_request_is_no_failure_of_the_answer(talk: StartTalk) -> None:
    client, server, endpoint = await talk(Answer(status=429, error={}), say("vale."), **EARLY)
    await client.append(*SENTENCE, PAUSE)
    await happens(lambda: endpoint.requests)
    while not (await early_answers(server)).get("dropped"):
        await asyncio.sleep(0.005)
    await client.append(REST)
    assert (await done(client))["status"] == "completed"
    assert not client.of("error") and endpoint.said == [[SYSTEM, USER]] * 2


async def test_client_that_leaves_in_the_pause_ends_the_request(talk: StartTalk) -> None:
    client, server, endpoint = await talk(say("uno dos.", holds={1: asyncio.Event()}), **EARLY)
    await client.append(*SENTENCE, PAUSE)
    await happens(lambda: endpoint.requests)
    await client.websocket.close()
    await asyncio.wait_for(endpoint.closed.wait(), WITHIN_S)
    await happens(lambda: not server.engine.under_way)


FIRST, SECOND = "¿Qué hora es en Lima?", "¿Y en La Paz hoy?"
JOINED = f"{FIRST}\n{SECOND}"


@pytest.mark.parametrize("early", ["true", "false"])
@pytest.mark.parametrize("detection", ["server_vad", "semantic_vad"])
@pytest.mark.parametrize("written", [False, True], ids=["asked", "written"])
async def test_answer_that_has_not_sounded_leaves_no_trace(
    talk: StartTalk, written: bool, detection: str, early: str
) -> None:
    never = say("Nunca jamás. Y nunca más.", holds={4 if written else 0: asyncio.Event()})
    # The voice that goes on has no words at first.
    recognizer = PausingRecognizer(words=(*FIRST.split(), "", "", "", *SECOND.split()))
    client, server, endpoint = await talk(never, say("vale."), recognizer=recognizer, KANI_LLM_EARLY=early)
    server.engine.allow = 0
    await listen(client, {"type": detection})
    await client.append(quiet(0.4), loud(0.4), quiet(1.6))
    await client.until("response.created")
    if written:
        await client.until("response.content_part.added")
    await happens(lambda: server.engine.segments if written else endpoint.requests)
    # At once: before a word, and with less voice than interrupts an answer that is heard.
    await client.append(loud(0.24))
    dropped = await done(client)
    await endpoint.closed.wait()
    assert not {*DELTAS} & {*types(client.seen)}
    server.engine.allow = None
    server.engine.moved.set()
    await client.append(loud(0.4), quiet(1.6))
    answered = await done(client)
    await ask(client, "¿Y?")
    assert dropped["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert answered["output"][0]["content"][0]["transcript"] == "vale."
    later = [SYSTEM, ("user", JOINED), ("assistant", "vale."), ("user", "¿Y?")]
    assert endpoint.said == [[SYSTEM, ("user", FIRST)], [SYSTEM, ("user", JOINED)], later]


LONG = "uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece."
SHORT = loud(0.24), quiet(0.8)
STARTED = "input_audio_buffer.speech_started"
UPDATED = "rate_limits.updated"

Answered = Callable[..., Awaitable[tuple[Client, ChatEndpoint]]]


@pytest.fixture
def answered(talk: StartTalk) -> Answered:
    """Start a client that hears an answer of ``text``; what it says is heard as ``words``."""

    async def start(
        words: Sequence[str], text: str = LONG, detection: str = "semantic_vad"
    ) -> tuple[Client, ChatEndpoint]:
        client, _, endpoint = await talk(say(text), say("vale."), recognizer=PausingRecognizer(words=words))
        await listen(client, {"type": detection})
        await write(client, "Hola.")
        await client.until(DELTAS[0])
        return client, endpoint

    return start


def states(client: Client) -> list[str]:
    """States of voices over the answer that the client was sent."""
    return [event["details"]["state"] for event in client.of(UPDATED)]


@pytest.mark.parametrize("words", [("Ajá,", "sí", "sí."), ("", "", "")], ids=["listener", "cough"])
async def test_listener_and_noises_interrupt_nothing(answered: Answered, words: Sequence[str]) -> None:
    client, endpoint = await answered(words)
    await client.append(*SHORT)
    await client.until(UPDATED, 2)
    await client.send("conversation.item.retrieve", item_id="none")
    await client.until("error")
    assert states(client) == ["heard", "ignored"]
    assert not {STARTED, "input_audio_buffer.committed"} & {*types(client.seen)}
    assert len(endpoint.requests) == 1


async def test_word_interrupts_and_is_answered(answered: Answered) -> None:
    client, endpoint = await answered(("¡Para!", "", ""))
    await client.append(loud(0.24), quiet(2.0))
    events = await client.until(f"{TRANSCRIPTION}.completed")
    await done(client)
    assert states(client) == ["heard", "interrupts"]
    assert events[-1]["transcript"] == "¡Para!"
    assert [name for name in types(events) if name in (STARTED, UPDATED)] == [UPDATED, STARTED, UPDATED]
    assert endpoint.said[-1][-1][1].endswith("¡Para!")


async def test_answer_that_was_broken_off_is_heard_no_more(answered: Answered) -> None:
    client, _ = await answered(("¡Para!", "", "", "Sí.", "", ""))
    await done(client)  # all of it was sent, and would be played for seconds
    await listen(client, {"type": "semantic_vad", "create_response": False})
    await client.append(loud(0.24), quiet(2.0))
    await client.until(f"{TRANSCRIPTION}.completed")
    await client.append(loud(0.24), quiet(0.8))
    await client.until(STARTED)
    assert states(client) == ["heard", "interrupts"]


async def test_echo_interrupts_nothing(answered: Answered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "EARLIEST_S", 9.0)  # it comes back before it can have been played
    client, _ = await answered(())
    while len(audio := audio_of(client.seen)) < 2 * RATE:
        await client.until(DELTAS[0])
    heard = np.frombuffer(audio, "<i2")[:RATE].astype(np.float32) / 32768
    await client.append(quiet(0.4), heard, quiet(0.8))
    await client.append(*SHORT)
    await client.until(STARTED)
    # Only the voice after the echo is one.
    assert states(client) == ["heard"]


async def test_plain_detection_and_lasting_voices_interrupt_at_once(answered: Answered) -> None:
    client, _ = await answered(("Ajá.", "", ""), detection="server_vad")
    await client.append(loud(0.24))
    await client.until(STARTED)
    assert states(client) == []
    client, _ = await answered([""] * 12)
    await client.append(loud(0.8))
    await client.until(STARTED)


async def test_what_is_said_at_the_end_is_a_reply(answered: Answered) -> None:
    client, endpoint = await answered(("Sí.", "", ""), text="¿Y?")
    await done(client)
    await client.append(loud(0.24), quiet(2.0))
    await done(client)
    assert states(client) == []
    assert endpoint.said[-1][-1][1].endswith("Sí.")


async def test_voices_that_are_not_judged_are_turns_or_forgotten(answered: Answered) -> None:
    client, endpoint = await answered(("Ajá.", "", ""))
    await client.append(loud(0.24))
    await client.until(UPDATED)
    await client.send("input_audio_buffer.commit")
    await client.until("input_audio_buffer.committed")
    while len(client.of("response.done")) < 2:
        await client.receive()
    assert states(client) == ["heard", "interrupts"]
    assert endpoint.said[-1][-1][1].endswith("Ajá.")
    client, _ = await answered(("", "", ""))
    await client.append(loud(0.24))
    await client.until(UPDATED)
    await client.send("input_audio_buffer.clear")
    await client.until(UPDATED)
    assert states(client) == ["heard", "ignored"]
    assert STARTED not in types(client.seen)


OVER = {"type": "semantic_vad", "over_answer": True}


@pytest.mark.parametrize("kind", ["realtime", "transcription"])
async def test_voice_over_an_answer_of_the_client_is_judged(talk: StartTalk, kind: str) -> None:
    recognizer = PausingRecognizer(words=("Ajá.", "", "", "¡Para!", "", "", "Sí.", "", ""))
    client, _, _ = await talk(say("vale."), recognizer=recognizer)
    given = {"transcription": {"language": "es"}, "turn_detection": OVER | {"create_response": False}}
    session = (await client.configure(kind, audio={"input": given}))["session"]
    assert session["audio"]["input"]["turn_detection"]["over_answer"] is True
    await client.append(*SHORT)
    await client.until(UPDATED, 2)
    await client.append(loud(0.24), quiet(2.0))
    await client.until(f"{TRANSCRIPTION}.completed")
    assert states(client) == ["heard", "ignored", "heard", "interrupts"]
    assert len(client.of(STARTED)) == 1
    await client.configure(kind, audio={"input": {"turn_detection": OVER | {"over_answer": False}}})
    await client.append(loud(0.24), quiet(2.0))
    assert (await client.until(f"{TRANSCRIPTION}.completed"))[-1]["transcript"] == "Sí."
    assert len(states(client)) == 4


async def test_voice_at_the_end_of_an_answer_of_the_client_is_a_reply(talk: StartTalk) -> None:
    client, _, endpoint = await talk(say("vale."), recognizer=PausingRecognizer(words=("Ajá.", "", "")))
    await listen(client, OVER, output_modalities=["text"])
    await client.append(loud(0.24))
    await client.until(UPDATED)
    await listen(client, OVER | {"over_answer": False})
    await client.append(quiet(2.0))
    await done(client)
    assert states(client) == ["heard", "interrupts"]
    assert endpoint.said[-1][-1][1].endswith("Ajá.")
