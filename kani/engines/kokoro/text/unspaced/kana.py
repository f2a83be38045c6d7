"""Katakana to Kokoro's symbols.

Kokoro's Japanese was trained on the symbols of hexgrad's misaki 0.9.4 (Apache-2.0, ``cutlet.py``). They say
nothing about pitch accent, which the model guesses.
"""

from __future__ import annotations

import re
from itertools import accumulate


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
