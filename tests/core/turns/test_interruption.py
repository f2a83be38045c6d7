"""Whether a voice over an answer interrupts it, on made-up probabilities of a voice."""

from __future__ import annotations

import numpy as np
import pytest

from kani.core.recognizer import RecognizedWord, Step
from kani.core.turns.backchannels import is_backchannel
from kani.core.turns.interruption import Verdict, VoiceOverAnswer
from kani.core.types import Samples

VOICE, NOISE, SILENCE = (0.9, 0.8, 0.7), (0.3, 0.6, 0.2), (0.1, 0.0)
OPEN, INTERRUPTS, NOTHING = Verdict.OPEN, Verdict.INTERRUPTS, Verdict.NOTHING
NO_PAUSE = (0.0, 0.0, 0.0, 0.0)


def heard() -> Samples:
    return np.zeros(10, np.float32)


def verdicts(*steps: tuple[float, ...] | str, echoes: int = 0) -> list[Verdict]:
    """What is known after each step: its probabilities, or words that are settled before it.

    echoes: number of the first steps with a voice that are the answer's echo.
    """
    left = iter([True] * echoes)
    voice, found, settled = VoiceOverAnswer(lambda _: next(left, False)), list[Verdict](), False
    for step in steps:
        if isinstance(step, str):
            at_s = len(found) * 0.08
            for text in step.split():
                voice.add_word(RecognizedWord(text, at_s - 0.2, at_s - 0.1, "es"))
            settled = True
        else:
            found.append(voice.judge(Step(len(found), NO_PAUSE, step, settled=settled), heard))
    return found


@pytest.mark.parametrize(
    ("steps", "last"),
    [
        ((VOICE,) * 6, OPEN),  # 0.58 s
        ((VOICE,) * 7, INTERRUPTS),
        ((VOICE, VOICE, SILENCE, *[VOICE] * 5), INTERRUPTS),  # with a short pause
        ((NOISE,) * 12, OPEN),
        ((VOICE, VOICE, SILENCE, SILENCE, SILENCE), OPEN),  # its words are not known yet
        ((VOICE, VOICE, SILENCE, "", SILENCE, SILENCE), NOTHING),  # a cough
        ((VOICE, VOICE, SILENCE, SILENCE, "¡Para!", SILENCE), INTERRUPTS),
        ((VOICE, VOICE, SILENCE, SILENCE, "Ajá, sí.", SILENCE), NOTHING),
        ((VOICE, VOICE, SILENCE, SILENCE, "Sí, pero", SILENCE), INTERRUPTS),
        (((0.9, 0.9, 0.1), SILENCE, SILENCE, "Gracias.", SILENCE), NOTHING),  # a cough, as it is misheard
        # Long, but known to be a listener's.
        ((VOICE, VOICE, VOICE, VOICE, "Mm-hmm.", VOICE, VOICE, SILENCE), OPEN),
    ],
)
def test_word_or_a_voice_that_goes_on_interrupts(
    steps: tuple[tuple[float, ...] | str, ...], last: Verdict
) -> None:
    *before, found = verdicts(*steps)
    assert (set(before), found) == ({OPEN}, last)


def test_echo_does_not_count_but_the_voice_after_it() -> None:
    assert verdicts(*[VOICE] * 16, echoes=9)[-2:] == [OPEN, INTERRUPTS]
    # The echo's words end in it.
    assert verdicts(*[VOICE] * 9, "¿Quieres café?", SILENCE, SILENCE, SILENCE, echoes=9)[-1] is NOTHING


def test_recogniser_without_probabilities() -> None:
    voice, silence = VoiceOverAnswer(lambda _: False), (0.9, 0.8, 0.7, 0.1)
    assert [voice.judge(Step(n, NO_PAUSE), heard) for n in range(8)][-2:] == [OPEN, INTERRUPTS]
    voice = VoiceOverAnswer(lambda _: False)
    found = [voice.judge(Step(n, NO_PAUSE if n < 2 else silence), heard) for n in range(5)]
    assert found[-2:] == [OPEN, NOTHING]


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("Mhm.", "en", True),
        ("Mm-hmm.", "", True),
        ("Uh-huh.", "en", True),
        ("Ajá.", "es", True),
        ("Sí, sí.", "es", True),
        ("sí,sí", "es", True),
        ("Oui.", "es", False),
        ("うん。", "ja", True),
        ("对。", "zh", True),
        ("bale", "es", True),  # vale
        ("bales", "es", True),
        ("glados", "es", True),  # claro
        ("¿Quién?", "es", False),  # not bien
        ("si", "es", True),
        ("para", "es", False),
        ("Yeah, but", "en", False),
        ("No.", "en", False),
        ("ok ok ok ok ok", "en", False),
        ("…", "en", False),
    ],
)
def test_words_of_a_listener(text: str, language: str, found: bool) -> None:
    assert is_backchannel(text.split(), language) is found
