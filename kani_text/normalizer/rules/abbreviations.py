"""Abbreviations: what stands for something else, where its neighbours show that it is no word."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kani_text.normalizer.kinds import Rows, is_kind
from kani_text.normalizer.rules.numerals import FEET
from kani_text.normalizer.rules.trades import agreeing, cut_short, is_of_a_trade, is_shouted, senses
from kani_text.normalizer.spoken import Verbalization
from kani_text.normalizer.tables.table import Abbreviation, LanguageTable
from kani_text.normalizer.tokens import Token, TokenCursor
from kani_text.writing import CLOSING_QUOTES, ends_sentence, roman_value

_CODE = re.compile(r"[A-Z]{1,4}-\d")
_MOST_FIGURES = 4
_LONGEST_BEFORE_INITIAL = 3
_INSIDE = tuple(":;,–—/!?")
_LEAST_AFTER_SLASH = 3
_QUOTED = frozenset(("''", "‘’", '""', "“”", "„“", "«»"))


@dataclass(frozen=True, slots=True)
class _Place:
    """A line of [abbreviations] where it is written."""

    cursor: TokenCursor
    table: LanguageTable
    key: str
    """Its first word, as it is in the table."""
    line: Abbreviation
    end: int

    @property
    def stopped(self) -> bool:
        """True if it ends with a full stop of its own."""
        return self.line.parts[-1].endswith(".")

    @property
    def marks(self) -> str:
        """The marks after it, and after its full stop."""
        last = self.cursor.token(len(self.line.parts) - 1)
        return last.text[self.end : last.end]

    @property
    def closed(self) -> bool:
        """True if what follows does not belong to it: "Max (11)"."""
        return self.marks != "" or (not self.stopped and self.following().prefix.endswith("("))

    def following(self, further: int = 0) -> Token:
        """The token after it."""
        return self.cursor.token(len(self.line.parts) + further)

    def first_of(self, conditions: "_Conditions") -> str | None:
        """The first of some conditions that it has a form for and that holds."""
        return next((one for one, test in conditions if one in self.line.said and self._meets(test)), None)

    def _meets(self, test: Rows | Callable[["_Place"], bool]) -> bool:
        if isinstance(test, Rows):
            return test.hold(self.cursor, self.table, len(self.line.parts) - 1)
        return test(self)


_Conditions = tuple[tuple[str, Rows | Callable[[_Place], bool]], ...]


def expand_abbreviation(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A line of [abbreviations], if its condition holds."""
    if (before_slash := _before_slash(cursor.token(), table)) is not None:
        return before_slash
    for place in _places(cursor, table):
        condition, said = _condition(place), place.line.said
        form = (
            agreeing(said["noun"], _noun(place), table) if condition == "noun" else said.get(condition or "")
        )
        if form is not None:
            return _said(place, form, _ends_sentence(place, condition))
    return cut_short(cursor, table)


def _places(cursor: TokenCursor, table: LanguageTable) -> Iterator[_Place]:
    """The lines that may be meant, those of a trade first, and of several words ("p. ej.")."""
    token, previous = cursor.token(), cursor.previous()
    quoted = token.suffix != "" and token.prefix[-1:] + token.suffix[0] in _QUOTED
    named = token.core[:1].isupper() and previous.core[:1].isupper() and not previous.suffix
    for key in _keys(token, table):
        if key.isalpha() and key.islower() and (quoted or named):
            # 'bc' is the word itself, and "Pro Max" a name.
            continue
        lines = (*senses(cursor, key, table), *table.abbreviations.get(key, ()))
        for line in sorted(lines, key=lambda line: -len(line.parts)):
            end = _end_of(cursor, line.parts)
            if end is not None:
                yield _Place(cursor, table, key, line, end)


def _said(place: _Place, form: str, ends: bool) -> Verbalization:
    cursor, table, token = place.cursor, place.table, place.cursor.token()
    if (ending := _adjective_ending(place, form)) is not None:
        form, ends = form + ending, False
    if table.agreement.capitals and cursor.previous().core[:1].isdecimal():
        # "mit 34 Pkt."
        form = table.number_words.inflected_after(cursor.previous(2).core.lower(), form)
    if token.core[:1].isupper() and not place.key[:1].isupper():
        form = form[:1].upper() + form[1:]
    end = place.end - ends
    small = token.suffix == "." and place.following().core[:1].islower()
    if end == token.core_end and (small or token.suffix.startswith((".,", ".;"))):
        # "2 lg. eggs", "inkl. MwSt., zzgl. Porto", lines without their stop
        end += not ends
    return token.said(form, end)


