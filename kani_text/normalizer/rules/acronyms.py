"""Acronyms, initials and camel case."""

import re

from kani_text.normalizer.kinds import is_kind, matching
from kani_text.normalizer.rules.numerals import LOWERED
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import Token, TokenCursor

_HUMPS = re.compile(r"[A-ZÀ-ÖØ-Þ]+(?=[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ])|[A-ZÀ-ÖØ-Þ]?[a-zß-öø-ÿ]+|[A-ZÀ-ÖØ-Þ]+|[^\W\d_]")
_RUN = re.compile(r"[^\W\d_₀-₉]+|[\d₀-₉]+|[·⋅–-]")
VARIABLES, OPERATORS = frozenset("xyz"), frozenset("+-−=<>≤≥±")
_LIQUIDS = frozenset("LRHUY")
_LONGEST_ACRONYM, _LONGEST_SPELLED = 5, 3
_MIXED = re.compile(
    r"(?=\w{3,5}$)(?:i?OS|IoT|[a-df-hj-z][A-Z]{2,}[a-z]?|[A-Z]+[b-df-hj-np-tv-z][A-Z]+|[A-Z]{2,}[a-rt-z])"
)
"""Capitals with a small letter among them: "mRNA", "KfW", "BSc", but not "CDs"."""
_SHORT_WORD = re.compile(r"(?:[^aeiouhjkqwy][aeiou][^\Whjkqwy]|[aeiou][^aeiouhjkqwy][aeiou])", re.IGNORECASE)
_SOUND = re.compile(
    r"h+m+|m+h+m+|p+s+t+|s+h{2,}t?|[bg]r{2,}|p+f{2,}t?|p+ft+|t+s{2,}|t+sk+|z{3,}", re.IGNORECASE
)
"""Noises without a vowel."""


def lowercase_pieces(text: str, start: int) -> tuple[Piece, ...]:
    """A word in lower case, one piece for each letter."""
    return tuple(Piece(letter.lower(), start + at, start + at + 1) for at, letter in enumerate(text))


def spelled_pieces(text: str, start: int, table: LanguageTable, step: int = 1) -> tuple[Piece, ...]:
    """The letters' names, one after the other; step: 2 where a full stop stands after each."""
    names = ((at, letter_name(text[at], table)) for at in range(0, len(text), step))
    return tuple(Piece(f" {name}" if at else name, start + at, start + at + 1) for at, name in names)


def letter_name(letter: str, table: LanguageTable) -> str:
    """The name of a letter; the letter itself if the table does not have it."""
    lower = letter.lower()
    return table.letters.get(lower) or table.greek.get(lower) or letter


def figured_pieces(text: str, start: int, table: LanguageTable, pauses: str = "") -> tuple[Piece, ...]:
    """Letters by their names and figures as numbers, one after the other; pauses: signs that make one."""
    pieces: list[Piece] = []
    for run in _RUN.finditer(text):
        written, at = run.group(), start + run.start()
        if not written.isalnum():
            pieces += [Piece(",", at, at + 1)] if written in pauses else []
            continue
        if pieces:
            pieces.append(Piece(" ", at, at + 1))
        if written[0].isalpha():
            pieces += spelled_pieces(written, at, table)
        else:
            number = table.number_words.cardinal(int(written.translate(LOWERED)))
            pieces.append(Piece(number, at, at + len(written)))
    return tuple(pieces)


def capitals_pieces(text: str, start: int, table: LanguageTable, shouted: bool = False) -> tuple[Piece, ...]:
    """A word in capitals, as a word or as letters; shouted: the words around it are in capitals too."""
    if text in table.acronyms.said:
        return (Piece(table.acronyms.said[text], start, start + len(text)),)
    if _is_word(text, table, shouted):
        return lowercase_pieces(text, start)
    return spelled_pieces(text, start, table)


def _is_word(text: str, table: LanguageTable, shouted: bool) -> bool:
    """True for capitals that are read as a word."""
    acronyms = table.acronyms
    known = text.lower() in acronyms.words
    if text in acronyms.spelled and not (shouted and known):
        return False
    if text in acronyms.read or known or len(text) > _LONGEST_ACRONYM:
        return True
    if not text.isascii() and not table.agreement.capitals:
        # In Romance languages no acronym has an accent.
        return True
    if acronyms.short_words and _SHORT_WORD.fullmatch(text):
        return True
    if len(text) <= _LONGEST_SPELLED:
        return shouted and is_pronounceable(text, table)
    return is_pronounceable(text, table) or (shouted and not acronyms.vowels.isdisjoint(text.lower()))


