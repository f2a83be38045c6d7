"""The words of a script that grows, and words with times from the recogniser's tokens."""

from __future__ import annotations

import math

import pytest

from kani.core.recognizer import STEP_S
from kani.core.transcriber import TranscribedWord
from kani.engines.kyutai.words import END_OF_PADDING, MAX_WORD_TOKENS, Delays, Script, WordAssembler, words

TEXT = "Well, it’s (only) one:two — three."


def test_script_has_the_words_of_the_package() -> None:
    """Also while it is being written."""
    found = words(TEXT)
    assert [word.written for word in found] == ["Well,", "it's", "only", "one", "two", "—", "three."]
    assert [TEXT[word.start : word.end] for word in found][1:4] == ["it’s", "(only)", "one"]
    assert not words(" ( : ) ")
    for step in (1, 2, 5, 100):
        script, taken = Script(), []
        for end in range(0, len(TEXT), step):
            taken += script.take(TEXT[:end], complete=False)
        taken += script.take(TEXT, complete=True)
        assert taken == script.words == found, step


PAD, W = 3, END_OF_PADDING
PIECES = {10: " The", 11: " train", 12: "ing", 13: " two words"}
DELAYS = Delays.of_seconds(0.08, 0.5)


def heard(written: dict[int, int], frames: int = 40) -> list[TranscribedWord]:
    """Words of a stream that writes tokens at some frames, frame 0 being the one before the audio."""

    assembler = WordAssembler(DELAYS, PAD, lambda tokens: "".join(PIECES[token] for token in tokens))
    found = [word for at in range(frames) for word in assembler.take(written.get(at, PAD), 0.9 - 0.01 * at)]
    assert assembler.pending is (written.get(frames - 1, PAD) not in (PAD, W))
    return found + assembler.finish()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        # The text follows the audio by six frames, and the audio one frame of silence.
        ({6: W, 7: 10, 9: W, 10: 11, 11: 12, 12: PAD}, [("The", 1, 3), ("training", 4, 7)]),
        ({6: 10, 7: PAD, 8: 11}, [("The", 1, 2), ("train", 3, 4)]),
        ({6: W, 7: 10, 39: 11}, [("The", 1, 3), ("train", 34, 35)]),
        ({6: W, 7: 13, 11: W}, [("two", 1, 2), ("words", 2, 3)]),
        ({2: W, 3: 10, 4: PAD}, []),
        ({6: W, 7: PAD}, []),
    ],
)
def test_words_have_the_times_of_their_audio(
    written: dict[int, int], expected: list[tuple[str, int, int]]
) -> None:
    found = [(word.text, round(word.start_s / STEP_S), round(word.end_s / STEP_S)) for word in heard(written)]
    assert found == expected


def test_word_without_an_end_is_cut_and_has_the_probability_of_its_least_likely_token() -> None:
    (word,) = heard({6: W, 7: 11, 8: 12})
    assert math.exp(word.log_probability) == pytest.approx(0.82)
    found = heard(dict.fromkeys(range(6, 6 + 2 * MAX_WORD_TOKENS), 12), 400)
    assert len(found) == 2 and len(found[0].text) == 3 * MAX_WORD_TOKENS


def test_delays_are_those_of_the_published_checkpoints() -> None:
    assert Delays.of_seconds(0.0, 0.5) == Delays(0, 6, 19)
    assert Delays.of_seconds(1.0, 2.5) == Delays(13, 31, 44)
