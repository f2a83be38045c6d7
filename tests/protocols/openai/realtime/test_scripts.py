"""WS /v1/realtime: conversations of twenty turns in Spanish and English, heard on both sides.

Kokoro's voices are the user, in noise, and the microphone hears the answers as well.
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
import soxr

from benchmarks.conversations.many_turns import Turn, turn
from benchmarks.conversations.scripts import SCRIPTS
from benchmarks.conversations.talker import RATE, talker
from benchmarks.recognition.clips import JUDGING_VOICES
from benchmarks.recognition.clips import SAMPLE_RATE as CLIP_RATE
from kani import AsyncSpeech
from kani.core.types import Samples
from tests.conftest import StartServer
from tests.judges.judge import hear, word_error_rate
from tests.support.chat.endpoint import Answer, chat_endpoint, say

NOISE = 10 ** (-42 / 20)
"""Amplitude: about 20 dB below the voices."""

ECHO = 10 ** (-12 / 20)
"""Part of the answers that comes back."""


def _answer(body: dict[str, Any]) -> Answer:
    """Return the answer to the last of the script's turns that the messages have."""
    language = body["messages"][0]["content"].split()[0]
    turns = sum(message["role"] == "user" for message in body["messages"])
    return say(SCRIPTS[language][turns - 1][1])


async def _recordings(language: str) -> list[Samples]:
    """Return what the user says, at 16 kHz."""
    async with AsyncSpeech() as speech:
        said = [await speech.say(text, voice=JUDGING_VOICES[language][0]) for text, _ in SCRIPTS[language]]
    return [soxr.resample(audio.samples, audio.sample_rate, CLIP_RATE) for audio in said]


async def _converse(port: int, language: str, said: list[Samples]) -> list[Turn]:
    async with talker(port, language, "semantic_vad", "script") as client:
        client.noise, client.echo = NOISE, ECHO
        return [await turn(client, samples) for samples in said]


@pytest.mark.heard
@pytest.mark.alone
async def test_conversations_of_twenty_turns(start_server: StartServer) -> None:
    said = {language: await _recordings(language) for language in SCRIPTS}
    async with chat_endpoint(_answer) as endpoint:
        server = await asyncio.to_thread(start_server, "--llm", endpoint.url)
        talks = (_converse(server.port, language, said[language]) for language in SCRIPTS)
        answered = dict(zip(SCRIPTS, await asyncio.gather(*talks), strict=True))
    for language, script in SCRIPTS.items():
        asked = [text for text, _ in script]
        answers = [text for _, text in script]
        assert [one.text.strip() for one in answered[language]] == answers
        _, *messages = [body for body in endpoint.said if body[0][1].startswith(language)][-1]
        assert [role for role, _ in messages] == [*["user", "assistant"] * (len(script) - 1), "user"]
        # Each answer was heard to its end, though its echo was in the microphone.
        assert [text for role, text in messages if role == "assistant"] == answers[:-1]
        heard = " ".join(text for role, text in messages if role == "user")
        assert word_error_rate(" ".join(asked), heard, language) <= 0.15
        spoken = [np.frombuffer(b"".join(one.audio), "<i2") / np.float32(32768) for one in answered[language]]
        text = " ".join(hear(samples, RATE, language) for samples in spoken)
        assert word_error_rate(" ".join(answers), text, language) <= 0.15
