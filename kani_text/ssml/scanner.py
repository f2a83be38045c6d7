"""XML tokens of an SSML document, with their positions.

No declarations are read, nothing is loaded, and an entity is one character at most, so that a document cannot
grow. Takes time linear in the text.
"""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kani_text import foreign
from kani_text.errors import InvalidRequest, Reason

MAX_ATTRIBUTES = 20
"""Attributes of one tag."""

_NAME = r"[A-Za-z_][\w.:-]{0,63}"
_VALUE = r"""(?:"[^"<]*"|'[^'<]*')"""
_TAG = re.compile(rf"<(/?)({_NAME})((?:\s+{_NAME}\s*=\s*{_VALUE})*)\s*(/?)>")
_ATTRIBUTE = re.compile(rf"({_NAME})\s*=\s*({_VALUE})")
_NAMED = re.compile(rf"</?{_NAME}")
_TEXT = re.compile(r"[^<&]+")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_DOCTYPE = re.compile(r"<!DOCTYPE\s[^<>\[\]]*>")
_SKIPPED = (("<!--", "-->"), ("<?", "?>"))
_CDATA, _CDATA_END = "<![CDATA[", "]]>"


@dataclass(frozen=True, slots=True)
class Token:
    """``[start, end)`` of the document.

    text: what is spoken, None for a tag and what is skipped; name: of a tag; closing: whether it ends an
    element; empty: whether it does so at once.
    """

    start: int
    end: int
    text: str | None = None
    name: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    closing: bool = False
    empty: bool = False


def scan(text: str) -> Iterator[Token]:
    """Yield the tokens of a document, which are all of it. Raises InvalidRequest with line and column."""
    at = 0
    while at < len(text):
        token = _text(text, at) or _skipped(text, at) or _tag(text, at)
        yield token
        at = token.end


def without_tags(text: str) -> str:
    """Return a document with spaces instead of its tags, of the same length; as it is if it is not valid."""
    shown = []
    try:
        for token in scan(text):
            written = text[token.start : token.end]
            kept = written if token.text == written else token.text if written.startswith("&") else ""
            shown.append((kept or "").ljust(len(written)))
    except InvalidRequest:
        return text
    return "".join(shown)


def failure(text: str, at: int, problem: str) -> InvalidRequest:
    """Return the error of a document at a character, with its line and column, both counted from 1."""
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    details = Reason("bad_ssml", {"line": line, "column": column})
    return InvalidRequest("text", f"SSML, line {line}, column {column}: {problem}", details)


def _text(text: str, at: int) -> Token | None:
    if found := _TEXT.match(text, at):
        return Token(at, found.end(), found.group())
    if text[at] != "&":
        return None
    found = _ENTITY.match(text, at)
    if found is None:
        return Token(at, at + 1, "&")
    character = html.unescape(found.group())
    if character == found.group():
        raise failure(text, at, f"the entity {character[:40]} is not known: write the character itself")
    return Token(at, found.end(), character if len(character) == 1 else "")


def _skipped(text: str, at: int) -> Token | None:
    for begin, end in _SKIPPED:
        if text.startswith(begin, at):
            return Token(at, _end(text, at, begin, end))
    if text.startswith(_CDATA, at):
        end_at = _end(text, at, _CDATA, _CDATA_END)
        return Token(at, end_at, text[at + len(_CDATA) : end_at - len(_CDATA_END)])
    if found := _DOCTYPE.match(text, at):
        return Token(at, found.end())
    if text.startswith("<!", at):
        raise failure(text, at, "declarations are not accepted: leave out the <!DOCTYPE> or its entities")
    return None


def _end(text: str, at: int, begin: str, end: str) -> int:
    found = text.find(end, at + len(begin))
    if found < 0:
        raise failure(text, at, f"{begin} has no {end} after it")
    return found + len(end)


def _tag(text: str, at: int) -> Token:
    found = _TAG.match(text, at)
    if found is None:
        named = _NAMED.match(text, at)
        if named is None:
            raise failure(text, at, '"<" begins no tag: write it as &lt;')
        raise failure(
            text,
            at,
            f'the tag {named.group()[:40]} is not complete: it needs name="value" pairs, and ">" at its end',
        )
    closing, name, written, empty = found.groups()
    pairs = [(pair[1], pair[2]) for pair in _ATTRIBUTE.finditer(written)]
    if len(pairs) > MAX_ATTRIBUTES:
        raise failure(text, at, f"<{name}> has too many attributes (at most {MAX_ATTRIBUTES})")
    try:
        attributes = foreign.guarded(lambda: {key: html.unescape(value[1:-1]) for key, value in pairs})
    except foreign.Unreadable as error:
        raise failure(text, at, f"<{name}> has an attribute that cannot be read: {error}") from error
    if closing and (attributes or empty):
        raise failure(text, at, f"</{name}> has more than a name: leave the rest out")
    if len(attributes) < len(pairs):
        raise failure(text, at, f"<{name}> has an attribute twice: leave one out")
    return Token(at, found.end(), None, name, attributes, bool(closing), bool(empty))
