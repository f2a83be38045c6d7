"""Whether what Whisper answers can have been said: not too much for its time, and not the same again.

Whisper's tokens are pieces of UTF-8 that were learnt mostly from Latin script: four English letters are
one token, one Georgian letter is three. So a limit in tokens follows the language, and repetition is
looked for in characters, of which bytes beyond ASCII are repetitions by themselves.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from babel import Locale

if TYPE_CHECKING:
    import tokenizers

MAX_TOKENS = 224
"""What Whisper can answer at most: half of its text context."""

# Fast speech has 20 to 25 characters a second. Some more for short passages, where a token too many counts.
_CHARACTERS_A_SECOND, _TOKENS_MORE = 30, 12
# Of a language that CLDR names no country in.
_TOKENS_A_CHARACTER = 1.0
# A sentence is at most 1.5 times as long as its compressed form; three times over it is 2.4 to 4.3 times as
# long (measured on 18 languages).
_MOST_COMPRESSION = 2.0


class TokenLimits:
    """Limits of the tokens of an answer, by its language and its length in seconds."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        """tokenizer: Whisper's."""
        self._tokenizer = tokenizer
        self._a_character: dict[str, float] = {}

    def max_tokens(self, language: str, seconds: float) -> int:
        """The number of tokens that an answer over ``seconds`` stays below.

        language: a primary subtag.
        """
        if language not in self._a_character:
            self._a_character[language] = self._tokens_a_character(language)
        a_second = _CHARACTERS_A_SECOND * self._a_character[language]
        return min(int(a_second * seconds) + _TOKENS_MORE, MAX_TOKENS)

    def _tokens_a_character(self, language: str) -> float:
        # CLDR's names of countries: some thousand characters in almost every language, in its own script.
        # They need 0.9 to 1.6 times the tokens that ordinary text of the same length does.
        names = " ".join(Locale.parse(language).territories.values())
        if not names:
            return _TOKENS_A_CHARACTER
        return len(self._tokenizer.encode(names, add_special_tokens=False).ids) / len(names)


def is_repetitive(text: str) -> bool:
    """Whether ``text`` says the same too often to have been said, as an answer that has lost its way does."""
    numbers: dict[str, int] = {}
    # One byte for each character: of 256 different ones a passage has far fewer.
    characters = bytes(numbers.setdefault(character, len(numbers)) % 256 for character in text)
    return len(characters) > _MOST_COMPRESSION * len(zlib.compress(characters))
