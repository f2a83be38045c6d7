"""Pinyin to Kokoro's symbols.

Kokoro's Chinese was trained on the symbols of hexgrad's misaki 0.9.4 (Apache-2.0, ``transcription.py``): IPA
with an arrow for the tone after a syllable's vowel.
"""

from __future__ import annotations

import re
from functools import lru_cache

TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}
"""Symbols of the tones; the neutral tone has none."""

# fmt: off
_INITIALS = {
    "zh": "ꭧ", "ch": "ꭧʰ", "sh": "ʂ", "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ", "n": "n",
    "l": "l", "g": "k", "k": "kʰ", "h": "x", "j": "ʨ", "q": "ʨʰ", "x": "ɕ", "r": "ɻ", "z": "ʦ", "c": "ʦʰ",
    "s": "s", "": "",
}
# 0 stands for the tone.
_FINALS = {
    "a": "a0", "ai": "ai0", "an": "a0n", "ang": "a0ŋ", "ao": "au0", "e": "ɤ0", "ei": "ei0", "en": "ə0n",
    "eng": "ə0ŋ", "i": "i0", "ia": "ja0", "ian": "jɛ0n", "iang": "ja0ŋ", "iao": "jau0", "ie": "je0",
    "in": "i0n", "iou": "jou0", "ing": "i0ŋ", "iong": "jʊ0ŋ", "ong": "ʊ0ŋ", "ou": "ou0", "u": "u0",
    "uei": "wei0", "ua": "wa0", "uai": "wai0", "uan": "wa0n", "uen": "wə0n", "uang": "wa0ŋ", "ueng": "wə0ŋ",
    "uo": "wo0", "o": "wo0", "ü": "y0", "üe": "ɥe0", "üan": "ɥɛ0n", "ün": "y0n",
}
_SYLLABLES = {
    "er": "ɚ0", "r": "ɚ0", "o": "ɔ0", "io": "jɔ0", "yo": "jɔ0", "ê": "ɛ0", "m": "m0", "n": "n0", "ng": "ŋ0",
    "hm": "hm0", "hng": "hŋ0",
}
# fmt: on
_APICAL = frozenset(("zh", "ch", "sh", "r", "z", "c", "s"))
# Spellings of finals after an initial, and of those without one.
_ABBREVIATED = {"iu": "iou", "ui": "uei", "un": "uen", "ue": "üe"}
_ZERO_INITIAL = (("yu", "ü"), ("yi", "i"), ("y", "i"), ("wu", "u"), ("w", "u"))
_SYLLABLE = re.compile("(zh|ch|sh|[bpmfdtnlgkhjqxrzcs]|)([a-züê]+)([1-5])")


@lru_cache(4096)
def symbols_of_syllable(pinyin: str) -> str:
    """Symbols of one syllable, its tone a digit after it (``zhong1``; 5 is the neutral tone, ``v`` is ü).

    Empty for anything else.
    """
    pinyin = pinyin.replace("v", "ü").replace("u:", "ü")
    if pinyin[:-1] in _SYLLABLES and pinyin[-1] in TONES:
        return _SYLLABLES[pinyin[:-1]].replace("0", TONES[pinyin[-1]])
    match = _SYLLABLE.fullmatch(pinyin)
    if match is None:
        return ""
    initial, rest, tone = match.groups()
    final = "ɨ0" if initial in _APICAL and rest == "i" else _FINALS.get(_final(initial, rest), "")
    return (_INITIALS[initial] + final).replace("0", TONES[tone]) if final else ""


def _final(initial: str, rest: str) -> str:
    if not initial:
        for spelt, final in _ZERO_INITIAL:
            if rest.startswith(spelt):
                rest = final + rest[len(spelt) :]
                break
    elif initial in ("j", "q", "x") and rest.startswith("u"):
        rest = "ü" + rest[1:]
    return _ABBREVIATED.get(rest, rest)