_OBLIQUE = Rows("oblique @", "dative 'der' @")
_WEAK = Rows("weak @")


def _adjective_ending(place: _Place, form: str) -> str | None:
    """The ending of a German adjective before a noun ("die dt. Mannschaft"); None for others."""
    cursor, table, noun = place.cursor, place.table, place.following().core
    endings = tuple(table.kinds.get("adjective_ending", ()))
    if not endings or not (form.islower() and form.endswith(endings) and _is_before_noun(place)):
        return None
    if _OBLIQUE.hold(cursor, table):
        return "en"
    if _WEAK.hold(cursor, table):
        return "e"
    # "Amtl. Warnung", but "zzgl. Porto"
    if not cursor.token().core[:1].isupper() or form in table.kinds["governing"]:
        return ""
    return {"m": "er", "n": "es", "f": "e"}.get(table.agreement.gender(noun, plural=False), "")


def _before_slash(token: Token, table: LanguageTable) -> Verbalization | None:
    """ "c/Goya", "s/muebles", "p/2": a letter with its slash and what touches it."""
    short, rest = token.core[:2], token.core[2:]
    if short[1:] != "/" or not rest or token.core in table.abbreviations:
        return None
    said = next((one.said for one in table.abbreviations.get(short, ()) if len(one.parts) == 1), {})
    form = said.get("name" if rest[0].isupper() else "other") or said.get("other")
    if rest.isdecimal() and "number" not in said and len(rest) <= _MOST_FIGURES:
        rest = table.number_words.cardinal(int(rest))
    elif not rest.isalpha() or len(rest) < _LEAST_AFTER_SLASH:
        return None
    return token.parted(f"{form} ", len(short), rest) if form else None


def _is_before_name(place: _Place) -> bool:
    """True where what follows is the name that the abbreviation belongs to."""
    cursor, table, following = place.cursor, place.table, place.following()
    said = place.line.said
    if _is_before_street(place):
        return True
    if not following.core[:1].isupper() or _is_number(following, place.key):
        return False
    initial = len(place.line.parts) == 1 and len(place.key) == 2 and place.key[0].isupper()
    if initial and table.first_names and following.core not in table.first_names:
        # "el notario, D. Aurelio Pintado"
        full = place.following(1).core[:1].isupper() and not following.suffix
        if not full or cursor.previous().core[:1].isupper():
            return False
    if said.get("other") in (None, said["name"]) or table.agreement.capitals:
        return True
    # After a name inside a sentence "Elm St." is no saint.
    previous, earlier = cursor.previous(), cursor.previous(2)
    inside = earlier.core != "" and not ends_sentence(earlier.suffix) and previous.suffix == ""
    return not (inside and previous.core[:1].isupper())


_STREET = Rows("@~ partitive capital", "@~ partitive small capital")


def _is_before_street(place: _Place) -> bool:
    """ "imp. des Lilas", "imp. de la Gare", "5 r. du Bac"."""
    if not place.stopped or "other" in place.line.said:
        return False
    known = len(place.key) > len("r.") or _is_after(place, "number")
    return known and _STREET.hold(place.cursor, place.table, len(place.line.parts) - 1)


_NAME_OF_STREET = "capitalized|capitals|partitive"
_OF_STREET = r"capital|partitive{\.?}?"
_CONDITIONS: _Conditions = (
    ("measured", Rows("@~ length", "@~ figure length_unit", "@~ figure 'in'{[.,;)].*}")),
    ("article", Rows("masculine_article @~ capitalized")),
    ("label", Rows("@~ short_number")),
    ("ordinal", Rows("ordinal~ @")),
    ("one", Rows("'1' @", "ordinal~ @", "nothing|word|part~ part @")),
    ("paid", Rows("money @", "currency figure @", "figure currency @")),
    # "dal 12 sett."
    ("counted", Rows("masculine_article few @")),
    ("few", Rows("few @")),
    ("counted", Rows("count @")),
    ("time", Rows("@~ mark~? clock")),
    ("letter", Rows("@~ lettered")),
    ("date", Rows("@~ weekday", r"@~ day|date|day_range{\..*}")),
)
"""Tests of the conditions that show an abbreviation, in the order in which they are tried."""

