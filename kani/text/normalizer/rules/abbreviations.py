"""Abbreviations: what stands for something else, where its neighbours show that it is no word."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kani.text.normalizer.rules.acronyms import common_words, roman_value
from kani.text.normalizer.rules.trades import agreeing, cut_short, is_of_a_trade, is_shouted, senses
from kani.text.normalizer.rules.units import are_of_a_kind
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import Abbreviation, LanguageTable
from kani.text.normalizer.tokens import Token, TokenCursor
from kani.text.writing import CLOSING_QUOTES, MASCULINE_ARTICLES, ends_sentence

_TIME = re.compile(r"[0-2]?\d(?:[:.h][0-5]\d|[0-5]\d$|h)")
_ORDINAL = re.compile(
    r"\d{1,3}(?:\.|[.]?[ºª°]|(?:st|nd|rd|th|e|\.?er|ère|ème))|[IVX]{1,6}(?:e|º|°)?(?:[-–][IVX]{1,6}(?:e|º|°)?)?"
)
_DAY = re.compile(r"\d{1,2}(?:\.\d{1,2})?(?:\.?[-–]\d{1,2}(?:\.\d{1,2})?)?")
_AGED = frozenset(("J", "Jahre", "Jahren"))
_LETTERED = re.compile(r"[A-Z]\d{0,2}")
_LABELLED = re.compile(r"\d{1,3}(?:[-–]\d{1,3})?")
_CODE = re.compile(r"[A-Z]{1,4}-\d")
_FEW = 20
_MOST_FIGURES = 4
_LONGEST_BEFORE_INITIAL = 3
_LONGEST_STREET = 5
_INSIDE = tuple(":;,–—/!?")
_PARTS = frozenset("½ 1/2 ¼ 1/4 ¾ 3/4 ⅓ 1/3 ⅔ 2/3 ⅛ 1/8".split())
_MONEY = tuple("€$£")
_LEAST_AFTER_SLASH = 3
_PRIMES = ("'", "’", "′")
_SECTIONS = frozenset(("§", "Abs", "Absatz", "Art", "Artikel"))
_LENGTH = re.compile(r"\d[\d.,]*(?:mm|cm|dm|m|in|ft)")
_OF_STREETS = frozenset(
    "do da dos das del della dei delle de la las los el du des di dell d d' d’ von der den".split()
)
_IN_STREETS = frozenset("na à da pela in nella".split())
_ADJECTIVES = ("isch", "lich", "ig", "deutsch", "gemein", "jährig")
_PREPOSITIONS = frozenset("bezüglich zuzüglich abzüglich einschließlich hinsichtlich anlässlich".split())
_WEAK = frozenset("der die das eine keine seine ihre diese dieser dieses jede jeder jedes".split())
_DATIVE = frozenset("in mit von bei aus nach zu an auf vor über unter zwischen".split())
_OBLIQUE = frozenset("den dem des einem einen einer eines im am vom zum zur beim ins keinem keinen".split())
_QUOTED = frozenset(("''", "‘’", '""', "“”", "„“", "«»"))
_PLURALS = ("s", "people", "men", "women", "children")


def expand_abbreviation(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A line of [abbreviations], if its condition holds."""
    token = cursor.token()
    if (before_slash := _before_slash(token, table)) is not None:
        return before_slash
    quoted = token.suffix != "" and token.prefix[-1:] + token.suffix[0] in _QUOTED
    named = token.core[:1].isupper() and cursor.previous().core[:1].isupper() and not cursor.previous().suffix
    for candidate in _keys(token, table):
        if candidate.isalpha() and candidate.islower() and (quoted or (named and not token.core.isupper())):
            # 'bc' is the word itself, and "Pro Max" a name.
            continue
        lines = (*senses(cursor, candidate, table), *table.abbreviations.get(candidate, ()))
        # "p. ej." is never a trade's "p."
        for abbreviation in sorted(lines, key=lambda line: -len(line.parts)):
            end = _end_of(cursor, abbreviation.parts)
            if end is None:
                continue
            spoken, ends_sentence = _said_as(cursor, candidate, abbreviation, end, table)
            if spoken is None:
                continue
            if (noun := _describes_noun(cursor, spoken, len(abbreviation.parts), table)) is not None:
                spoken, ends_sentence = spoken + noun, False
            if table.agreement.capitals and cursor.previous().core[:1].isdecimal():
                # "mit 34 Pkt."
                spoken = table.number_words.inflected_after(cursor.previous(2).core.lower(), spoken)
            if token.core[:1].isupper() and not candidate[:1].isupper():
                spoken = spoken[:1].upper() + spoken[1:]
            end -= ends_sentence
            following = cursor.token(len(abbreviation.parts))
            if end == token.core_end and token.suffix == "." and following.core[:1].islower():
                # "2 lg. eggs", a line without its stop
                end += not ends_sentence
            return Verbalization((Piece(spoken, token.core_start, end),), end)
    return cut_short(cursor, table)


