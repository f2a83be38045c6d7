"""Properties of a transcript that recognisers ask for: where segments end, and whether it repeats itself."""

import re
import unicodedata
import zlib

from kani_text.writing import ends_clause, ends_sentence

# Pause that ends a segment whatever its words are, in seconds.
_PAUSE_S = 1.0
# Width in columns of two lines of a subtitle, from which on a clause ends a segment, and the widest of all.
_LONG, _LONGEST = 84, 168
# A sentence is at most 1.5 times as long as its compressed form; three times over it is 2.4 to 4.3 times as
# long (measured on 18 languages).
_MAX_COMPRESSION = 2.0
# A part of a word, or some words, that come so often in a row are a loop of the decoder.
_LOOP = re.compile(r"(\S.{0,11}?)\1{7,}", re.DOTALL)


def ends_segment(text: str, pause_s: float, width: int) -> bool:
    """Return True if a segment ends with the word ``text``.

    pause_s: seconds between the word and the next; width: columns of the segment so far.
    """
    if ends_sentence(text) or pause_s >= _PAUSE_S or width >= _LONGEST:
        return True
    return width >= _LONG and ends_clause(text)


def columns(text: str) -> int:
    """Return the columns of ``text``: two for an East Asian letter."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def compression_ratio(text: str) -> float:
    """Return the length of ``text`` relative to its compressed form, in characters."""
    numbers: dict[str, int] = {}
    # One byte for each character: a stretch of speech has far fewer than 256 different ones.
    characters = bytes(numbers.setdefault(character, len(numbers)) % 256 for character in text)
    return len(characters) / len(zlib.compress(characters))


def is_repetitive(text: str) -> bool:
    """Return whether ``text`` repeats itself more than speech does, as an answer in a decoding loop."""
    return compression_ratio(text) > _MAX_COMPRESSION


def is_loop(text: str) -> bool:
    """Return whether ``text`` has letters that come again and again, as no speech has."""
    found = _LOOP.search(text.casefold())
    return found is not None and any(character.isalpha() for character in found[1])
