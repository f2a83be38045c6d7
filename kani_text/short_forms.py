"""Short forms that end with a full stop but end no sentence."""

import functools
import re
from collections.abc import Container, Mapping
from pathlib import Path

from kani_text.language_detection import languages_by_word
from kani_text.writing import DASHES, HAN_AND_KANA, OPENERS

_SHORT_FORMS = Path(__file__).with_name("abbreviations.txt").read_text(encoding="utf-8").partition("@")

ABBREVIATIONS = frozenset(_SHORT_FORMS[0].split())
"""Words with a full stop that doesn't end a sentence: es, en, fr, de, it, pt and hi; beside those that the
normalizer's tables have a ``name`` for.

Those with a capital here have it in texts, too: "5 Mio. Euro", but "l'amico mio. Poi".
"""

_OF_LANGUAGE = {line[:2]: frozenset(line[2:].split()) for line in _SHORT_FORMS[2].split("@")}
"""More of them by language, which are words of others: "uscita dir. Roma", but German "Ich danke dir."."""

_TABLES = Path(__file__).parent / "normalizer" / "tables"
_NAMED = re.compile(r'^"([^"\n]+\.)" = \{[^\n]*\bname = ', re.MULTILINE)
_SHORTENED = re.compile(r'^shortened\."?[a-z ]*\bname\b[a-z ]*"? = "+([^"]*)"', re.MULTILINE)
_AFTER_ARTICLE = re.compile(r'^"([^"\n]+)\." = \{[^\n]*\barticle = ', re.MULTILINE)
_KINDS = re.compile(
    r'^(masculine_article|before_day|day_verb|not_nouns|no_noun_after_day) = "+([^"]*)"', re.MULTILINE
)
_LISTED = re.compile(r'^(titles|also_words) = "+([^"]*)"', re.MULTILINE)
_LEAST_OF_ANY = 5

_BEFORE_SHORT = re.compile(f"['’{HAN_AND_KANA}]")
_DAY_AT_END = re.compile(r"(?P<begins>^|[.!?] |\n)?\b(?P<word>[^\W\d_]+) \d{1,2}\.\d{1,2}\.\Z")
_DAYS = re.compile(r"\d{1,2}\.?[-–/]\d{1,2}")
_SIGNS = DASHES + "@=+&×§€$£₹"


@functools.cache
def _names() -> Mapping[str, tuple[frozenset[str], ...]]:
    """By language: the short forms that its table has a ``name`` for, and its titles that are words, too.

    Longer ones that are a word in no language are for text of an unknown one (""), too.
    """
    found: dict[str, tuple[frozenset[str], ...]] = {}
    also_words: set[str] = set()
    for path in sorted(_TABLES.glob("*.toml")):
        section = path.read_text(encoding="utf-8").partition("\n[abbreviations]\n")[2].partition("\n[")[0]
        lists = {name: frozenset(words.split()) for name, words in _LISTED.findall(section)}
        words = lists.get("also_words", frozenset())
        named = {
            part[:-1]
            for key in _NAMED.findall(section)
            for part in (*key.split(), key.replace(" ", ""))
            if part.endswith(".")
        }
        named |= {word.partition("·")[0] for words in _SHORTENED.findall(section) for word in words.split()}
        unsure = {one for one in named if one.lower() in words or is_common_word(one, path.stem)}
        titles = {one for one in unsure if f"{one[:1].upper()}{one[1:]}." in lists.get("titles", ())}
        titles |= {*_AFTER_ARTICLE.findall(section)} - named
        found[path.stem] = frozenset(named - unsure), frozenset(titles)
        also_words |= words
    every = frozenset().union(*(sure for sure, _ in found.values()))
    of_any = (
        one
        for one in every
        if len(one) >= _LEAST_OF_ANY
        and one.lower() not in also_words
        and one.lower() not in languages_by_word()
    )
    return found | {"": (frozenset(of_any), frozenset())}


def _names_of(language: str) -> tuple[frozenset[str], ...]:
    return _names().get(language) or _names()[""]


def goes_before_name(text: str, stem: str, language: str) -> bool:
    """True if the short form that ends ``text`` is one before a name, not a word that ends a sentence.

    A title that is a word, too, has a capital inside a sentence, or an article: "com Da. Maria", "il ten.
    Rossi".
    """
    written = _written(stem)
    sure, titles = _names_of(language)
    if not sure.isdisjoint((written, written.casefold())):
        return True
    before = text.removesuffix(stem).split()[-1:]
    if not before or titles.isdisjoint((written, written.casefold())):
        return False
    # "Univ.-Prof. Mag. Auer"
    inside = before[0][-1].isalpha() or (
        before[0][-1] == "." and is_abbreviated(before[0], written, language)
    )
    return before[0].lower() in kinds_of(language).get("masculine_article", ()) or (
        written[:1].isupper() and inside
    )


