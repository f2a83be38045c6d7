"""Short forms among other words of their trade (a knitter's "M"), and as parts of words ("Hauptstr.")."""

import re
from collections.abc import Iterable, Sequence

from kani_text.normalizer.kinds import matching
from kani_text.normalizer.rules.acronyms import is_pronounceable
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import Abbreviation, LanguageTable, Trade
from kani_text.normalizer.tokens import Token, TokenCursor
from kani_text.writing import CLOSING_QUOTES, ends_sentence, has_letters_only

_CONTEXT, _FAR, _AHEAD = 10, 24, 10
_SHORTEST, _LONG = 3, 5
"""Letters of a word that is cut short, at least, and of one that only one word of all trades begins with."""
_CONSONANTS = "bcdfghjklmnpqrstvwxzßçñ"
_FEMININE = {"o": "a", "é": "ée", "t": "te", "s": "se", "l": "le"}
_SEVERAL = re.compile(r"[2-9]|\d\d")
_COUNTED = frozenset(("counted", "one", "ordinal"))
_WHOLE_WORD = 3
"""Letters up to which a word of ``near`` has to be the whole word, rather than its beginning."""
_PLENTY = 4
"""So many words of a trade are enough, also where they are of other sentences."""
_DATE = re.compile(r"\d{1,2}-[^\W\d_]+\.?-\d{2,4}")
_RANGE = re.compile(r"(\d{1,2})[–‒](\d{1,2})")
_MOST_FIGURES = 4
_LONGEST_END = 4


def is_of_a_trade(key: str, table: LanguageTable) -> bool:
    """True if a key is a short form of any trade."""
    return any(key in trade.lines for trade in table.trades)


def senses(cursor: TokenCursor, key: str, table: LanguageTable, least: int = 1) -> tuple[Abbreviation, ...]:
    """The lines for ``key`` of the trade that at least so many of the words around it belong to."""
    if key == "a":
        at = int(cursor.token().core[:1].isdecimal())
        following = cursor.token(at + 1).core if not cursor.token(at).suffix else ""
        if following[:1].isdecimal() or following.islower():
            # "0,4 a 4,5", "em 2024 a receita"
            return ()
    of_key = ((trade, trade.lines.get(key, ())) for trade in table.trades)
    trades = [trade for trade, lines in of_key if any(_may_be_said(one, cursor) for one in lines)]
    if not trades:
        return ()
    best = _of_neighbours(cursor, key, trades, table, least)
    return best.lines[key] if best else ()


def _of_neighbours(
    cursor: TokenCursor, key: str, trades: Sequence[Trade], table: LanguageTable, least: int
) -> Trade | None:
    """The trade that at least so many of the words around a key belong to."""
    own = key.rstrip(".").lower()
    inside = words_near(cursor, table, _AHEAD, _FAR)
    far = {cursor.previous(back).core for back in range(1, _FAR + 1)}
    far.update(cursor.token(ahead).core for ahead in range(_AHEAD + 1))

    def count(words: Iterable[str], trade: Trade) -> int:
        return sum(_belongs(word, trade, table) for word in words if word.lower() != own)

    best = max(trades, key=lambda trade: (count(set(inside), trade), count(far, trade)))
    enough = _PLENTY if least > 1 or _means_more(key, table) else least
    return best if count(set(inside), best) >= least or count(far, best) >= enough else None


