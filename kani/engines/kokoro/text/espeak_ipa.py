"""Grapheme-to-phoneme conversion: espeak-ng's IPA mapped to Kokoro's symbols.

Kokoro's English was trained on misaki's symbols, the other languages on espeak-ng's IPA with diphthongs and
affricates as one symbol each (source: hexgrad's misaki 0.9.4, Apache-2.0).
"""

import functools
import re
import threading
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass

import kani_text.phonetics
from kani.core.recent import Recent
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.text.lexicon_ipa import NEAREST, adapt_to_language, placeholder_word
from kani.engines.kokoro.text.vocabulary import ACCENTED_SYMBOLS, VOCABULARY

CACHED_WORDS = 8192
"""Words that symbols are kept for, of all voices together: 2 MB, as no word is longer than 40 characters."""

TIE = "^"
"""Separator that espeak-ng puts between the letters of one phoneme."""

# By language tag; "es-*" is Spanish of any region without an entry of its own.
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
    "hi": "hi",
    **{language: language for language in ACCENTED_SYMBOLS},
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
# misaki's "i" where espeak-ng has a lax vowel inside a compound: with that "anybody" is heard as "antibody".
_ANY_EVERY = {
    f"{begin}ɪ{rest}": f"{begin}i{rest}"
    for begin in ("ɛn", "ɛvɹ")
    for rest in ("bˌ", "dˌ", "hˌ", "mˈ", "plˌ", "tˌ", "wˌ", "θˌ")
}
_AMERICAN = {**_ENGLISH, **_ANY_EVERY, "ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "ː": "", "o": "ɔ"}
_BRITISH = {**_ENGLISH, "e^ə": "ɛː", "i^ə": "ɪə", "iə": "ɪə", "o": "ɔ"}


def _with_pattern(table: dict[str, str]) -> tuple[dict[str, str], re.Pattern[str]]:
    longest_first = sorted(table, key=len, reverse=True)
    return table, re.compile("|".join(map(re.escape, longest_first)))


# misaki stresses the pronoun "I", and Kokoro swallows one without stress. espeak-ng stresses it only as the
# last word of a clause, and joins "I am" to one word.
_PRONOUN = re.compile(r"(?<!\S)I(?=(?:[dlmv]|dəv)?(?!\S))")
_I_AM = re.compile(r"(?<!\S)I(?:ə|(ˈ)æ)m(?!\S)")
# misaki stresses the first word of a sentence. Without that, British "Was she" is heard as "What's she".
_BRITISH_BE = re.compile(r"^(w?)(?=(?:ɑːɹ?|ɒz|ɜːɹ?)(?!\S))")

# espeak-ng's letter for ड़ has a full stop, which Kokoro would take for the end of a sentence.
_HINDI = {**_TIED, "r.h": "ɽʰ", "r.": "ɽ"}
_TABLES = {
    "en-us": _with_pattern(_AMERICAN),
    "en-gb-x-rp": _with_pattern(_BRITISH),
    "hi": _with_pattern(_HINDI),
    **{voice: _with_pattern({**_TIED, **table}) for voice, table in ACCENTED_SYMBOLS.items()},
}
_OTHER = _with_pattern(_TIED)
# Letters that were replaced for the training of a checkpoint: by kokoro-sv 0.1.3 (Apache-2.0).
_TRAINED = {"sv": {"ʉ": "ɨ", "ɵ": "ɜ", "ɧ": "ʂ"}}
_SYLLABIC = re.compile("(.)\u0329")
_FLAG = re.compile(r"\([^)]*\)")


def espeak_voice(language: str) -> str | None:
    """Name of the espeak-ng voice for a BCP 47 tag (``es-MX``); None for a language Kokoro does not speak."""
    tag = language.lower()
    primary, _, region = tag.partition("-")
    for name in (tag, f"{primary}-*" if region else primary, primary):
        if name in _ESPEAK_VOICES:
            return _ESPEAK_VOICES[name]
    return None


class WordCache:
    """The symbols of single words, the least recently used dropped first. Thread-safe."""

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._symbols: Recent[tuple[Hashable, str], str] = Recent(size)

    def get(
        self, voice: Hashable, words: Collection[str], phonemize: Callable[[Sequence[str]], list[str]]
    ) -> dict[str, str]:
        """Symbols by word; ``phonemize`` is called for all that are missing at once, if there are any.

        voice: different wherever the symbols are.
        """
        found = {}
        with self._lock:
            for word in words:
                if (symbols := self._symbols.use((voice, word))) is not None:
                    found[word] = symbols
        missing = list(dict.fromkeys(word for word in words if word not in found))
        # Outside the lock: another voice need not wait for the process. Two threads may ask for one word.
        new = dict(zip(missing, phonemize(missing), strict=True)) if missing else {}
        with self._lock:
            for word, symbols in new.items():
                self._symbols.keep((voice, word), symbols)
        return found | new


_WORDS = WordCache(CACHED_WORDS)


@dataclass(frozen=True, slots=True)
class Phonemizer:
    """Converts text of one language to Kokoro's symbols."""

    espeak: EspeakClient
    voice: str
    trained: frozenset[str] | None = None
    """Symbols of a checkpoint that was trained on the language; None: Kokoro's, by the tables here."""

    def __call__(self, clauses: Sequence[str]) -> list[str]:
        """Symbols of each clause without punctuation, its words separated by one space.

        Raises EngineFailed.
        """
        if not clauses:
            return []
        found = self.espeak.phonemize_all(clauses, self.voice, TIE)
        symbols = [to_symbols(ipa, self.voice, self.trained) for ipa in found]
        if not self.voice.startswith("en") or self.trained is not None:
            return symbols
        if self.voice == "en-gb-x-rp":
            symbols = [
                _BRITISH_BE.sub(r"\1ˌ", each) if clause[:1].isupper() else each
                for clause, each in zip(clauses, symbols, strict=True)
            ]
        return [*map(_with_pronoun, symbols)]

    def phonemize_words(self, words: Collection[str]) -> dict[str, str]:
        """Symbols of each word by itself, by word; espeak-ng is asked once, for those not cached.

        Raises EngineFailed.
        """
        return _WORDS.get((self.voice, self.trained), words, self)

    def symbols_of_ipa(self, ipa: str) -> str:
        """Symbols of checked IPA (``kani_text.phonetics``); empty if the language has no similar sounds."""
        adapted = adapt_to_language(ipa, self.voice).replace(kani_text.phonetics.TIE, TIE)
        return to_symbols(adapted, self.voice, self.trained)

    def placeholder(self, ipa: str) -> str:
        """A word that affects its neighbours' pronunciation like the IPA would."""
        return placeholder_word(ipa, self.voice)


def phonemizer_for(espeak: EspeakClient, language: str) -> Phonemizer | None:
    """Phonemizer for a BCP 47 tag; None for a language Kokoro does not speak."""
    voice = espeak_voice(language)
    return None if voice is None else Phonemizer(espeak, voice)


def _with_pronoun(symbols: str) -> str:
    """Give the English pronoun "I" misaki's stress, in contractions too."""
    apart = _I_AM.sub(lambda match: f"I {match[1] or ''}æm", symbols)
    return _PRONOUN.sub("ˌI", apart)


def to_symbols(ipa: str, voice: str, trained: frozenset[str] | None = None) -> str:
    """Map espeak-ng's IPA with ``TIE`` to Kokoro's symbols; words stay separated by one space.

    trained: see ``Phonemizer.trained``; a letter that it lacks becomes the nearest one that it has.
    """
    ipa = _FLAG.sub("", ipa)
    if voice.startswith("en"):
        ipa = _SYLLABIC.sub(r"ᵊ\1", ipa)
    table, pattern = _TABLES.get(voice, _OTHER) if trained is None else _trained_table(voice, trained)
    symbols = pattern.sub(lambda match: table[match[0]], ipa)
    known: Collection[str] = VOCABULARY if trained is None else trained
    return " ".join("".join(c for c in symbols if c in known).split())


@functools.cache
def _trained_table(voice: str, trained: frozenset[str]) -> tuple[dict[str, str], re.Pattern[str]]:
    """Symbols of a checkpoint: misaki's, where it has them, and the nearest ones of single letters."""
    table, _ = _OTHER if voice in ACCENTED_SYMBOLS else _TABLES.get(voice, _OTHER)
    table = _TRAINED.get(voice, table)
    own = {ipa: symbols for ipa, symbols in table.items() if trained.issuperset(symbols)}
    nearest = {
        letter: near
        for letter, near in NEAREST.items()
        if len(letter) == 1 and letter not in trained and trained.issuperset(near)
    }
    return _with_pattern({**nearest, **own})
