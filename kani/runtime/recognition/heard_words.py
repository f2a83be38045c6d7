"""Words of what is heard, and their times: where the model tells none, they share the voice by letters."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kani.core.transcriber import TranscribedSegment
from kani.runtime.recognition.local_agreement import OPENING_PUNCTUATION, HypothesisWord
from kani.runtime.recognition.passes import TimedWord
from kani.runtime.transcript import is_loop, is_repetitive
from kani_text.writing import UNSPACED, UNSPACED_LANGUAGES

# Fast speech has 20 to 25; the other ones are for short stretches.
_LETTERS_PER_SECOND, _EXTRA_LETTERS = 30, 12
_WORD = re.compile(r"(\s*)(\S+)")
_UNSPACED_WORD = re.compile(rf"(\s*)([{UNSPACED}]|[^\s{UNSPACED}]+)")


def is_speech(heard: Sequence[TranscribedSegment], seconds: float) -> bool:
    """Return whether so much text can be said in the time, and does not repeat itself without end."""
    text = "".join(part.text for part in heard)
    fast = sum(map(str.isalnum, text)) > _LETTERS_PER_SECOND * seconds + _EXTRA_LETTERS
    return not (fast or is_loop(text) or is_repetitive(text))


def cut(text: str, language: str) -> list[HypothesisWord]:
    """Divide a text into words; in a language without spaces, into characters and other scripts' words.

    Punctuation by itself, and a combining mark, goes with the word before it. The tokens of a word are its
    letters, with the space before them: the runtime tells no tokens of most models.
    """
    spaced, words = language not in UNSPACED_LANGUAGES, list[HypothesisWord]()
    for space, piece in (_WORD if spaced else _UNSPACED_WORD).findall(text):
        whole, tokens = piece, tuple(map(ord, f" {piece}" if spaced or space else piece))
        if words and not any(map(str.isalnum, piece)) and piece not in OPENING_PUNCTUATION:
            before = words.pop()
            whole, tokens = before.text + piece, before.tokens + tokens
        words.append(HypothesisWord(whole, tokens))
    return words


def text_of(tokens: Sequence[int]) -> str:
    """Return the text of words' tokens, with the space that it may begin with."""
    return "".join(map(chr, tokens))


def timed(
    heard: Sequence[TranscribedSegment], language: str, voiced_s: Sequence[float], unknown: float
) -> tuple[TimedWord, ...]:
    """Return the words with their times, in seconds of the stretch that was heard.

    voiced_s: moments of it with a voice, in order, at least one; language: as ``cut`` takes it;
    unknown: probability of words where the model tells none.
    """
    stretches = list[tuple[str, Sequence[float], float]]()
    for part in heard:
        own_s = [at_s for at_s in voiced_s if part.start_s <= at_s <= part.end_s] or voiced_s
        words = [
            (word.text, (word.start_s, word.end_s), math.exp(word.log_probability)) for word in part.words
        ]
        stretches += words or [(part.text, own_s, unknown)]
    found = list[TimedWord]()
    for text, moments_s, probability in stretches:
        words_here = cut(text, language)
        ends = np.cumsum([0, *(len(word.text) for word in words_here)])
        at = ends * (len(moments_s) - 1) // max(ends[-1], 1)
        for word, first, last in zip(words_here, at, at[1:], strict=False):
            found.append(TimedWord(word, float(moments_s[first]), float(moments_s[last]), probability))
    return tuple(found)


def after(known: Sequence[HypothesisWord], now: Sequence[TimedWord]) -> tuple[TimedWord, ...]:
    """Return the words of ``now`` after those that tell the ``known`` ones again, by the fewest changes.

    Numbers are compared by their digits: a model writes "601 379" as "601-379" or "601379617" the next time.
    """
    units = [(at, unit) for at, one in enumerate(now) for unit in _units(one.word)]
    row = list(range(len(units) + 1))
    told = [unit for word in known for unit in _units(word)]
    for unit in told:
        diagonal, row[0] = row[0], row[0] + 1
        for at, (_, other) in enumerate(units, 1):
            changed = diagonal + (unit != other)
            diagonal, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, changed)
    ends = [0, *(at + 1 for at, _ in units)]
    # A number may be spelled out the next time: then its words count, not its digits.
    *_, count = min((row[at], abs(end - len(known)), abs(at - len(told)), at) for at, end in enumerate(ends))
    begun = ends[: count + 1].count(ends[count + 1]) if count < len(units) else 0
    if not begun:
        return tuple(now[ends[count] :])
    cut_off = [_without_digits(now[ends[count] - 1], begun)] if told[-1].isdigit() else []
    return (*cut_off, *now[ends[count] :])


def _units(word: HypothesisWord) -> Sequence[str]:
    """Return the digits of a number, or the word itself."""
    return word.normalized if word.normalized.isdigit() else [word.normalized]


def _without_digits(number: TimedWord, count: int) -> TimedWord:
    """Return a number without its first digits; each of them takes an equal share of its time."""
    text = number.word.text
    rest = text[[at for at, letter in enumerate(text) if letter.isdigit()][count] :]
    space = number.word.tokens[:1] if number.word.tokens[0] == ord(" ") else ()
    share = count / len(number.word.normalized)
    start_s = number.start_s + share * (number.end_s - number.start_s)
    return replace(number, word=HypothesisWord(rest, (*space, *map(ord, rest))), start_s=start_s)