_ONSETS = frozenset("CH TH PH WH SH GH RH KH KN GN PN PS PF TS TW DW ZW CZ GW QU MC DJ TZ".split())
"""Beginnings of words without a liquid, in English and German, and of those with three consonants."""

_BEFORE_LIQUIDS = frozenset("ST SP SC SK SH SQ TH CH PH PF".split())


def is_pronounceable(text: str, table: LanguageTable) -> bool:
    """True if letters have the shape of a word: enough vowels, no long group of consonants."""
    vowels, acronyms = table.acronyms.vowels, table.acronyms
    shape = "".join("v" if letter.lower() in vowels else "c" for letter in text)
    if "v" not in shape or "cccc" in shape or ("vvv" in shape and len(text) < _LONGEST_ACRONYM):
        # "UEA", but "SEOUL"
        return False
    onset, coda = shape.index("v"), len(shape) - 1 - shape.rindex("v")
    short = onset <= acronyms.longest_onset and coda <= acronyms.longest_coda
    return short and _may_begin_word(text, onset, table)


def _may_begin_word(text: str, onset: int, table: LanguageTable) -> bool:
    """True for consonants that words of the language begin with: none in Romance ones as "TDAH"."""
    liquid = text[1:2] in _LIQUIDS
    if table.acronyms.longest_onset == onset == len("st"):
        return liquid or text[0] in "SC" or text[:2] == "PS"
    if table.acronyms.longest_onset <= 2 or onset < 2 or not text.isupper():
        return True
    # "HDMI"
    begins = text[0] == "S" or text[:2] in _ONSETS or liquid
    return begins and (onset < 3 or text[:2] in _BEFORE_LIQUIDS)


