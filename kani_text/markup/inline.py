"""Markup inside a line: emphasis, code, links, tags, character references."""

import re
import string
from dataclasses import dataclass

from kani_text.markup import links, notes, phonemes, tags
from kani_text.markup.masked_text import MAX_LOOKAHEAD, PARAGRAPH_END, MaskedText, PendingText, Shown
from kani_text.types import Replacement
from kani_text.writing import CLAUSE_MARKS, CLOSERS, SENTENCE_MARKS, is_of_word

MAX_EMPHASIS_RUN = 16
"""Marks of emphasis that are read together."""

_PLAIN = re.compile(rf"[^\n\\`*_~=<>&\]#|${re.escape(notes.MARKS)}]+")
_RUN = re.compile(rf"([*_~=])\1{{0,{MAX_EMPHASIS_RUN - 1}}}")
_KEYS = re.compile(
    r"\*{1,2}\d{1,16}(?:\*\d{1,16}){0,4}#|\*\d\d(?=[.,;:)\n]|$| (?:or|and|o|ou|oder|e|et|y|und)\b)"
)
_KEYS_BEGUN = re.compile(r"\*{1,2}(?:\d{1,16}\*?){0,5}|\*\d\d [a-z]{0,4}")
_TICKS = re.compile(r"`+")
_AUTOLINK = re.compile(r"<(?=(?:https?|ftp)://|mailto:|[\w.+-]{1,64}@)", re.IGNORECASE)
_AUTOLINK_BEGUN = re.compile(r"<[\w.+-]{0,64}:?/?")
_COMMENT_BEGUN = re.compile(r"<(?:!-?)?")
_ADDRESS_END = frozenset("\n<>`|")
_MARKS_AFTER_ADDRESS = frozenset(SENTENCE_MARKS + CLAUSE_MARKS + CLOSERS)


@dataclass(frozen=True, slots=True)
class Skip:
    """Masks text up to where ``end`` matches, and the match.

    held_back: characters at the end that may be the beginning of a match.
    """

    end: re.Pattern[str]
    held_back: int = 0


_COMMENT = Skip(re.compile("-->"), 2)
_TARGET = Skip(re.compile(r"\)|(?=\s)"))
_UNREAD = {
    name: Skip(re.compile(rf"(?=</{name})", re.IGNORECASE), len(name) + 1) for name in tags.UNSPOKEN_ELEMENTS
}


