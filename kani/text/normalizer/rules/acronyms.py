"""Acronyms, initials and camel case."""

from __future__ import annotations

import functools
import re

from kani.text.language_detection import languages_by_word
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import Token, TokenCursor

_ROMAN = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_HUMPS = re.compile(r"[A-ZÀ-ÖØ-Þ]+(?=[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ])|[A-ZÀ-ÖØ-Þ]?[a-zß-öø-ÿ]+|[A-ZÀ-ÖØ-Þ]+|[^\W\d_]")
_DOTTED = re.compile(r"[^\W\d_](?:\.[^\W\d_])+")
_SECTION = re.compile(r"\d{1,4}-\d{1,3}(?:-\d{1,3})?")
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


def spelled_pieces(text: str, start: int, table: LanguageTable) -> tuple[Piece, ...]:
    """The letters' names, one after the other."""
    pieces = []
    for at, letter in enumerate(text):
        name = letter_name(letter, table)
        pieces.append(Piece(f" {name}" if at else name, start + at, start + at + 1))
    return tuple(pieces)


def letter_name(letter: str, table: LanguageTable) -> str:
    """The name of a letter; the letter itself if the table does not have it."""
    lower = letter.lower()
    return table.letters.get(lower) or table.greek.get(lower) or letter


def capitals_pieces(text: str, start: int, table: LanguageTable, shouted: bool = False) -> tuple[Piece, ...]:
    """A word in capitals, as a word or as letters; shouted: the words around it are in capitals too."""
    acronyms = table.acronyms
    if text in acronyms.said:
        return (Piece(acronyms.said[text], start, start + len(text)),)
    if text in acronyms.spelled and not (shouted and text.lower() in acronyms.words):
        return spelled_pieces(text, start, table)
    accented = not text.isascii() and not table.agreement.capitals
    if text in acronyms.read or text.lower() in acronyms.words or accented:
        # In Romance languages no acronym has an accent.
        return lowercase_pieces(text, start)
    pronounceable = is_pronounceable(text, table)
    voiced = not acronyms.vowels.isdisjoint(text.lower())
    if len(text) > _LONGEST_ACRONYM or (
        shouted and voiced and (pronounceable or len(text) > _LONGEST_SPELLED)
    ):
        return lowercase_pieces(text, start)
    short = acronyms.short_words and _SHORT_WORD.fullmatch(text)
    if not table.letters or (len(text) > 3 and pronounceable) or short:
        return lowercase_pieces(text, start)
    return spelled_pieces(text, start, table)


_ONSETS = frozenset("CH TH PH WH SH GH RH KH KN GN PN PS PF TS TW DW ZW CZ GW QU MC DJ TZ".split())
"""Beginnings of words without a liquid, in English and German, and of those with three consonants."""
_BEFORE_LIQUIDS = frozenset("ST SP SC SK SH SQ TH CH PH PF".split())


def is_pronounceable(text: str, table: LanguageTable) -> bool:
    """True if letters have the shape of a word: enough vowels, no long group of consonants."""
    vowels, acronyms = table.acronyms.vowels, table.acronyms
    shape = "".join("v" if letter.lower() in vowels else "c" for letter in text)
    if "v" not in shape or ("vvv" in shape and len(text) < _LONGEST_ACRONYM):
        # "UEA", but "SEOUL"
        return False
    onset, coda = shape.index("v"), len(shape) - 1 - shape.rindex("v")
    if acronyms.onset == len("st") == onset and not (
        text[1] in _LIQUIDS or text[0] in "SC" or text[:2] == "PS"
    ):
        # No word of a Romance language begins as "TDAH".
        return False
    strict = acronyms.onset > 2 and text.isupper() and onset > 1
    begins = text[0] == "S" or text[:2] in _ONSETS or text[1:2] in _LIQUIDS
    if strict and not (begins and (onset < 3 or text[:2] in _BEFORE_LIQUIDS)):
        # "HDMI"
        return False
    return onset <= acronyms.onset and coda <= acronyms.coda and "cccc" not in shape


