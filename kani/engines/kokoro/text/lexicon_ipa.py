"""Adapts IPA from a lexicon to the sounds that espeak-ng and Kokoro have for a language."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from kani.engines.kokoro.text.vocabulary import VOCABULARY
from kani_text.phonetics import NON_SYLLABIC, STRESS_MARKS, SYLLABIC, TIE, is_nucleus, split_sounds

NEAREST = {
    **dict(zip("ɓɗʄɠʛɢħʕɦʜʢʡɮɬɭʟɫʙʀⱱɱʍɧɺʐʑ", "bdɟɡɡɡhʔhhʔʔlllllbʁvmwʃɾʒʒ", strict=True)),
    **dict(zip("ɵɘʉɞɶʏᵿʘǀǃǂǁ", "øəuɜœyʊptttt", strict=True)),
    "ɝ": "ɜɹ",
    "ə˞": "ɚ",
    "ɜ˞": "ɜɹ",
    f"t{TIE}ɕ": "ʨ",
    f"d{TIE}ʑ": "ʥ",
}
"""Letters outside Kokoro's vocabulary, and the nearest ones inside."""
# English approximations of foreign sounds; its "e" and "a" occur only in diphthongs.
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

# Pairs that are one sound in a language even without a tie. ("ts" is two sounds unless tied.)
_AFFRICATES = ("tʃ", "dʒ")
_ENGLISH_PAIRS = (*_AFFRICATES, "aɪ", "aʊ", "eɪ", "oʊ", "ɔɪ", "əʊ", "eə", "ɛə")
_PAIRS = {
    "en": _ENGLISH_PAIRS,
    "es": (*_AFFRICATES, "aɪ", "aʊ", "eɪ", "eʊ", "oɪ"),
    "fr": _AFFRICATES,
    "it": (*_AFFRICATES, "aʊ"),
    "pt": (*_AFFRICATES, "aɪ", "aʊ", "eɪ", "eʊ", "oɪ"),
    "hi": _AFFRICATES,
    "de": ("tʃ", "aɪ", "aʊ", "ɔɪ"),
    "nl": (),
    "pl": _AFFRICATES,
    "ru": _AFFRICATES,
    "tr": _AFFRICATES,
}
# Spellings of a diphthong's second half.
_FALLING = {"i": "ɪ", "ɪ": "ɪ", "j": "ɪ", "u": "ʊ", "ʊ": "ʊ", "w": "ʊ", "ə": "ə"}

# Placeholder words by first and last sound, vowel or consonant: they make espeak-ng pronounce the neighbours
# as it would around the IPA ("the" and "les" before a vowel).
_STAND_INS = {
    "en": {"VV": "Eddie", "VC": "Adam", "CV": "Becky", "CC": "Nelson"},
    "es": {"VV": "Ana", "VC": "azul", "CV": "taza", "CC": "tonel"},
    "fr": {"VV": "ami", "VC": "actif", "CV": "tata", "CC": "tasse"},
    "it": {"VV": "alba", "VC": "autobus", "CV": "tana", "CC": "tennis"},
    "pt": {"VV": "ave", "VC": "atlas", "CV": "tua", "CC": "tênis"},
    "hi": {"VV": "आओ", "VC": "आज", "CV": "गए", "CC": "कल"},
    "de": {"VV": "Oma", "VC": "Atem", "CV": "Dame", "CC": "Tag"},
    "nl": {"VV": "auto", "VC": "appel", "CV": "tante", "CC": "dag"},
    "pl": {"VV": "osa", "VC": "ocet", "CV": "mama", "CC": "kot"},
    "ru": {"VV": "она", "VC": "он", "CV": "нога", "CC": "дом"},
    "tr": {"VV": "ana", "VC": "at", "CV": "baba", "CC": "top"},
}
_ANY_STAND_INS = {"VV": "ana", "VC": "anan", "CV": "mama", "CC": "nan"}
"""Placeholders of other languages, which are read alike wherever Latin letters are."""


def placeholder_word(ipa: str, voice: str) -> str:
    """A word of an espeak-ng voice's language that begins and ends like ``ipa`` (checked)."""
    said = [sound for sound in split_sounds(ipa) if sound != " " and sound not in STRESS_MARKS]
    kind = "".join("V" if is_nucleus(sound) else "C" for sound in (said[0], said[-1]))
    return _STAND_INS.get(voice[:2], _ANY_STAND_INS)[kind]


def adapt_to_language(ipa: str, voice: str) -> str:
    """Convert checked IPA (``kani_text.phonetics``) to the sounds of an espeak-ng voice's language.

    The result uses Kokoro's letters, with each stress before its vowel and the letters of one sound tied
    (``kani_text.phonetics.TIE``). Empty if the language has no similar sounds.
    """
    own = _OWN.get(voice, {})
    said = _joined(split_sounds(ipa), _PAIRS.get(voice[:2], _AFFRICATES))
    vowels = [at for at, sound in enumerate(said) if is_nucleus(sound)]
    if len(vowels) == 1 and STRESS_MARKS.isdisjoint(said):
        # Dictionaries leave the mark of such a word out, and Kokoro swallows words without stress.
        said.insert(vowels[0], "ˈ")
    return "".join(_known(sound, own) for sound in said)


# Affricates that are one symbol, tied or not.
_ONE_SYMBOL = {"tɕ": "ʨ", "dʑ": "ʥ", "dʒ": "ʤ", "ts": "ʦ", "dz": "ʣ", "tʃ": "ʧ", "ʈʂ": "\uab67"}


def symbols_in_vocabulary(ipa: str) -> str:
    """Kokoro's symbols for checked IPA, in a language that uses IPA without a table of its own."""
    plain = ipa.replace(TIE, "")
    for pair, symbol in _ONE_SYMBOL.items():
        plain = plain.replace(pair, symbol)
    letters = "".join(letter if letter in VOCABULARY else NEAREST.get(letter, "") for letter in plain)
    return " ".join(letters.split())


def _joined(said: Sequence[str], pairs: Sequence[str]) -> list[str]:
    """Tie the neighbouring sounds that are one sound in the language."""
    joined: list[str] = []
    for sound, following in pairwise([*said, " "]):
        before = joined[-1] if joined else " "
        second = sound.replace(NON_SYLLABIC, "")
        if is_nucleus(before):
            # Before a vowel, or its stress, "j" and "w" begin that vowel's syllable.
            onset = second in ("j", "w") and (following in STRESS_MARKS or is_nucleus(following))
            second = "" if onset else _FALLING.get(second, "")
        if second and before + second in pairs:
            joined[-1] = f"{before}{TIE}{second}"
        else:
            joined.append(sound)
    return joined


def _known(sound: str, own: Mapping[str, str]) -> str:
    """Convert a sound to Kokoro's letters: by the language's own table, else letter by letter."""
    for table in (own, NEAREST):
        if sound in table:
            return table[sound]
    # Inside a tie, "e" and "a" are sounds of the language and stay.
    letters = NEAREST if TIE in sound else {**NEAREST, **own}
    known = (letters.get(letter, letter) for letter in sound)
    return "".join(letter for letter in "".join(known) if letter in VOCABULARY or letter in (TIE, SYLLABIC))
