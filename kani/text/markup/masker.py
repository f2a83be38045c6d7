"""Masks text as it comes: ``LineReader`` reads line beginnings and ends, ``InlineReader`` the rest."""

from __future__ import annotations

from kani.text.markup.inline import InlineReader
from kani.text.markup.lines import LineReader
from kani.text.markup.masked_text import Break, MaskedText
from kani.text.markup.source import PendingText


class MarkupMasker:
    """Text with Markdown, tags and breaks goes in; plain text of the same length comes out, and pauses.

    The output, joined, is the input character for character, except that markup is masked: by a space before
    a word, after white space and where a line begins; by ``MASK`` inside a word or after one. ``CODE_BLOCK``
    replaces the first character of a code block that is announced. Where a heading, a list item or a table's
    row ends without a mark, its newline becomes ``PARAGRAPH_END``; a comma stands between two cells. A
    ``Break`` follows the masked characters of its tag. A character reference becomes its character, in the
    first of its places. Private-use characters are masked. Takes time linear in the text.
    """

    def __init__(self, *, announce_code: bool = True) -> None:
        """announce_code: whether code blocks are announced, rather than passed over."""
        self._source = PendingText()
        self._output = MaskedText()
        self._inline = InlineReader(self._source, self._output)
        self._lines = LineReader(self._source, self._output, self._inline, announce_code)

    def feed(self, text: str) -> list[str | Break]:
        """Add ``text``; returns what is certain by now."""
        self._source.text += text
        return self._read()

    def flush(self) -> list[str | Break]:
        """Return what was held back, as if the text ended here. More may follow: open blocks stay open."""
        self._source.complete = True
        output = self._read()
        self._source.complete = False
        return output

    def _read(self) -> list[str | Break]:
        source = self._source
        at = 0
        while at < len(source.text):
            end = self._lines.read(at)
            if end == at:
                break
            at = end
        source.text = source.text[at:]
        return self._output.take()
