"""IPA that a lexicon gives, in the sounds that espeak-ng and Kokoro have for a language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from engines.kokoro.text.vocabulary import VOCABULARY
from speech.text.ipa import NON_SYLLABIC, STRESS_MARKS, SYLLABIC, TIE, is_nucleus, split_sounds

# Letters that Kokoro does not know, and those nearest to them that it knows.
_NEAREST = {
    **dict(zip("ɓɗʄɠʛɢħʕɦʜʢʡɮɬɭʟɫʙʀⱱɱʍɧɺʐʑ", "bdɟɡɡɡhʔhhʔʔlllllbʁvmwʃɾʒʒ", strict=True)),
    **dict(zip("ɵɘʉɞɶʏᵿʘǀǃǂǁ", "øəuɜœyʊptttt", strict=True)),
    "ɝ": "ɜɹ",
    "ə˞": "ɚ",
    "ɜ˞": "ɜɹ",
    f"t{TIE}ɕ": "ʨ",
    f"d{TIE}ʑ": "ʥ",
}
# How English says what is not its own; its "e" and "a" are no sounds by themselves.
_ENGLISH = {
    **dict(zip("ʁʀɻɣβɸχqcɟyɯɨøœɤʝɕʂʈɖɳɽʋɰ", "ɹɹɹɡvfkkkɡuuɪɜɜʌjʃʃtdnɹvɡ", strict=True)),
    "ɲ": "nj",
    "ʎ": "lj",
    "e": "ɛ",
    "a": "æ",
    "ʔ": "",
}
_AMERICAN = {**_ENGLISH, "ɒ": "ɑ", "eː": "A", "o": "O", "oː": "O", f"ə{TIE}ʊ": "O", f"e{TIE}ə": "ɛɹ"}
_BRITISH = {**_ENGLISH, "ɝ": "ɜː", "oː": "ɔː", f"o{TIE}ʊ": "Q", f"ɛ{TIE}ə": "ɛː"}
_OWN: dict[str, dict[str, str]] = {"en-us": _AMERICAN, "en-gb-x-rp": _BRITISH}

# Pairs that a language has as one sound, so also where nobody ties them. ("ts" is two unless it is tied.)
_AFFRICATES = ("tʃ", "dʒ")
_ENGLISH_PAIRS = (*_AFFRICATES, "aɪ", "aʊ", "eɪ", "oʊ", "ɔɪ", "əʊ", "eə", "ɛə")
_PAIRS = {
    "en": _ENGLISH_PAIRS,
    "es": (*_AFFRICATES, "aɪ", "aʊ", "eɪ", "eʊ", "oɪ"),
    "fr": _AFFRICATES,
    "it": (*_AFFRICATES, "aʊ"),
    "pt": (*_AFFRICATES, "aɪ", "aʊ", "eɪ", "eʊ", "oɪ"),
}
# What the second half of a diphthong may be written as.
_FALLING = {"i": "ɪ", "ɪ": "ɪ", "j": "ɪ", "u": "ʊ", "ʊ": "ʊ", "w": "ʊ", "ə": "ə"}

# Words that begin and end with a vowel or a consonant: between its neighbours such a one makes espeak-ng
# say them as they are said around the IPA ("the" and "les" before a vowel).
_STAND_INS = {
    "en": {"VV": "Eddie", "VC": "Adam", "CV": "Becky", "CC": "Nelson"},
    "es": {"VV": "Ana", "VC": "azul", "CV": "taza", "CC": "tonel"},
    "fr": {"VV": "ami", "VC": "actif", "CV": "tata", "CC": "tasse"},
    "it": {"VV": "alba", "VC": "autobus", "CV": "tana", "CC": "tennis"},
    "pt": {"VV": "ave", "VC": "atlas", "CV": "tua", "CC": "tênis"},
}


def placeholder_word(ipa: str, voice: str) -> str:
    """A word of an espeak-ng voice's language that begins and ends as ``ipa`` (checked) does."""
    said = [sound for sound in split_sounds(ipa) if sound != " " and sound not in STRESS_MARKS]
    kind = "".join("V" if is_nucleus(sound) else "C" for sound in (said[0], said[-1]))
    return _STAND_INS[voice[:2]][kind]


def adapt_to_language(ipa: str, voice: str) -> str:
    """IPA (``speech.text.ipa.checked``) in the sounds of an espeak-ng voice's language, in Kokoro's letters.

    Each stress is before its vowel, and what is one sound is tied (``speech.text.ipa.TIE``). Empty where
    the language has nothing like it.
    """
    own = _OWN.get(voice, {})
    return "".join(_known(sound, own) for sound in _joined(split_sounds(ipa), _PAIRS[voice[:2]]))


def _joined(said: Sequence[str], pairs: Sequence[str]) -> list[str]:
    """The sounds, those tied that are one sound to the language."""
    joined: list[str] = []
    for sound, following in pairwise([*said, " "]):
        before = joined[-1] if joined else " "
        second = sound.replace(NON_SYLLABIC, "")
        if is_nucleus(before):
            # Before a vowel, or its stress, "j" and "w" are of that one's syllable.
            onset = second in ("j", "w") and (following in STRESS_MARKS or is_nucleus(following))
            second = "" if onset else _FALLING.get(second, "")
        if second and before + second in pairs:
            joined[-1] = f"{before}{TIE}{second}"
        else:
            joined.append(sound)
    return joined


def _known(sound: str, own: Mapping[str, str]) -> str:
    """A sound in letters that Kokoro knows: as the language has it, or letter by letter."""
    for table in (own, _NEAREST):
        if sound in table:
            return table[sound]
    # In a tie, "e" and "a" are the language's own.
    letters = _NEAREST if TIE in sound else {**_NEAREST, **own}
    known = (letters.get(letter, letter) for letter in sound)
    return "".join(letter for letter in "".join(known) if letter in VOCABULARY or letter in (TIE, SYLLABIC))
