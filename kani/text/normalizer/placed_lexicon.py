"""A lexicon with entries for places of one text, before those for its words."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import replace

from kani.text.lexicon import Lexicon, LexiconEntry
from kani.text.normalizer.cleaning import CleanText
from kani.text.normalizer.options import NormalizerOptions
from kani.text.normalizer.say_as import Reader, say_as
from kani.text.ssml import Replacement


class PlacedLexicon(Lexicon):
    """Looks up the replacements of an SSML document by their positions, then the words of a lexicon."""

    def __init__(
        self, words: Lexicon, text: CleanText, offset: int, entries: Mapping[int, tuple[int, LexiconEntry]]
    ):
        """offset: position of the text in the client's; entries: by position there, with where each ends."""
        super().__init__()
        self._words = words
        self._text = text
        self._offset = offset
        self._entries = entries
        self.max_words = max(words.max_words, 1)

    def match(self, text: str, at: int) -> tuple[int, LexiconEntry] | None:
        """The replacement at ``at``, else the longest entry of the words that begins there, and its end."""
        if at < len(self._text.starts) and (
            placed := self._entries.get(self._offset + self._text.starts[at])
        ):
            end, entry = placed
            return max(bisect_left(self._text.starts, end - self._offset), at + 1), entry
        return self._words.match(text, at)

    def may_continue(self, text: str, at: int) -> bool:
        """True if an entry of the words that begins at ``at`` may continue after the text's end."""
        return self._words.may_continue(text, at)


def with_replacements(
    options: NormalizerOptions, text: CleanText, offset: int, read: Reader
) -> NormalizerOptions:
    """Return options with a lexicon that has the replacements of a text.

    read: returns the spoken form of the content of a ``<say-as>`` by the language's usual rules.
    """
    last = offset + (text.ends[-1] if text.ends else 0)
    entries = {
        at: (replacement.end, _entry(replacement, options.said_in, read))
        for at, replacement in options.replacements.items()
        if offset <= at < last
    }
    if not entries:
        return options
    return replace(options, lexicon=PlacedLexicon(options.lexicon or Lexicon(), text, offset, entries))


def _entry(replacement: Replacement, language: str, read: Reader) -> LexiconEntry:
    if replacement.say_as is None:
        return LexiconEntry(replacement.spelling, replacement.ipa)
    kind, form = replacement.say_as
    return LexiconEntry(say_as(kind, form, replacement.spelling, language, read) or replacement.spelling)
