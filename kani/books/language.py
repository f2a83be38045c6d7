"""The language that a book is spoken in."""

from __future__ import annotations

import re
from collections.abc import Set

from kani.books.book import Book
from kani.text.language_detection import detect

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
_NO_LANGUAGE = ("und", "mul", "zxx", "mis")


def book_language(book: Book, spoken: Set[str]) -> str | None:
    """Return the language that a book names, else that of its text; None where it is none that is spoken.

    One for the whole book, so that a chapter's title does not change the voice. spoken: primary subtags.
    """
    named = book.language
    if _LANGUAGE.fullmatch(named) and named.partition("-")[0].lower() in spoken - set(_NO_LANGUAGE):
        return named
    sample = "\n".join(text for chapter in book.chapters for text in chapter.paragraphs[:5])[:20_000]
    return detect(sample, spoken)