_BEFORE_WORDS: _Conditions = (
    (
        "address",
        Rows(
            rf"street_preposition @~ {_NAME_OF_STREET}",
            rf"before_street street_article @~ {_NAME_OF_STREET}",
            "small street_article @~ partitive",
            "small|figure{,} @~ partitive",
            # "R. das Flores, nº 21"
            rf"@~ {_OF_STREET} {_OF_STREET} {_OF_STREET} capital{{,}} house_number",
            rf"@~ {_OF_STREET} {_OF_STREET} {_OF_STREET} capital figure",
        ),
    ),
    ("number", lambda place: _is_number(place.following(), place.key)),
    ("name", _is_before_name),
)
"""Those that are tried where it is no word, and no mark stands after it."""


def _condition(place: _Place) -> str | None:
    """The condition of the form that is said; None where the letters are a word."""
    found = place.first_of(_CONDITIONS)
    if found is None and _is_word(place):
        return None
    if found is None and not place.closed:
        found = place.first_of(_BEFORE_WORDS)
    if "noun" not in place.line.said or found not in (None, "name"):
        return found or "other"
    agrees = _noun(place) and (found is None or _closes(place))
    return "noun" if agrees else found or "other"


def _is_word(place: _Place) -> bool:
    """True for letters that are a word, too, where nothing shows that they are short for another."""
    line, following = place.line, place.following()
    if len(line.parts) > 1 or place.key.rstrip(".").lower() not in place.table.also_words:
        return False
    if place.marks:
        # "to no avail."
        return not set(CLOSING_QUOTES).isdisjoint(place.marks)
    if place.closed or _is_after(place, "ordinal") or following.core[:1].islower() or _goes_on(following):
        return False
    numbered = following.core != "I" and _is_number(following, place.key)
    # "schweiz. Franken", but "in der Schweiz. Franken sind"
    small = place.key.islower() and place.cursor.token().core[:1].islower()
    return not (numbered or _is_title(place) or (small and _is_before_noun(place)))


def _goes_on(following: Token) -> bool:
    """True if a mark of its own stands after an abbreviation: "dest. : M. Leroy"."""
    return not following.core and following.text[following.start : following.start + 1] in _INSIDE


def _is_after(place: _Place, kind: str) -> bool:
    return is_kind(place.cursor.previous(), kind, place.table)


def _is_title(place: _Place) -> bool:
    """True for a title before a name: "il ten. Moretti"."""
    key, table, following = place.key, place.table, place.following().core
    title = f"{key[:1].upper()}{key[1:]}" in table.titles and _is_after(place, "masculine_article")
    named = following[:1].isupper() and following.lower() not in table.common_words
    return named and (title or key[:1].isupper())


def _is_before_noun(place: _Place) -> bool:
    """True before a word that has its capital as a German noun."""
    agreement, following = place.table.agreement, place.following().core
    return agreement.capitals and following[:1].isupper() and following.lower() not in agreement.not_nouns


def _noun(place: _Place) -> str:
    """The noun before, that it agrees with: "velocidad máx.: 120", "(desayuno incl.)"; no word follows."""
    previous, table = place.cursor.previous(), place.table
    word, last = previous.core, place.cursor.token(len(place.line.parts) - 1)
    if last.suffix in ("", ".") and place.following().core[:1].islower():
        return ""
    if previous.suffix == "." and (short := table.abbreviations.get(f"{word.lower()}.")):
        word = short[0].said.get("other", "")
    elif previous.suffix:
        return ""
    return word if word.isalpha() and table.agreement.gender(word, plural=False) else ""


_AFTER_NUMBERS = frozenset("ordinal one paid few counted".split())


def _ends_sentence(place: _Place, condition: str | None) -> bool:
    """True if its full stop is the sentence's, too."""
    following = place.following()
    if not place.stopped or place.marks:
        return False
    if condition in _AFTER_NUMBERS:
        return _may_end(place)
    if condition == "name":
        said = place.line.said
        return (said["name"] == said.get("other") or "noun" in said) and _closes(place)
    if condition not in ("noun", "other"):
        return False
    if not following.core:
        return not _goes_on(following)
    capital = following.core[0].isupper() and not _is_number(following, place.key)
    return capital and not _belongs_to_capital(place)


