"""Words, marks and pauses from text tokens."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kani.core.recognizer import STEP_S, Mark, Step
from kani.engines.kyutai.delays import Delays
from kani.engines.kyutai.step import StepResult, Token
from kani.engines.kyutai.stream import RecognitionStream
from kani.engines.kyutai.words import END_OF_PADDING, MAX_WORD_TOKENS, WordAssembler

PAD, W = 3, END_OF_PADDING
DELAYS = Delays(before=0, text=6, after=19)
TEXTS = {10: " The", 11: " train", 12: "ing", 13: ".", 14: " New York", 1: ""}


def decode(tokens: Sequence[int]) -> str:
    return "".join(TEXTS.get(token, " x") for token in tokens)


def assembled(tokens: Sequence[int], first: int = 5) -> list[tuple[str, int, int]]:
    """Text, start and end in frames of the words of tokens; the first is that of audio at 0 s."""
    words = WordAssembler(DELAYS, PAD, decode)
    found = [word for at, number in enumerate(tokens, first) for word in words.take(Token(number, at, -0.1))]
    return [(word.text, round(word.start_s / STEP_S), round(word.end_s / STEP_S)) for word in found]


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ([PAD, W, 10, PAD, W, 11, 12, PAD], [("The", 1, 3), ("training", 4, 7)]),
        ([W, 10, W, 11, 13, W], [("The", 0, 2), ("train.", 2, 5)]),
        # Without its token before it, a word begins with its first piece.
        ([PAD, 10, PAD, PAD, 11, PAD], [("The", 1, 2), ("train", 4, 5)]),
        # Two words in one piece share its time.
        ([W, 14, PAD, PAD], [("New", 0, 1), ("York", 1, 2)]),
        ([W, 1, PAD, W, 10, PAD], [("The", 3, 5)]),
        ([W, W, PAD, W], []),
        ([W, *[10] * (MAX_WORD_TOKENS + 1)], [("The", at, at + 1) for at in range(MAX_WORD_TOKENS)]),
    ],
)
def test_tokens_are_joined_to_words_with_times(
    tokens: Sequence[int], words: list[tuple[str, int, int]]
) -> None:
    assert assembled(tokens) == words


def test_tokens_before_the_audio_are_no_words() -> None:
    assert assembled([10, PAD, W, 11, PAD], first=0) == []
    assert assembled([10, PAD, W, 11, PAD], first=3) == [("train", 0, 2)]


def test_word_does_not_begin_before_the_end_of_the_last_one() -> None:
    words = WordAssembler(DELAYS, PAD, decode)
    found = []
    for number, position, ended_s in ((10, 6, 1.0), (11, 8, 1.2)):
        words.take(Token(number, position, -0.1))
        found += words.finish(ended_s)
    assert [(word.start_s, word.end_s) for word in found] == [(DELAYS.time_s(6), 1.0), (1.0, 1.2)]


def test_pause_is_likely_only_behind_the_last_word() -> None:
    """Speech of 1 s, its last word written 0.5 s later; then silence."""
    stream = RecognitionStream(DELAYS, WordAssembler(DELAYS, PAD, decode))
    written = {12: W, 13: 10, 14: PAD, 16: W, 17: 11, 18: 12, 19: 12, 20: 12, 21: 13, 22: PAD}
    stream.add_mark(Mark(1), at_s=5 * STEP_S)
    stream.add_mark(Mark(2), at_s=13 * STEP_S)
    for at in range(50):
        tokens = (Token(written.get(at + 1, PAD), at + 1, -0.1),)
        stream.take(StepResult(tokens, None), [0.9 if at < 12 else 0.01] * (2 + at % 2))
    events = list(stream.events)
    kinds = [event.index if isinstance(event, Step) else event for event in events]
    texts = [event.text for event in events if not isinstance(event, Step | Mark)]
    assert texts == ["The", "traininginging."]
    likely = next(e.index for e in events if isinstance(e, Step) and e.pause_probabilities[2] >= 0.6)
    last_word = next(i for i, e in enumerate(events) if getattr(e, "text", "") == texts[-1])
    assert last_word < kinds.index(likely) and likely == 21
    # A mark waits for the words that begin before it: here for the delay, then for the last word's end.
    assert kinds.index(9) < kinds.index(Mark(1)) < kinds.index(11)
    assert last_word < kinds.index(Mark(2)) < kinds.index(22)
    assert [e.pause_probabilities[0] for e in events if isinstance(e, Step)][5] == 0


def test_end_of_the_audio_ends_the_last_word() -> None:
    stream = RecognitionStream(DELAYS, WordAssembler(DELAYS, PAD, decode))
    for at, number in enumerate((W, 10), 5):
        stream.take(StepResult((Token(number, at, -0.1),), None), [0.9])
    stream.add_mark(Mark(1), at_s=2 * STEP_S)
    stream.finish()
    word, mark = list(stream.events)[-2:]
    assert (getattr(word, "text", ""), mark) == ("The", Mark(1))
