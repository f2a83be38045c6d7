"""SSML (W3C, 1.1): a document becomes text of the same length, pauses, styles, replacements and marks."""

from kani_text.ssml.document import parse
from kani_text.ssml.gate import SsmlGate, begins_document
from kani_text.ssml.scanner import without_tags
from kani_text.ssml.types import PLAIN_STYLE, Mark, PhraseEnd, SsmlDocument, Style
from kani_text.ssml.values import NO_EMPHASIS

__all__ = [
    "NO_EMPHASIS",
    "PLAIN_STYLE",
    "Mark",
    "PhraseEnd",
    "SsmlDocument",
    "SsmlGate",
    "Style",
    "begins_document",
    "parse",
    "without_tags",
]
