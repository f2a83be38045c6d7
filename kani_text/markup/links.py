"""Square brackets: links, images, footnotes, the boxes of tasks."""

import re

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


def at_line_start(source: PendingText, at: int) -> tuple[int | None, bool]:
    """The end of a note's number, a task's box or the beginning of a target's definition at ``at``.

    True with it where the line defines a target. ``at`` if more text decides, None for anything else.
    """
    if found := _NOTE_OR_BOX.match(source.text, at):
        return found.end(), False
    if found := _DEFINITION.match(source.text, at, at + MAX_HELD_BACK):
        return found.end(), True
    return at if source.may_begin(_BEFORE_TEXT_BEGUN, at) else None, False


def opening(source: PendingText, at: int) -> int | None:
    """The end of what is masked of the "[" at ``at``: of all of a footnote, only of the bracket of a link.

    ``at`` if more text decides, None for a bracket of the text.
    """
    if found := _FOOTNOTE.match(source.text, at):
        return found.end()
    if _LINK.match(source.text, at, at + MAX_LOOKAHEAD):
        return at + 1
    undecided = any(source.may_begin(begun, at, MAX_LOOKAHEAD) for begun in (_LINK_BEGUN, _FOOTNOTE_BEGUN))
    return at if undecided else None


def closing(source: PendingText, at: int) -> tuple[int, bool]:
    """The end of what is masked of the "]" of a link at ``at``, and whether its target goes on after it.

    ``at`` if more text decides.
    """
    text, window = source.text, at + MAX_HELD_BACK
    if found := _END.match(text, at, window):
        return found.end(), False
    if _END_BEGUN.fullmatch(text, at, window) and (found := _LONG_TARGET.match(text, at)):
        return found.end(), True
    return at if source.may_begin(_END_BEGUN, at) else at + 1, False
