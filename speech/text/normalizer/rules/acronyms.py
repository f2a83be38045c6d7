"""Words that are not said as they are written: acronyms, initials, Roman numerals, joined words."""

from __future__ import annotations

import re

from speech.text.normalizer.spoken import Piece, Verbalization
from speech.text.normalizer.tables.table import LanguageTable
from speech.text.normalizer.tokens import Token, TokenCursor

_ROMAN = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_HUMPS = re.compile(r"[A-ZÀ-ÖØ-Þ]+(?=[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ])|[A-ZÀ-ÖØ-Þ]?[a-zß-öø-ÿ]+|[A-ZÀ-ÖØ-Þ]+|[^\W\d_]")
_DOTTED = re.compile(r"[^\W\d_](?:\.[^\W\d_])+")
_SMALL_ROMAN = frozenset("ivx")
_LONGEST_ACRONYM = 5
_LONGEST_NAME = 6


def lowercase_pieces(text: str, start: int) -> tuple[Piece, ...]:
    """A word in small letters, each for its own capital."""
    return tuple(Piece(letter.lower(), start + at, start + at + 1) for at, letter in enumerate(text))


def spelled_pieces(text: str, start: int, table: LanguageTable) -> tuple[Piece, ...]:
    """The letters' names, one after the other."""
    pieces = []
    for at, letter in enumerate(text):
        name = letter_name(letter, table)
        pieces.append(Piece(f" {name}" if at else name, start + at, start + at + 1))
    return tuple(pieces)


def letter_name(letter: str, table: LanguageTable) -> str:
    """The name of a letter; a letter the table does not know is its own."""
    lower = letter.lower()
    return table.letters.get(lower) or table.greek.get(lower) or letter


def capitals_pieces(text: str, start: int, table: LanguageTable, shouted: bool = False) -> tuple[Piece, ...]:
    """A word in capitals: a word, or letters; shouted: the words around it are in capitals too."""
    acronyms = table.acronyms
    if text in acronyms.said:
        return (Piece(acronyms.said[text], start, start + len(text)),)
    if text in acronyms.spelled and not (shouted and text.lower() in acronyms.words):
        return spelled_pieces(text, start, table)
    if text in acronyms.read or text.lower() in acronyms.words:
        return lowercase_pieces(text, start)
    pronounceable = is_pronounceable(text, table)
    if len(text) > _LONGEST_ACRONYM or (shouted and pronounceable):
        return lowercase_pieces(text, start)
    if not table.letters or (len(text) > 3 and pronounceable):
        return lowercase_pieces(text, start)
    return spelled_pieces(text, start, table)


def is_pronounceable(text: str, table: LanguageTable) -> bool:
    """Whether letters look like a word of the language: no vowel too few, no consonant too many."""
    vowels, acronyms = table.acronyms.vowels, table.acronyms
    shape = "".join("v" if letter.lower() in vowels else "c" for letter in text)
    if "v" not in shape or "vvv" in shape:
        return False
    onset, coda = shape.index("v"), len(shape) - 1 - shape.rindex("v")
    return onset <= acronyms.onset and coda <= acronyms.coda and "cccc" not in shape


