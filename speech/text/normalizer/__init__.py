"""From what was written to what is said, with every spoken character's origin kept.

Invisible characters, emoji and broken code units are left out, white space is folded. In a language
that has a table (``tables/``), numbers, dates, abbreviations, addresses and the like are said in
words; what no rule knows is left to the engine.
"""

from speech.text.markup import CODE
from speech.text.normalizer.cleaning import SIGNS
from speech.text.normalizer.reader import PLAIN, Reading, normalize
from speech.text.normalizer.spoken import SpokenText
from speech.text.normalizer.tables.file import TableError
from speech.text.normalizer.tables.reading import check_tables

__all__ = [
    "PLAIN",
    "SIGNS",
    "Reading",
    "SpokenText",
    "TableError",
    "check_tables",
    "normalize",
    "speakable",
]


def speakable(text: str) -> bool:
    """Whether a voice would say anything at all of a text, written or spoken."""
    return any(character.isalnum() or character in SIGNS or character == CODE for character in text)
