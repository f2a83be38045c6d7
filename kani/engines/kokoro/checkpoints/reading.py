"""Text to the symbols of a checkpoint."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.text.espeak_ipa import Phonemizer, espeak_voice
from kani.engines.kokoro.text.reader import TextReader
from kani.engines.kokoro.text.readers import missing_packages, reader_for
from kani_text.languages import english_name, primary


class Unreadable(Exception):
    """A language cannot be written in a checkpoint's symbols; the message is the reason."""


class CheckpointReader:
    def __init__(self, espeak: EspeakClient, vocabulary: Collection[str], cache_dir: Path) -> None:
        """vocabulary: the checkpoint's; cache_dir: where the Japanese dictionary is unpacked."""
        self._espeak, self._cache_dir = espeak, cache_dir
        self._trained = frozenset(vocabulary)

    def reader(self, language: str) -> TextReader:
        """Return what converts text of a language (BCP 47). Raises Unreadable."""
        if missing := missing_packages(language):
            raise Unreadable(f"{english_name(language)} needs the packages {', '.join(missing)}")
        if primary(language) in ("zh", "ja"):
            found = reader_for(self._espeak, language, self._cache_dir)
            assert found is not None
            return found
        voice = espeak_voice(language) or primary(language)
        if not self._espeak.has_voice(voice):
            raise Unreadable(f"espeak-ng has no voice of the language {language}")
        return Phonemizer(self._espeak, voice, self._trained)
