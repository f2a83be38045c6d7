"""Pronunciations of words that espeak-ng gets wrong: one file for each language, as docs/lexicon.md shows."""

import functools
from pathlib import Path

from kani_text.languages import primary
from kani_text.lexicon import LexiconTable
from kani_text.lexicon_file import ALL_LANGUAGES, LexiconParser

FOLDER = Path(__file__).parent


@functools.lru_cache(maxsize=1024)
def pronunciations(language: str) -> LexiconTable | None:
    """Return the entries for a language (BCP 47): its region's file, else its own, else None."""
    names = {file.stem for file in FOLDER.glob("*.txt") if "_" not in file.stem}
    return next((entries(name) for name in (language, primary(language)) if name in names), None)


@functools.cache
def entries(name: str) -> LexiconTable:
    """Return the entries of one of the files."""
    parser = LexiconParser()
    parser.parse((FOLDER / f"{name}.txt").read_bytes(), name, ALL_LANGUAGES)
    if parser.problems:
        raise ValueError("; ".join(map(str, parser.problems)))
    return parser.sections[ALL_LANGUAGES]
