"""The commonest words of languages in Latin letters, to tell short texts apart.

Per language: articles, pronouns, prepositions, conjunctions, question words; forms of to be, to have and
the like; numerals to ten, days, times of day; greetings, courtesies, short answers; everyday verbs, things
and adverbs. A word that several languages share is listed in each of them, and so does not decide between
them. Words of one letter are too ambiguous to be listed.
"""

from __future__ import annotations

import functools
from pathlib import Path

_FILE = Path(__file__).with_name("common_words.txt")
"""Lines of words, each after its language."""


@functools.cache
def languages_by_word() -> dict[str, frozenset[str]]:
    """Languages (primary subtags) by each word, in lower case, that is among their commonest."""
    having: dict[str, set[str]] = {}
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        language, _, words = line.partition(" ")
        for word in words.split():
            having.setdefault(word, set()).add(language)
    return {word: frozenset(languages) for word, languages in having.items()}


@functools.cache
def listed_languages() -> frozenset[str]:
    """The languages (primary subtags) with known commonest words."""
    return frozenset().union(*languages_by_word().values())
