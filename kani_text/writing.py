"""Facts of writing: scripts without spaces, and the marks that end sentences and clauses or close quotations.

The names in capitals are characters, for a class of a pattern where the docstring says so.
"""

import re
import unicodedata

HAN = "\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Chinese characters (of a class)."""

HIRAGANA = "\u3041-\u3096\u309b-\u309f"
"""Hiragana without the marks that combine (of a class)."""

KATAKANA = "\u30a1-\u30ff\u31f0-\u31ff\uff66-\uff9f"
"""Katakana, also half width, with the marks between and after them (of a class)."""

HAN_AND_KANA = HAN + HIRAGANA + KATAKANA
"""Chinese and Japanese characters: a line or a segment may end after each, except in a run of katakana (of a
class). A word of the other scripts of ``UNSPACED`` has several, which are not parted."""

HAN_AND_KANA_LANGUAGES = frozenset("zh yue ja".split())
"""Languages that are written in ``HAN_AND_KANA`` (primary subtags)."""

UNSPACED = HAN_AND_KANA + "\u0e00-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f"
"""Characters of scripts that are written without spaces between words: Chinese, Japanese, and Thai, Lao,
Tibetan, Burmese and Khmer, their marks included (of a class)."""

UNSPACED_LANGUAGES = HAN_AND_KANA_LANGUAGES | frozenset("th lo bo my shn km".split())
"""Languages that are written without spaces between words (primary subtags)."""

LETTER = r"(?:[^\W\d_]|[\u064b-\u065f\u0670\u0900-\u0903\u093a-\u093c\u093e-\u094f\u0951-\u0957\u0962\u0963])"
"""A letter, or a vowel sign of Arabic or Devanagari (a pattern). None is both: a pattern that repeats it
would try each of 2^n ways to read n of them."""

SENTENCE_MARKS = ".!?…‽"
"""Marks that end a sentence where a space follows."""

UNSPACED_SENTENCE_MARKS = "。！？｡．।॥۔؟።፧։។៕။།"
"""Marks that end a sentence, spaces or not: of Chinese and Japanese (also half width), Devanagari, Arabic and
Urdu, Ethiopic, Armenian, Khmer, Burmese and Tibetan."""

CLAUSE_MARKS = ",;:،؛"
"""Marks that end a clause where a space follows."""

UNSPACED_CLAUSE_MARKS = "、，；：､"
"""Marks that end a clause, spaces or not."""

ENDING_MARKS = SENTENCE_MARKS + UNSPACED_SENTENCE_MARKS + CLAUSE_MARKS + UNSPACED_CLAUSE_MARKS
"""Marks after which no further one is wanted at a line's end."""

QUESTION_MARKS = "?？؟፧"

DASHES = "—–-"

CLOSING_QUOTES = "\"'”’“»›"
"""Marks that may close a quotation; a low-high one ends with what opens others."""
RIGHT_CLOSERS = "»›”)]}」』）］｝】》〉〕"
"""Closing marks that never open: after a space, too, they belong to the text before them."""

CLOSERS = "\"'’" + RIGHT_CLOSERS
"""Marks that close a quotation or a bracket."""

CLOSERS_AFTER_WORDS = CLOSERS + "“‘«‹"
"""Marks that close something where a word or a mark is before them and a space follows: German „so“ and »so«
end with what opens elsewhere."""

OPENERS = "\"'«‹“„‘‚([{¿¡"
"""Marks that open a quotation, a bracket or a sentence, of scripts with spaces."""

RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
"""Raised figures and their signs, and the ordinary ones."""

_SENTENCE_ENDS = tuple(SENTENCE_MARKS + UNSPACED_SENTENCE_MARKS)
_CLAUSE_ENDS = tuple(CLAUSE_MARKS + UNSPACED_CLAUSE_MARKS + "—–")
_LEFT_OPEN = ("...", "…", "-", *_CLAUSE_ENDS)
_UNSPACED = re.compile(f"[{UNSPACED}]")
_SPOKEN_PUNCTUATION = "#@%&"
_ROMAN = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def without_closers(text: str) -> str:
    """Return a text without the marks at its end that close quotations and brackets."""
    return text.rstrip(CLOSERS_AFTER_WORDS)


def ends_sentence(text: str) -> bool:
    """Return True if a text ends with a mark that ends a sentence, which may stand inside a quotation."""
    return without_closers(text).endswith(_SENTENCE_ENDS)


def ends_clause(text: str) -> bool:
    """Return True if a text ends with a mark that ends a clause, or with a dash."""
    return without_closers(text).endswith(_CLAUSE_ENDS)


def is_left_open(text: str) -> bool:
    """Return True if a text ends with a mark that its speaker goes on after: an ellipsis, a comma, a dash."""
    return without_closers(text).endswith(_LEFT_OPEN)


def ends_turn(text: str) -> bool:
    """Return True if a turn of a talk may end with a text, by its mark.

    An ellipsis ends a sentence of a text that is there, but shows that a speaker goes on: "well…".
    """
    return ends_sentence(text) and not is_left_open(text)


def is_unspaced(character: str) -> bool:
    """Return True for a character of ``UNSPACED``, False for an empty string."""
    return _UNSPACED.match(character) is not None


def space_between(text: str, word: str) -> str:
    """Return what stands between a text and its next word: a space, or nothing.

    It is nothing where both sides' scripts write no spaces, and between one of them and a number. Marks
    count for nothing.
    """
    before = next(filter(_is_written, reversed(text)), "")
    after = next(filter(_is_written, word), "")
    sides = is_unspaced(before), is_unspaced(after)
    joined = not text or all(sides) or (any(sides) and (before.isdigit() or after.isdigit()))
    return "" if joined else " "


def is_of_word(character: str) -> bool:
    """True for letters, digits and the marks that change letters, such as the vowels of Devanagari."""
    return character.isalnum() or (character != "" and unicodedata.category(character)[0] == "M")


def has_letters_only(word: str) -> bool:
    """True for letters, and the vowel signs of scripts that write them as marks."""
    return word.isalpha() or (
        word[:1].isalpha() and all(one.isalpha() or unicodedata.category(one) in ("Mn", "Mc") for one in word)
    )


def _is_written(character: str) -> bool:
    return character.isalnum() or is_unspaced(character)


def word_spans(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Character ranges of the words in ``text[start:end]``: split at spaces, without punctuation around
    them."""
    words = []
    for match in re.finditer(r"\S+", text[start:end]):
        first, last = start + match.start(), start + match.end()
        while first < last and _is_unspoken(text[first]):
            first += 1
        while last > first and _is_unspoken(text[last - 1]):
            last -= 1
        if first < last:
            words.append((first, last))
    return words


def letter_count(word: str) -> int:
    """The number of letters and digits in a word, at least 1."""
    return max(1, sum(map(str.isalnum, word)))


def roman_value(text: str) -> int | None:
    """The value of a Roman numeral in capitals, or None."""
    if not text or not _ROMAN.fullmatch(text):
        return None
    values = [_ROMAN_VALUES[letter] for letter in text]
    return sum(
        -one if one < next_one else one for one, next_one in zip(values, [*values[1:], 0], strict=True)
    )


def _is_unspoken(character: str) -> bool:
    return unicodedata.category(character)[0] in "PC" and character not in _SPOKEN_PUNCTUATION
