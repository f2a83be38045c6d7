"""Tells from the words of a turn whether it has ended."""

import re
import unicodedata
from collections.abc import Sequence

from kani.core.turns.unfinished_words import (
    CLAUSES,
    COMMANDS,
    DECIMAL,
    DICTATED,
    MAIL,
    NEVER,
    OPENERS,
    PHRASES,
    QUESTIONS,
    YES_AND_NO,
)
from kani_text.writing import QUESTION_MARKS, UNSPACED_LANGUAGES, ends_turn, is_left_open, without_closers

# Digits of a telephone number: numbers in a row that have fewer go on.
_LONG_NUMBER = 9
# Letters, or three digits and more, one by one: "J-O", "7-7-2".
_ONE_BY_ONE = re.compile(r"[A-ZÑ]([-.][A-ZÑ])+|\d([-.]\d){2,}")
# Words that a spelled name follows at once: "That's DI."
_IS = frozenset("is it's that's es est c'est è é ist".split())
# Digits of a turn that dictates a number; of two numbers one each is enough, as "10 minutes" has one.
_SOME_DIGITS = 3
# Three letters in a row, as "k v i" or "e-l-e"; in scripts without small letters one sign may be a word.
_LETTERS = re.compile(r"(?<!\w)[a-zñç](?:[ .-]+[a-zñç]){2}(?!\w)")
# A consonant and a word that begins with it: "m come milano".
_AS_IN = re.compile(r"(?<!\w)([b-df-hj-np-tv-xz]) (?:as in|come|comme|de|for) \1\w")
# The name of "@" within an address, as recognisers write it: "anaarrobacorreo.es".
_AT = re.compile(r"(?<=\w)\.?(?:arroba|arobase|chiocciola)\.?(?=\w[\w-]*\.\w\w)", re.IGNORECASE)


def goes_on(words: Sequence[str], language: str) -> bool:
    """Return True if a sentence does not end with the last of ``words``, whatever its mark.

    language: primary subtag; of an unknown one only marks and numbers tell.
    """
    if not words:
        return False
    text = without_closers(words[-1])
    if is_left_open(text):
        return True
    last = plain(text)
    asked = text.endswith(tuple(QUESTION_MARKS))
    never, questions = NEVER.get(language, frozenset()), QUESTIONS.get(language, frozenset())
    if language in UNSPACED_LANGUAGES:
        never, questions = (
            frozenset(ending for ending in endings if last.endswith(ending)) for endings in (never, questions)
        )
        return bool((never - questions) if asked else never)
    if last in never or (last in questions and not asked):
        return True
    spelled = len(last) > 1 and last.isalpha() and text.isupper() and last != "ok"
    if spelled and len(words) > 1 and plain(words[-2]) in _IS:
        return True
    if _ONE_BY_ONE.fullmatch(text.rstrip(".")) and sum(map(str.isdigit, text)) < _LONG_NUMBER:
        return True
    return _dictation_goes_on(words, language) or _number_goes_on(words, language)


def is_reply(words: Sequence[str], language: str) -> bool:
    """Return True if an utterance answers a question, or commands something, in a word or two.

    language: primary subtag, of those that are written with spaces. A number or a letter may be a part of a
    longer number or name.
    """
    bare = [*map(plain, words)]
    known = OPENERS.get(language)
    if known is None or language in UNSPACED_LANGUAGES or not bare or is_left_open(words[-1]):
        return False
    if len(bare) == 1 and bare[0] in COMMANDS.get(language, frozenset()):
        return True
    if len(bare) > 1 and bare[0] in YES_AND_NO[language]:
        del bare[0]
    parts = any(len(word) < 2 or any(map(str.isdigit, word)) for word in bare)
    few = len(bare) == 1 or (ends_turn(words[-1]) and _is_phrase(bare, language))
    return few and not parts and bare[-1] not in known and not goes_on(bare, language)


def _is_phrase(pair: Sequence[str], language: str) -> bool:
    """Return True for a set phrase, or an article or a preposition and a word: "me too", "el martes"."""
    begins, clauses, phrases = (words.get(language, frozenset()) for words in (NEVER, CLAUSES, PHRASES))
    begins |= QUESTIONS.get(language, frozenset())
    return len(pair) == 2 and (pair[0] in begins - clauses or "-".join(pair) in phrases)


def dictates(words: Sequence[str], language: str) -> bool:
    """Return True if a turn's ``words`` dictate a number, a name or an address; language: primary subtag."""
    known = DICTATED.get(language, frozenset())
    digits = [count for word in words if (count := sum(map(str.isdigit, word)))]
    bare = [*map(plain, words)]
    signs = any(sign.search(" ".join(bare)) for sign in (_LETTERS, _AS_IN, _AT))
    numbers = len(digits) > 1 or sum(digits) >= _SOME_DIGITS
    return numbers or signs or any(_has_one_of(known, word) for word in bare)


def with_at_sign(text: str) -> str:
    """Return a text with "@" in addresses that have its name within a word."""
    return _AT.sub("@", text)


def plain(word: str) -> str:
    """Return ``word`` in small letters, without the marks around it."""
    folded = unicodedata.normalize("NFC", word).casefold()
    letters = [at for at, character in enumerate(folded) if unicodedata.category(character)[0] in "LMN"]
    return folded[letters[0] : letters[-1] + 1].replace("’", "'") if letters else ""


def without_marks(text: str) -> str:
    """Return a text in small letters without spaces and marks, but for those of questions."""
    folded = unicodedata.normalize("NFC", text).casefold().replace("’", "'")
    kept = (part for part in folded if unicodedata.category(part)[0] in "LMN" or part in QUESTION_MARKS)
    return "".join(kept)


def _has_one_of(known: frozenset[str], word: str) -> bool:
    """Return True for a known word, also with a pronoun or an article: "s'écrit", "chamo-me", "l'email"."""
    return word in known or not known.isdisjoint(re.split("['-]", word))


def _dictation_goes_on(words: Sequence[str], language: str) -> bool:
    """Return True in an address, and after letters or a number of few digits, that a word has announced."""
    known = DICTATED.get(language, frozenset())
    bare = [*map(plain, words)]
    at = next((at for at in reversed(range(len(bare))) if _has_one_of(known, bare[at])), None)
    if at is None or not (dictated := words[at + 1 :]):
        return False
    if _has_one_of(MAIL, bare[at]):
        domain = "".join(dictated).partition("@")[2]
        return "." not in without_closers(domain).rstrip(".")
    letters = [character for character in dictated[-1] if character.isalpha()]
    digits = sum(map(str.isdigit, "".join(dictated)))
    if any(map(str.isdigit, dictated[-1])):
        return digits < _LONG_NUMBER
    return letters != [] and (len(letters) == 1 or sum(map(str.isupper, letters)) > 1)


def _number_goes_on(words: Sequence[str], language: str) -> bool:
    """Return True after a decimal mark, and within numbers that are read in groups, as a telephone's."""
    if len(words) < 2:
        return False
    before, last = plain(words[-2]), plain(words[-1])
    if last in DECIMAL.get(language, frozenset()):
        return before.isdigit()
    digits = 0
    for count, word in enumerate(reversed(words)):
        bare = re.sub(r"(?<=\d)[-.,](?=\d)", "", plain(word))
        if not bare.isdigit():
            return count >= 2 and digits < _LONG_NUMBER
        digits += len(bare)
    return digits < _LONG_NUMBER
