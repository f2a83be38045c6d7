"""espeak-ng's IPA to the symbols that Kokoro was trained on, and which voice of espeak-ng to ask.

Kokoro's English was trained on misaki's symbols, the other languages on espeak-ng's IPA with its
diphthongs and affricates as one symbol each (source: hexgrad's misaki 0.9.4, Apache-2.0).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import speech.text.ipa
from engines.espeak.client import EspeakClient
from engines.kokoro.text.lexicon_ipa import adapt_to_language, placeholder_word
from engines.kokoro.text.vocabulary import VOCABULARY

TIE = "^"
"""What espeak-ng is asked to put between the letters of one phoneme."""

# By language tag; "es-*" is Spanish of any region that has no line of its own.
_ESPEAK_VOICES = {
    "es": "es",
    "es-es": "es",
    "es-*": "es-419",
    "en": "en-us",
    "en-gb": "en-gb-x-rp",
    "en-ie": "en-gb-x-rp",
    "en-au": "en-gb-x-rp",
    "en-nz": "en-gb-x-rp",
    "en-za": "en-gb-x-rp",
    "fr": "fr",
    "fr-be": "fr-be",
    "fr-ch": "fr-ch",
    "it": "it",
    "pt": "pt-br",
    "pt-pt": "pt",
}

_TIED = {
    "a^ɪ": "I",
    "a^ʊ": "W",
    "e^ɪ": "A",
    "o^ʊ": "O",
    "ɔ^ɪ": "Y",
    "ə^ʊ": "Q",
    "d^ʒ": "ʤ",
    "t^ʃ": "ʧ",
    "d^z": "ʣ",
    "t^s": "ʦ",
}
_ENGLISH = {
    **_TIED,
    "ə^l": "ᵊl",
    "ɚɹ": "əɹ",
    "ɚ": "əɹ",
    "r": "ɹ",
    "x": "k",
    "ç": "k",
    "ɐ": "ə",
    "ɬ": "l",
    "ʲ": "",
    "ʔ": "t",
    "ɾ": "T",
    "\u0303": "",
}
_AMERICAN = {**_ENGLISH, "ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "ː": "", "o": "ɔ"}
_BRITISH = {**_ENGLISH, "e^ə": "ɛː", "i^ə": "ɪə", "iə": "ɪə", "o": "ɔ"}


def _compiled(table: dict[str, str]) -> tuple[dict[str, str], re.Pattern[str]]:
    longest_first = sorted(table, key=len, reverse=True)
    return table, re.compile("|".join(map(re.escape, longest_first)))


_TABLES = {"en-us": _compiled(_AMERICAN), "en-gb-x-rp": _compiled(_BRITISH)}
_OTHER = _compiled(_TIED)
_SYLLABIC = re.compile("(.)\u0329")
_FLAG = re.compile(r"\([^)]*\)")


def espeak_voice(language: str) -> str | None:
    """The espeak-ng voice for a BCP 47 tag (``es-MX``), or None if Kokoro does not speak it."""
    tag = language.lower()
    primary, _, region = tag.partition("-")
    for name in (tag, f"{primary}-*" if region else primary, primary):
        if name in _ESPEAK_VOICES:
            return _ESPEAK_VOICES[name]
    return None


@dataclass(frozen=True, slots=True)
class Phonemizer:
    """Tells the symbols of what is said in one language."""

    espeak: EspeakClient
    voice: str

    def __call__(self, clause: str) -> str:
        """The symbols of a clause without marks, its words apart by one space. Raises EngineFailed."""
        return to_symbols(self.espeak.phonemize(clause, self.voice, TIE), self.voice)

    def symbols_of_ipa(self, ipa: str) -> str:
        """The symbols of IPA (``speech.text.ipa.checked``); empty where the language has nothing like it."""
        return to_symbols(adapt_to_language(ipa, self.voice).replace(speech.text.ipa.TIE, TIE), self.voice)

    def placeholder(self, ipa: str) -> str:
        """A word whose neighbours in a clause are said as those of the IPA are."""
        return placeholder_word(ipa, self.voice)


def phonemizer_for(espeak: EspeakClient, language: str) -> Phonemizer | None:
    """What tells the symbols of a BCP 47 tag's language, or None if Kokoro does not speak it."""
    voice = espeak_voice(language)
    return None if voice is None else Phonemizer(espeak, voice)


def to_symbols(ipa: str, voice: str) -> str:
    """espeak-ng's IPA, with ``TIE``, in Kokoro's symbols; words stay apart by one space."""
    ipa = _FLAG.sub("", ipa)
    if voice.startswith("en"):
        ipa = _SYLLABIC.sub(r"ᵊ\1", ipa)
    table, pattern = _TABLES.get(voice, _OTHER)
    symbols = pattern.sub(lambda match: table[match[0]], ipa)
    return " ".join("".join(c for c in symbols if c in VOCABULARY).split())