def _describes_noun(cursor: TokenCursor, spoken: str, count: int, table: LanguageTable) -> str | None:
    """The ending of a German adjective before a noun ("die dt. Mannschaft"); None for others."""
    noun = cursor.token(count).core
    adjective = table.agreement.capitals and spoken.islower() and spoken.endswith(_ADJECTIVES)
    if not (adjective and noun[:1].isupper()) or noun.lower() in table.agreement.not_nouns:
        return None
    before, earlier = cursor.previous().core.lower(), cursor.previous(2).core.lower()
    if before in _OBLIQUE or (before == "der" and earlier in _DATIVE):
        return "en"
    if before in _WEAK:
        return "e"
    # "Amtl. Warnung", but "zzgl. Porto"
    headed = cursor.token().core[:1].isupper() and cursor.token(count - 1).suffix == "."
    headed = headed and spoken not in _PREPOSITIONS
    return (
        {"m": "er", "n": "es", "f": "e"}.get(table.agreement.gender(noun, plural=False), "") if headed else ""
    )


def _before_slash(token: Token, table: LanguageTable) -> Verbalization | None:
    """ "c/Goya", "s/muebles", "p/2": a letter with its slash and what touches it."""
    if token.core[1:2] != "/" or token.core in table.abbreviations:
        return None
    rest, at = token.core[2:], token.core_start + 2
    found = table.abbreviations.get(token.core[:2], ())
    short = next((one for one in found if len(one.parts) == 1), None)
    if short is None:
        return None
    condition = "number" if rest[:1].isdecimal() else "name" if rest[:1].isupper() else "other"
    spoken = short.said.get(condition) or short.said.get("other")
    if spoken is None or not (rest.isdecimal() or (rest.isalpha() and len(rest) >= _LEAST_AFTER_SLASH)):
        return None
    if rest.isdecimal() and ("number" in short.said or len(rest) > _MOST_FIGURES):
        return None
    said = table.number_words.cardinal(int(rest)) if rest.isdecimal() else rest
    pieces = Piece(f"{spoken} ", token.core_start, at), Piece(said, at, token.core_end)
    return Verbalization(pieces, token.core_end)