def cut_short(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "200 g de har.": the beginning of a word of the trade, or of any in [abbreviations] cut."""
    token = cursor.token()
    short = token.core.lower()
    if len(short) < _SHORTEST or not token.suffix.startswith(".") or not has_letters_only(short):
        return None
    if short in table.common_words:
        return None
    ends = may_end(cursor)
    said = None if ends else _word_of_trade(cursor, short, table)
    if said is None and short in table.cut and _is_cut(cursor, short, ends, table):
        said = _word_cut(cursor, short, table)
    if said is None:
        return None
    said = said[0].upper() + said[1:] if token.core[0].isupper() else said
    following, before = cursor.token(1).core, cursor.previous()
    # "41.200 espect. Amonestados": after a number only a German noun goes on.
    counted = before.core[-1:].isdecimal() and not before.suffix and not table.agreement.capitals
    named = following != "" and following.lower() not in table.common_words and not counted
    return token.said(said, token.core_end + (not ends or named))


def _word_cut(cursor: TokenCursor, short: str, table: LanguageTable) -> str:
    """The word of [abbreviations] cut, as the number or the noun before it asks for."""
    said = table.cut.get(cursor.token().core, table.cut[short])
    before = cursor.previous()
    if said in table.cut_adjectives:
        return agreeing(said, table.cut.get(before.core.lower(), before.core), table)
    several = _SEVERAL.fullmatch(before.core) and not before.suffix
    # "6 lez." are "lezioni".
    ending = next((one for one in table.cut_plurals if several and said.endswith(one)), "")
    return said.removesuffix(ending) + table.cut_plurals.get(ending, "")


def may_end(cursor: TokenCursor) -> bool:
    """True if a sentence may end with the token: after its full stop a capital follows, or nothing."""
    following = cursor.token(1)
    stopped = cursor.token().suffix.rstrip(CLOSING_QUOTES) == "." and not is_shouted(cursor)
    return stopped and (following.core[:1].isupper() or following.text == "")


def is_shouted(cursor: TokenCursor, ahead: int = 1) -> bool:
    """True among words in capitals, which begin no sentence: "TARJ. BANCARIA"."""
    here, following = cursor.token().core, cursor.token(ahead).core
    return here.isalpha() and all(one.isupper() and len(one) > 1 for one in (here, following))


def _word_of_trade(cursor: TokenCursor, short: str, table: LanguageTable) -> str | None:
    """The word of a trade with that beginning, among other words of it."""
    trades = [one for one in table.trades if short not in one.near and _completed(short, one)]
    if not trades:
        return None
    trade = _of_neighbours(cursor, short, trades, table, 1)
    if trade is None and len(short) >= _LONG:
        trade = trades[0]
    if trade is None:
        return None
    found = _completed(short, trade)
    return found[-1] if cursor.previous().core.isdecimal() else found[0]


def _is_cut(cursor: TokenCursor, short: str, ends: bool, table: LanguageTable) -> bool:
    """True if letters with a full stop are no word: where a sentence may end, they cannot be pronounced, or
    stand after a word that is none of the commonest."""
    previous, known = cursor.previous(), table.agreement.knows(short) or short in table.dates.months
    listed = any(len(one.parts) == 1 for one in table.abbreviations.get(f"{short}.", ()))
    if short[-1] in table.acronyms.vowels or known or listed or (ends and short in table.also_words):
        return False
    unspeakable = len(short) - len(short.rstrip(_CONSONANTS)) > table.acronyms.longest_coda
    terse = previous.text != "" and (not ends_sentence(previous.suffix) or previous.suffix == ".")
    is_short = len(short) < _LONG and previous.core.lower() in table.common_words
    return not ends or unspeakable or (terse and len(short) > _SHORTEST and not is_short)


def agreeing(adjective: str, noun: str, table: LanguageTable) -> str:
    """An adjective, given for one thing and masculine, with the ending that a noun asks for."""
    word = noun.lower()
    several = word.endswith(table.agreement.plural_endings or ("i",))
    plural = several and not word.endswith(tuple(table.kinds.get("one_in_s", ())))
    if table.agreement.gender(word, plural).startswith("f"):
        adjective = adjective[:-1] + _FEMININE.get(adjective[-1], adjective[-1])
    if plural and table.agreement.plural_endings:
        return adjective if adjective.endswith("s") else f"{adjective}s"
    return adjective[:-1] + "i" if plural else adjective


def _completed(short: str, trade: Trade) -> list[str]:
    """Words of a trade with that beginning, the shortest first, unless they are several words."""
    found = sorted((word for word in trade.words if word.lower().startswith(short)), key=len)
    return found if found and all(word.startswith(found[0][:-1]) for word in found) else []


def _may_be_said(line: Abbreviation, cursor: TokenCursor) -> bool:
    """False where the tokens beside the short form rule a line out, so that a common word asks no further."""
    if line.said.keys() <= _COUNTED:
        here, before = cursor.token().core, cursor.previous().core
        # After a whole number it was asked for there.
        after = before[:1].isdecimal() and (len(line.parts) > 1 or not before.isdecimal())
        return here[:1].isdecimal() or here in ("x", "×") or after
    return len(line.parts) == 1 or cursor.token(1).core == line.parts[1].rstrip(".")


@matching(r"([^\W\d_]{1,4})\.?(\d{1,3})")
def numbered(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "K2, P2", "T3 : 6 ms": a short form and the number after it in one."""
    token = cursor.token()
    for one in senses(cursor, match[1], table):
        if said := one.said.get("number"):
            return token.parted(said, match.start(2), f" {table.number_words.cardinal(int(match[2]))}")
    return None


def words_near(cursor: TokenCursor, table: LanguageTable, ahead: int = 0, back: int = _CONTEXT) -> list[str]:
    """The words of the sentence before the token, the nearest first, and up to ``ahead`` after it."""
    found: list[str] = []
    for step in range(1, back + 1):
        previous = cursor.previous(step)
        if _ends(previous, table):
            break
        found.append(previous.core)
    for step in range(ahead):
        if _ends(cursor.token(step), table):
            break
        found.append(cursor.token(step + 1).core)
    return found


def _ends(token: Token, table: LanguageTable) -> bool:
    """True if a sentence, or a part of it, ends with a token that is no abbreviation."""
    stop = f"{token.core}."
    short = any(one in table.abbreviations or is_of_a_trade(one, table) for one in (stop, stop.lower()))
    return token.suffix.endswith(";") or (ends_sentence(token.suffix) and not short)


def _means_more(key: str, table: LanguageTable) -> bool:
    """True if a short form stands for something outside of its trade too."""
    stop = f"{key.rstrip('.')}."
    forms = {stop, stop[:-1], stop.lower(), stop[:-1].lower()}
    return not key[0].isalnum() or stop[:-1] in table.units or not forms.isdisjoint(table.abbreviations)


def _belongs(word: str, trade: Trade, table: LanguageTable) -> bool:
    """True if a word is of the trade: one of ``near``, or one of its short forms that means nothing else."""
    lower = word.lower()
    lines = trade.lines.get(word, trade.lines.get(f"{word}.", ()))
    if len(word) > 1 and any(len(one.parts) == 1 for one in lines):
        return not _means_more(word, table)
    return any(lower == one or (len(one) > _WHOLE_WORD and lower.startswith(one)) for one in trade.near)


def compound(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "St-Pierre", "Best.-Nr.", "3-Zi.-Whg.": a word with abbreviated parts, or a first one."""
    token = cursor.token()
    if not table.abbreviated_beginnings or "-" not in token.core or _DATE.fullmatch(token.core):
        return None
    whole = token.core + "." * token.suffix.startswith(".")
    parts = whole.split("-")
    if any(len(part.rstrip(".")) < 2 and not part.isdecimal() for part in parts):
        return None
    said = [_first_part(parts[0], table), *(_part(part, table) for part in parts[1:])]
    if not any(form != part and not part.isdecimal() for part, form in zip(parts, said, strict=True)):
        return None
    return Verbalization(_pieces(parts, said, token.core_start, table), token.core_start + len(whole))


def _pieces(parts: list[str], said: list[str], at: int, table: LanguageTable) -> tuple[Piece, ...]:
    """The forms with hyphens between them; in German, "Auftr.-Nr." is one word: "Auftragsnummer"."""
    pieces: list[Piece] = []
    joined, apart = False, table.kinds.get("apart", ())
    for part, form in zip(parts, said, strict=True):
        last = len(pieces) == len(parts) - 1
        shown = form[0].lower() + form[1:] if joined else form
        joined = table.agreement.capitals and form != part and part[-1] == "." and part.lower() not in apart
        pieces.append(Piece(shown if last or joined else f"{shown}-", at, at + len(part) + (not last)))
        at += len(part) + 1
    return tuple(pieces)


def _first_part(part: str, table: LanguageTable) -> str:
    """The first part of a compound in full, or as it is."""
    if ranged := _RANGE.fullmatch(part):
        # "1–2-Zi.-Whg."
        return f" {table.numbers.to} ".join(table.number_words.cardinal(int(one)) for one in ranged.groups())
    if part.isdecimal():
        return table.number_words.cardinal(int(part), "m") if len(part) <= _MOST_FIGURES else part
    if part in table.abbreviated_beginnings:
        return table.abbreviated_beginnings[part]
    said, joined_by_s = _part(part, table), tuple(table.kinds.get("joined_by_s", ()))
    return f"{said}s" if joined_by_s and said != part and said.endswith(joined_by_s) else said


def _part(part: str, table: LanguageTable) -> str:
    """A part of a compound in full, or as it is."""
    if not part.endswith("."):
        return part
    exact = next((one.said for one in table.abbreviations.get(part, ()) if len(one.parts) == 1), None)
    if exact is not None:
        return next((exact[one] for one in ("name", "other", "number") if one in exact), part)
    for ending, said in table.abbreviated_endings.items():
        if part.endswith(ending) and part != ending:
            return part.removesuffix(ending) + said
    return table.abbreviated_beginnings.get(part, table.cut.get(part[:-1].lower(), part))


def abbreviated_ending(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "Hauptstr.": a word that ends in an abbreviation."""
    token = cursor.token()
    last = token.core[-_LONGEST_END:]
    if not table.abbreviated_endings or (may_end(cursor) and is_pronounceable(last, table)):
        # "Das war ein Drittel.", "Er hat Pech gehabt."
        return None
    for ending, spoken in table.abbreviated_endings.items():
        begin = f"{token.core}.".removesuffix(ending)
        if begin.isalpha() and len(begin) > 2:
            stop = token.suffix != "." or cursor.token(1).core != ""
            at, end = token.core_start + len(begin), token.core_end + stop
            return Verbalization((Piece(begin, token.core_start, at), Piece(spoken, at, end)), end)
    return None
