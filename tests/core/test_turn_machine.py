"""Turns of a stream of steps: where they begin, pause and end, and voices over an answer."""

from dataclasses import replace

import numpy as np
import pytest

from kani.core.conversation.echo import HEARD_S
from kani.core.conversation.turns import (
    Patience,
    TurnMachine,
    TurnRule,
    TurnStarted,
    TurnState,
    TurnStopped,
    VoiceChange,
)
from kani.core.recognizer import STEP_S, RecognizedWord, Step
from kani.core.types import Samples

RATE = 24_000
NO_PAUSE = (0.0, 0.0, 0.0, 0.0)
SPEECH = Step(0, NO_PAUSE, (0.9, 0.9))
SILENCE = Step(1, (0.2, 0.1, 0.1, 0.1), (0.0, 0.0), settled=True)


def after(silence_s: float, padding_s: float = 0.3) -> TurnRule:
    return TurnRule(Patience(silence_s, silence_s, silence_s, silence_s), padding_s=padding_s)


class Over:
    """An answer that is heard; its echo is whatever is louder than nothing."""

    def holds_voice(self, heard: Samples, sample_rate: int) -> bool:
        return len(heard) <= sample_rate * HEARD_S

    def is_echo(self, heard: Samples, sample_rate: int) -> bool:
        return bool(heard[-sample_rate:].any())


@pytest.mark.parametrize(
    ("voices", "padding_s", "chunks"),
    [
        # A single loud chunk is a click; 0.35 is below the threshold, and above 0.6 of it.
        ((0.9, 0.1, 0.9, 0.9, 0.35, 0.35, 0.1, 0.1, 0.1, 0.1), 0.0, (2, 9)),
        # The padding does not reach into the turn before.
        ((0.9, 0.9, 0.0, 0.0, 0.0, 0.9, 0.9), 0.3, (0, 5, 5)),
    ],
    ids=["soft ends of words", "padding"],
)
def test_turn_has_whole_words(voices: tuple[float, ...], padding_s: float, chunks: tuple[int, ...]) -> None:
    kinds = (TurnStarted, TurnStopped, TurnStarted)
    expected = [kind(pytest.approx(10 + 0.032 * at)) for kind, at in zip(kinds, chunks, strict=False)]
    machine, rule = TurnMachine(RATE, start_s=10.0), after(0.096, padding_s)
    assert machine.feed(Step(0, NO_PAUSE, voices), rule) == expected


@pytest.mark.parametrize(
    ("complete", "words", "settled", "silence_s"),
    [
        (True, ["on"], True, 0.2),
        (False, ["on."], True, 1.5),
        (None, ["on."], False, 0.7),
        (None, ["ٹھیک۔"], False, 0.7),
        (None, ["on…"], False, 4.0),
        (None, ["on..."], False, 4.0),
        (None, ["on"], False, 4.0),
        (None, [], True, 0.7),  # a voice without words is not waited for
        (None, [], False, 4.0),
    ],
)
def test_words_end_a_turn(complete: bool | None, words: list[str], settled: bool, silence_s: float) -> None:
    machine = TurnMachine(RATE)
    machine.feed(Step(0, NO_PAUSE, (0.9,) * 10), TurnRule())
    for word in words:
        machine.add_word(RecognizedWord(word, 0.0, 0.3, "en"))
    silent = Step(1, NO_PAUSE, (0.0,), complete=complete, settled=settled)
    quiet_chunks = 0
    while not machine.feed(silent, TurnRule()):
        quiet_chunks += 1
    assert quiet_chunks * 0.032 == pytest.approx(silence_s, abs=0.033)


def test_command_goes_on_until_its_words_are_decided() -> None:
    rule = replace(after(0.1), waits_for_words=True)
    machine = TurnMachine(RATE)
    machine.feed(replace(SPEECH, settled=True), rule)
    machine.feed(SPEECH, rule)
    for _ in range(20):
        assert not machine.feed(replace(SILENCE, settled=False), rule)
    assert machine.feed(SILENCE, rule) == [TurnStopped(machine.now_s - 0.032)]


def paused(silent_steps: int) -> TurnMachine:
    machine = TurnMachine(RATE)
    for step in (SPEECH, *([SILENCE] * silent_steps)):
        machine.feed(step, after(0.5))
    return machine


@pytest.mark.parametrize(
    ("silent_steps", "last", "text", "probable"),
    [
        (3, SILENCE, "Turn it on.", False),  # 0.19 s
        (4, SILENCE, "Turn it on.", True),
        (4, SPEECH, "Turn it on.", False),  # its words are not all decided
        (4, SILENCE, "Turn it on", False),
        (4, SILENCE, "Turn it on and.", False),
        (4, SILENCE, "", False),
        (4, replace(SILENCE, complete=False, completeness=0.49), "Turn it on.", False),
        (4, replace(SILENCE, complete=False, completeness=0.5), "Turn it on.", True),
        (8, SILENCE, "Turn it on.", False),  # the turn has ended
    ],
)
def test_pause_probably_ends_a_turn(silent_steps: int, last: Step, text: str, probable: bool) -> None:
    assert paused(silent_steps).has_probably_ended(last, text.split(), "en") is probable


def test_speech_and_turns_go_on() -> None:
    machine = paused(4)
    assert machine.state is TurnState.PAUSED
    machine.feed(SPEECH, after(0.5))
    assert machine.state is TurnState.SPEAKING and not machine.has_probably_ended(SPEECH, ["on."], "en")
    machine = TurnMachine(RATE, Over(), 3.0, resumed=True)
    assert machine.feed(SPEECH, TurnRule(padding_s=0.0)) == [TurnStarted(3.0)]


def test_word_over_an_answer_interrupts_it_and_is_the_first_of_the_turn() -> None:
    machine = TurnMachine(RATE, Over())
    first = replace(SPEECH, voices=(0.9, 0.9, 0.9))
    assert machine.feed(first, TurnRule()) == [VoiceChange.HEARD]
    assert machine.feed(replace(first, index=1), TurnRule()) == []
    word = RecognizedWord("stop", 0.0, 0.2, "en")
    assert machine.add_word(word)
    (started,) = machine.feed(replace(first, index=2), TurnRule())
    assert started == TurnStarted(0.0, (word,), pytest.approx(9 * 0.032), told=True)
    assert machine.state is TurnState.SPEAKING and not machine.add_word(word)


def test_voices_and_echoes_over_an_answer_may_be_nothing() -> None:
    machine = TurnMachine(RATE, Over())
    machine.feed(SPEECH, TurnRule())
    assert machine.in_turn
    changes = [machine.feed(replace(SILENCE, index=index), TurnRule()) for index in range(1, 5)]
    assert [*filter(None, changes)] == [[VoiceChange.NOTHING]] and machine.state is TurnState.SILENT
    machine = TurnMachine(RATE, Over())
    machine.add_audio(np.ones(RATE, np.float32))
    assert machine.feed(SPEECH, TurnRule()) == []
    assert machine.add_word(RecognizedWord("echo", 0.0, STEP_S, "en"))
    assert machine.dismiss() == [VoiceChange.ECHO]
    assert machine.add_word(RecognizedWord("echo", 0.0, STEP_S, "en"))
    assert not machine.add_word(RecognizedWord("word", 2 * STEP_S, 3 * STEP_S, "en"))
