"""A transcript divided among speakers."""

from __future__ import annotations

import pytest

from kani.core.diarization.turns import SpeakerTurn, divide_by_speaker
from kani.core.transcriber import TranscribedSegment, TranscribedWord

TURNS = (SpeakerTurn(0.0, 2.0, 0), SpeakerTurn(2.5, 4.0, 1), SpeakerTurn(4.2, 6.0, 0))


def segment(text: str, *words: tuple[str, float, float]) -> TranscribedSegment:
    timed = tuple(TranscribedWord(word, start_s, end_s, -0.1) for word, start_s, end_s in words)
    start_s, end_s = (timed[0].start_s, timed[-1].end_s) if timed else (2.6, 3.0)
    return TranscribedSegment(text, start_s, end_s, timed, (1, 2), 0.0, 0.0, -0.1, 1.0, 0.0, "en", 1.0)


def test_segment_is_cut_where_the_speaker_changes() -> None:
    whole = segment(
        " Are you here? Yes, I am.",
        *(("Are", 0.1, 0.4), ("you", 0.5, 0.9), ("here?", 1.0, 1.9)),
        *(("Yes,", 2.6, 3.0), ("I", 3.1, 3.4), ("am.", 3.5, 3.9)),
    )
    first, second = divide_by_speaker([whole], TURNS)
    assert (first.text, first.start_s, first.end_s, first.speaker) == (" Are you here?", 0.1, 1.9, 0)
    assert (second.text, second.start_s, second.end_s, second.speaker) == (" Yes, I am.", 2.6, 3.9, 1)
    assert [word.text for word in second.words] == ["Yes,", "I", "am."]
    assert first.tokens + second.tokens == whole.tokens


def test_text_without_spaces_is_cut_between_words() -> None:
    whole = segment("你好吗很好", ("你好", 0.2, 1.0), ("吗", 1.1, 1.5), ("很好", 2.7, 3.5))
    assert [part.text for part in divide_by_speaker([whole], TURNS)] == ["你好吗", "很好"]


@pytest.mark.parametrize(
    ("start_s", "end_s", "speaker"),
    [
        (0.5, 1.0, 0),
        (1.9, 3.0, 1),  # more of it is the second's
        (2.05, 2.1, 0),  # between two turns: the nearest
        (2.4, 2.45, 1),
        (9.0, 9.5, 0),  # after the last
    ],
)
def test_word_belongs_to_the_turn_that_holds_most_of_it(start_s: float, end_s: float, speaker: int) -> None:
    (found,) = divide_by_speaker([segment(" so", ("so", start_s, end_s))], TURNS)
    assert found.speaker == speaker


def test_segment_without_words_has_the_speaker_of_its_time() -> None:
    assert [part.speaker for part in divide_by_speaker([segment(" hm")], TURNS)] == [1]


def test_without_turns_there_is_one_speaker_and_without_diarization_none() -> None:
    whole = segment(" so", ("so", 0.0, 0.5))
    assert divide_by_speaker([whole], ())[0].speaker == 0
    assert divide_by_speaker([whole], None) == (whole,)