def acronym(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A word in capitals, with the "s" of its plural."""
    token, acronyms = cursor.token(), table.acronyms
    core = token.core
    if len(core) > 2 and core[-1] == "s" and (plural := _plural(token, table)):
        return plural
    if not core.isupper():
        return None
    elided = core.lower() in acronyms.elided and token.suffix[:1] in ("'", "’")
    if elided or (len(core) > _LONGEST_ACRONYM and core not in acronyms.spelled):
        return Verbalization(lowercase_pieces(core, token.core_start), token.core_end)
    shouted = _is_among_shouted(cursor, -1, table)
    if not shouted and not token.suffix.strip(".") and core not in acronyms.said:
        shouted = _is_among_shouted(cursor, 1, table)
    return Verbalization(capitals_pieces(core, token.core_start, table, shouted), token.core_end)


def _plural(token: Token, table: LanguageTable) -> Verbalization | None:
    """ "PDFs", "the NBA's"."""
    name = token.core[:-1].rstrip("'’")
    if not table.acronyms.plural or not name.isupper():
        return None
    end = token.core_start + len(name)
    plural = Piece(token.core[len(name) : -1] + table.acronyms.plural, end, token.core_end)
    return Verbalization((*capitals_pieces(name, token.core_start, table), plural), token.core_end)


def _is_shouted(token: Token, table: LanguageTable) -> bool:
    """True if a token is a word in capitals rather than an acronym."""
    core = token.core
    if not core.isupper() or not core.isalpha():
        return False
    acronyms = table.acronyms
    known = core.lower() in acronyms.words and core not in acronyms.spelled
    return len(core) > _LONGEST_ACRONYM or (known and len(core) > 1)


def _is_among_shouted(cursor: TokenCursor, step: int, table: LanguageTable) -> bool:
    """True if a word in capitals stands beside the token, or beside capitals there: "AID BILL PASSES"."""
    near = cursor.token(1) if step > 0 else cursor.previous()
    if _is_shouted(near, table):
        return True
    if near.suffix or not is_kind(near, "capitals", table) or not near.core.isalpha():
        return False
    return _is_shouted(cursor.token(2) if step > 0 else cursor.previous(2), table)


def initial(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "J." before a name, or a single letter."""
    token = cursor.token()
    core, small = token.core, token.core.lower()
    name = table.greek.get(core) or table.letters.get(small)
    if name is None:
        return None
    letter = token.said(name)
    if core in table.greek or _is_variable(cursor, name, table):
        return letter
    if not core.isupper():
        return None
    # "art. L. 121-1"
    numbered = cursor.previous().core.lower() in ("art", *table.roman.cardinal_after)
    of_law = numbered and token.suffix == "." and cursor.token(1).core[:1].isdecimal()
    if of_law or is_initial(cursor, table):
        return Verbalization(letter.pieces, token.core_end + 1)
    if small in table.acronyms.words:
        # "THIS IS A TEST", "A BBC report": a voice would take the capital for the letter.
        shouted = any(is_kind(one, "capitals", table) for one in (cursor.previous(), cursor.token(1)))
        return Verbalization(lowercase_pieces(core, token.core_start), token.core_end) if shouted else None
    return None if token.suffix[:1] in ("'", "’") and not token.prefix else letter


def _is_variable(cursor: TokenCursor, name: str, table: LanguageTable) -> bool:
    """True for "x" beside a sign of mathematics, but not for the word "y" of "Node 20 y ≥ 8 GB"."""
    core, before = cursor.token().core, cursor.previous().core
    if core not in VARIABLES or name == core.upper():
        return False
    joins = core in table.formulas.words and (before in table.units or before[-1:].isdecimal())
    return not joins and not OPERATORS.isdisjoint((before, cursor.token(1).core))


def is_initial(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if a letter and its full stop stand before a name: what follows begins no sentence."""
    following = cursor.token(1)
    suffix, before = cursor.token().suffix, cursor.previous().core
    # "DPE : D."
    label = cursor.previous(1 + (before == ""))
    initials = len(before) == 1 and before.isupper()
    if suffix in (".,", ".;") or (suffix == "." and following.core.islower() and initials):
        # "J. C. S. para", "Zona L.;": nothing ends.
        return True
    return (
        suffix == "."
        and not (is_kind(label, "label", table) or is_kind(label, "lettered_noun", table))
        and following.core[:1].isupper()
        and following.start == following.core_start
        and re.split("['’]", following.core.lower())[0] not in table.common_words
        and following.core.lower() not in table.acronyms.words - {following.core.lower()[:1]}
    )


def unspeakable(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A short word in small letters without a vowel ("idk", "tbh"): its letters."""
    token = cursor.token()
    core = token.core
    small = core.islower() or len(core) > 2
    if not (small and core.isascii() and 2 <= len(core) <= _LONGEST_ACRONYM):
        return None
    core = core.lower()
    if len(set(core)) == 1 or _SOUND.fullmatch(core) or not (table.acronyms.vowels | {"y"}).isdisjoint(core):
        return None
    if (key := table.web.keys.get(token.core)) is not None:
        return token.said(key)
    if (unit := table.units.get(core)) is not None:
        # "a few km": a unit without its number; "el kg", "par kg": one of them.
        single = is_kind(cursor.previous(), "before_one", table)
        said = unit.forms.get("one", unit.forms["other"]) if single else unit.forms["other"]
        return token.said_until(said, token.core_end + (token.suffix[:2] in (".,", ".:", ".;")))
    return Verbalization(spelled_pieces(core, token.core_start, table), token.core_end)


@matching(r"[^\W\d_](?:\.[^\W\d_])+")
def dotted(_: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "e.s.t.": letters with full stops between them."""
    token, following = cursor.token(), cursor.token(1).core
    goes_on = following[:1].islower() or following.lower() not in table.common_words
    # "el I.E.S. Goya": the last stop ends no sentence.
    stop = token.suffix == "." and following != "" and goes_on
    return Verbalization(spelled_pieces(token.core, token.core_start, table, 2), token.core_end + stop)


def camel_case_pieces(text: str, start: int, table: LanguageTable) -> tuple[Piece, ...] | None:
    """The words of "SaveTheWhales"; None where there is only one."""
    if text.islower() or not any(map(str.isupper, text)):
        return None
    if text in table.acronyms.said:
        return (Piece(table.acronyms.said[text], start, start + len(text)),)
    if _MIXED.fullmatch(text) and text not in table.units:
        return spelled_pieces(text, start, table)
    found = list(_HUMPS.finditer(text))
    parts = [match.group() for match in found]
    # A letter by itself is a word only among several.
    if len(found) < (3 if "" in (part[1:] for part in parts) else 2) or "".join(parts) != text:
        return None
    pieces: list[Piece] = []
    for match, part in zip(found, parts, strict=True):
        at = start + match.start()
        pieces += [Piece(" ", at, at + 1)] if pieces else []
        capitals = len(part) > 1 and part.isupper()
        pieces += capitals_pieces(part, at, table) if capitals else [Piece(part, at, at + len(part))]
    return tuple(pieces)
