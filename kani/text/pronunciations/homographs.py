"""English words that are written alike and sound otherwise as verbs, or in the past."""

from __future__ import annotations

from kani.text.lexicon import Lexicon, LexiconEntry
from kani.text.normalizer.tokens import TokenCursor
from kani.text.pronunciations import entries

_OBJECTS = frozenset(
    """the a an my your his her its our their this that these those it me him them us all both any some each
    every one two three up down""".split()
)
"""Words that what is done to something is followed by."""
_ASKS = frozenset("please let's lets don't don’t let’s never always".split())
_JOINS = frozenset("and then or".split())
_CLAUSE_ENDS = (".", "!", "?", ":", ";", ",", "—", "…", ")", '"', "”")
_SINGULAR = frozenset("he she it".split())
_PERFECT = frozenset("already just never have has had i've you've we've they've recently ever".split())
_AGO = frozenset("yesterday ago last".split())
_PAST = LexiconEntry(spelling="red", ipa="ɹɛd")
_FARTHEST = 6


def homograph(cursor: TokenCursor) -> LexiconEntry | None:
    """The pronunciation of the cursor's word where its neighbours show that it is a verb; None otherwise.

    espeak-ng itself reads verbs after "to", "will", "we" and the like, but no imperatives.
    """
    token = cursor.token()
    word = token.core.lower()
    if word == "read":
        return _PAST if _is_past(cursor) else None
    found = Lexicon((entries("en_verbs"),)).match(word, 0) if word.isalpha() else None
    if found is None or found[0] != len(word):
        return None
    previous = cursor.previous()
    before = previous.core.lower()
    written = previous.text[previous.start : previous.end]
    if before in _ASKS and previous.suffix in ("", ","):
        return found[1]
    begins = not written or written.endswith(_CLAUSE_ENDS) or (before in _JOINS and not previous.suffix)
    if begins and cursor.is_adjacent(1) and cursor.token(1).core.lower() in _OBJECTS:
        return found[1]
    return None


def _is_past(cursor: TokenCursor) -> bool:
    """True for "she read it" and "I already read it", and where the sentence goes on with "yesterday"."""
    before = cursor.previous().core.lower()
    if before in _SINGULAR or before in _PERFECT:
        return True
    if before not in ("i", "we", "they", "you", "who"):
        return False
    for ahead in range(1, _FARTHEST):
        token = cursor.token(ahead)
        if token.core.lower() in _AGO:
            return True
        if not token.core or token.suffix.endswith((".", "!", "?")):
            return False
    return False
