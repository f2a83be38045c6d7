r"""Marks of notes, "[[page|name]]", "%%comment%%", "^block", "> [!tip]", and Anki's "{{c1::word::hint}}".

And formulas of TeX: "$...$", "\(...\)", "\[...\]"; any other dollar is money.
"""

import re

from kani_text.markup.masked_text import MAX_LOOKAHEAD, MaskedText, PendingText, Shown

MARKS = "%{^[!"
"""Characters that these begin with."""

_WIKI = re.compile(
    r"(?P<embedded>!)?\[\[(?P<page>[^\[\]|\n^]*?)(?:#?\^[\w-]+)?(?:\\?\|(?P<name>[^\[\]|\n]+))?\]\](?![(\[])"
)
_WIKI_BEGUN = re.compile(r"!?\[(?:\[[^\[\]\n]*\]{0,2})?")
_SIZE = re.compile(r"\d+(?:x\d+)?")
_CALLOUT = re.compile(r"\[!(?P<kind>[A-Za-z-]{1,20}\])[+-]?(?:(?P<titled>[ \t]+(?=\S))|(?=\s|\Z))")
_CALLOUT_BEGUN = re.compile(r"\[(?:![A-Za-z-]{0,20}(?:\][+-]?[ \t]*)?)?")
_COMMENT = re.compile(r"%%(?:(?=[^\s%])(?:[^%\n]|%(?!%))*|\n(?:[^%]|%(?!%))*)%%")
_COMMENT_BEGUN = re.compile(r"%(?:%(?:[^\s%](?:[^%\n]|%(?!%))*|\n(?:[^%]|%(?!%))*)?%?)?")
_BLOCK = re.compile(r"\^(?=[\d-]*[A-Za-z])[A-Za-z\d-]{3,32}(?=[ \t\r]*(?:\n|\Z))")
_BLOCK_BEGUN = re.compile(r"\^[A-Za-z\d-]{0,32}[ \t\r]*")
_CLOZE = re.compile(r"\{\{c\d{1,3}::(?P<hidden>(?:[^{}:\n]|:(?!:))+)(?:::[^{}\n]*)?\}\}")
_CLOZE_BEGUN = re.compile(r"\{(?:\{(?:c(?:\d{1,3}(?::(?::[^{}\n]*\}?)?)?)?)?)?")
_IN_BRACKETS = r"(?:(?!\\[()\[\]])[^\n])"
_FORMULA = re.compile(
    r"(\$\$?)(?=[^\s$])(?P<dollars>[^\n$]*[\\^_={+][^\n$]*)(?<=[^\s$])\1(?!\d)"
    rf"|\\[(\[](?={_IN_BRACKETS}*?(?:\\[A-Za-z]|[\^_={{+]))(?P<brackets>{_IN_BRACKETS}+)\\[)\]]"
)
_FORMULA_BEGUN = re.compile(
    r"\$\$?(?![\d\s])[^\n$]*\$?|\$\$?\d*\^?[^\n$]*(?<=\^)[^\n$]*\$?"
    rf"|\\(?:[(\[]{_IN_BRACKETS}*\\?)?"
)


def note(source: PendingText, at: int, plain: MaskedText) -> Shown | None:
    """Return what is said of a note's mark at ``at``; None if no mark begins there."""
    if source.text[at] not in MARKS:
        return None
    kinds = [(_WIKI, _WIKI_BEGUN), (_CLOZE, _CLOZE_BEGUN)]
    if ">" in plain.line_head and not plain.line_head.strip("> "):
        kinds.append((_CALLOUT, _CALLOUT_BEGUN))
    if not plain.previous.strip():
        kinds += (_COMMENT, _COMMENT_BEGUN), (_BLOCK, _BLOCK_BEGUN)
    for pattern, begun in kinds:
        found = pattern.match(source.text, at, source.lookahead_end(at))
        if source.may_begin(begun, at) or (found and source.may_continue(at, found.end())):
            return Shown(at, "", at)
        if found:
            return _said(found)
    return None


def _said(found: re.Match[str]) -> Shown:
    """Return what is said: a name, a page or an answer; nothing of a picture."""
    parts = found.groupdict()
    shown = next((part for part in ("name", "page", "hidden", "kind") if parts.get(part)), "")
    unnamed = parts.get("embedded") and (shown != "name" or _SIZE.fullmatch(parts["name"]))
    if not shown or unnamed or parts.get("titled"):
        return Shown(found.end(), "", found.end())
    said = found[shown].replace("#", " ") if shown == "page" else found[shown].replace("]", ":")
    return Shown(found.start(shown), said, found.end())


def formula(source: PendingText, at: int, before: str) -> Shown | None:
    """Return the content of a formula at ``at``, after the character ``before``; None if there is none."""
    if "A" <= before <= "Z" and source.text[at] == "$":
        return None  # "US$"
    window = min(len(source.text), at + MAX_LOOKAHEAD)
    if found := _FORMULA.match(source.text, at, window):
        if source.may_continue(at, found.end(), MAX_LOOKAHEAD):
            return Shown(at, "", at)
        kind = "dollars" if found["dollars"] else "brackets"
        return Shown(found.start(kind), found[kind], found.end())
    return Shown(at, "", at) if source.may_begin(_FORMULA_BEGUN, at, MAX_LOOKAHEAD) else None
