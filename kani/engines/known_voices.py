"""Voices and languages of engines that know theirs before they load: for refusing a wrong setting at once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from kani.core.errors import UnknownVoice, UnsupportedLanguage
from kani.core.voices.catalogue import DEFAULT_VOICE
from kani.core.voices.mix import SEPARATOR, parse_mix
from kani.core.voices.store import CUSTOM_PREFIX
from kani.text.languages import primary


@dataclass(frozen=True, slots=True)
class KnownVoices:
    """Voices and languages that the engines of a server have."""

    ids: frozenset[str]
    languages: frozenset[str]
    """Primary subtags."""

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


def known_voices(engine: str, accented: Collection[str] = ()) -> KnownVoices | None:
    """Return what ``engine`` of the settings offers; None for one that has to load before it knows.

    accented: languages that Kokoro speaks with an accent. Blocks for 0.1 s. Raises EngineUnavailable.
    """
    match engine:
        case "auto":
            kokoro, espeak = _kokoro(accented), _espeak()
            return KnownVoices(kokoro.ids | espeak.ids, kokoro.languages | espeak.languages)
        case "kokoro":
            return _kokoro(accented)
        case "espeak":
            return _espeak()
    return None


def _kokoro(accented: Collection[str]) -> KnownVoices:
    from kani.engines.kokoro.text.readers import missing_packages
    from kani.engines.kokoro.voices import DEFAULT_VOICES, Voices

    spoken = {language for language in DEFAULT_VOICES if not missing_packages(language)}
    ids = {voice.id for voice in Voices().all if primary(voice.language) in spoken}
    return KnownVoices(frozenset(ids), frozenset(spoken.union(accented)))


def _espeak() -> KnownVoices:
    from kani.engines.espeak.client import EspeakClient
    from kani.engines.espeak.engine import VOICE_PREFIX, default_voice_names

    voices = EspeakClient.shared().voices
    ids = {VOICE_PREFIX + voice.name for voice in voices}
    return KnownVoices(frozenset(ids), frozenset(default_voice_names(voices)))
