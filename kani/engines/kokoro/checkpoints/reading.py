"""Text to the symbols of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kani.core.voices import sample_sentences
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.lead_in import BEGINNINGS, LEAD_INS
from kani.engines.kokoro.text.espeak_ipa import Phonemizer, espeak_voice
from kani.engines.kokoro.text.marks import MARK_SYMBOLS
from kani.engines.kokoro.text.phonemes import split_utterances
from kani.engines.kokoro.text.reader import TextReader
from kani.engines.kokoro.text.readers import missing_packages, reader_for
from kani.engines.kokoro.text.vocabulary import VOCABULARY
from kani_text.languages import english_name, primary

_NUMBERS = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 100."
"""Text that espeak-ng reads in every language."""

_ZHUYIN = "\u3105", "\u312f"


class Unreadable(Exception):
    """A language cannot be written in a checkpoint's symbols; the message is the reason."""


class CheckpointReader:
    def __init__(self, espeak: EspeakClient, vocabulary: Mapping[str, int], cache_dir: Path) -> None:
        """vocabulary: the checkpoint's; cache_dir: where the Japanese dictionary is unpacked."""
        self._espeak, self._cache_dir = espeak, cache_dir
        self._trained = frozenset(vocabulary)

    def reader(self, language: str) -> TextReader:
        """Return what converts text of a language (BCP 47). Raises Unreadable."""
        return self._reader(language, self._trained)

    def texts(self, language: str) -> list[str]:
        """Return the symbols of some short texts of a language. Raises Unreadable."""
        return self._written(language, self.reader(language))

    def check(self, language: str) -> None:
        """Raise Unreadable if the checkpoint lacks symbols that Kokoro has for a language."""
        if primary(language) == "zh" and any(_ZHUYIN[0] <= symbol <= _ZHUYIN[1] for symbol in self._trained):
            raise Unreadable("its Chinese is written in zhuyin, and this server writes IPA")
        written = self._written(language, self._reader(language, frozenset(VOCABULARY)))
        if not written:
            raise Unreadable(f"there is no text to try {english_name(language)} with")
        beginnings = LEAD_INS.get(primary(language), ""), *BEGINNINGS.get(primary(language), {}).values()
        needed = dict.fromkeys("".join((*written, *sorted(MARK_SYMBOLS), *beginnings)))
        if missing := [symbol for symbol in needed if symbol not in self._trained]:
            raise Unreadable(f"config.json: vocab lacks {' '.join(missing)}, which {language} needs")

    def _reader(self, language: str, trained: frozenset[str]) -> TextReader:
        if missing := missing_packages(language):
            raise Unreadable(f"{english_name(language)} needs the packages {', '.join(missing)}")
        if primary(language) in ("zh", "ja"):
            found = reader_for(self._espeak, language, self._cache_dir)
            assert found is not None
            return found
        voice = espeak_voice(language) or primary(language)
        if not self._espeak.has_voice(voice):
            raise Unreadable(f"espeak-ng has no voice of the language {language}")
        return Phonemizer(self._espeak, voice, trained)

    @staticmethod
    def _written(language: str, reader: TextReader) -> list[str]:
        found = (split_utterances(text, reader) for text in (sample_sentences.sentence(language), _NUMBERS))
        return [utterances[0].symbols for utterances in found if utterances]
