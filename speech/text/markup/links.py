"""What stands in square brackets: links, images, footnotes, the boxes of tasks."""

from __future__ import annotations

import re
from enum import Enum, auto

from speech.text.markup.source import LONGEST_HELD, LONGEST_LOOK, Source

_TEXT = r"(?:[^\[\]\\\n]|\\[^\n]|\[[^\[\]\n]*\])*+"
_LINK = re.compile(rf"\[{_TEXT}\](?=[(\[])")
_LINK_BEGUN = re.compile(rf"\[{_TEXT}(?:\\|\[[^\[\]\n]*|\])?")

_TITLE = r"""(?:"[^"\n]*"|'[^'\n]*'|\([^()\n]*\))"""
_TARGET = r"(?:<[^<>\n]*>|(?:[^\s()\\<]|\\[^\n]|\([^\s()]*\))*+)"
_END = re.compile(rf"\](?:\([ \t]*{_TARGET}(?:[ \t]+{_TITLE})?[ \t]*\)|\[[^\[\]\n]*\])")
_TARGET_BEGUN = r"(?:<[^<>\n]*|(?:[^\s()\\<]|\\[^\n]|\([^\s()]*\))*+(?:\\|\([^\s()]*)?)"
_TITLE_BEGUN = rf"""(?:"[^"\n]*|'[^'\n]*|\([^()\n]*|{_TITLE}[ \t]*)"""
_END_BEGUN = re.compile(rf"\](?:\([ \t]*(?:{_TARGET_BEGUN}|{_TARGET}[ \t]+{_TITLE_BEGUN}?)|\[[^\[\]\n]*)?")
_LONG_TARGET = re.compile(rf"\]\([^\s)]{{{LONGEST_HELD - 2}}}")

_FOOTNOTE = re.compile(r"\[\^[^\[\]\s]{1,30}\]")
_FOOTNOTE_BEGUN = re.compile(r"\[(?:\^[^\[\]\s]{0,30})?")
_NOTE_OR_BOX = re.compile(r"\[(?:\^[^\[\]\s]{1,30}\]:|[ xX]\](?=[ \t\r\n]))")
_DEFINITION = re.compile(
    r"\[[^\[\]\n]{1,100}\]:[ \t]*(?:[a-z][a-z+.-]{1,8}:/|mailto:|www\.|[/#<]|\.{1,2}/)", re.IGNORECASE
)
_BEFORE_TEXT_BEGUN = re.compile(r"\[(?:[^\[\]\n]{1,100}(?:\](?::[ \t]*[^\s]{0,10})?)?)?")


class Verdict(Enum):
    """What a bracket turned out to be."""

    TEXT = auto()
    UNSURE = auto()
    LINK = auto()
    LONG = auto()
    """The end of a link whose target is longer than what is held back."""
    MARK = auto()
    """A footnote's number, a task's box: not said."""
    DEFINITION = auto()
    """The line says where a link leads."""


def at_line_start(source: Source, at: int) -> tuple[Verdict, int]:
    """What the "[" at ``at`` is, where a line begins, and where that ends."""
    text = source.text
    if found := _NOTE_OR_BOX.match(text, at):
        return Verdict.MARK, found.end()
    if found := _DEFINITION.match(text, at, at + LONGEST_HELD):
        return Verdict.DEFINITION, found.end()
    if source.unsure(at, len(text)) and _BEFORE_TEXT_BEGUN.fullmatch(text, at):
        return Verdict.UNSURE, at
    return Verdict.TEXT, at


def opening(source: Source, at: int) -> tuple[Verdict, int]:
    """What the "[" at ``at`` is, and where that ends (behind the bracket, for a link)."""
    text = source.text
    if found := _FOOTNOTE.match(text, at):
        return Verdict.MARK, found.end()
    if _LINK.match(text, at, at + LONGEST_LOOK):
        return Verdict.LINK, at + 1
    begun = source.unsure(at, len(text), LONGEST_LOOK)
    if begun and (_LINK_BEGUN.fullmatch(text, at) or _FOOTNOTE_BEGUN.fullmatch(text, at)):
        return Verdict.UNSURE, at
    return Verdict.TEXT, at


def closing(source: Source, at: int) -> tuple[Verdict, int]:
    """What the "]" of a link at ``at`` is, and where that ends."""
    text = source.text
    if found := _END.match(text, at, at + LONGEST_HELD):
        return Verdict.LINK, found.end()
    window = at + LONGEST_HELD
    if _END_BEGUN.fullmatch(text, at, window) and (found := _LONG_TARGET.match(text, at)):
        return Verdict.LONG, found.end()
    if source.unsure(at, len(text)) and _END_BEGUN.fullmatch(text, at):
        return Verdict.UNSURE, at
    return Verdict.TEXT, at
