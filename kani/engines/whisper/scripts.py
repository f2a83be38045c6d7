"""Keeps answers in the script of their language: tokens with letters of another are never generated.

Whisper writes what it hears badly in the letters of another language: Hindi in those of Urdu, Portuguese in
Greek ones. Its tokens are pieces of UTF-8; one that ends inside a character counts as all the characters
that it can begin.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from babel import Locale, localedata

if TYPE_CHECKING:
    import tokenizers

_LATIN = "LATIN"
# Languages that are also written in Latin letters, as a matter of course.
_LATIN_TOO = frozenset(("sr",))
# Scripts by the first word of a letter's name in Unicode, where it is not the script's.
_NAMED = {"IDEOGRAPHIC": "CJK", "KATAKANA-HIRAGANA": "KATAKANA"}
# First words of the names of marks and letters of any script.
_OF_ANY = ("", "COMBINING", "MODIFIER", "VARIATION")
_SUBTAG_LENGTH = 4
# Beginning of the danda, the full stop of Bengali and other languages too.
_DANDA = "।".encode()[:2]


class TokenScripts:
    """Tokens by the scripts of their letters, and those that an answer in a language may not have."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, end: int) -> None:
        """tokenizer: Whisper's; end: the first token that is no text."""
        self._tokens: defaultdict[frozenset[str], list[int]] = defaultdict(list)
        byte_of = _bytes_by_symbol()
        for symbols, token in tokenizer.get_vocab().items():
            if token < end:
                self._tokens[_scripts_of_bytes(bytes(byte_of[symbol] for symbol in symbols))].append(token)
        self._foreign: dict[tuple[str, bool], list[int]] = {}

    def foreign(self, language: str, *, latin: bool = True) -> list[int]:
        """Return the tokens in other scripts than those of a language; none if its script is not known.

        language: a primary subtag; latin: whether Latin letters are allowed in any language, as in names.
        """
        key = language, latin
        if key not in self._foreign:
            own = scripts_of(language)
            allowed = own | {_LATIN} if latin else own
            self._foreign[key] = [
                token
                for scripts, tokens in self._tokens.items()
                if own and scripts and not scripts & allowed
                for token in tokens
            ]
        return self._foreign[key]


def is_latinised(text: str, language: str) -> bool:
    """Return whether most letters of ``text`` are Latin, though those of the language are not."""
    own = scripts_of(language)
    if not own or _LATIN in own:
        return False
    letters = [_script(character) for character in text if character.isalpha()]
    return 2 * letters.count(_LATIN) > len(letters)


@cache
def scripts_of(language: str) -> frozenset[str]:
    """Return the scripts that a language (a primary subtag) is written in, none if they are not known.

    They are those of CLDR's names of countries, as "LATIN" or "KATAKANA".
    """
    names = _names_of_countries(language)
    scripts = Counter(map(_script, names))
    latin = 2 * scripts[_LATIN] > len(names) or language in _LATIN_TOO
    # Uzbek or Punjabi have locales of their other scripts, but romanised Hindi is one, too.
    others = (one for one in localedata.locale_identifiers() if one.startswith(f"{language}_"))
    for identifier in others:
        if len(identifier) == len(language) + 1 + _SUBTAG_LENGTH:
            scripts.update(map(_script, _names_of_countries(identifier)))
    return frozenset(script for script in scripts if script and (latin or script != _LATIN))


def _names_of_countries(identifier: str) -> str:
    return "".join(filter(str.isalpha, "".join(Locale.parse(identifier).territories.values())))


@cache
def _script(character: str) -> str:
    """Return the script of a letter or a mark; empty for one of any script, and for all others."""
    # "ª" is a Latin letter.
    character = unicodedata.normalize("NFKC", character)[0]
    if unicodedata.category(character)[0] not in "LM":
        return ""
    name = unicodedata.name(character, "").partition(" ")[0]
    return "" if name in _OF_ANY else _NAMED.get(name, name)


def _scripts_of_bytes(piece: bytes) -> frozenset[str]:
    """Return the scripts of a token's letters: of those that it holds, else of those that it can begin."""
    if piece.isascii():
        return _scripts(piece.decode())
    if piece.strip() == _DANDA:
        return frozenset()
    # Bytes that continue a character are of the script of its beginning, which was allowed.
    start = 0
    while start < len(piece) and piece[start] & 0xC0 == 0x80:
        start += 1
    text = piece[start:].decode(errors="ignore")
    return _scripts(text) or _scripts(_characters_from(piece[start + len(text.encode()) :]))


@cache
def _characters_from(beginning: bytes) -> str:
    """Return the characters of two or three bytes that begin with ``beginning``."""
    if not beginning or not 0xC2 <= beginning[0] < 0xF0:
        return ""
    missing = (2 if beginning[0] < 0xE0 else 3) - len(beginning)
    endings = [b""]
    for _ in range(missing):
        endings = [ending + bytes((byte,)) for ending in endings for byte in range(0x80, 0xC0)]
    return b"".join(beginning + ending for ending in endings).decode(errors="ignore")


def _scripts(text: Iterable[str]) -> frozenset[str]:
    return frozenset(filter(None, map(_script, text)))


def _bytes_by_symbol() -> dict[str, int]:
    """Return the bytes by the characters that stand for them in vocabularies of bytes, as GPT-2's."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(0x100 + at): byte for at, byte in enumerate(hidden)}
