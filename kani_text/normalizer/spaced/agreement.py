"""Agreement of a number with the word that governs it: Arabic case, German endings."""

from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor

_FARTHEST = 8


def inflected(
    verbalization: Verbalization, cursor: TokenCursor, table: LanguageTable, back: int = 1
) -> Verbalization:
    """Inflect a verbalization as the token ``back`` before it governs it; 0: only a verb does."""
    words, previous = table.number_words, cursor.previous(back or 1)
    governed = previous.core != "" and not previous.suffix
    if not governed and not words.verbs:
        return verbalization
    before = _governor(cursor, table, back) if governed else ""
    pieces = []
    for one in verbalization.pieces:
        pieces.append(Piece(words.inflected_after(before, one.text), one.start, one.end))
        joins = words.verbs and one.text.strip() in (table.numbers.to, table.numbers.by)
        if joins and before.rpartition(" ")[2] not in words.ordered:
            before = one.text.strip()
    return Verbalization(tuple(pieces), verbalization.end)


def _governor(cursor: TokenCursor, table: LanguageTable, back: int) -> str:
    """The word that a number is inflected after: the one before it, or one that governs it from afar.

    Where verbs govern, with the word before it.
    """
    words, before = table.number_words, cursor.previous(back or 1).core.lower()
    joined = before == table.signs.get("&")
    if before == table.numbers.to and cursor.previous(back + 2).core in words.ordered:
        # "الدرس 3 إلى 5"
        back, before = back + 2, cursor.previous(back + 2).core
    ordered = before in words.ordered
    if ordered and _counts_noun(cursor, before, table):
        before, ordered = "", False
    if joined or (words.verbs and not ordered):
        afar = _from_afar(cursor, table, back, joined)
        if afar is not None:
            return afar
    if not (words.verbs and back):
        return before if back else ""
    earlier = cursor.previous(back + 1)
    return f"{earlier.core * (not earlier.suffix)} {table.signs.get(before, before)}"


def _counts_noun(cursor: TokenCursor, before: str, table: LanguageTable) -> bool:
    """True if a number counts the noun after it: "دفعت اليوم 45 ريال" is no day's number."""
    noun = cursor.token(1).core
    if not cursor.is_adjacent(1) or noun.startswith(table.agreement.not_noun_beginnings):
        return False
    return before not in table.numbers.labels and bool(table.agreement.gender(noun, plural=True))


def _from_afar(cursor: TokenCursor, table: LanguageTable, back: int, joined: bool) -> str | None:
    """A verb, or the number that another one is joined to; joined: after "and"."""
    verbs = table.number_words.verbs
    for step in range(back or 1, back + _FARTHEST):
        token = cursor.previous(step)
        core = token.core.lower()
        one_before = joined and step > back and cursor.previous(step - 1).core == "1"
        if one_before or (verbs and verbs.fullmatch(core)):
            # "بلغ عدد القتلى 21", "mit 1 TL Zucker und 1 Prise Salz"
            return core
        if not core or (verbs and (token.suffix or core[0].isdecimal())):
            break
    return None


def before_joined(cursor: TokenCursor) -> int:
    """The number of tokens back to the word that governs numbers joined by "and"; 0: none does."""
    found = 0
    for back in range(1, _FARTHEST):
        token = cursor.previous(back)
        if not token.core or token.suffix[back == 1 and token.suffix == "،" :]:
            break
        if token.core[0].isdecimal():
            return back + 1
        if token.core[1:2].isdecimal():
            # "و20" goes with another number, "ب20" is governed already.
            found = back + (token.core[0] == "و")
    return found
