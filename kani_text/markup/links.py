"""Square brackets: links, images, footnotes, the boxes of tasks."""

import re
from enum import Enum, auto

from kani_text.markup.masked_text import MAX_HELD_BACK, MAX_LOOKAHEAD, PendingText

_TEXT = r"(?:[^\[\]\\\n]|\\[^\n]|\[[^\[\]\n]*\])*"
_LINK = re.compile(rf"\[{_TEXT}\](?=[(\[])")
_LINK_BEGUN = re.compile(rf"\[{_TEXT}(?:\\|\[[^\[\]\n]*|\])?")

_TITLE = r"""(?:"[^"\n]*"|'[^'\n]*'|\([^()\n]*\))"""
_TARGET = r"(?:<[^<>\n]*>|(?:[^\s()\\<]|\\[^\n]|\([^\s()]*\))*)"
_END = re.compile(rf"\](?:\([ \t]*{_TARGET}(?:[ \t]+{_TITLE})?[ \t]*\)|\[[^\[\]\n]*\])")
_TARGET_BEGUN = r"(?:<[^<>\n]*|(?:[^\s()\\<]|\\[^\n]|\([^\s()]*\))*(?:\\|\([^\s()]*)?)"
_TITLE_BEGUN = rf"""(?:"[^"\n]*|'[^'\n]*|\([^()\n]*|{_TITLE}[ \t]*)"""
_END_BEGUN = re.compile(rf"\](?:\([ \t]*(?:{_TARGET_BEGUN}|{_TARGET}[ \t]+{_TITLE_BEGUN}?)|\[[^\[\]\n]*)?")
_LONG_TARGET = re.compile(rf"\]\([^\s)]{{{MAX_HELD_BACK - 2}}}")

_FOOTNOTE = re.compile(r"\[\^[^\[\]\s]{1,30}\]")
_FOOTNOTE_BEGUN = re.compile(r"\[(?:\^[^\[\]\s]{0,30})?")
_NOTE_OR_BOX = re.compile(r"\[(?:\^[^\[\]\s]{1,30}\]:|[ xX]\](?=[ \t\r\n]))")
_DEFINITION = re.compile(
    r"\[[^\[\]\n]{1,100}\]:[ \t]*(?:[a-z][a-z+.-]{1,8}:/|mailto:|www\.|[/#<]|\.{1,2}/)", re.IGNORECASE
)
_BEFORE_TEXT_BEGUN = re.compile(r"\[(?:[^\[\]\n]{1,100}(?:\](?::[ \t]*[^\s]{0,10})?)?)?")


class BracketKind(Enum):
    """Meaning of a square bracket."""

    TEXT = auto()
    UNDECIDED = auto()
    LINK = auto()
    LONG_LINK = auto()
    """The end of a link with a target longer than ``MAX_HELD_BACK``."""
    MARK = auto()
    """A footnote's number or a task's box: it is masked."""
    DEFINITION = auto()
    """The line defines a link's target."""


def classify_at_line_start(source: PendingText, at: int) -> tuple[BracketKind, int]:
    """The kind of the "[" at ``at`` where a line begins, and its end."""
    text = source.text
    if found := _NOTE_OR_BOX.match(text, at):
        return BracketKind.MARK, found.end()
    if found := _DEFINITION.match(text, at, at + MAX_HELD_BACK):
        return BracketKind.DEFINITION, found.end()
    if source.may_begin(_BEFORE_TEXT_BEGUN, at):
        return BracketKind.UNDECIDED, at
    return BracketKind.TEXT, at


def classify_opening(source: PendingText, at: int) -> tuple[BracketKind, int]:
    """The kind of the "[" at ``at``, and its end (after the bracket, for a link)."""
    text = source.text
    if found := _FOOTNOTE.match(text, at):
        return BracketKind.MARK, found.end()
    if _LINK.match(text, at, at + MAX_LOOKAHEAD):
        return BracketKind.LINK, at + 1
    if any(source.may_begin(begun, at, MAX_LOOKAHEAD) for begun in (_LINK_BEGUN, _FOOTNOTE_BEGUN)):
        return BracketKind.UNDECIDED, at
    return BracketKind.TEXT, at


def classify_closing(source: PendingText, at: int) -> tuple[BracketKind, int]:
    """The kind of the "]" of a link at ``at``, and its end."""
    text = source.text
    if found := _END.match(text, at, at + MAX_HELD_BACK):
        return BracketKind.LINK, found.end()
    window = at + MAX_HELD_BACK
    if _END_BEGUN.fullmatch(text, at, window) and (found := _LONG_TARGET.match(text, at)):
        return BracketKind.LONG_LINK, found.end()
    if source.may_begin(_END_BEGUN, at):
        return BracketKind.UNDECIDED, at
    return BracketKind.TEXT, at
