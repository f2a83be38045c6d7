"""Reads a text token by token: an entry of the lexicon, the first rule that applies, or what is written.

A number agrees with the word that governs it: Arabic case, German endings.
"""

import re
from collections.abc import Sequence

from kani_text.lexicon import LexiconEntry
from kani_text.markup import CODE_BLOCK, PARAGRAPH_END
from kani_text.normalizer.cleaning import CleanText, clean
from kani_text.normalizer.floor import append_plain
from kani_text.normalizer.parts import verbalize_parts
from kani_text.normalizer.placed_lexicon import PlacedEntry
from kani_text.normalizer.respelling import respelled
from kani_text.normalizer.rules.named.digit_sequences import join_prefix, number_prefix
from kani_text.normalizer.rules.numerals import say_digits
from kani_text.normalizer.spaced.order import rules_for
from kani_text.normalizer.spoken import NormalizerOptions, Piece, SpokenText, SpokenTextBuilder, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import MoreTextNeeded, Token, TokenCursor, split_joined, tokenize
from kani_text.pronunciations.homographs import homograph
from kani_text.writing import ENDING_MARKS, LETTER

_PLAIN = re.compile(rf"{LETTER}+(?:['’-][^\W\d_]+)*")
_RUN = re.compile(r"([!?¡¿,;؟،؛])[!?¡¿,;؟،؛]*|\.{2,}|-{2,}|[*_`~|^\\]+|.", re.DOTALL)
_DRAWN = frozenset("*_`~|^\\{}")
"""Characters that set type, and are not spoken."""
_JOINING = "°º.:/"
"""Characters after which the next token may touch, and is apart from it when it is spoken."""
_LONGEST_LINE = 45
_FARTHEST = 8


