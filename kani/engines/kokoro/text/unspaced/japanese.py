"""Japanese text to Kokoro's symbols, by the readings of haqumei (Open JTalk's dictionary).

A process of its own loads haqumei at the first text. It unpacks its dictionary (103 MB) once into the cache
folder, and maps the file from then on. Kokoro's Japanese was trained on the symbols of hexgrad's misaki 0.9.4
(Apache-2.0, ``cutlet.py``). They say nothing about pitch accent, which the model guesses.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from kani.core.types import Pronunciation
from kani.engines.kokoro.text.lexicon_ipa import symbols_in_vocabulary
from kani.engines.kokoro.text.reader import ReadWord
from kani.engines.kokoro.text.unspaced.dictionary import Dictionary

PACKAGES = ("haqumei",)

_VOICED_MARKS = {"ﾞ": "\u3099", "ﾟ": "\u309a", "\u3099": "\u3099", "\u309a": "\u309a"}
_AUXILIARY, _NUMBER, _COUNTER = "助動詞", "数", "助数詞"
_COPULA = frozenset(("です", "でし"))


def _row(kana: str, symbols: str) -> dict[str, str]:
    return dict(zip(kana.split(), symbols.split(), strict=True))


# fmt: off
_KANA = {
    **_row("ア イ ウ エ オ ァ ィ ゥ ェ ォ", "a i ɯ e o a i ɯ e o"),
    **_row("カ キ ク ケ コ ガ ギ グ ゲ ゴ", "ka kʲi kɯ ke ko ɡa ɡʲi ɡɯ ɡe ɡo"),
    **_row("キャ キュ キェ キョ ギャ ギュ ギェ ギョ", "kʲa kʲɨ kʲe kʲo ɡʲa ɡʲɨ ɡʲe ɡʲo"),
    **_row("クァ クィ クェ クォ グァ グィ グェ グォ クヮ グヮ", "kᵝa kᵝi kᵝe kᵝo ɡᵝa ɡᵝi ɡᵝe ɡᵝo kᵝa ɡᵝa"),
    **_row("サ シ ス セ ソ ザ ジ ズ ゼ ゾ", "sa ɕi sɨ se so ʣa ʥi zɨ ʣe ʣo"),
    **_row("シャ シュ シェ ショ ジャ ジュ ジェ ジョ", "ɕa ɕɨ ɕe ɕo ʥa ʥɨ ʥe ʥo"),
    **_row("スィ ズィ", "si zi"),
    **_row("タ チ ツ テ ト ダ ヂ ヅ デ ド", "ta ʨi ʦɨ te to da ʥi zɨ de do"),
    **_row("チャ チュ チェ チョ ヂャ ヂュ ヂェ ヂョ", "ʨa ʨɨ ʨe ʨo ʥa ʥɨ ʥe ʥo"),
    **_row("ツァ ツィ ツェ ツォ", "ʦa ʦʲi ʦe ʦo"),
    **_row("ティ テュ トゥ ディ デュ ドゥ", "tʲi tʲɨ tɯ dʲi dʲɨ dɯ"),
    **_row("ナ ニ ヌ ネ ノ ニャ ニュ ニェ ニョ", "na ɲi nɯ ne no ɲa ɲɨ ɲe ɲo"),
    **_row("ハ ヒ フ ヘ ホ バ ビ ブ ベ ボ パ ピ プ ペ ポ", "ha çi ɸɯ he ho ba bʲi bɯ be bo pa pʲi pɯ pe po"),
    **_row("ヒャ ヒュ ヒェ ヒョ ビャ ビュ ビェ ビョ ピャ ピュ ピェ ピョ",
           "ça çɨ çe ço bʲa bʲɨ bʲe bʲo pʲa pʲɨ pʲe pʲo"),
    **_row("ファ フィ フェ フォ フュ フョ", "ɸa ɸʲi ɸe ɸo ɸʲɨ ɸʲo"),
    **_row("マ ミ ム メ モ ミャ ミュ ミェ ミョ", "ma mʲi mɯ me mo mʲa mʲɨ mʲe mʲo"),
    **_row("ヤ ユ ヨ イェ ャ ュ ョ", "ja jɯ jo je ja jɯ jo"),
    **_row("ラ リ ル レ ロ リャ リュ リェ リョ", "ɾa ɾʲi ɾɯ ɾe ɾo ɾʲa ɾʲɨ ɾʲe ɾʲo"),
    **_row("ワ ヰ ヱ ヲ ヮ ウィ ウェ ウォ", "βa i e o βa βi βe βo"),
    **_row("ヴ ヴァ ヴィ ヴェ ヴォ ヴュ ヵ ヶ", "vɯ va vʲi ve vo bʲɨ ka ke"),
    "ー": "ː", "ッ": "ʔ",
}
# fmt: on
_MORA = re.compile("|".join(sorted(_KANA, key=len, reverse=True)) + "|ン")
# Sounds before which ン is another one; elsewhere, and at a word's end, it is ɴ.
_NASALS = {**dict.fromkeys("mpb", "m"), **dict.fromkeys("kɡ", "ŋ"), **dict.fromkeys("ɲʨʥ", "ɲ")}
_NASALS |= dict.fromkeys("ntdɾz", "n")

HIRAGANA_TO_KATAKANA = {code: code + 0x60 for code in (*range(0x3041, 0x3097), 0x309D, 0x309E)}


def symbols_of_kana(katakana: str) -> tuple[str, tuple[int, ...]]:
    """Symbols of one word, and the index of the first one of each kana; other characters have none.

    The second kana of a pair (キャ) begins at the pair's last symbol.
    """
    own = [""] * len(katakana)
    following = ""
    for match in reversed(list(_MORA.finditer(katakana))):
        symbols = _KANA.get(match[0]) or _NASALS.get(following, "ɴ")
        if len(match[0]) == 2:
            own[match.start()], own[match.start() + 1] = symbols[:-1], symbols[-1]
        else:
            own[match.start()] = symbols
        following = symbols[0]
    starts = (0, *accumulate(len(symbols) for symbols in own))[:-1]
    return "".join(own), starts


@dataclass(frozen=True, slots=True)
class _Morpheme:
    """Characters ``[start, end)`` that the dictionary reads as one word."""

    start: int
    end: int
    written: str
    kana: str
    kind: str  # part of speech, or of number

    def joins(self, before: _Morpheme) -> bool:
        """True if no space precedes it: the parts of one ending (ませ・ん, まし・た), but not です.

        A number is one word with its counter: their sounds change each other (三・本).
        """
        if self.start != before.end:
            return False
        if before.kind == _NUMBER:
            return self.kind in (_NUMBER, _COUNTER)
        both = self.kind == before.kind == _AUXILIARY
        return both and before.written not in _COPULA and self.written not in _COPULA


@dataclass(frozen=True, slots=True)
class JapaneseReader:
    """Reads Japanese, and the foreign words that its dictionary has. See ``ScriptReader``."""

    dictionary: Dictionary

    def read(self, text: str) -> Sequence[ReadWord]:
        plain, origins = _plain(text)
        if not plain.strip():
            return []
        (found,) = self.dictionary.look_up([plain])
        return _placed(
            [_word(group) for group in _endings_joined([_Morpheme(*reading) for reading in found])],
            origins,
            len(text),
        )

    def pronounced(self, given: Pronunciation) -> Sequence[ReadWord]:
        symbols = symbols_in_vocabulary(given.ipa)
        return [ReadWord(given.start, given.end, symbols)] if symbols else []


def _placed(words: Sequence[ReadWord], origins: Sequence[int], length: int) -> list[ReadWord]:
    """The pronounced words at their places in the text of ``length`` characters; see ``_plain``."""
    edges = [*origins, length]
    placed: list[ReadWord] = []
    for word in words:
        start, end = edges[word.start], edges[word.end]
        characters = word.characters if end - start == word.end - word.start else ()
        if not word.symbols:
            continue
        if placed and start < placed[-1].end:
            # Both are parts of one character (㍻).
            last = placed.pop()
            placed.append(ReadWord(last.start, max(end, last.end), last.symbols + word.symbols))
        else:
            placed.append(ReadWord(start, max(end, start + 1), word.symbols, characters))
    return placed


def _plain(text: str) -> tuple[str, list[int]]:
    """The text as the dictionary writes it, and the position in ``text`` of each character.

    Half-width kana become full-width ones, with their marks; what is not printed becomes a space.
    """
    characters: list[str] = []
    origins: list[int] = []
    for at, character in enumerate(text):
        if character in _VOICED_MARKS and characters:
            composed = unicodedata.normalize("NFC", characters[-1] + _VOICED_MARKS[character])
            if len(composed) == 1:
                characters[-1] = composed
                continue
        folded = unicodedata.normalize("NFKC", character) if character.isprintable() else " "
        characters += folded
        origins += [at] * len(folded)
    return "".join(characters), origins


def _endings_joined(morphemes: Sequence[_Morpheme]) -> list[list[_Morpheme]]:
    groups: list[list[_Morpheme]] = []
    for one in morphemes:
        if groups and one.joins(groups[-1][-1]):
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def _word(group: Sequence[_Morpheme]) -> ReadWord:
    """One word of morphemes that follow each other."""
    characters: list[int] = []
    # ん belongs to the sound after it, also across the border of two morphemes.
    whole, starts = symbols_of_kana("".join(one.kana for one in group))
    at = 0
    for one in group:
        own = starts[at : at + len(one.kana)] or (len(whole),)
        at += len(one.kana)
        count = one.end - one.start
        end = starts[at] if at < len(starts) else len(whole)
        katakana = one.written.translate(HIRAGANA_TO_KATAKANA)
        if len(one.kana) == count and all("ァ" <= character <= "ー" for character in katakana):
            characters += own
        else:
            # Kanji share the word's symbols evenly.
            characters += [own[0] + (end - own[0]) * part // count for part in range(count)]
    return ReadWord(group[0].start, group[-1].end, whole, tuple(characters))