def _belongs_to_capital(place: _Place) -> bool:
    """True if the sentence goes on with a capital: a name after a title, but not after "until Nov."."""
    table, key, last = place.table, place.key, place.line.parts[-1]
    if key[0].isupper() and last[0].isupper() and key.rstrip(".").lower() not in table.dates.months:
        return place.following().core.lower() not in table.common_words
    # "s. a. Müller", but "v. Chr. Danach"
    return table.agreement.capitals and len(place.line.parts) > 1 and last != "Chr."


def _closes(place: _Place) -> bool:
    """True if it belongs to the words before it, and its stop ends the sentence, too."""
    table, before, following = place.table, place.cursor.previous(), place.following()
    stopped = before.suffix == "." and place.cursor.token().core[:1].islower()
    if place.key[0].isupper() or following.prefix or not (stopped or before.suffix in ("", *FEET)):
        return False
    common = table.acronyms.words if len(following.core) == 1 else table.common_words
    if following.core.lower() in common:
        # "+ cond. A 300 m", but "av. La Marina", "el dr. De la Fuente"
        after = place.following(1).core[:1]
        return following.suffix == "" and (after.islower() or after.isdecimal())
    return following.core[1:].islower() and _belongs_to_words_before(place)


_MEASURED = Rows("figure~ @", "figure unit~ @")


def _belongs_to_words_before(place: _Place) -> bool:
    """ "desayuno incl.", "10 km ca.", "3.º Esq."."""
    said, table = place.line.said, place.table
    about = said["name"] == table.numbers.about or is_of_a_trade(place.key, table)
    if about and _MEASURED.hold(place.cursor, table):
        return True
    return "noun" in said or said["name"] in table.dates.days or _is_after(place, "ordinal")


def _may_end(place: _Place) -> bool:
    """True if a sentence may begin after what is counted."""
    table, following = place.table, place.following()
    if not following.core:
        # "Pour 4 pers. : 250 g"
        return not _goes_on(following)
    if table.agreement.capitals and following.core.lower() not in table.agreement.not_nouns:
        # "10 Expl. Bücher"
        return False
    return following.core[0].isupper() and not is_shouted(place.cursor, len(place.line.parts))


def _is_number(token: Token, key: str) -> bool:
    """True for figures, and Roman numerals; a letter is one only after more than "p." or "No."."""
    if token.core.lstrip("-−+~≈<>≤≥€$£₹¥")[:1].isdigit() or _CODE.match(token.core):
        return True
    numeral = all(map(roman_value, re.split("[-–]", token.core)))
    return numeral and (len(token.core) > 1 or len(key) > _LONGEST_BEFORE_INITIAL)


def _keys(token: Token, table: LanguageTable) -> tuple[str, ...]:
    """Keys that a token may have in the table: with its full stop, without, in lower case."""
    stop = f"{token.core}." if token.suffix.startswith(".") else ""
    keys = [key for key in (stop, token.core) if key]
    if len(token.core.rstrip("/")) == 1 and token.core.isupper():
        # An initial is not written in small letters.
        return tuple(keys)
    if token.core.isupper() and stop:
        # "SR. GARCÍA"
        keys.append(stop.capitalize())
    if token.core.isupper() and "." in token.core:
        # "F.LLI ROSSI"
        keys.append(token.core.capitalize())
    return tuple(dict.fromkeys([*keys, *(key[0].lower() + key[1:] for key in keys)]))


def _end_of(cursor: TokenCursor, parts: tuple[str, ...]) -> int | None:
    """End of the abbreviation; None where its words are not there."""
    end = 0
    for ahead, part in enumerate(parts):
        token = cursor.token(ahead)
        if token.entry is not None or (ahead and token.start != token.core_start):
            return None
        end = token.core_start + len(part)
        written = token.text[token.core_start : min(end, token.end)]
        small = written[:1].lower() + written[1:]
        shouted = (written.capitalize(), _in_small(written, cursor)) if written.isupper() else ()
        if written != part and part not in (shouted if ahead else (small, *shouted)):
            return None
        whole = token.core_end + part.endswith(".")
        if end != whole or (ahead < len(parts) - 1 and end != token.end):
            return None
    return end


def _in_small(written: str, cursor: TokenCursor) -> str:
    """The small letters of "PÁG. 5" and "TEL.: 91", but not of "my PC."."""
    if len(written) <= 3:
        return ""
    following = cursor.token(1).core
    goes_on = cursor.token().suffix[1:2] == ":" or following[:1].isdecimal() or following.isupper()
    # "MÁX. 4 PERS."
    goes_on = goes_on or cursor.previous().core.isdecimal()
    return written.lower() if goes_on else ""