@functools.lru_cache(maxsize=64)
def kinds_of(language: str) -> Mapping[str, frozenset[str]]:
    """The words of some keys of a language's table (of all tables, where it has none), by key."""
    paths = sorted(_TABLES.glob("*.toml"))
    own = [path for path in paths if path.stem == language] or paths
    found: dict[str, frozenset[str]] = {}
    for name, words in _KINDS.findall("\n".join(path.read_text(encoding="utf-8") for path in own)):
        found[name] = found.get(name, frozenset()).union(words.split())
    return found


def goes_on_after_day(text: str, word: str, kinds: Mapping[str, Container[str]]) -> bool:
    """True if a sentence goes on after its day: German "Ich habe am 3.2." and "Geburtstag" (or "").

    kinds: the words of [kinds] and of ``not_nouns``.
    """
    before_day = kinds.get("before_day")
    found = _DAY_AT_END.search(text) if before_day else None
    if before_day is None or found is None or found["word"].lower() not in before_day:
        return False
    no_noun = any(word.lower() in kinds.get(one, ()) for one in ("not_nouns", "no_noun_after_day"))
    noun = not word or (word[0].isupper() and not no_noun)
    begins = found["word"][0].isupper() and found["begins"] is not None
    before = text[: found.start("word")].split(" ")[-3:]
    return noun and (begins or any(one.lower() in kinds.get("day_verb", ()) for one in before))


def _written(stem: str) -> str:
    """The short form at the end of a token: "on" of "dell'on.", "No" of "票据No."."""
    return _BEFORE_SHORT.split(stem.rstrip(".").lstrip(OPENERS))[-1]


def is_common_word(word: str, language: str) -> bool:
    """True for one of the commonest words of a language (of any, where that is ""), which are no names."""
    languages = languages_by_word().get(word.lower(), ())
    return language in languages or (language == "" and bool(languages))


def is_abbreviated(stem: str, following: str, language: str = "") -> bool:
    """True if the full stop that ends ``stem`` belongs to an abbreviation or an ordinal, not to a sentence.

    It does in known abbreviations, German streets and numbers ("Hauptstr.", "Kundennr."), initials ("J.",
    "e.e.u.u."), doubled letters ("EE. UU."), numbers of one or two digits, which may be ordinals or list
    items ("3. Mai", "12.-14. Mai", "1. Abrir"), and short words before a digit or a dash ("No. 5",
    "3 abr. – 5 may.").
    """
    written = _written(stem)
    word = written.casefold()
    capital = following[:1].isupper() and (len(following) == 1 or is_common_word(following, language))
    if _is_known(word, written, frozenset() if capital else _names_of(language)[0], language):
        return True
    following = following[:1]
    if word.replace(".", "").isdigit():
        # "3. Mai", "bis zum 31.8. – sichern Sie sich"
        return len(word) <= 2 or ("." in word and (following in DASHES or following.isdigit()))
    return _is_cut(word, following.isdigit() or following in _SIGNS)


def _is_known(word: str, written: str, names: frozenset[str], language: str) -> bool:
    """True for a short form of the lists, as ``written`` or in small letters, and for a letter."""
    forms = (word, written)
    return (
        not (ABBREVIATIONS.isdisjoint(forms) and names.isdisjoint(forms))
        or word in _OF_LANGUAGE.get(language, ())
        or word.endswith(("str", "nr"))
        or (len(word) == 1 and word.isalpha())
    )


def _is_cut(word: str, goes_on: bool) -> bool:
    """True for the shape of a short form; goes_on: a figure or a sign follows, so that no sentence begins."""
    doubled = len(word) == 2 and word[0] == word[1]
    if word.isalpha() and (doubled or (len(word) <= 4 and goes_on)):
        return True
    last = re.split("[-/]", word)[-1]
    if _DAYS.fullmatch(word) or last in ABBREVIATIONS or (last.isalpha() and len(last) <= 3 and goes_on):
        return True
    parts = word.split(".")
    return len(parts) > 1 and all(len(part) <= 2 and part.isalpha() for part in parts)
