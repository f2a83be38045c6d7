"""Markup in a client's text: what of it is said, where it pauses, and what is only there to be seen.

However the text was cut on its way here, the same comes out: what is held back is what more text could still
change, a few characters as a rule and never more than ``MAX_HELD_BACK``.
"""

from speech.text.markup.masked_text import CODE_BLOCK, MASK, PARAGRAPH_END, Break
from speech.text.markup.masker import MarkupMasker
from speech.text.markup.source import MAX_HELD_BACK

__all__ = ["CODE_BLOCK", "MASK", "MAX_HELD_BACK", "PARAGRAPH_END", "Break", "MarkupMasker"]
