"""Pronunciations as texts and lexicons write them: in the IPA, in ARPAbet, in pinyin and in kana.

Source: the chart of 2020 of the International Phonetic Association (CC BY-SA 3.0), and a few
letters that dictionaries use besides. Misaki's letters, which Kokoro was trained on, are of misaki 0.9.4
(Apache-2.0): capitals, which the IPA has not, for diphthongs and a tapped t.
"""

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
        **dict(zip("AIOQWYT", ("eɪ", "aɪ", "oʊ", "əʊ", "aʊ", "ɔɪ", "ɾ"), strict=True)),
    }
)
_ARPABET = dict(
    pair.split(":")
    for pair in "AA:ɑ AE:æ AH:ʌ AO:ɔ AW:aʊ AX:ə AY:aɪ EH:ɛ ER:ɝ EY:eɪ IH:ɪ IX:ɨ IY:i OW:oʊ OY:ɔɪ UH:ʊ UW:u "
    "B:b CH:ʧ D:d DH:ð DX:ɾ F:f G:ɡ HH:h JH:ʤ K:k L:l M:m N:n NG:ŋ P:p R:ɹ S:s SH:ʃ T:t TH:θ V:v W:w Y:j Z:z "
    "ZH:ʒ AH0:ə ER0:ɚ".split()
)
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


def from_arpabet(written: str) -> str:
    """IPA of CMU's ARPAbet ("T AH0 M EY1 T OW0"). Raises ValueError as ``canonicalize`` does."""
    sounds = []
    for sound in written.upper().split():
        letters = sound.rstrip("012")
        if letters not in _ARPABET or len(sound) > len(letters) + 1:
            raise ValueError(f"has {sound[:10]!r}, which is no sound of ARPAbet")
        stress = {"1": "ˈ", "2": "ˌ"}.get(sound[-1], "")
        sounds.append(stress + _ARPABET.get(sound, _ARPABET[letters]))
    return canonicalize("".join(sounds))


ALPHABETS = {"ipa": canonicalize, "cmu-arpabet": from_arpabet}
"""Alphabets of ``<phoneme>``, and how each becomes IPA; all raise ValueError."""


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
    ends = [
        at
        for at in range(1, len(plain))
        if plain[at] not in _DIACRITICS and TIE not in plain[at - 1 : at + 1]
    ]
    pieces = [plain[start:end] for start, end in pairwise([0, *ends, len(plain)])] if plain else []
    return list(_move_stress(pieces))


def is_nucleus(sound: str) -> bool:
    """True if a sound is the nucleus of a syllable: a vowel that is no glide, or a syllabic consonant."""
    return (sound[0] in _VOWELS and NON_SYLLABIC not in sound) or SYLLABIC in sound


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
