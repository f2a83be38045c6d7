"""A corrected sentence: words that stay keep their times, others share the time of those they replace."""

from typing import Any

import pytest

from tests.page.node import run

SCRIPT = """
  const transcript = new m.Transcript();
  transcript.add({ text: a[0], start: 0, end: 9 }, a[1]);
  const [row] = transcript.rows;
  transcript.correct(row, a[2]);
  return [transcript.text, transcript.words.map(({ text, start, end }) => [text, start, end])];
"""
ENGLISH = "We meet at the old library."
CHINESE = "今天天气很好。"


def spoken(words: list[str]) -> list[dict[str, Any]]:
    """Words of a second each."""
    return [{"word": word, "start": n, "end": n + 1} for n, word in enumerate(words)]


@pytest.mark.parametrize(
    ("text", "words", "corrected", "expected"),
    [
        # One word for another, and two changes at once.
        (ENGLISH, ENGLISH.split(), "We met at the old library.", {"We": 0, "met": 1, "at": 2, "library.": 5}),
        (ENGLISH, ENGLISH.split(), "They meet at an old library.", {"They": 0, "meet": 1, "an": 3, "old": 4}),
        # A word more, one less, one that is the beginning of another, and all of it.
        (ENGLISH, ENGLISH.split(), "We meet all at the old library.", {"meet": 1, "all": 2, "at": 2}),
        (ENGLISH, ENGLISH.split(), "We meet at the library.", {"the": 3, "library.": 5}),
        (ENGLISH, ENGLISH.split(), "Weather at the old library.", {"Weather": 0, "at": 2}),
        (ENGLISH, ENGLISH.split(), "Nothing like it", {"Nothing": 0, "it": 5.2}),
        # Without spaces.
        (CHINESE, ["今天", "天气", "很", "好"], "今天天氣很好。", {"今天": 0, "天氣": 1, "很": 2, "好。": 3}),
    ],
)
def test_words_that_stay_keep_their_times(
    text: str, words: list[str], corrected: str, expected: dict[str, float]
) -> None:
    shown, timed = run("transcript.js", SCRIPT, text, spoken(words), corrected)
    assert shown == corrected
    starts = {word: start for word, start, _ in timed}
    assert {word: starts[word] for word in expected} == pytest.approx(expected)
    assert all(start <= end for _, start, end in timed)
    assert [start for _, start, _ in timed] == sorted(start for _, start, _ in timed)


def test_an_emptied_sentence_is_gone_and_its_paragraph_stays() -> None:
    script = """
      const transcript = new m.Transcript();
      for (const word of ["One.", "Two."]) transcript.add({ text: word, start: 0, end: 1 });
      transcript.pause();
      for (const word of ["Three.", "Four."]) transcript.add({ text: word, start: 2, end: 3 });
      transcript.correct(transcript.rows[2], " ");
      return transcript.text;
    """
    assert run("transcript.js", script) == "One. Two.\nFour."


def test_a_renamed_speaker_is_renamed_everywhere() -> None:
    script = """
      const transcript = new m.Transcript();
      for (const [start, speaker] of ["A", "B", "A"].entries())
        transcript.add({ text: "Yes.", start, end: start + 1, speaker });
      transcript.rename("A", "Ana");
      return [transcript.dialogue, transcript.words.map(({ speaker }) => speaker)];
    """
    assert run("transcript.js", script) == ["Ana: Yes.\nB: Yes.\nAna: Yes.", ["Ana", "B", "Ana"]]
