"""Written form to spoken form, with the written characters that each spoken one stands for.

Invisible characters, emoji and broken code units are left out, white space is folded. In a language with a
table (``tables/``), numbers, dates, abbreviations, addresses and the like become words; the engine gets
everything else as it is written.
"""

from kani_text.markup import CODE_BLOCK
from kani_text.normalizer.cleaning import SPOKEN_SIGNS
from kani_text.normalizer.options import VERBATIM, NormalizerOptions
from kani_text.normalizer.reader import normalize
from kani_text.normalizer.spoken import SpokenText
from kani_text.normalizer.tables.file import TableError
from kani_text.normalizer.tables.loaded import check_tables, is_loaded, table_for

__all__ = [
    "SPOKEN_SIGNS",
    "VERBATIM",
    "NormalizerOptions",
    "SpokenText",
    "TableError",
    "check_tables",
    "is_loaded",
    "normalize",
    "speakable",
    "table_for",
]


def speakable(text: str) -> bool:
    """True if a text, in written or spoken form, has anything that a voice would speak."""
    return any(
        character.isalnum() or character in SPOKEN_SIGNS or character == CODE_BLOCK for character in text
    )
