"""From what was written to what is said, with every spoken character's origin kept.

Invisible characters, emoji and broken code units are left out, white space is folded. In a language
that has a table (``tables/``), numbers, dates, abbreviations, addresses and the like are said in
words; what no rule knows is left to the engine.
"""

from speech.text.markup import CODE_BLOCK
from speech.text.normalizer.cleaning import SPOKEN_SIGNS
from speech.text.normalizer.reader import VERBATIM, NormalizerOptions, normalize
from speech.text.normalizer.spoken import SpokenText
from speech.text.normalizer.tables.file import TableError
from speech.text.normalizer.tables.load import check_tables

__all__ = [
    "SPOKEN_SIGNS",
    "VERBATIM",
    "NormalizerOptions",
    "SpokenText",
    "TableError",
    "check_tables",
    "normalize",
    "speakable",
]


def speakable(text: str) -> bool:
    """Whether a voice would say anything at all of a text, written or spoken."""
    return any(
        character.isalnum() or character in SPOKEN_SIGNS or character == CODE_BLOCK for character in text
    )
