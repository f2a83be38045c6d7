"""What interrupts an answer, by steps and words that are made up."""

from __future__ import annotations

import pytest

from kani.core.recognizer import RecognizedWord, Step
from kani.core.turns.interruption import Interruption

USUAL_DB = -25.0


def step(voice: float, level_db: float = USUAL_DB) -> Step:
    """A step of 64 ms of voice."""
    return Step(0, (0.0, 0.0, 0.0, 0.0), (voice, voice), level_db=level_db)


def word(text: str, language: str = "en") -> RecognizedWord:
    return RecognizedWord(text, 0.0, 0.1, language)


def answering(*, by_voice: bool = True) -> Interruption:
    """An answer that has begun, after the listener spoke for a second."""
    interruption = Interruption(by_voice=by_voice)
    for _ in range(16):
        assert not interruption.feed(step(0.9))
    interruption.begin()
    return interruption


def stops(interruption: Interruption, steps: list[Step]) -> list[int]:
    """The steps that stop the answer."""
    return [at for at, each in enumerate(steps) if interruption.feed(each)]


def test_voice_that_goes_on_stops_the_answer_once() -> None:
    interruption = answering()
    assert stops(interruption, [step(0.9)] * 20) == [5]
    interruption.begin()
    assert stops(interruption, [step(0.9)] * 20) == [5]


def test_short_sounds_stop_nothing() -> None:
    knock = [step(0.9)] * 3 + [step(0.1)] * 4
    assert not stops(answering(), knock * 20)
    # A gap between two syllables does not begin anew.
    assert stops(answering(), ([step(0.9)] * 3 + [step(0.3)] * 2) * 4) == [7]


def test_quiet_voice_is_an_echo_until_it_says_words_of_its_own() -> None:
    interruption = answering()
    interruption.said("The train leaves at nine.")
    assert not stops(interruption, [step(0.95, USUAL_DB - 12)] * 100)
    assert not any(interruption.add_word(word(text)) for text in "the train, LEAVES at nine".split())
    # A word or two that are not the answer's may be its echo, misheard.
    heard = [interruption.add_word(word(text)) for text in "at eight leaves why not wait".split()]
    assert heard == [False] * 5 + [True]


def test_level_tells_nothing_of_a_listener_who_never_spoke() -> None:
    interruption = Interruption()
    interruption.begin()
    assert stops(interruption, [step(0.9, -60.0)] * 20)


@pytest.mark.parametrize(
    ("language", "text"), [("en", "Mhm."), ("en", "Yes."), ("es", "Sí."), ("es", "Ajá,")]
)
def test_attention_is_no_interruption_unless_it_goes_on(language: str, text: str) -> None:
    interruption = answering(by_voice=False)
    stops(interruption, [step(0.9)] * 5)
    assert not interruption.add_word(word(text, language))
    stops(interruption, [step(0.9)] * 15)
    assert interruption.add_word(word(text, language))


def test_words_alone_interrupt_where_the_echo_is_not_cancelled() -> None:
    interruption = answering(by_voice=False)
    assert not stops(interruption, [step(0.9)] * 100)
    assert interruption.add_word(word("stop")) and not interruption.add_word(word("stop"))


def test_nothing_is_interrupted_between_answers() -> None:
    interruption = answering()
    interruption.end()
    assert not stops(interruption, [step(0.9)] * 20) and not interruption.add_word(word("stop"))