class InlineReader:
    """Reads the text inside a line. ``skip``: what is being masked, if anything is."""

    def __init__(self, source: PendingText, plain: MaskedText) -> None:
        self._source = source
        self._plain = plain
        self._breaks = tags.BreakBudget()
        self._open_links = 0
        self._autolink = False
        self._in_stars = False
        self.skip: Skip | None = None

    def new_line(self) -> None:
        """Close what is open: it ends with its line."""
        self._open_links = 0
        self._autolink = self._in_stars = False

    def read(self, at: int) -> int | None:
        """Read from ``at`` on and return the end: ``at`` with too little text, None if the line decides."""
        text, plain = self._source.text, self._plain
        if found := _PLAIN.match(text, at):
            plain.copy(found.group())
            return found.end()
        if plain.address_length:
            end = self._address(at)
            if end is not None:
                return end
        if (end := self._show(at, notes.note(self._source, at, plain))) is not None:
            return end
        match text[at]:
            case "\\":
                return self._escape(at)
            case "`":
                return self._code(at)
            case "$" | "%" | "{" | "^":
                end = self._formula(at)
                return self.copy(at, at + 1) if end is None else end
            case "*" | "_" | "~" | "=":
                return self._emphasis(at)
            case "<":
                return self._angle(at)
            case ">":
                return self._end_autolink(at)
            case "&":
                return self._reference(at)
            case "!":
                return self._image(at)
            case "[":
                return self._bracket(at)
            case "]":
                return self._end_link(at)
        return None

    def read_skipped(self, at: int) -> str | None:
        """Mask text from ``at`` on by ``skip`` and return it; None if more text is needed."""
        skip, source = self.skip, self._source
        assert skip is not None
        found = skip.end.search(source.text, at)
        if found is not None:
            self.skip = None
            end = found.end()
        else:
            end = len(source.text) - (0 if source.complete else skip.held_back)
        if end <= at and found is None:
            return None
        self._plain.mask(source.text[at:end])
        return source.text[at:end]

    def copy(self, at: int, end: int) -> int:
        """Copy ``[at, end)`` to the output; returns ``end``."""
        self._plain.copy(self._source.text[at:end])
        return end

    def mask(self, at: int, end: int) -> int:
        """Mask ``[at, end)``; returns ``end``."""
        if end > at:
            self._plain.mask(self._source.text[at:end])
        return end

    def _address(self, at: int) -> int | None:
        """Read a markup character inside an address; None if it ends the address."""
        source, plain = self._source, self._plain
        character = source.text[at]
        if character in _ADDRESS_END or (character == "]" and self._open_links):
            plain.address_length = 0
            return None
        if character not in "*_~":
            return self.copy(at, at + 1)
        end = source.end_of(_RUN, at, MAX_EMPHASIS_RUN)
        if end is None:
            return at
        if source.is_blank(end) or source.text[end] in _MARKS_AFTER_ADDRESS:
            plain.address_length = 0
            return self.mask(at, end)
        return self.copy(at, end)

    def _escape(self, at: int) -> int:
        source = self._source
        if source.may_continue(at, at + 1):
            return at
        following = source.text[at + 1 : at + 2]
        if following in ("(", "[") and (end := self._formula(at)) is not None:
            return end
        if following in ("(", ")", "[", "]"):
            # Brackets of a formula, or escaped ones that belong to no link, are not spoken.
            return self.mask(at, at + 2)
        if following == "\n":
            return self.mask(at, at + 1)
        if following and following in string.punctuation:
            self.mask(at, at + 1)
            self._plain.substitute(following, following)
            return at + 2
        return self.copy(at, at + 1)

    def _code(self, at: int) -> int | None:
        """Read a code span: its ticks are masked, and nothing inside is markup."""
        source = self._source
        text = source.text
        window = at + MAX_LOOKAHEAD
        opened = source.end_of(_TICKS, at, MAX_LOOKAHEAD)
        if opened is None:
            return at
        newline = text.find("\n", opened, window)
        limit = min(window, len(text)) if newline < 0 else newline
        for closer in _TICKS.finditer(text, opened, limit):
            ends = closer.end()
            if source.may_continue(at, ends, MAX_LOOKAHEAD):
                return at
            if ends - closer.start() == opened - at and (ends < window or ends == newline):
                return self._show(at, Shown(opened, text[opened : closer.start()], ends))
        if newline < 0 and source.may_continue(at, len(text), MAX_LOOKAHEAD):
            return at
        return self.mask(at, opened)

    def _formula(self, at: int) -> int | None:
        """Read a formula of TeX; None if none begins here."""
        return self._show(at, notes.formula(self._source, at, self._plain.previous))

    def _show(self, at: int, found: Shown | None) -> int | None:
        """Show what is said of ``found`` at its place, and mask the rest up to its end."""
        if found is None:
            return None
        self.mask(at, found.start)
        if found.ipa is None:
            self._plain.copy(found.said)
        else:
            spelling = " ".join(found.said.split())
            self._plain.say(found.said, Replacement(len(found.said), spelling, found.ipa))
        return self.mask(found.start + len(found.said), found.end)

    def _emphasis(self, at: int) -> int:
        source = self._source
        if keys := _KEYS.match(source.text, at):
            # "*144#" is typed into a telephone.
            return self.copy(at, keys.end())
        if source.may_begin(_KEYS_BEGUN, at):
            return at
        end = source.end_of(_RUN, at, MAX_EMPHASIS_RUN)
        if end is None:
            return at
        run = source.text[at:end]
        after = source.text[end : end + 1] if end - at < MAX_EMPHASIS_RUN else ""
        if not self._emphasizes(run, after):
            return self.copy(at, end)
        if (end - at) % 2:
            self._in_stars = run[0] == "*" and after.strip() != "" and not is_of_word(self._plain.previous)
        return self.mask(at, end)

    def _emphasizes(self, run: str, after: str) -> bool:
        """True if a run of marks is markup, by the characters on both sides of it, as in Markdown.

        A mark without its counterpart is masked all the same.
        """
        before = self._plain.previous
        mark, count = run[0], len(run)
        if count > 3 and after.isdigit():
            # "****4021", the last figures of a card
            return False
        if count > 2 or before == mark:
            return True
        if self._stands_apart(run, before, after):
            return False
        inside = is_of_word(before) and is_of_word(after)
        if mark == "*":
            return self._are_stars(count, before, after, inside)
        # "snake_case", and "~" before a number
        return (mark == "_" or count == 2) and not (inside and mark != "~")

    def _stands_apart(self, run: str, before: str, after: str) -> bool:
        """True for "rep from *, end" and "(* 1950 in Ulm)"."""
        born = run == "*" and before == "(" and not self._in_stars
        return not (before.strip() or after.strip(" \t\n,;.:")) or (born and after.isspace())

    def _are_stars(self, count: int, before: str, after: str, inside: bool) -> bool:
        """True if stars are markup; inside: of a word."""
        if not inside:
            # "102*" of a batsman who is not out, but the end of "*102*".
            return count > 1 or self._in_stars or not before.isdigit()
        if count == 2:
            return not (before.isdigit() or after.isdigit())
        # "3*4", and "Lehrer*innen", but the end of "*foo*bar".
        return self._in_stars and not (before.isdigit() and after.isdigit())

    def _angle(self, at: int) -> int | None:
        source, plain = self._source, self._plain
        text = source.text
        if text.startswith("<!--", at):
            self.skip = _COMMENT
            return self.mask(at, at + 4)
        if _AUTOLINK.match(text, at):
            self._autolink = True
            return self.mask(at, at + 1)
        if source.may_begin(_COMMENT_BEGUN, at) or source.may_begin(_AUTOLINK_BEGUN, at):
            return at
        tag = tags.parse_tag(source, at, plain.previous)
        if tag is None:
            return self.copy(at, at + 1)
        if tag.end == at:
            return at
        if (end := self._show(at, phonemes.element(source, tag, at))) is not None:
            return end
        if tag.placeholder:
            return self._show(at, Shown(at + 1, text[at + 1 : tag.end - 1], tag.end))
        return self._tag(tag, at)

    def _tag(self, tag: tags.Tag, at: int) -> int:
        plain, text = self._plain, self._source.text
        if tag.name in tags.UNSPOKEN_ELEMENTS and not tag.closing:
            self.skip = _UNREAD[tag.name]
        stands_for = ""
        if plain.last_spoken:
            if tag.name == "br":
                stands_for = "\n"
            elif tag.name in tags.BLOCK_ELEMENTS:
                stands_for = PARAGRAPH_END
            elif tag.name in tags.CELL_ELEMENTS and tag.closing:
                stands_for = " " if plain.ends_with_mark else ", "
        if stands_for:
            end = at + len(stands_for)
            plain.substitute(stands_for, text[at:end])
            if tag.name not in tags.CELL_ELEMENTS:
                plain.last_spoken = ""
            at = end
        self.mask(at, tag.end)
        if (
            tag.name == "break"
            and not tag.closing
            and (pause := self._breaks.take(tags.break_seconds(tag.attributes))) is not None
        ):
            plain.pause(pause)
        return tag.end

    def _end_autolink(self, at: int) -> int:
        if not self._autolink:
            return self.copy(at, at + 1)
        self._autolink = False
        return self.mask(at, at + 1)

    def _reference(self, at: int) -> int:
        plain, text = self._plain, self._source.text
        found = tags.parse_reference(self._source, at)
        if found is None:
            return self.copy(at, at + 1)
        end, says = found
        if end > at:
            if says:
                plain.substitute(says, text[at : at + len(says)])
            self.mask(at + len(says), end)
        return end

    def _image(self, at: int) -> int:
        """Read a "!": before a link it is masked."""
        source = self._source
        end = links.opening(source, at + 1)
        if end == at + 1 or source.may_continue(at, at + 1):
            return at
        return self.mask(at, at + 1) if end == at + 2 else self.copy(at, at + 1)

    def _bracket(self, at: int) -> int:
        if (after := self._show(at, phonemes.link(self._source, at))) is not None:
            return after
        end = links.opening(self._source, at)
        if end is None:
            return self.copy(at, at + 1)
        self._open_links += end == at + 1
        return self.mask(at, end)

    def _end_link(self, at: int) -> int:
        source = self._source
        if not self._open_links:
            return self.copy(at, at + 1)
        if source.may_continue(at, at + 1):
            return at
        if source.text[at + 1 : at + 2] not in ("(", "["):
            return self.copy(at, at + 1)
        end, goes_on = links.closing(source, at)
        self._open_links -= end > at
        if goes_on:
            self.skip = _TARGET
        return self.mask(at, end)