def acronym(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A word in capitals, with the "s" of its plural."""
    token = cursor.token()
    core = token.core
    name = core[:-1].rstrip("'’")
    if len(core) > 2 and core[-1] == "s" and name.isupper() and name.isalpha() and len(name) > 1:
        if not table.acronyms.plural:
            return None
        pieces, end = capitals_pieces(name, token.core_start, table), token.core_start + len(name)
        # "PDFs", "the NBA's"
        plural = Piece(core[len(name) : -1] + table.acronyms.plural, end, token.core_end)
        return Verbalization((*pieces, plural), token.core_end)
    if not (core.isupper() and core.isalpha()) or len(core) < 2:
        return None
    if core.lower() in table.acronyms.elided and token.suffix[:1] in ("'", "’"):
        return Verbalization(lowercase_pieces(core, token.core_start), token.core_end)
    if len(core) > _LONGEST_ACRONYM and core not in table.acronyms.spelled:
        return Verbalization(lowercase_pieces(core, token.core_start), token.core_end)
    shouted = _is_shouted(cursor.previous(), table) or _is_among_shouted(cursor, -1, table)
    if not shouted and not token.suffix.strip(".") and core not in table.acronyms.said:
        shouted = _is_shouted(cursor.token(1), table) or _is_among_shouted(cursor, 1, table)
    return Verbalization(capitals_pieces(core, token.core_start, table, shouted), token.core_end)


def _is_shouted(token: Token, table: LanguageTable) -> bool:
    """True if a token is a word in capitals rather than an acronym."""
    core = token.core
    if not core.isupper() or not core.isalpha():
        return False
    acronyms = table.acronyms
    known = core.lower() in acronyms.words and core not in acronyms.spelled
    return len(core) > _LONGEST_ACRONYM or (known and len(core) > 1)


def _is_among_shouted(cursor: TokenCursor, step: int, table: LanguageTable) -> bool:
    """True if capitals stand beside the token, and beside these a word in capitals: "AID BILL PASSES"."""
    near = cursor.token(1) if step > 0 else cursor.previous()
    if not (near.core.isupper() and near.core.isalpha() and len(near.core) > 1) or near.suffix:
        return False
    return _is_shouted(cursor.token(2) if step > 0 else cursor.previous(2), table)


def initial(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "J." before a name, or a single letter."""
    token = cursor.token()
    core = token.core
    if len(core) != 1 or not core.isalpha() or not table.letters:
        return None
    if core in table.greek:
        return Verbalization((Piece(table.greek[core], token.core_start, token.core_end),), token.core_end)
    name = table.letters.get(core.lower())
    if (
        core in VARIABLES
        and name != core.upper()
        and {cursor.previous().core, cursor.token(1).core} & OPERATORS
        and not (core in table.formulas.words and _joins(cursor, table))
    ):
        return Verbalization((Piece(name or core, token.core_start, token.core_end),), token.core_end)
    if name is None or not core.isupper():
        return None
    before = cursor.previous().core.lower()
    of_a_law = before in table.roman.cardinal or before == "art"
    following = cursor.token(1).core if token.suffix == "." else ""
    of_a_law = of_a_law or (core in "LRD" and _SECTION.fullmatch(following) is not None)
    if is_initial(cursor, table) or (
        of_a_law and token.suffix == "." and cursor.token(1).core[:1].isdecimal()
    ):
        # "art. L. 121-1"
        return Verbalization((Piece(name, token.core_start, token.core_end),), token.core_end + 1)
    beside = cursor.previous(), cursor.token(1)
    if core.lower() in table.acronyms.words and any(
        len(other.core) > 1 and other.core.isupper() for other in beside
    ):
        # "THIS IS A TEST", "A BBC report": a voice would take the capital for the letter.
        return Verbalization(lowercase_pieces(core, token.core_start), token.core_end)
    if core.lower() in table.acronyms.words or (token.suffix[:1] in ("'", "’") and not token.prefix):
        return None
    return Verbalization((Piece(name, token.core_start, token.core_end),), token.core_end)


_LETTERED = frozenset(
    "vitamin vitamina vitamine hepatitis epatite hepatite hépatite categoría categoria catégorie"
    " energetica energética énergétique énergie ges dpe epc sanguin band permis permiso patente carné carta"
    " cnh carteira".split()
)
"""Words before a letter that is no initial, beside the labels of the tables."""


def _joins(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for the word "y" of "Node 20 y ≥ 8 GB", no variable: after a number, its unit or a name."""
    before, earlier = cursor.previous(), cursor.previous(2).core
    counted = before.core in table.units and earlier[-1:].isdecimal()
    named = before.core[:1].isupper() and earlier != ""
    return before.suffix in ("", ")") and (counted or named or before.core[-1:].isdecimal())


def is_initial(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if a letter and its full stop stand before a name: what follows begins no sentence."""
    following = cursor.token(1)
    suffix = cursor.token().suffix
    # "DPE : D."
    label = cursor.previous(1 + (cursor.previous().core == ""))
    if suffix in (".,", ".;") or (suffix == "." and following.core.islower() and _is_initials(cursor)):
        # "J. C. S. para", "Zona L.;": nothing ends.
        return True
    return (
        suffix == "."
        and label.core.lower() not in table.numbers.labels | _LETTERED
        and following.core[:1].isupper()
        and following.start == following.core_start
        and re.split("['’]", following.core.lower())[0] not in common_words(table.language)
        and following.core.lower() not in table.acronyms.words - {following.core.lower()[:1]}
    )


def _is_initials(cursor: TokenCursor) -> bool:
    """True if another initial stands before the token."""
    before = cursor.previous()
    return len(before.core) == 1 and before.core.isupper() and before.suffix == "."


_BEFORE_ONE = frozenset("el un al del cada por le au du par il o ao do um per each".split())
"""Words before one thing."""


def unspeakable(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A short word in small letters without a vowel ("idk", "tbh"): its letters."""
    token = cursor.token()
    core = token.core
    small = core.islower() or (len(core) > 2 and core[1:].islower())
    if not (small and core.isascii() and core.isalpha() and 2 <= len(core) <= _LONGEST_ACRONYM):
        return None
    core = core.lower()
    if not table.letters or len(set(core)) == 1 or _SOUND.fullmatch(core):
        return None
    if not (table.acronyms.vowels | {"y"}).isdisjoint(core):
        return None
    if (key := table.web.keys.get(token.core)) is not None:
        return Verbalization((Piece(key, token.core_start, token.core_end),), token.core_end)
    if (unit := table.units.get(core)) is not None:
        # "a few km": a unit without its number; "el kg", "par kg": one of them.
        single = cursor.previous().core.lower() in _BEFORE_ONE
        said = unit.forms.get("one", unit.forms["other"]) if single else unit.forms["other"]
        end = token.core_end + (token.suffix[:2] in (".,", ".:", ".;"))
        return Verbalization((Piece(said, token.core_start, token.core_end),), end)
    return Verbalization(spelled_pieces(core, token.core_start, table), token.core_end)


def dotted(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "e.s.t.": letters with full stops between them."""
    token = cursor.token()
    if not table.letters or not _DOTTED.fullmatch(token.core):
        return None
    pieces = []
    for at in range(0, len(token.core), 2):
        name = letter_name(token.core[at], table)
        start = token.core_start + at
        pieces.append(Piece(f" {name}" if at else name, start, start + 1))
    following = cursor.token(1).core
    goes_on = following[:1].islower() or following.lower() not in common_words(table.language)
    # "el I.E.S. Goya": the last stop ends no sentence.
    return Verbalization(
        tuple(pieces), token.core_end + (token.suffix == "." and following != "" and goes_on)
    )


def roman_value(text: str) -> int | None:
    """The value of a Roman numeral, or None."""
    if not text or len(text) > 15 or not _ROMAN.fullmatch(text):
        return None
    values = [_ROMAN_VALUES[letter] for letter in text]
    return sum(
        -one if one < next_one else one for one, next_one in zip(values, [*values[1:], 0], strict=True)
    )


def camel_case_pieces(text: str, start: int, table: LanguageTable) -> tuple[Piece, ...] | None:
    """The words of "SaveTheWhales"; None where there is only one."""
    if text.islower() or not any(map(str.isupper, text)):
        return None
    if text in table.acronyms.said:
        return (Piece(table.acronyms.said[text], start, start + len(text)),)
    if table.letters and _MIXED.fullmatch(text) and text not in table.units:
        return spelled_pieces(text, start, table)
    found = list(_HUMPS.finditer(text))
    if len(found) < 2 or "".join(match.group() for match in found) != text:
        return None
    if any(len(match.group()) == 1 for match in found) and len(found) < 3:
        return None
    pieces: list[Piece] = []
    for match in found:
        part, at = match.group(), start + match.start()
        if pieces:
            pieces.append(Piece(" ", at, at + 1))
        pieces += (
            capitals_pieces(part, at, table)
            if part.isupper() and len(part) > 1
            else [Piece(part, at, at + len(part))]
        )
    return tuple(pieces)


@functools.cache
def common_words(language: str) -> frozenset[str]:
    """The commonest words of a language, which begin sentences and are no names."""
    return frozenset(word for word, languages in languages_by_word().items() if language in languages)
