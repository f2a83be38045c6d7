"""Which engine and which voice speak a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from speech.engine import Cloning, EngineInfo
from speech.errors import UnknownVoice, UnsupportedLanguage
from speech.languages import canonical, primary
from speech.types import Voice
from speech.voice_store import PREFIX, KeptVoice, VoiceStore

__all__ = ["DEFAULT_VOICE", "Choice", "KeptVoice", "VoiceCatalogue", "VoiceStore"]

DEFAULT_VOICE = "default"
"""The name that means: whoever speaks the language."""

_CLONES: Mapping[Cloning, int] = {"none": 0, "nearest voice": 1, "embedding": 2}

_LATIN_AMERICA = frozenset("AR BO CL CO CR CU DO EC GT HN MX NI PA PE PR PY SV US UY VE".split())


@dataclass(frozen=True, slots=True)
class Choice:
    """Who speaks: an engine's name, one of its voices, and the language (BCP 47) it speaks.

    kept: the kept voice that was asked for, if one was: what its speaker sounds like.
    """

    engine: str
    voice: str
    language: str
    kept: KeptVoice | None = None


class VoiceCatalogue:
    """All voices of some engines, and those that are kept.

    engines: in order of preference; default_voice: replaces the default of its own language.
    Raises UnknownVoice if there is no such voice.
    """

    def __init__(self, engines: Sequence[EngineInfo], store: VoiceStore, default_voice: str | None) -> None:
        self._engines = tuple(engines)
        self._store = store
        self._voices = {voice.id: voice for engine in engines for voice in engine.voices}
        self._by_name = {engine.name: engine for engine in engines}
        self._default: Voice | KeptVoice | None = None
        if default_voice is not None and default_voice != DEFAULT_VOICE:
            self._default = self._find(default_voice)

    @property
    def languages(self) -> Mapping[str, str]:
        """The engine that speaks each language, by primary subtag."""
        spoken: dict[str, str] = {}
        for engine in self._engines:
            for language in engine.default_voices:
                spoken.setdefault(language, engine.name)
        return spoken

    def list(self) -> list[Voice]:
        """Every voice a client can name: the engines', then the kept ones (reads files)."""
        kept = [Voice(v.id, v.name, v.language or "", self._speaking(v)) for v in self._store.list()]
        return [*self._voices.values(), *kept]

    def _speaking(self, voice: KeptVoice) -> str:
        """The engine that speaks a kept voice's language; empty where there is none."""
        if primary(voice.language or "") not in self.languages:
            return ""
        return self._default_for(voice.language or "", clones=True).engine

    def language_of(self, voice: str | None) -> str | None:
        """The language of a voice that is named; None for the default and for one without."""
        if voice is None or voice == DEFAULT_VOICE:
            return None
        return self._find(voice).language or None

    def resolve(self, voice: str | None, language: str, *, clones: bool = False) -> Choice:
        """Who speaks ``language`` (BCP 47) for a client that asked for ``voice``.

        clones: whether it is to sound like somebody else, so that an engine which can comes first.
        A voice whose engine does not speak the language gives way to the default of that
        language; a kept voice is spoken by the default of the engine that comes nearest to it. Raises
        UnknownVoice, and UnsupportedLanguage if no engine speaks it.
        """
        if voice is None or voice == DEFAULT_VOICE:
            return self._default_for(language, clones=clones)
        found = self._find(voice)
        if isinstance(found, KeptVoice):
            default = self._default_for(language, clones=True)
            return Choice(default.engine, default.voice, default.language, found)
        if primary(language) in self._by_name[found.engine].default_voices:
            return Choice(found.engine, found.id, language)
        return self._default_for(language)

    def _find(self, voice: str) -> Voice | KeptVoice:
        if voice.startswith(PREFIX):
            return self._store.get(voice)
        if voice not in self._voices:
            raise UnknownVoice(voice)
        return self._voices[voice]

    def _default_for(self, language: str, *, clones: bool = False) -> Choice:
        default, kept = self._default, None
        speaking = [engine for engine in self._engines if primary(language) in engine.default_voices]
        if not speaking:
            raise UnsupportedLanguage(language, ", ".join(sorted(self.languages)))
        first = max(speaking, key=lambda engine: _CLONES[engine.cloning])
        if default is not None and primary(default.language or "") == primary(language):
            if isinstance(default, Voice):
                if not clones or default.engine == first.name:
                    return Choice(default.engine, default.id, language)
            else:
                kept = default
        engine = first if clones or kept is not None else speaking[0]
        return Choice(engine.name, _regional(engine, language), language, kept)


def _regional(engine: EngineInfo, language: str) -> str:
    """The engine's voice for a language: one of just that region, if the default is of another."""
    default = engine.default_voices[primary(language)]
    wanted = canonical(language)
    tags = {voice.id: voice.language for voice in engine.voices}
    alike = [wanted]
    if primary(wanted) == "es" and wanted.rpartition("-")[2] in _LATIN_AMERICA:
        alike.append("es-419")
    for tag in alike:
        if tags.get(default) == tag:
            return default
        if regional := next((voice for voice in tags if tags[voice] == tag), None):
            return regional
    return default
