"""Chinese text to Kokoro's symbols.

The readings come from pypinyin, a whole run of characters at a time, and the words from rjieba: Kokoro was
trained with spaces between words and none inside one. A process of their own loads both at the first text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from kani.core.types import Pronunciation
from kani.engines.kokoro.text.espeak_ipa import Phonemizer
from kani.engines.kokoro.text.lexicon_ipa import symbols_in_vocabulary
from kani.engines.kokoro.text.reader import ReadWord
from kani.engines.kokoro.text.unspaced.dictionary import Dictionary
from kani.engines.kokoro.text.unspaced.pinyin import symbols_of_syllable
from kani_text.writing import HAN

PACKAGES = ("pypinyin", "rjieba")

_RUN = re.compile(rf"(?P<han>[{HAN}0-9０-９]+)|(?P<latin>[^\W\d_{HAN}]+(?:['’][^\W\d_{HAN}]+)*)")
# The normalizer writes numbers in words; digits that are left over are said one by one.
_DIGITS = str.maketrans("0123456789０１２３４５６７８９", "零一二三四五六七八九" * 2)
_LONGEST_SPELT = 5
"""Letters of the longest word in capitals that is spelt; longer ones are shouted words."""


@dataclass(frozen=True, slots=True)
class ChineseReader:
    """Reads Mandarin, and the English words inside it. See ``ScriptReader``."""

    english: Phonemizer
    dictionary: Dictionary

    def read(self, text: str) -> Sequence[ReadWord]:
        runs = list(_RUN.finditer(text))
        spelt = {run[0]: _spelling(run[0]) for run in runs if run["latin"]}
        english = self.english.phonemize_words(list(spelt.values()))
        han = iter(self.dictionary.look_up([run[0].translate(_DIGITS) for run in runs if run["han"]]))
        words: list[ReadWord] = []
        for run in runs:
            if run["han"]:
                spans, pinyin = next(han)
                words += _words_of_han(spans, pinyin, run.start())
            elif symbols := english[spelt[run[0]]].replace(" ", ""):
                words.append(ReadWord(run.start(), run.end(), symbols))
        return words

    def pronounced(self, given: Pronunciation) -> Sequence[ReadWord]:
        """See ``ScriptReader.pronounced``; of pinyin, each character gets its own syllable if they agree."""
        if given.alphabet != "pinyin":
            symbols = symbols_in_vocabulary(given.ipa)
            return [ReadWord(given.start, given.end, symbols)] if symbols else []
        syllables = [symbols_of_syllable(syllable) for syllable in given.ipa.split()]
        characters = _starts(syllables) if len(syllables) == given.end - given.start else ()
        return [ReadWord(given.start, given.end, "".join(syllables), characters)] if any(syllables) else []


def _spelling(word: str) -> str:
    """A word as espeak-ng should say it: short ones in capitals letter by letter."""
    return " ".join(word) if word.isupper() and 1 < len(word) <= _LONGEST_SPELT else word


def _words_of_han(words: Sequence[tuple[int, int]], pinyin: Sequence[str], at: int) -> Iterator[ReadWord]:
    """Words of a run of characters, which begins at ``at``; pinyin: the syllable of each character."""
    syllables = [symbols_of_syllable(syllable) for syllable in pinyin]
    for start, end in words:
        own = syllables[start:end]
        if any(own):
            yield ReadWord(at + start, at + end, "".join(own), _starts(own))


def _starts(syllables: Sequence[str]) -> tuple[int, ...]:
    """Index of the first symbol of each syllable."""
    return (0, *accumulate(len(symbols) for symbols in syllables))[:-1]
