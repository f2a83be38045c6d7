"""WS /v1/realtime: conversations of twenty turns in Spanish and English with a default server.

Kokoro's voices are the user, at the pace of speech and in a room's noise; the endpoint follows the scripts.
"""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import pytest
import soxr

from benchmarks.conversations.many_turns import SCRIPTS, SPOKEN, Turn, answered, gauges, say_to
from benchmarks.conversations.talker import DELTA, STARTED, Talker, talker
from benchmarks.recognition.clips import JUDGING_VOICES
from benchmarks.recognition.clips import SAMPLE_RATE as CLIP_RATE
from kani.core.types import Samples
from tests.conftest import ServerProcess, StartServer
from tests.judges.judge import hear, word_error_rate, wrong_words
from tests.support.chat.endpoint import Answer, ChatEndpoint, chat_endpoint, say

pytestmark = pytest.mark.heard

RATE = 24_000
INTERRUPTED = 5
"""Number of the turn with the answer that the user speaks into."""
LONG = {
    "es": "Sí, hay camas, pero cuestan veinte euros más. Son estrechas, aunque se duerme bien en ellas, y "
    "por la mañana traen un café con galletas. También se puede cenar en el tren, si se reserva una mesa.",
    "en": "You could fill some peppers with rice and cheese. Put them in the oven for half an hour, until "
    "they are soft, and then leave the door open for a while. A little fresh parsley goes well with them.",
}
"""That answer: the user's words come long before its end on a slow machine as well."""
HEARD_S = 1.5
"""Seconds of it that are heard before the user speaks."""
PIECE_S, WORD_S = 0.25, 1.0
"""Longest piece of audio, and longest word: as exactly is known which words were heard."""
LISTENED = 4
"""Answers that are transcribed together."""
WRONG, WRONG_IN_A_TURN, WRONG_ANSWERS = 0.1, 0.4, 0.15
"""Largest share of wrong words: of what the user says (0.06 is usual, half of it accents), of one of the
turns (0.2), and of ``LISTENED`` answers (0.06; a missing one is 0.17)."""

Messages = list[tuple[str, str]]
"""Role and text of each."""


@dataclass
class Conversation:
    """The answers that a client was sent, and the seconds that it heard of the one that it interrupted."""

    answers: list[Turn] = field(default_factory=list)
    heard_s: float = 0.0


def script_of(language: str) -> list[tuple[str, str]]:
    script = [*SCRIPTS[language]]
    script[INTERRUPTED] = script[INTERRUPTED][0], LONG[language]
    return script


def answer(body: dict[str, Any]) -> Answer:
    """Answer by the number of turns, in the language of the instructions."""
    messages = body["messages"]
    turns = sum(each["role"] == "user" for each in messages)
    return say(script_of(messages[0]["content"].split()[0])[turns - 1][1])


async def voices(server: ServerProcess, language: str) -> list[Samples]:
    """The user's sentences, at 16 kHz."""
    said = []
    async with httpx.AsyncClient(base_url=server.http_url) as http:
        for number, (text, _) in enumerate(SCRIPTS[language]):
            names = JUDGING_VOICES[language]
            voice = names[number % len(names)]
            body = {"model": "any", "input": text, "voice": voice, "response_format": "pcm"}
            data = (await http.post("/v1/audio/speech", json=body)).raise_for_status().content
            samples = np.frombuffer(data, "<i2").astype(np.float32) / 32768
            said.append(soxr.resample(samples, RATE, CLIP_RATE))
    return said


async def interrupt(client: Talker, turn: Turn, samples: Samples, played_s: float) -> tuple[float, float]:
    """Speak into an answer, and tell what of it was played, as every client does.

    played_s: of all answers before it. Returns when the last sound is said, and the seconds that were played.
    """
    last_sound = await say_to(client, samples)
    while (event := (await client.events.get())[1])["type"] != STARTED:
        if event["type"] == SPOKEN:
            turn.spoken.append((turn.audio_s, event["delta"]))
        elif event["type"] == DELTA:
            turn.audio.append(base64.b64decode(event["delta"]))
    heard_s = client.played_s - played_s
    end = {"item_id": turn.item_id, "content_index": 0, "audio_end_ms": int(1000 * heard_s)}
    await client.send("conversation.item.truncate", **end)
    return last_sound, heard_s


