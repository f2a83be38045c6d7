"""Readings of Japanese by haqumei (Open JTalk's dictionary).

Imports haqumei (112 MB, most of it a mapped file): import this module only where Japanese is spoken.
"""

from __future__ import annotations

from haqumei import Haqumei

from kani.engines.kokoro.text.unspaced.japanese_corrections import corrected_reading, corrected_text

Reading = tuple[int, int, str, str, str]
"""Start and end of a word, as it is written, its kana, and its kind."""

NUMBER, COUNTER = "数", "助数詞"

_DEVOICED = "’"
_SYMBOL, _LETTER = "記号", "アルファベット"


class JapaneseReadings:
    """haqumei's dictionary, which it unpacks into ``$XDG_CACHE_HOME/haqumei`` if it is not there (103 MB)."""

    def __init__(self) -> None:
        self._haqumei = Haqumei()

    def read(self, text: str) -> list[Reading]:
        """The words that are pronounced; one without characters (24 is 二・十・四) goes to the one before."""
        text = corrected_text(text)
        found: list[Reading] = []
        for word in self._haqumei.g2p_mapping_detailed(text):
            (start, end), kana = word.char_span, word.pron.replace(_DEVOICED, "")
            if start == end and found:
                found[-1] = (*found[-1][:3], found[-1][3] + kana, found[-1][4])
            elif start < end and (word.pos != _SYMBOL or word.pos_group1 == _LETTER):
                groups = (word.pos_group1, word.pos_group2)
                kind = next((group for group in groups if group in (NUMBER, COUNTER)), word.pos)
                found.append((start, end, word.word, corrected_reading(text, start, kana), kind))
        return found