class SpacedReader:
    """Reads one text; ``complete``: no more text follows it. Without a table only signs are verbalized."""

    def __init__(
        self,
        text: CleanText,
        table: LanguageTable | None,
        options: NormalizerOptions,
        offset: int,
        preceding: str,
        complete: bool,
    ) -> None:
        self._text = text.text
        self._table = table
        self._options = options
        self._preceding = preceding
        self._builder = SpokenTextBuilder(text, offset)
        tokens = tokenize(text.text, options.lexicon, complete)
        earlier: Sequence[Token] = []
        if table is not None:
            tokens = split_joined(tokens, table)
            if preceding:
                context = respelled(clean(preceding, table.language), table.language)
                earlier = tokenize(context.text, None, True)
        self._cursor = TokenCursor(tokens, earlier, complete)
        self._homographs = options.homographs and options.language.startswith("en")
        self._continues_number = preceding[-1:].isdecimal() and self._text[:1].isdecimal()
        self._done = 0

    def read(self) -> SpokenText:
        """The spoken form, as far as more text cannot change it."""
        cursor = self._cursor
        try:
            while not cursor.exhausted:
                self._step()
                while not cursor.exhausted and cursor.token().end <= self._done:
                    cursor.at += 1
                if not cursor.exhausted and (rest := cursor.token()).start < self._done:
                    self._append_marks(rest, self._done, rest.end)
                    self._done = rest.end
                    cursor.at += 1
        except MoreTextNeeded:
            pass
        return self._builder.build()

    def _step(self) -> None:
        """Append what is said for a token, and for those after it that go with it."""
        token = self._cursor.token()
        entry = token.entry or (homograph(self._cursor) if self._homographs else None)
        said = None if entry or self._table is None else self._verbalize(token, self._table)
        self._continues_number = False
        self._append_space(token)
        self._done = token.end
        if entry is not None:
            self._append_entry(token, entry)
        elif said is not None:
            begin = said.pieces[0].start if said.pieces else token.core_start
            self._append_marks(token, token.start, min(begin, token.core_start))
            for piece in said.pieces:
                self._builder.append(piece.text, piece.start, piece.end)
            self._done = said.end
        elif self._table is not None:
            self._append_marks(token, token.start, token.core_start)
            self._builder.copy(token.core_start, token.core_end)
            self._append_marks(token, token.core_end, token.end)
        elif token.core != CODE_BLOCK:
            append_plain(token, token.start, self._builder, self._options.language)

    def _append_space(self, token: Token) -> None:
        """Append the space before a token, or the pause where a line ends."""
        done = self._done
        touches = token.start <= done
        if not done or (touches and not (token.core[:1].isalnum() and self._text[done - 1] in _JOINING)):
            return
        apart = self._builder.last not in ENDING_MARKS and self._ends_line(token.start)
        self._builder.append(", " if apart else " ", done, done + 1)

    def _ends_line(self, start: int) -> bool:
        """True if a short line of a signature, an address or a list ends here, so that a pause follows.

        A line of prose that was wrapped is longer, or goes on with a small letter.
        """
        text, end = self._text, self._done
        between = text[end:start]
        if self._table is None:
            return False
        if PARAGRAPH_END in between:
            return True
        if "\n" not in between or text[start].islower():
            return False
        before = self._preceding[-_LONGEST_LINE:] + text[max(0, end - _LONGEST_LINE - 1) : end]
        line = before.rpartition("\n")[2]
        return len(line) <= _LONGEST_LINE and _is_apart(line, text[start], self._table)

    def _append_entry(self, token: Token, entry: LexiconEntry) -> None:
        """Append an entry with its marks, separated from letters and digits that it touches ("50€")."""
        builder, start, end = self._builder, token.core_start, token.core_end
        self._append_marks(token, token.start, start)
        written = " ".join(token.text[start:end].split())
        pronunciation = entry.pronunciation(self._options.language) if self._options.accepts_ipa else None
        if token.text[max(start - 1, 0) : start].isalnum():
            builder.append(" ", start, end)
        if pronunciation is not None:
            builder.append_pronounced(written, *pronunciation, start, end)
        elif isinstance(entry, PlacedEntry):
            said = Verbalization(entry.pieces, token.end)
            said = inflected(said, self._cursor, self._table) if self._table is not None else said
            for piece in said.pieces:
                builder.append(piece.text, start + piece.start, start + piece.end)
        else:
            builder.append(entry.spelling or written, start, end)
        if token.text[end : end + 1].isalnum():
            builder.append(" ", start, end)
        self._append_marks(token, end, token.end)

    def _append_marks(self, token: Token, start: int, end: int) -> None:
        """Append punctuation: one mark of a repeated one, and no character that is only drawn."""
        if end - start == 1 and token.text[start] not in _DRAWN:
            self._builder.copy(start, end)
            return
        for run in _RUN.finditer(token.text, start, end):
            marks = run.group()
            if marks[0] in _DRAWN:
                continue
            kept = "…" if marks[0] == "." and len(marks) > 1 else "".join(dict.fromkeys(marks))
            self._builder.append(kept, run.start(), run.end())

    def _verbalize(self, token: Token, table: LanguageTable) -> Verbalization | None:
        """The verbalization of a token; None: as it is written."""
        if token.core == CODE_BLOCK:
            announced = (Piece(table.code_block, token.start, token.end),) if table.code_block else ()
            return Verbalization(announced, token.end)
        if self._continues_number and token.core[:1].isdecimal():
            # Digits of a number that began before the text, one by one
            digits = token.core.isdecimal()
            return token.said(say_digits(token.core, table)) if digits else verbalize_parts(token, table)
        return _by_rules(self._cursor, token, table)


def _by_rules(cursor: TokenCursor, token: Token, table: LanguageTable, back: int = 1) -> Verbalization | None:
    """The first rule's result, governed by the word ``back`` before (0: a verb only); None: as written."""
    core = token.core
    has_figures = any(map(str.isnumeric, core))
    if has_figures and (prefix := number_prefix(core, table)):
        back = before_joined(cursor) if prefix == table.signs.get("&") else 1
        with cursor.without_prefix(len(prefix)) as rest:
            number = _by_rules(cursor, rest, table, back)
        return None if number is None else join_prefix(number, prefix, token, table)
    for rule in rules_for(core, token.suffix.startswith("."), table):
        said = rule(cursor, table)
        if said is not None:
            return inflected(said, cursor, table, back) if has_figures else said
    if not core or core.lower() in table.dates.months:
        return None
    if not has_figures and _PLAIN.fullmatch(core) and not any(map(str.isupper, core[1:])):
        return None
    before = cursor.previous().core
    return verbalize_parts(token, table, after_figure=before[-1:].isdecimal() or before in table.currencies)


def _is_apart(line: str, following: str, table: LanguageTable) -> bool:
    """True if a line is no beginning of a sentence that goes on in the next one, which begins so."""
    words = ["", *line.split()]
    first, last, before = line.lstrip()[:1], words[-1], words[-2]
    if not last[0].islower() or before[-1:].isdecimal() or last.endswith("."):
        # "Mehl 250 g", "Temp. mín."
        return True
    heads = first.isdecimal() or (first.isupper() and following.isupper())
    return heads and not table.agreement.capitals and last not in table.common_words


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
