"""English words that are written alike and sound otherwise as verbs, or in the past."""

from kani_text.lexicon import Lexicon, LexiconEntry
from kani_text.normalizer.tokens import Token, TokenCursor
from kani_text.pronunciations import entries
from kani_text.writing import CLAUSE_MARKS, RIGHT_CLOSERS, SENTENCE_MARKS, ends_sentence

_OBJECTS = frozenset(
    """the a an my your his her its our their this that these those it me him them us all both any some each
    every one two three up down""".split()
)
"""Words that what is done to something is followed by."""
_USE_OF = frozenset("of case cases by is was in as".split())
"""Words after the noun "use" where a sentence begins with it."""
_ASKS = frozenset("please let's lets don't never always".split())
_LETS = frozenset("let make help".split())
_LET = frozenset("me him her us them it".split())
_JOINS = frozenset("and then or now just simply also".split())
_CLAUSE_ENDS = tuple(SENTENCE_MARKS + CLAUSE_MARKS + "—" + RIGHT_CLOSERS + '"')
_HELPERS = frozenset(
    """do does did don't doesn't didn't can can't could couldn't will won't would wouldn't shall should
    shouldn't may might must""".split()
).union(_LETS)
"""Words before a subject, or before "not", that are followed by the present."""
_HAVE = frozenset("have has had having haven't hasn't hadn't i've you've we've they've he's she's".split())
_SINGULAR = frozenset("he she it".split())
_OTHERS = frozenset("i we they you who".split())
_DONE = frozenset("already just recently".split())
_ADVERBS = _DONE | frozenset("never ever not also".split())
_AGO = frozenset("yesterday ago last".split())
_PAST = LexiconEntry(spelling="red", ipa="ɹɛd")
_METAL = LexiconEntry(spelling="led", ipa="lɛd")
_OF_METAL = frozenset(
    """pipe pipes piping paint paints poisoning acid acetate oxide ore mine mines bullet bullets shot sinker
    sinkers crystal glaze solder dust contamination exposure battery batteries smelter roof""".split()
)
"""Nouns before which "lead" is the metal."""
_FARTHEST = 6


def homograph(cursor: TokenCursor) -> LexiconEntry | None:
    """The pronunciation of the cursor's word where its neighbours show a verb, or the metal; None otherwise.

    espeak-ng itself reads verbs after "to", "will", "we" and the like, but no imperatives.
    """
    word = cursor.token().core.lower()
    if word == "read":
        return _PAST if _is_past(cursor) else None
    if word == "lead":
        return _METAL if cursor.is_adjacent(1) and _word(cursor.token(1)) in _OF_METAL else None
    found = Lexicon((entries("en_verbs"),)).match(word, 0) if word.isalpha() else None
    return found[1] if found and found[0] == len(word) and _is_asked(cursor, word) else None


def _is_asked(cursor: TokenCursor, word: str) -> bool:
    """True after "please" or "let me", and for the first word of a clause that an object follows."""
    previous = cursor.previous()
    before = _word(previous)
    if before in _ASKS and previous.suffix in ("", ","):
        return True
    if before in _LET and not previous.suffix and _word(cursor.previous(2)) in _LETS:
        return True
    written = previous.text[previous.start : previous.end]
    begins = not written or written.endswith(_CLAUSE_ENDS)
    if not (begins or (before in _JOINS and not previous.suffix)) or not cursor.is_adjacent(1):
        return False
    following = _word(cursor.token(1))
    return following in _OBJECTS or (begins and word == "use" and following not in _USE_OF)


def _is_past(cursor: TokenCursor) -> bool:
    """True for "she read it" and "I already read it", and where the sentence goes on with "yesterday"."""
    back = 1
    while back < _FARTHEST and _word(cursor.previous(back)) in _ADVERBS:
        back += 1
    subject, helper = _word(cursor.previous(back)), cursor.previous(back + 1)
    if subject in _HAVE:
        return True
    if _word(helper) in _HELPERS and not helper.suffix:
        return False
    if subject in _SINGULAR:
        return True
    if subject not in _OTHERS:
        return False
    return any(_word(cursor.previous(at)) in _DONE for at in range(1, back)) or _is_ago(cursor)


def _is_ago(cursor: TokenCursor) -> bool:
    """True if the sentence says before or after the word when that was."""
    for back in range(1, _FARTHEST):
        token = cursor.previous(back)
        if not token.core or ends_sentence(token.suffix):
            break
        if token.core.lower() in _AGO and token.suffix != ",":
            return True
    for ahead in range(1, _FARTHEST):
        token = cursor.token(ahead)
        if token.core.lower() in _AGO:
            return True
        if not token.core or ends_sentence(token.suffix):
            return False
    return False


def _word(token: Token) -> str:
    return token.core.lower().replace("’", "'")
