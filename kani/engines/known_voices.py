"""Voices and languages of engines that know theirs before they load: for refusing a wrong setting at once."""

from __future__ import annotations

from dataclasses import dataclass

from kani.core.errors import UnknownVoice, UnsupportedLanguage
from kani.core.voices.catalogue import DEFAULT_VOICE
from kani.core.voices.names import SEPARATOR, parse_mix
from kani.core.voices.store import CUSTOM_PREFIX
from kani_text.languages import primary


@dataclass(frozen=True, slots=True)
class KnownVoices:
    """Voices and languages that the engines of a server have."""

    ids: frozenset[str]
    languages: frozenset[str]
    """Primary subtags."""

    def __or__(self, other: KnownVoices) -> KnownVoices:
        """Return those of two engines."""
        return KnownVoices(self.ids | other.ids, self.languages | other.languages)

    def check_voice(self, voice: str) -> None:
        """Raise UnknownVoice for an id that no engine has, and InvalidRequest for a mix that is not valid.

        A stored voice passes: its place is read when the server starts.
        """
        if voice in self.ids or voice == DEFAULT_VOICE or voice.startswith(CUSTOM_PREFIX):
            return
        if SEPARATOR not in voice:
            raise UnknownVoice(voice)
        for part in parse_mix(voice):
            if part.voice not in self.ids:
                raise UnknownVoice(part.voice)

    def check_language(self, language: str) -> None:
        """Raise UnsupportedLanguage for a BCP 47 tag that no engine speaks."""
        if primary(language) not in self.languages:
            raise UnsupportedLanguage(language, ", ".join(sorted(self.languages)))