def acronym(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A word in capitals, with the "s" of its plural."""
    word = cursor.token()
    core = word.core
    if len(core) > 2 and core[-1] == "s" and core[:-1].isupper() and core[:-1].isalpha():
        if not table.acronyms.plural:
            return None
        pieces = capitals_pieces(core[:-1], word.core_start, table)
        plural = Piece(table.acronyms.plural, word.core_end - 1, word.core_end)
        return Verbalization((*pieces, plural), word.core_end)
    if not (core.isupper() and core.isalpha()) or len(core) < 2:
        return None
    if core.lower() in table.acronyms.elided and word.suffix[:1] in ("'", "’"):
        return Verbalization(lowercase_pieces(core, word.core_start), word.core_end)
    if len(core) > _LONGEST_ACRONYM and core not in table.acronyms.spelled:
        return Verbalization(lowercase_pieces(core, word.core_start), word.core_end)
    shouted = _is_shouted(cursor.previous(), table)
    if not shouted and not word.suffix.strip(".") and core not in table.acronyms.said:
        shouted = _is_shouted(cursor.token(1), table)
    return Verbalization(capitals_pieces(core, word.core_start, table, shouted), word.core_end)


def _is_shouted(word: Token, table: LanguageTable) -> bool:
    """Whether a word in capitals is no acronym."""
    core = word.core
    if not core.isupper() or not core.isalpha():
        return False
    known = core.lower() in table.acronyms.words and core not in table.acronyms.spelled
    return len(core) > _LONGEST_ACRONYM or (known and len(core) > 1)


def initial(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "J." before a name, or a letter that stands alone."""
    word = cursor.token()
    core = word.core
    if len(core) != 1 or not core.isalpha() or not table.letters:
        return None
    if core in table.greek:
        return Verbalization((Piece(table.greek[core], word.core_start, word.core_end),), word.core_end)
    name = table.letters.get(core.lower())
    if name is None or not core.isupper():
        return None
    if word.suffix == ".":
        following = cursor.token(1)
        if following.core[:1].isupper() and following.start == following.core_start:
            return Verbalization((Piece(name, word.core_start, word.core_end),), word.core_end + 1)
    if core.lower() in table.acronyms.words or (word.suffix[:1] in ("'", "’") and not word.prefix):
        return None
    return Verbalization((Piece(name, word.core_start, word.core_end),), word.core_end)


def dotted(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "e.s.t.": letters with full stops between them."""
    word = cursor.token()
    if not table.letters or not _DOTTED.fullmatch(word.core):
        return None
    pieces = []
    for at in range(0, len(word.core), 2):
        name = letter_name(word.core[at], table)
        start = word.core_start + at
        pieces.append(Piece(f" {name}" if at else name, start, start + 1))
    return Verbalization(tuple(pieces), word.core_end)


def roman(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A Roman numeral where the words around it say that it is one."""
    word = cursor.token()
    rules = table.roman
    previous = cursor.previous()
    before = previous.core.lower() if previous.suffix in ("", ".") else ""
    name = previous.core
    small = word.core.islower() and may_be_small_roman(cursor, table)
    if small and name.islower():
        name = name.capitalize()
    value = roman_value(word.core.upper() if small or before in rules.small_after else word.core)
    if value is None or (len(word.core) == 1 and word.core.upper() not in "IVX"):
        return _marked_roman(word, table)
    said = None
    stop = False
    # "the part I like" is no first part.
    alone = word.core.lower() in table.acronyms.words and not previous.core[:1].isupper()
    if before in rules.cardinal and not alone:
        said = table.number_words.cardinal(value)
    elif before in rules.ordinal:
        form = table.agreement.gender(before, plural=False) or "m"
        said = _place(value, form, table)
    elif not previous.suffix and name in rules.names:
        said = rules.named.format(ordinal=_place(value, rules.names[name], table))
        said = table.number_words.inflected_after(_before_name(cursor), said)
        stop = bool(table.ordinals_with_stop) and word.suffix.startswith(".")
    elif (
        rules.ordinal_before
        and cursor.is_adjacent(1)
        and cursor.token(1).core.lower() in rules.ordinal_before
    ):
        form = table.agreement.gender(cursor.token(1).core, plural=False) or "m"
        said = table.number_words.ordinal(value, form)
    elif before in rules.articles and cursor.is_adjacent(1) and len(cursor.token(1).core) > 2:
        noun = cursor.token(1).core
        if not noun[0].isupper() or value > 39:
            return None
        said = table.number_words.ordinal(value, rules.articles[before])
    elif (
        previous.core == "" and rules.articles and cursor.is_adjacent(1) and cursor.token(1).core[0].isupper()
    ):
        gender = table.agreement.gender(cursor.token(1).core, plural=False)
        form = gender if gender == "f" else next(iter(rules.articles.values()))
        said = table.number_words.ordinal(value, form)
    elif len(word.core) > 1 and set(word.core) <= set("IVX"):
        said = table.number_words.cardinal(value)
    if said is None:
        return None
    if stop and word.suffix == ".":
        stop = cursor.token(1).core[:1].islower()
    end = word.core_end + stop
    return Verbalization((Piece(said, word.core_start, end),), end)


def may_be_small_roman(cursor: TokenCursor, table: LanguageTable) -> bool:
    """Whether a word in small letters stands where it may be a Roman numeral: "siglo xx", "luis vii".

    Behind a name it has to be one that is no word of a language: "a luis vi ayer" is not.
    """
    core, before = cursor.token().core, cursor.previous().core
    if before.lower() in table.roman.small_after:
        return True
    if not (len(core) > 1 and set(core) <= _SMALL_ROMAN and before.capitalize() in table.roman.names):
        return False
    return core != "vi" or not cursor.is_adjacent(1)


def _before_name(cursor: TokenCursor) -> str:
    """The word before a name and its titles, in small letters."""
    back = 2
    while (
        back < _LONGEST_NAME and cursor.previous(back).core[:1].isupper() and not cursor.previous(back).suffix
    ):
        back += 1
    before = cursor.previous(back)
    if before.core == "" or before.suffix:
        # The sentence begins with it, so that it has a capital as the names have.
        before = cursor.previous(back - 1)
    return before.core.lower()


def _marked_roman(word: Token, table: LanguageTable) -> Verbalization | None:
    """ "XXe", "Ier": a small Roman numeral and what makes an ordinal of it."""
    for mark in table.roman.marks:
        number = word.core.removesuffix(mark)
        if number != word.core and set(number) <= set("IVX") and (value := roman_value(number)) is not None:
            said = table.number_words.ordinal(value, table.ordinals.get(mark, ""))
            return Verbalization((Piece(said, word.core_start, word.core_end),), word.core_end)
    return None


def _place(value: int, form: str, table: LanguageTable) -> str:
    """An ordinal as far as the language says them of Roman numerals, then a cardinal."""
    words = table.number_words
    return words.ordinal(value, form) if value <= table.roman.last_ordinal else words.cardinal(value)


def roman_value(text: str) -> int | None:
    """What a Roman numeral is worth, None for what is none."""
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


def expand_abbreviation(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A line of [abbreviations], if what it wants behind it is there."""
    word = cursor.token()
    for candidate in _keys(word, table):
        for abbreviation in table.abbreviations.get(candidate, ()):
            end = _end_of(cursor, abbreviation.parts)
            if end is None:
                continue
            count = len(abbreviation.parts)
            last = cursor.token(count - 1)
            stop = abbreviation.parts[-1].endswith(".")
            said = abbreviation.said.get("other")
            ends_sentence = False
            closed = last.end > end
            following = None
            if "name" in abbreviation.said or "number" in abbreviation.said or (stop and not closed):
                following = None if closed else cursor.token(count)
            if following is not None and following.core:
                if following.core[0].isdigit() or roman_value(following.core) is not None:
                    said = abbreviation.said.get("number", said)
                elif (
                    following.core[0].isupper()
                    and "name" in abbreviation.said
                    and not _is_behind_name(cursor, said)
                ):
                    said = abbreviation.said["name"]
                elif following.core[0].isupper():
                    # A title has a capital itself: a name follows, not a sentence.
                    ends_sentence = stop and (not candidate[0].isupper() or "name" in abbreviation.said)
            elif following is not None:
                ends_sentence = stop
            if said is None:
                continue
            if word.core[:1].isupper() and not candidate[:1].isupper():
                said = said[:1].upper() + said[1:]
            if ends_sentence:
                return Verbalization((Piece(said, word.core_start, end - 1),), end - 1)
            return Verbalization((Piece(said, word.core_start, end),), end)
    return None


def abbreviated_ending(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "Hauptstr.": a word whose end is short for another."""
    word = cursor.token()
    if not table.abbreviated_endings or not word.suffix.startswith("."):
        return None
    for ending, said in table.abbreviated_endings.items():
        whole = f"{word.core}."
        begin = whole.removesuffix(ending)
        if begin != whole and begin.isalpha() and len(begin) > 2:
            stop = not (word.suffix == "." and (cursor.token(1).core == ""))
            end = word.core_end + stop
            at = word.core_start + len(begin)
            return Verbalization((Piece(begin, word.core_start, at), Piece(said, at, end)), end)
    return None


def _is_behind_name(cursor: TokenCursor, otherwise: str | None) -> bool:
    """Whether the word before is a name, so that "Elm St." is no saint; only where that says something."""
    if otherwise is None:
        return False
    previous, earlier = cursor.previous(), cursor.previous(2)
    inside = earlier.core != "" and not earlier.suffix.strip("\"'”’)»").endswith((".", "!", "?", "…"))
    return inside and previous.core[:1].isupper() and previous.suffix == ""


def _keys(word: Token, table: LanguageTable) -> tuple[str, ...]:
    """How a word may stand in the table: with its full stop, without, in small letters."""
    stop = f"{word.core}." if word.suffix.startswith(".") else ""
    keys = [key for key in (stop, word.core) if key]
    return tuple(dict.fromkeys([*keys, *(key[0].lower() + key[1:] for key in keys)]))


def _end_of(cursor: TokenCursor, parts: tuple[str, ...]) -> int | None:
    """Where the abbreviation ends, None where it is not there."""
    end = 0
    for ahead, part in enumerate(parts):
        word = cursor.token(ahead)
        if word.entry is not None or (ahead and word.start != word.core_start):
            return None
        end = word.core_start + len(part)
        written = word.text[word.core_start : min(end, word.end)]
        if written != part and (ahead or written[:1].lower() + written[1:] != part):
            return None
        whole = word.core_end + part.endswith(".")
        if end != whole or (ahead < len(parts) - 1 and end != word.end):
            return None
    return end