def _said_as(
    cursor: TokenCursor, candidate: str, abbreviation: Abbreviation, end: int, table: LanguageTable
) -> tuple[str | None, bool]:
    """The form with a condition that holds, None without one, and True if its stop ends the sentence too."""
    said, count = abbreviation.said, len(abbreviation.parts)
    stop, closed = abbreviation.parts[-1].endswith("."), cursor.token(count - 1).end > end
    also_word = count == 1 and candidate.rstrip(".").lower() in table.also_words
    spoken = said.get("other")
    # "~467.000 hab.", too
    before = cursor.previous().core.lstrip("~≈<>≤≥±")
    if "noun" in said:
        spoken = _agreed(cursor, said, count, table)
    dated = cursor.previous(2).core.lower() in MASCULINE_ARTICLES
    if "few" in said and before.isdecimal() and 0 < int(before) <= _FEW and not dated:
        spoken = said["few"]
    if "measured" in said and _is_length(cursor, count):
        return said["measured"], False
    if "section" in said and before[:1].isdecimal() and cursor.previous(2).core in _SECTIONS:
        return said["section"], False
    if (
        "article" in said
        and before.lower() in MASCULINE_ARTICLES
        and re.match(r"[A-ZÀ-Þ][a-zß-ÿ]", cursor.token(count).core)
    ):
        return said["article"], False
    if "label" in said and _LABELLED.fullmatch(cursor.token(count).core):
        return said["label"], False
    chosen = None
    if "ordinal" in said and _is_ordinal(cursor):
        chosen = "ordinal"
    elif "one" in said and (
        before == "1" or _is_ordinal(cursor) or (before in _PARTS and not cursor.previous(2).core.isdecimal())
    ):
        chosen = "one"
    elif "paid" in said and not cursor.previous().suffix and _is_money(cursor, table):
        chosen = "paid"
    elif (
        "counted" in said
        and before[:1].isdecimal()
        and not (cursor.previous().suffix or cursor.token().prefix)
    ):
        time = not before.isdecimal() and _TIME.fullmatch(before)
        # "ex. 3a p. 45"
        labelled = "number" in said and before[-1].isalpha()
        if not time and not labelled and before[-1] not in _MONEY:
            chosen = "few" if spoken and spoken == said.get("few") else "counted"
    if chosen is not None:
        return said[chosen], stop and not closed and _may_end(cursor, candidate, count, table)
    if said.keys() == {"paid"} or ("counted" in said and not said.keys() - {"counted", "one", "ordinal"}):
        return None, False
    # "Arr. : 14h05"
    if "time" in said and _TIME.match(cursor.token(count + (cursor.token(count).core == "")).core):
        return said["time"], False
    if "aged" in said and cursor.token(count).core.isdecimal() and cursor.token(count + 1).core in _AGED:
        return said["aged"], False
    if "letter" in said and _LETTERED.fullmatch(cursor.token(count).core):
        return said["letter"], False
    if "date" in said and _is_date(cursor.token(count), table):
        return said["date"], False
    if (
        also_word
        and closed
        and not set(CLOSING_QUOTES).isdisjoint(
            cursor.token(count - 1).text[end : cursor.token(count - 1).end]
        )
    ):
        # "to no avail."
        return None, False
    if closed or not ("name" in said or "number" in said or stop):
        return spoken, False
    following = cursor.token(count)
    first = following.core[:1]
    # "il ten. Moretti"
    title = f"{candidate[:1].upper()}{candidate[1:]}" in table.titles and before.lower() in MASCULINE_ARTICLES
    titles = candidate[:1].isupper() or title
    titles = titles and first.isupper() and following.core.lower() not in common_words(table.language)
    if not stop and following.prefix.endswith("("):
        # "Max (11)"
        return spoken, False
    numbered = _is_number(following, candidate) and following.core != "I"
    # "schweiz. Franken", but "in der Schweiz. Franken sind"
    noun = table.agreement.capitals and candidate.islower() and cursor.token().core[:1].islower()
    noun = noun and first.isupper() and following.core.lower() not in table.agreement.not_nouns
    # "dest. : M. Leroy"
    inside = not first and following.text[following.start : following.start + 1] in _INSIDE
    if also_word and not (numbered or first.islower() or titles or noun or inside or _is_ordinal(cursor)):
        return None, False
    if not first:
        return spoken, stop and not inside
    if "address" in said and (_is_address(cursor, count) or _is_street(cursor, count)):
        return said["address"], False
    if _is_number(following, candidate) and not _answers(cursor, candidate, table):
        # "10 h aprox.", and in the next line "3." of a list
        listed = stop and following.suffix == "." and "\n" in following.text[end : following.start]
        return (spoken, True) if listed else (said.get("number", spoken), False)
    goes_on = following.core in _OF_STREETS and stop and not following.prefix
    if spoken is None and goes_on and (len(candidate) > len("r.") or before.isdecimal()):
        # "imp. des Lilas", "5 r. du Bac"
        ahead = count + 1 + (cursor.token(count + 1).core in _OF_STREETS)
        if cursor.token(ahead).core[:1].isupper():
            return said.get("name"), False
    if not first.isupper():
        return spoken, False
    initial = len(abbreviation.parts) == 1 and len(candidate) == 2 and candidate[0].isupper()
    # "el notario, D. Aurelio Pintado"
    full = cursor.token(count + 1).core[:1].isupper() and not (
        following.suffix or cursor.previous().core[:1].isupper()
    )
    titled = not initial or not table.first_names or following.core in table.first_names or full
    saintly = following.core.endswith(("s", "'s", "’s")) and said.get("name") == "saint"
    same = said.get("name") == spoken
    if "name" in said and titled and (saintly or same or not _is_after_name(cursor, spoken, table)):
        if stop and (same or "noun" in said) and _closes(cursor, candidate, said, count, table):
            return said["name"] if spoken == said.get("other") else spoken, True
        return said["name"], False
    # A name follows a title, which has a capital itself; "until Nov. Doors open" has a month.
    dated = candidate.rstrip(".").lower() in table.dates.months
    dated = dated and (before.islower() or before.isdecimal())
    titled = candidate[0].isupper() and abbreviation.parts[-1][0].isupper()
    titled = titled and following.core.lower() not in common_words(table.language)
    titled = titled and (not dated or cursor.previous().core in MASCULINE_ARTICLES)
    # "s. a. Müller", but "v. Chr. Danach"
    noun = table.agreement.capitals and count > 1 and abbreviation.parts[-1] != "Chr."
    noun = noun and following.core.lower() not in table.agreement.not_nouns
    return spoken, stop and not (titled or noun or is_shouted(cursor, count))


