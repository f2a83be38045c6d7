"""Masks markup in a client's text, so that engines speak only what a reader would, and finds its pauses.

However the text was cut on its way here, the same comes out: text is held back only while more text could
change its meaning, usually a few characters and never more than ``MAX_HELD_BACK``.
"""

from kani_text.markup.lines import MarkupMasker
from kani_text.markup.masked_text import CODE_BLOCK, JOINED, MASK, MAX_HELD_BACK, PARAGRAPH_END, Break, Masked

__all__ = [
    "CODE_BLOCK",
    "MASK",
    "MAX_HELD_BACK",
    "PARAGRAPH_END",
    "Break",
    "MarkupMasker",
    "Masked",
    "without_markup",
]


def without_markup(text: str) -> str:
    """A text with spaces for its markup, or ``MASK`` inside and after words; as long as it was."""
    masker = MarkupMasker(announce_code=False)
    masked = "".join(part for part in [*masker.feed(text), *masker.flush()] if isinstance(part, str))
    return "".join(given if shown == JOINED else shown for given, shown in zip(text, masked, strict=True))
