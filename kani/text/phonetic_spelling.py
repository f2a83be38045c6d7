"""Pinyin and kana, which a lexicon's entries may be written in beside IPA."""

from __future__ import annotations

import re

_FINALS = {
    "": "a ai an ang ao e ei en eng er o ou yi ya yan yang yao ye yin ying yo yong you yu yuan yue yun "
    "wu wa wai wan wang wei wen weng wo",
    "b": "a ai an ang ao ei en eng i ian iao ie in ing o u",
    "p": "a ai an ang ao ei en eng i ian iao ie in ing o ou u",
    "m": "a ai an ang ao e ei en eng i ian iao ie in ing iu o ou u",
    "f": "a an ang ei en eng o ou u",
    "d": "a ai an ang ao e ei en eng i ia ian iao ie ing iu ong ou u uan ui un uo",
    "t": "a ai an ang ao e ei eng i ian iao ie ing ong ou u uan ui un uo",
    "n": "a ai an ang ao e ei en eng i ian iang iao ie in ing iu ong ou u uan uo ü üe",
    "l": "a ai an ang ao e ei eng i ia ian iang iao ie in ing iu o ong ou u uan un uo ü üe",
    "g": "a ai an ang ao e ei en eng ong ou u ua uai uan uang ui un uo",
    "k": "a ai an ang ao e ei en eng ong ou u ua uai uan uang ui un uo",
    "h": "a ai an ang ao e ei en eng ong ou u ua uai uan uang ui un uo",
    "j": "i ia ian iang iao ie in ing iong iu u uan ue un",
    "q": "i ia ian iang iao ie in ing iong iu u uan ue un",
    "x": "i ia ian iang iao ie in ing iong iu u uan ue un",
    "zh": "a ai an ang ao e ei en eng i ong ou u ua uai uan uang ui un uo",
    "ch": "a ai an ang ao e en eng i ong ou u ua uai uan uang ui un uo",
    "sh": "a ai an ang ao e ei en eng i ou u ua uai uan uang ui un uo",
    "r": "an ang ao e en eng i ong ou u ua uan ui un uo",
    "z": "a ai an ang ao e ei en eng i ong ou u uan ui un uo",
    "c": "a ai an ang ao e en eng i ong ou u uan ui un uo",
    "s": "a ai an ang ao e en eng i ong ou u uan ui un uo",
}
SYLLABLES = frozenset(initial + final for initial, finals in _FINALS.items() for final in finals.split())
"""The syllables of Standard Chinese, without tones."""

_HIRAGANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}
_O_ROW = "オコゴソゾトドノホボポモヨロョォ"
_U_ROW = "ウクグスズツヅヌフブプムユルュゥ"
_E_ROW = "エケゲセゼテデネヘベペメレェ"
_LONG = re.compile(rf"(?<=[{_O_ROW}{_U_ROW}])ウ|(?<=[{_E_ROW}])イ")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30faー]+(?:[ ・][\u3041-\u3096\u30a1-\u30faー]+)*")
_LIKELY = re.compile(r"(?=.*[aeiouvü])[a-zü:' -]*[0-9][a-zü:'0-9 -]*", re.IGNORECASE)
_SYLLABLE = re.compile(r"([a-zü:]+)([0-9]?)|[ '-]+|(.)")


def looks_like_pinyin(text: str) -> bool:
    """True for plain letters with figures, which IPA never has."""
    return _LIKELY.fullmatch(text) is not None


def canonicalize_pinyin(text: str) -> str:
    """Pinyin in small letters, "ü" for "v" and "u:", one space between syllables.

    Raises ValueError, with a message that continues a sentence about the pinyin.
    """
    found = []
    for match in _SYLLABLE.finditer(text.lower()):
        if match[3]:
            raise ValueError(f"has {match[3]!r}, which is no part of a syllable")
        if match[1] is None:
            continue
        syllable = match[1].replace("u:", "ü").replace("v", "ü")
        if syllable not in SYLLABLES:
            raise ValueError(f'has {match[1]!r}, which is no syllable (as in "zhong4 guo2")')
        if match[2] not in tuple("12345"):
            raise ValueError(f"has {match[0]!r} without a tone from 1 to 5 (5 is the neutral tone)")
        found.append(syllable + match[2])
    if not found:
        raise ValueError("has no syllable")
    return " ".join(found)


def is_kana(text: str) -> bool:
    """True for words in hiragana or katakana, with spaces or middle dots between them."""
    return _KANA.fullmatch(text) is not None


def to_katakana(kana: str) -> str:
    """ "トーキョー" of "とうきょう": katakana are said as they are written, hiragana may be taken apart."""
    return _LONG.sub("ー", kana.translate(_HIRAGANA).replace("・", " "))