async def converse(server: ServerProcess, language: str, said: Sequence[Samples]) -> Conversation:
    found = Conversation()
    async with talker(server.port, language, "semantic_vad", "script") as client:
        played_s = 0.0
        for number, samples in enumerate(said):
            if number == INTERRUPTED + 1:
                last_sound, found.heard_s = await interrupt(client, found.answers[-1], samples, played_s)
            else:
                last_sound = await say_to(client, samples)
            played_s = client.played_s
            after_s = HEARD_S if number == INTERRUPTED else None
            found.answers.append(await answered(client, last_sound, after_s))
    return found


def check_requests(endpoint: ChatEndpoint, language: str) -> Messages:
    """Each turn is asked once, but for answers that were begun in a pause; returns all that was said."""
    said = [messages[1:] for messages in endpoint.said if messages[0][1].startswith(language)]
    roles = ["user", "assistant"] * len(SCRIPTS[language])
    for messages in said:
        assert [role for role, _ in messages] == roles[: len(messages)] and len(messages) % 2
    asked = {len(messages) // 2: messages for messages in said}
    assert [*asked] == [*range(len(SCRIPTS[language]))]
    for number, messages in asked.items():
        # The part of an answer that was heard may come after the next request.
        if number != INTERRUPTED + 1:
            assert messages == said[-1][: len(messages)]
    return said[-1]


def check_texts(history: Messages, conversation: Conversation, language: str) -> None:
    """What the user said, what was answered, and what was kept of the answer that was interrupted."""
    turns = [(said, heard) for (said, _), (_, heard) in zip(SCRIPTS[language], history[::2], strict=True)]
    counts = [wrong_words(said, heard, language) for said, heard in turns]
    assert all(wrong <= WRONG_IN_A_TURN * words for wrong, words in counts), turns
    wrong, words = map(sum, zip(*counts, strict=True))
    assert wrong <= WRONG * words, turns
    told = [*(text for _, text in history[1::2]), conversation.answers[-1].text]
    answers = [text for _, text in script_of(language)]
    kept, whole = told.pop(INTERRUPTED), answers.pop(INTERRUPTED)
    assert told == answers
    spoken, heard_s = conversation.answers[INTERRUPTED].spoken, conversation.heard_s
    least = "".join(text for at_s, text in spoken if at_s + PIECE_S + WORD_S < heard_s).strip()
    most = "".join(text for at_s, text in spoken if at_s < heard_s).strip()
    assert kept.startswith(least) and most.startswith(kept), (least, kept, most)
    assert kept and kept != whole


def check_sound(conversation: Conversation, language: str) -> None:
    """Every answer is understood, a few at a time."""
    answers = [each for number, each in enumerate(conversation.answers) if number != INTERRUPTED]
    for at in range(0, len(answers), LISTENED):
        some = answers[at : at + LISTENED]
        pause = bytes(RATE)  # half a second
        audio = b"".join(pause + b"".join(each.audio) for each in some)
        samples = np.frombuffer(audio, "<i2").astype(np.float32) / 32768
        text, heard = " ".join(each.text for each in some), hear(samples, RATE, language)
        assert word_error_rate(text, heard, language) <= WRONG_ANSWERS, (text, heard)


async def test_all_is_heard_and_answered(start_server: StartServer) -> None:
    async with chat_endpoint(answer) as endpoint:
        server = await asyncio.to_thread(start_server, KANI_LLM_URL=endpoint.url)
        said = {language: await voices(server, language) for language in SCRIPTS}
        held = await asyncio.gather(*(converse(server, language, said[language]) for language in said))
        left = await gauges(server.port)
    assert not any(left.values()), left
    for language, conversation in zip(said, held, strict=True):
        check_texts(check_requests(endpoint, language), conversation, language)
        check_sound(conversation, language)
