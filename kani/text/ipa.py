"""The International Phonetic Alphabet in a lexicon: validated, and split into sounds.

Source: the chart of 2020 of the International Phonetic Association (CC BY-SA 3.0), and a few letters that
dictionaries use besides.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

MAX_LENGTH = 200
"""Characters of one pronunciation."""

STRESS_MARKS = frozenset("ˈˌ")
TIE = "\u0361"
NON_SYLLABIC = "\u032f"
SYLLABIC = "\u0329"
LONG = "ː"

_VOWELS = frozenset("iyɨʉɯuɪʏʊeøɘɵɤoəɛœɜɞʌɔæɐaɶɑɒɚɝᵻᵿᵊ")
_CONSONANTS = frozenset("pbtdʈɖcɟkɡqɢʔmɱnɳɲŋɴʙrʀⱱɾɽɸβfvθðszʃʒʂʐçʝxɣχʁħʕhɦɬɮʋɹɻjɰlɭʎʟʍwɥʜʢʡɕʑɺɧʘǀǃǂǁɓɗʄɠʛɫ")
_LETTERS = _VOWELS | _CONSONANTS
_DIACRITICS = frozenset(
    "\u0300\u0301\u0302\u0303\u0304\u0306\u0308\u030a\u030b\u030c\u030f\u0311\u0318\u0319\u031a\u031c"
    "\u031d\u031e\u031f\u0320\u0324\u0325\u0329\u032a\u032c\u032f\u0330\u0334\u0339\u033a\u033b\u033c\u033d"
    "ʰʷʲˠˤⁿˡʼ˞ːˑ"
)
# Between sounds: syllables, links, breaks, tones. No engine here can pronounce one by itself.
_BETWEEN = frozenset(".‿|‖˥˦˧˨˩ꜜꜛ↗↘ ")
_SYMBOLS = _LETTERS | _DIACRITICS | STRESS_MARKS | _BETWEEN | {TIE}
_VALID = re.compile(
    "(?=.*[{letters}])(?:[{between}]|[{stresses}]?[{letters}](?:[{diacritics}]|{tie}[{letters}])*)*".format(
        letters="".join(sorted(_LETTERS)),
        diacritics="".join(sorted(_DIACRITICS)),
        between=re.escape("".join(sorted(_BETWEEN))),
        stresses="".join(sorted(STRESS_MARKS)),
        tie=TIE,
    )
)
_BREAKS = str.maketrans({".": None, "‿": None, "|": " ", "‖": " ", **dict.fromkeys("˥˦˧˨˩ꜜꜛ↗↘")})
_VARIANTS = str.maketrans(
    {
        "g": "ɡ",
        ":": LONG,
        "'": "ˈ",
        "\u035c": TIE,
        "ʧ": f"t{TIE}ʃ",
        "ʤ": f"d{TIE}ʒ",
        "ʦ": f"t{TIE}s",
        "ʣ": f"d{TIE}z",
        "ʨ": f"t{TIE}ɕ",
        "ʥ": f"d{TIE}ʑ",
    }
)


def canonicalize(ipa: str) -> str:
    """Write ``ipa`` in one form: marks apart from their letters, affricates tied, white space folded.

    Raises ValueError, with a message that continues a sentence about the IPA, for text that is empty, longer
    than ``MAX_LENGTH``, has a symbol that is not in the alphabet, or a mark in a place where it marks
    nothing.
    """
    if len(ipa) > MAX_LENGTH:
        raise ValueError(f"is too long (at most {MAX_LENGTH} characters)")
    plain = unicodedata.normalize("NFD", ipa).replace("c\u0327", "ç").translate(_VARIANTS)
    plain = " ".join(plain.split())
    if not _VALID.fullmatch(plain):
        raise ValueError(_describe_error(plain))
    return plain


def _describe_error(ipa: str) -> str:
    before = " "
    for before, symbol in pairwise(f" {ipa} "):
        if symbol not in _SYMBOLS:
            return f"has {symbol!r}, which is no symbol of the IPA"
        if before in STRESS_MARKS and symbol not in _LETTERS:
            return f"has a stress mark {before!r} before no sound"
        if before == TIE and symbol not in _LETTERS:
            return "has a tie that ties nothing"
        if (symbol in _DIACRITICS or symbol == TIE) and before not in _LETTERS | _DIACRITICS:
            return f"has a mark after no sound ({unicodedata.name(symbol).lower()})"
    return "has no sound"


def split_sounds(ipa: str) -> list[str]:
    """Split ``canonicalize``'d IPA into sounds, stress marks and spaces, with each stress before its vowel.

    A sound is a letter, or several tied ones, with its diacritics and length. In the IPA a stress mark stands
    before its syllable; engines want it before the syllable's nucleus.
    """
    plain = ipa.translate(_BREAKS)
    ends = [at for at in range(1, len(plain)) if _begins_sound(plain, at)]
    pieces = [plain[start:end] for start, end in pairwise([0, *ends, len(plain)])] if plain else []
    return list(_move_stress(pieces))


def is_nucleus(sound: str) -> bool:
    """True if a sound is the nucleus of a syllable: a vowel that is no glide, or a syllabic consonant."""
    return (sound[0] in _VOWELS and NON_SYLLABIC not in sound) or SYLLABIC in sound


def _begins_sound(ipa: str, at: int) -> bool:
    return ipa[at] not in _DIACRITICS and ipa[at] != TIE and ipa[at - 1] != TIE


def _move_stress(pieces: list[str]) -> Iterator[str]:
    """Move each stress mark to the nucleus of its syllable, if that has one."""
    stress: str | None = None
    onset: list[str] = []
    for piece in pieces:
        if stress is not None and (piece in STRESS_MARKS or piece == " " or is_nucleus(piece)):
            yield from [*onset, stress] if is_nucleus(piece) else [stress, *onset]
            stress, onset = None, []
        if piece in STRESS_MARKS:
            stress = piece
        elif stress is not None:
            onset.append(piece)
        else:
            yield piece
    if stress is not None:
        yield from [stress, *onset]