def _agreed(cursor: TokenCursor, said: Mapping[str, str], count: int, table: LanguageTable) -> str | None:
    """The form for the noun before: "velocidad máx.: 120", "(desayuno incl.)"; no word follows."""
    token, last, following = cursor.previous(), cursor.token(count - 1), cursor.token(count)
    word, other = token.core, said.get("other")
    goes_on = following.core[:1].isalpha() and not (last.suffix and following.core[:1].isupper())
    if last.suffix in ("", ".") and (goes_on or following.suffix[:1] in _PRIMES):
        # "carga máx. 30'"
        return other
    if token.suffix == "." and (short := table.abbreviations.get(f"{word.lower()}.")):
        word = short[0].said.get("other", "")
    elif token.suffix:
        return other
    known = word.isalpha() and (
        table.agreement.gender(word, plural=False) or table.agreement.gender(word, plural=True)
    )
    return agreeing(said["noun"], word, table) if known and not cursor.token().prefix else other


def _is_date(token: Token, table: LanguageTable) -> bool:
    """True for "3.", "3.11." and the name of a weekday."""
    numbered = _DAY.fullmatch(token.core) is not None and token.suffix.startswith(".")
    return numbered or token.core.lower() in table.dates.days


def _is_money(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True after an amount of money: "£68 pp", "68 € pp"."""
    before = cursor.previous().core
    earlier = cursor.previous(2).core
    amount = earlier[-1:].isdecimal()
    return (before[-1:].isdecimal() and (before[:1] in table.currencies or earlier in table.currencies)) or (
        any(before.endswith(sign) for sign in "€£$") or (before in table.currencies and amount)
    )


def _is_ordinal(cursor: TokenCursor) -> bool:
    """True after an ordinal: "in der 3. Std.", "la 87e min."."""
    previous = cursor.previous()
    return _ORDINAL.fullmatch(previous.core + previous.suffix) is not None


def _closes(
    cursor: TokenCursor, candidate: str, said: Mapping[str, str], count: int, table: LanguageTable
) -> bool:
    """True if an abbreviation belongs to the words before it, and its stop ends the sentence, too."""
    before, following, after = cursor.previous(), cursor.token(count), cursor.token(count + 1)
    common, trade = common_words(table.language), is_of_a_trade(candidate, table)
    stopped = before.suffix == "." and cursor.token().core[:1].islower()
    if candidate[0].isupper() or following.prefix or not (stopped or before.suffix in ("", *_PRIMES)):
        return False
    if following.core.lower() in (table.acronyms.words if len(following.core) == 1 else common):
        # "+ cond. A 300 m", but "av. La Marina", "el dr. De la Fuente"
        goes_on = after.core[:1].islower() or after.core[:1].isdecimal()
        return goes_on and following.suffix == "" and (trade or before.core.lower() not in common)
    # "desayuno incl. Entrada", "10 km ca. Ritorno", "3.º Esq. Cumprimentos"
    counted = (cursor.previous(2) if before.core in table.units else before).core[-1:].isdecimal()
    belongs = "noun" in said or (counted and (trade or said["name"] == table.numbers.about))
    belongs = belongs or _is_ordinal(cursor) or (said["name"] in table.dates.days and before.core.islower())
    return belongs and before.core != "" and following.core[1:].islower() and not table.agreement.capitals


def _may_end(cursor: TokenCursor, candidate: str, count: int, table: LanguageTable) -> bool:
    """True if a sentence may begin after what is counted."""
    following = cursor.token(count)
    first = following.core[:1]
    if first.isdecimal():
        # "da 2 gg. 0,5 ml", but "2 gg. 3 h"
        measure = cursor.token(count + 1).core
        return measure in table.units and not are_of_a_kind(candidate.rstrip("."), measure)
    # Before a noun the measure goes on: "1 Pr. Zucker"; "2 Std. Sa. bis 14 Uhr" are two sentences.
    common = not table.agreement.capitals or following.core.lower() in table.agreement.not_nouns
    common = common or following.core in table.dates.short_weekdays
    letters = following.core.isupper() and 1 < len(following.core) <= _LONGEST_BEFORE_INITIAL
    if not first:
        # "Pour 4 pers. : 250 g"
        return following.text[following.start : following.start + 1] not in _INSIDE
    return first.isupper() and common and not (letters or is_shouted(cursor, count))


def _is_number(token: Token, candidate: str) -> bool:
    """True for figures, and Roman numerals; a letter is one only after more than "p." or "No."."""
    if token.core.lstrip("-−+~≈<>≤≥€$£₹¥")[:1].isdigit():
        return True
    if _CODE.match(token.core):
        return True
    value = roman_value(re.split("[-–]", token.core)[0])
    return value is not None and (len(token.core) > 1 or len(candidate) > _LONGEST_BEFORE_INITIAL)


def _is_length(cursor: TokenCursor, ahead: int) -> bool:
    """True if a length follows: the "H." of "H. 82 cm" is a height."""
    unit = cursor.token(ahead + 1).core if cursor.is_adjacent(ahead + 1) else ""
    # Italian "h 17 in casa"
    inside = unit == "in" and cursor.is_adjacent(ahead + 2) and cursor.token(ahead + 2).core.islower()
    unit = "" if inside else unit
    return any(map(_LENGTH.fullmatch, (cursor.token(ahead).core, cursor.token(ahead).core + unit)))


def _is_street(cursor: TokenCursor, ahead: int) -> bool:
    """True for "na R. Augusta" and ", R. do Ouro", but after a surname ("Costa, R. da Silva")."""
    before, of = cursor.previous(), cursor.token(ahead).core
    if before.core in _IN_STREETS and not before.suffix and of[:1].isupper() and len(of) > 1:
        return True
    inside = before.core in _IN_STREETS or (before.suffix == "," and not before.core[:1].isupper())
    return inside and of in _OF_STREETS and cursor.token(ahead + 1).core[:1].isupper()


def _is_address(cursor: TokenCursor, ahead: int) -> bool:
    """True if a street's name and a number follow: "R. Augusta, 45"."""
    for further in range(ahead, ahead + _LONGEST_STREET):
        token = cursor.token(further)
        if token.core[:1].isdecimal():
            return further > ahead
        if not (token.core[:1].isupper() or 0 < len(token.core) <= 3) or token.suffix not in ("", ",", "."):
            return False
        after = cursor.token(further + 1)
        if token.suffix == "," and not (
            after.core[:1].isdecimal() or after.core.lower().startswith(("n", "s/n"))
        ):
            return False
    return False


def _answers(cursor: TokenCursor, candidate: str, table: LanguageTable) -> bool:
    """True if "no." before a figure is the word: what the figure counts shows a new sentence."""
    previous = cursor.previous()
    inside = previous.core != "" and not previous.suffix.endswith((".", "!", "?"))
    if (
        candidate.lower() != "no."
        or (candidate[0].isupper() and inside)
        or previous.core.lower() in MASCULINE_ARTICLES
    ):
        return False
    counted = cursor.token(2).core if cursor.is_adjacent(2) else ""
    return counted.islower() and counted.endswith(_PLURALS) and counted not in table.acronyms.words


def _is_after_name(cursor: TokenCursor, otherwise: str | None, table: LanguageTable) -> bool:
    """True if the token before is a name, so that "Elm St." is no saint; only with an alternative."""
    if otherwise is None:
        return False
    previous, earlier = cursor.previous(), cursor.previous(2)
    inside = earlier.core != "" and not ends_sentence(earlier.suffix)
    capital = previous.core[:1].isupper() and not table.agreement.capitals
    named = capital or (previous.core[:1].isdecimal() and not previous.core.isdecimal())
    return inside and named and previous.suffix == ""


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


def is_numbered_part(before: str, table: LanguageTable) -> bool:
    """True for a word, or its abbreviation, that numbers stand after: "chapter", "fig."."""
    short = table.abbreviations.get(f"{before}.") or table.abbreviations.get(f"{before.lower()}.", ())
    parts = table.roman.cardinal | table.roman.ordinal
    return before.lower() in parts or any(said in parts for one in short for said in one.said.values())


def follows_number_sign(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True after an abbreviation of "number"."""
    previous = cursor.previous()
    written = previous.text[previous.core_start : previous.end]
    if previous.text[previous.start : previous.end] == "#":
        return True
    short = table.abbreviations.get(written) or table.abbreviations.get(written.lower(), ())
    single = (one for one in short if len(one.parts) == 1)
    return any(table.numbers.number_sign in said for one in single for said in one.said.values())
