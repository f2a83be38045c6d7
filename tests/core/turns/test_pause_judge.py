"""The judgement of a pause by a model's answer and the words, on made-up probabilities of a voice."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from kani.core.errors import EngineUnavailable
from kani.core.recognizer import STEP_S, RecognizedWord, Step
from kani.core.turns.pause_judge import HEARD_S, TUNING, PauseJudge
from kani.core.turns.speech_gate import SpeechGate, pause_probabilities
from kani.core.types import Samples

RATE = 16_000
STEP = round(STEP_S * RATE)
SPEECH_STEPS = 12
(_, SURE), (LATER_S, LIKELY), (LAST_S, POSSIBLE) = TUNING.complete


class Model:
    """A model with one answer; None never comes."""

    def __init__(self, answer: float | None) -> None:
        self.answer = answer
        self.heard: list[Samples] = []

    async def prepare(self) -> None: ...

    async def completeness(self, samples: Samples, sample_rate: int) -> float:
        self.heard.append(samples)
        if self.answer is None:
            await asyncio.Event().wait()
        assert self.answer is not None
        return self.answer


class MissingModel(Model):
    async def completeness(self, samples: Samples, sample_rate: int) -> float:
        raise EngineUnavailable("the turn model is missing")


async def judged(
    model: Model,
    text: str,
    *,
    silent_steps: int = 12,
    settled_after: int = 4,
    language: str = "en",
    at: int = 0,
) -> list[Step]:
    """The steps of the silence after ``text``, which is decided after some of them."""
    judge = PauseJudge(model, RATE, at * STEP)
    gate, steps, chunks = SpeechGate(), list[Step](), 0
    for index in range(at, at + SPEECH_STEPS + silent_steps):
        silent = index - at - SPEECH_STEPS
        judge.add_audio(np.full(STEP, index / 1000, np.float32))
        if silent == settled_after:
            begun_s, end_s = at * STEP_S, (at + SPEECH_STEPS) * STEP_S
            words = text.split()
            for number, word in enumerate(words, 1):
                part_s = begun_s + (end_s - begun_s) * number / len(words)
                judge.add_word(RecognizedWord(word, part_s - 0.05, part_s, language))
        until = int((index - at + 1) * STEP_S / 0.032 + 1e-9)
        voices = tuple([0.9 if silent < 0 else 0.0] * (until - chunks))
        chunks = until
        for voice in voices:
            gate.feed(voice)
        pauses = pause_probabilities(gate, sentence_ended=text.endswith("."))
        step = await judge.judge(Step(index, pauses, voices, settled=silent >= settled_after))
        if silent >= 0:
            steps.append(step)
    await judge.aclose()
    return steps


def likely_s(steps: list[Step], index: int = 2) -> float | None:
    """Seconds of silence at the first step with a likely pause."""
    return next(
        (
            round((number + 1) * STEP_S, 2)
            for number, step in enumerate(steps)
            if step.pause_probabilities[index] >= 0.6
        ),
        None,
    )


async def test_sound_and_words_end_a_turn_once_the_words_are_decided() -> None:
    steps = await judged(Model(SURE), "Turn it on.")
    assert [step.complete for step in steps] == [None] * 4 + [True] * 8
    assert [step.completeness for step in steps] == [None] * 4 + [SURE] * 8
    assert likely_s(steps) == pytest.approx(5 * STEP_S)


@pytest.mark.parametrize(
    ("probability", "text", "after_s"),
    [
        (LIKELY, "Turn it on.", LATER_S),
        (POSSIBLE, "Turn it on.", LAST_S),
        (SURE, "Turn it", LAST_S),  # a recogniser leaves out the marks of some sentences
    ],
)
async def test_turn_that_is_less_sure_ends_later(probability: float, text: str, after_s: float) -> None:
    steps = await judged(Model(probability), text, silent_steps=18)
    complete = [step.complete for step in steps]
    first = complete.index(True)
    assert complete == [None] * 4 + [False] * (first - 4) + [True] * (18 - first)
    # Silence is counted in chunks of 32 ms, a step may end within one.
    assert 0 <= (first + 1) * STEP_S - after_s < 2 * STEP_S
    assert likely_s(steps) == pytest.approx((first + 1) * STEP_S)


@pytest.mark.parametrize("text", ["Yes.", "Stop"])
async def test_reply_of_a_word_ends_a_turn_however_it_sounds(text: str) -> None:
    complete = [step.complete for step in await judged(Model(0.0), text)]
    first = complete.index(True)
    assert complete == [None] * 4 + [False] * (first - 4) + [True] * (12 - first)
    assert 0 <= (first + 1) * STEP_S - TUNING.reply_s < 2 * STEP_S


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (SURE, "Turn on the."),
        (SURE, "Turn it on and"),
        (POSSIBLE + TUNING.no_mark - 0.01, "Turn it"),
        (POSSIBLE - 0.01, "Turn it on."),
    ],
)
async def test_either_can_say_that_the_speaker_goes_on(probability: float, text: str) -> None:
    steps = await judged(Model(probability), text, silent_steps=22)
    assert {step.complete for step in steps[4:]} == {False}
    assert likely_s(steps) == pytest.approx(1.52)
    # Half a second of silence is a pause of half a second whatever comes after it.
    assert likely_s(steps, 0) == pytest.approx(0.32)


async def test_model_is_asked_once_in_a_pause_about_the_audio_up_to_it() -> None:
    model = Model(SURE)
    steps = await judged(model, "Turn it on.", silent_steps=30, at=100)
    assert [step.complete for step in steps] == [None] * 4 + [True] * 26
    (heard,) = model.heard
    assert heard[-1] == pytest.approx((100 + SPEECH_STEPS + 2) / 1000)
    assert len(heard) == (SPEECH_STEPS + 3) * STEP <= HEARD_S * RATE


async def test_pause_is_as_without_a_model_where_that_is_slow_or_missing() -> None:
    for model in (Model(None), MissingModel(0.0)):
        steps = await judged(model, "Turn it on.", silent_steps=11)
        assert {step.complete for step in steps} == {None}
        assert likely_s(steps) == pytest.approx(0.72)


async def test_sound_without_words_is_unknown() -> None:
    assert {step.complete for step in await judged(Model(SURE), "")} == {None}


async def test_recogniser_without_marks_is_judged_by_words_and_sound() -> None:
    text = " ".join(["word"] * (TUNING.unmarked_words + 1))
    assert (await judged(Model(SURE), text))[-1].complete is True
    assert (await judged(Model(SURE), f"{text} and"))[-1].complete is False
