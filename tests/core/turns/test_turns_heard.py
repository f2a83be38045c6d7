"""Ends of turns and interruptions in speech that Whisper hears, by the session that every protocol opens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np
import pytest
import pytest_asyncio

from benchmarks.recognition.interruptions import SPEECH_LEVEL, Sound, interrupted_s, levelled
from benchmarks.recognition.turn_cases import speak
from kani.core.recognizer import STEP_S, Step
from kani.core.session.recognition import RecognitionSession
from kani.core.types import Samples
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.whisper.engine import WhisperRecognizer
from kani.runtime.turn_model.model import SAMPLE_RATE, SmartTurn

pytestmark = [pytest.mark.heard, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def recognizer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WhisperRecognizer]:
    made = WhisperRecognizer(models_dir=None, cache_dir=tmp_path_factory.mktemp("empty-cache"))
    await made.start()
    yield made
    await made.stop()


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


async def steps_of(recognizer: WhisperRecognizer, samples: Samples, language: str) -> list[Step]:
    """The steps of a session that judges turns."""
    session = RecognitionSession(
        recognizer,
        lambda: asyncio.sleep(0),
        SAMPLE_RATE,
        language,
        lambda: None,
        lambda _seconds, _late_s: None,
        turn_model=SmartTurn(),
    )
    session.judges_turns = True
    await session.feed(samples)
    session.finish()
    async with session, aclosing(session.events()) as events:
        return [event async for event in events if isinstance(event, Step)]


@pytest.mark.parametrize(
    ("language", "voice", "begin", "rest"),
    [
        ("en", "af_heart", "I would like to book a table for", "four people on Saturday."),
        ("es", "ef_dora", "Quiero reservar una mesa para", "cuatro personas el sábado."),
    ],
)
async def test_sentence_is_complete_at_its_end_and_not_before(
    onnx_engine: KokoroEngine, recognizer: WhisperRecognizer, language: str, voice: str, begin: str, rest: str
) -> None:
    speech, words = await speak(onnx_engine, language, voice, f"{begin} {rest}")
    cut = round(words[len(begin.split()) - 1][0] * SAMPLE_RATE)
    parts = [silence(0.5), speech[:cut], silence(1.2), speech[cut:], silence(2)]
    steps = await steps_of(recognizer, np.concatenate(parts), language)
    rest_s = sum(map(len, parts[:3])) / SAMPLE_RATE
    cut_off, whole = (
        [step for step in steps if step.complete is not None and (step.index * STEP_S > rest_s) is later]
        for later in (False, True)
    )
    assert {step.complete for step in cut_off} == {False}
    assert whole[0].complete is True
    # A pause of 2 s is likely as soon as the words are decided, and not within the sentence.
    assert whole[0].pause_probabilities[2] >= 0.6
    assert not any(step.pause_probabilities[2] >= 0.6 for step in cut_off)


@pytest.mark.parametrize(
    ("text", "interrupts"), [("", False), ("Mhm.", False), ("Wait, stop!", True), ("How much is it?", True)]
)
async def test_words_interrupt_an_answer_and_its_echo_does_not(
    onnx_engine: KokoroEngine, recognizer: WhisperRecognizer, text: str, interrupts: bool
) -> None:
    answer = "The Alhambra comes first. Then you can walk up to the view point."
    before, echo = [
        (await speak(onnx_engine, "en", voice, said))[0]
        for voice, said in (("af_bella", "Tell me what there is to see."), ("am_michael", answer))
    ]
    answer_s = len(before) / SAMPLE_RATE + 1
    parts = [levelled(before), silence(1), levelled(echo, SPEECH_LEVEL / 4), silence(1)]
    samples = np.concatenate(parts)
    if text:
        spoken, _ = await speak(onnx_engine, "en", "af_bella", text)
        start = round((answer_s + 1.5) * SAMPLE_RATE)
        samples[start : start + len(spoken)] += levelled(spoken)
    sound = Sound("test", "en", answer, samples, answer_s, answer_s + 1.5)
    found = await interrupted_s(recognizer, sound)
    assert (found is not None) is interrupts
