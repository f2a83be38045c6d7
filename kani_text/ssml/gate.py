"""Finds SSML documents in a text that comes in pieces."""

import re

from kani_text.errors import InvalidRequest
from kani_text.ssml.document import parse
from kani_text.ssml.types import SsmlDocument

MAX_PROLOG = 300
"""Characters of an XML declaration and of comments before ``<speak>``."""

_BLANK = "\ufeff \t\r\n"
_ROOTS = ("<speak", "<!DOCTYPE speak")
_SKIPPED = ("<?xml", "<!--")
_PROLOG = re.compile(r"(?:<\?xml.*?\?>|<!--.*?-->|\s)*", re.DOTALL)
_COMPLETE = re.compile(r"</speak\s*>\s*\Z")


class SsmlGate:
    """Passes text on, except a document, which is held until it is complete.

    A document begins with ``<speak>``, where the text begins or after another document. Positions in it are
    those of the whole text.
    """

    def __init__(self, ssml: bool | None = None) -> None:
        """ssml: True where all of the text is SSML, with ``<speak>`` or without, False where none is, None
        where its beginning decides."""
        self._ssml = ssml
        self._held = ""
        self._start = 0
        self._decided = ssml is False

    @property
    def holding(self) -> bool:
        """True if a document has begun that is not complete yet."""
        return self._held.strip(_BLANK) != ""

    def feed(self, text: str) -> str | SsmlDocument:
        """Add text; returns a document that it completes, or text that is in none: "" while it is held.

        Raises InvalidRequest for a document that is not valid.
        """
        if self._decided:
            self._start += len(text)
            return text
        self._held += text
        if self._ssml:
            return ""
        begun = begins_document(self._held)
        if begun is False:
            self._decided = True
            return self._take()
        # The end of a document has its ">" in the last piece.
        if begun and ">" in text and _COMPLETE.search(self._held, max(0, len(self._held) - len(text) - 64)):
            return self._parse()
        return ""

    def release(self) -> str:
        """Return what is held while it is not certain that a document begins, which then does not."""
        if self._ssml or not self.holding or begins_document(self._held):
            return ""
        self._decided = True
        return self._take()

    def finish(self) -> str | SsmlDocument:
        """Return what is held, at the end of the text. Raises InvalidRequest as ``feed`` does."""
        if self.holding and (self._ssml or begins_document(self._held)):
            return self._parse()
        return self._take()

    def _take(self) -> str:
        text, self._held = self._held, ""
        self._start += len(text)
        return text

    def _parse(self) -> SsmlDocument:
        start = self._start
        text = self._take()
        try:
            return parse(text, start, rooted=not self._ssml)
        except InvalidRequest:
            self._decided = True
            raise


def begins_document(text: str) -> bool | None:
    """True if a document begins here, None if more text has to tell."""
    text = text.lstrip(_BLANK)
    prolog = _PROLOG.match(text, 0, MAX_PROLOG)
    rest = text[prolog.end() :] if prolog else text
    if rest and not rest.startswith("<"):
        return False
    if rest.startswith(_SKIPPED):
        return None if len(text) <= MAX_PROLOG else False
    for root in _ROOTS:
        if rest.startswith(root) and len(rest) > len(root):
            return rest[len(root)].isspace() or rest[len(root)] in "/>"
    return None if any(begin.startswith(rest) for begin in (*_ROOTS, *_SKIPPED)) else False
