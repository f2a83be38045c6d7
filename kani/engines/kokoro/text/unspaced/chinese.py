"""Chinese text to Kokoro's symbols.

The readings come from pypinyin, a whole run of characters at a time, and the words from rjieba: Kokoro was
trained with spaces between words and none inside one. A process of their own loads both at the first text.
The symbols are those of hexgrad's misaki 0.9.4 (Apache-2.0, ``transcription.py``): IPA with an arrow for the
tone after a syllable's vowel.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from kani.core.types import Pronunciation
from kani.engines.kokoro.text.espeak_ipa import Phonemizer
from kani.engines.kokoro.text.lexicon_ipa import symbols_in_vocabulary
from kani.engines.kokoro.text.reader import ReadWord
from kani.engines.kokoro.text.unspaced.dictionary import Dictionary
from kani_text.writing import HAN

PACKAGES = ("pypinyin", "rjieba")

_RUN = re.compile(rf"(?P<han>[{HAN}0-9０-９]+)|(?P<latin>[^\W\d_{HAN}]+(?:['’][^\W\d_{HAN}]+)*)")
# The normalizer writes numbers in words; digits that are left over are said one by one.
_DIGITS = str.maketrans("0123456789０１２３４５６７８９", "零一二三四五六七八九" * 2)
_LONGEST_SPELT = 5
"""Letters of the longest word in capitals that is spelt; longer ones are shouted words."""


TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}
"""Symbols of the tones; the neutral tone has none."""

# fmt: off
_INITIALS = {
    "zh": "ꭧ", "ch": "ꭧʰ", "sh": "ʂ", "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ", "n": "n",
    "l": "l", "g": "k", "k": "kʰ", "h": "x", "j": "ʨ", "q": "ʨʰ", "x": "ɕ", "r": "ɻ", "z": "ʦ", "c": "ʦʰ",
    "s": "s", "": "",
}
# 0 stands for the tone.
_FINALS = {
    "a": "a0", "ai": "ai0", "an": "a0n", "ang": "a0ŋ", "ao": "au0", "e": "ɤ0", "ei": "ei0", "en": "ə0n",
    "eng": "ə0ŋ", "i": "i0", "ia": "ja0", "ian": "jɛ0n", "iang": "ja0ŋ", "iao": "jau0", "ie": "je0",
    "in": "i0n", "iou": "jou0", "ing": "i0ŋ", "iong": "jʊ0ŋ", "ong": "ʊ0ŋ", "ou": "ou0", "u": "u0",
    "uei": "wei0", "ua": "wa0", "uai": "wai0", "uan": "wa0n", "uen": "wə0n", "uang": "wa0ŋ", "ueng": "wə0ŋ",
    "uo": "wo0", "o": "wo0", "ü": "y0", "üe": "ɥe0", "üan": "ɥɛ0n", "ün": "y0n",
}
_SYLLABLES = {
    "er": "ɚ0", "r": "ɚ0", "o": "ɔ0", "io": "jɔ0", "yo": "jɔ0", "ê": "ɛ0", "m": "m0", "n": "n0", "ng": "ŋ0",
    "hm": "hm0", "hng": "hŋ0",
}
# fmt: on
_APICAL = frozenset(("zh", "ch", "sh", "r", "z", "c", "s"))
# Spellings of finals after an initial, and of those without one.
_ABBREVIATED = {"iu": "iou", "ui": "uei", "un": "uen", "ue": "üe"}
_ZERO_INITIAL = (("yu", "ü"), ("yi", "i"), ("y", "i"), ("wu", "u"), ("w", "u"))
_SYLLABLE = re.compile("(zh|ch|sh|[bpmfdtnlgkhjqxrzcs]|)([a-züê]+)([1-5])")


@lru_cache(4096)
def symbols_of_syllable(pinyin: str) -> str:
    """Symbols of one syllable, its tone a digit after it (``zhong1``; 5 is the neutral tone, ``v`` is ü).

    Empty for anything else.
    """
    pinyin = pinyin.replace("v", "ü").replace("u:", "ü")
    if pinyin[:-1] in _SYLLABLES and pinyin[-1] in TONES:
        return _SYLLABLES[pinyin[:-1]].replace("0", TONES[pinyin[-1]])
    match = _SYLLABLE.fullmatch(pinyin)
    if match is None:
        return ""
    initial, rest, tone = match.groups()
    final = "ɨ0" if initial in _APICAL and rest == "i" else _FINALS.get(_final(initial, rest), "")
    return (_INITIALS[initial] + final).replace("0", TONES[tone]) if final else ""


def _final(initial: str, rest: str) -> str:
    if not initial:
        for spelt, final in _ZERO_INITIAL:
            if rest.startswith(spelt):
                rest = final + rest[len(spelt) :]
                break
    elif initial in ("j", "q", "x") and rest.startswith("u"):
        rest = "ü" + rest[1:]
    return _ABBREVIATED.get(rest, rest)


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
