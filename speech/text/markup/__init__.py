"""Markup in a client's text: what of it is said, where it pauses, and what is only there to be seen.

However the text was cut on its way here, the same comes out: what is held back is what more text could still
change, a few characters as a rule and never more than ``LONGEST_HELD``.
"""

from speech.text.markup.plain import CODE, DROPPED, PARAGRAPH, Break
from speech.text.markup.scanner import Markup
from speech.text.markup.source import LONGEST_HELD

__all__ = ["CODE", "DROPPED", "LONGEST_HELD", "PARAGRAPH", "Break", "Markup"]
