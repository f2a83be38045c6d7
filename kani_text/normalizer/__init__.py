"""Written form to spoken form, with the written characters that each spoken one stands for.

Invisible characters, emoji and broken code units are left out, white space is folded. In a language with a
table (``tables/``), numbers, dates, abbreviations, addresses and the like become words; the engine gets
everything else as it is written.
"""

from dataclasses import replace

from kani_text.lexicon import Lexicon
from kani_text.markup import CODE_BLOCK
from kani_text.normalizer.cleaning import SPOKEN_SIGNS, clean
from kani_text.normalizer.placed_lexicon import PlacedLexicon, find_places
from kani_text.normalizer.respelling import respelled
from kani_text.normalizer.spaced.reader import SpacedReader
from kani_text.normalizer.spoken import VERBATIM, NormalizerOptions, SpokenText
from kani_text.normalizer.tables.file import TableError
from kani_text.normalizer.tables.loaded import check_tables, is_loaded, table_for
from kani_text.normalizer.unspaced.reader import UnspacedReader
from kani_text.normalizer.unspaced.table import unspaced_table_for

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

_MAX_PRECEDING = 80
"""Characters of the preceding text that rules can see."""


def normalize(
    written: str,
    offset: int = 0,
    options: NormalizerOptions = VERBATIM,
    *,
    complete: bool = True,
    preceding: str = "",
) -> SpokenText:
    """The spoken form of ``written``; its origins are counted from ``offset``.

    complete: whether this is all of it; if not, it ends where a word does, and words are left out that
    further text may change: the result is the beginning of that for the whole. preceding: the end of the text
    before it, as far as it is known. Takes time linear in the text. Raises TableError where the language's
    table is broken.
    """
    text = clean(written, options.language)
    text, places = find_places(
        text, options, offset, lambda part, how: normalize(part, 0, how).text, complete=complete
    )
    text = respelled(text, options.language, complete=complete)
    if places:
        placed = PlacedLexicon(options.lexicon or Lexicon(), text, offset, places)
        options = replace(options, lexicon=placed)
    preceding = preceding[-_MAX_PRECEDING:]
    unspaced = unspaced_table_for(options.language) if options.language else None
    if unspaced is not None:
        return UnspacedReader(text, unspaced, options, offset, preceding, complete).read()
    table = table_for(options.language) if options.language else None
    return SpacedReader(text, table, options, offset, preceding, complete).read()


def speakable(text: str) -> bool:
    """True if a text, in written or spoken form, has anything that a voice would speak."""
    return any(
        character.isalnum() or character in SPOKEN_SIGNS or character == CODE_BLOCK for character in text
    )
