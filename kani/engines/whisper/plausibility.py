"""Detects answers of Whisper that cannot be speech: too many tokens for their time, or repetition.

Whisper's tokens are pieces of UTF-8 that were learnt mostly from Latin script: four English letters are
one token, one Georgian letter is three. So the limit in tokens depends on the language, and repetition is
measured in characters: the bytes of other scripts repeat by themselves.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from babel import Locale

from kani_text.writing import CLAUSE_MARKS, SENTENCE_MARKS, UNSPACED_CLAUSE_MARKS, UNSPACED_SENTENCE_MARKS

if TYPE_CHECKING:
    import tokenizers

MAX_TOKENS = 224
"""Most tokens that Whisper can answer: half of its text context."""

# Fast speech has 20 to 25 characters a second.
_CHARACTERS_PER_SECOND = 30
# Added for short stretches of audio, where a single token counts.
_EXTRA_TOKENS = 12
# For a language that CLDR names no country in.
_DEFAULT_TOKENS_PER_CHARACTER = 1.0
# Letters and marks of any script.
_MARKS = re.escape(SENTENCE_MARKS + UNSPACED_SENTENCE_MARKS + CLAUSE_MARKS + UNSPACED_CLAUSE_MARKS)
_WORD = re.compile(rf"[^\s\d{_MARKS}]+")


class TokenLimits:
    """Limits the tokens of an answer by its language and its length in seconds."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._by_language: dict[str, float] = {}

    def max_tokens(self, language: str, seconds: float) -> int:
        """Return the number of tokens that an answer over ``seconds`` stays below.

        language: a primary subtag.
        """
        if language not in self._by_language:
            self._by_language[language] = self._tokens_per_character(language)
        tokens_per_second = _CHARACTERS_PER_SECOND * self._by_language[language]
        return min(int(tokens_per_second * seconds) + _EXTRA_TOKENS, MAX_TOKENS)

    def _tokens_per_character(self, language: str) -> float:
        # CLDR's names of countries: some thousand characters in almost every language, in its own script.
        # They need 0.9 to 1.6 times the tokens that ordinary text of the same length does.
        names = " ".join(Locale.parse(language).territories.values())
        if not names:
            return _DEFAULT_TOKENS_PER_CHARACTER
        return len(self._tokenizer.encode(names, add_special_tokens=False).ids) / len(names)


def echoes(text: str, before: str) -> bool:
    """Return whether ``text`` has a word of ``before`` three times in a row: it comes from there."""
    words, known = _WORD.findall(text), {*_WORD.findall(before)}
    threes = zip(words, words[1:], words[2:], strict=False)
    return any(one == two == three and one in known for one, two, three in threes)
