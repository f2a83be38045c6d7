"""Chooses the engine and the voice of a request."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from kani.core.engine import CloningKind, Engine, EngineInfo
from kani.core.errors import InvalidRequest, StoreUnavailable, UnknownVoice, UnsupportedLanguage
from kani.core.types import Voice
from kani.core.voices import names
from kani.core.voices.names import SEPARATOR, mix_name, parse_mix
from kani.core.voices.store import CUSTOM_PREFIX, StoredVoice, VoiceStore
from kani_text.languages import canonical, parent, primary

__all__ = ["DEFAULT_VOICE", "ResolvedVoice", "StoredVoice", "VoiceCatalogue", "VoiceStore"]

log = logging.getLogger(__name__)

DEFAULT_VOICE = "default"
"""The name of the default voice of the language that is spoken."""

_CLONING_RANK: Mapping[CloningKind, int] = {"none": 0, "nearest voice": 1, "embedding": 2}


@dataclass(frozen=True, slots=True)
class ResolvedVoice:
    """The engine, voice and language that speak a request."""

    engine: Engine
    voice: str  # id of one of the engine's own voices
    language: str  # BCP 47 tag
    stored: StoredVoice | None = None  # the stored voice that is to be imitated, if one was named
    light: bool = False  # True if its light network speaks (``EngineInfo.light``)


class VoiceCatalogue:
    """The voices of all engines and the stored voices."""

    def __init__(self, engines: Sequence[Engine], store: VoiceStore, default_voice: str | None) -> None:
        self._engines = {engine.info.name: engine for engine in engines}
        self._store = store
        self._default = default_voice if default_voice != DEFAULT_VOICE else None
        self._missing_logged = False
        with suppress(StoreUnavailable):
            # It is looked for again with each request.
            self.find(self._default)

    @property
    def _infos(self) -> Mapping[str, EngineInfo]:
        """Descriptions of the engines, by name, as they are now: a service may list its voices later."""
        return {name: engine.info for name, engine in self._engines.items()}

    @property
    def _voices(self) -> Mapping[str, Voice]:
        return {voice.id: voice for info in self._infos.values() for voice in info.voices}

    @property
    def accented(self) -> frozenset[str]:
        """Languages that are spoken with a foreign accent, by primary subtag."""
        return frozenset(
            language
            for language, name in self.languages.items()
            if language in self._infos[name].voice_rules.accented
        )

    def accented_by_voice(self) -> Mapping[str, Sequence[str]]:
        """List the languages of ``accented`` for each voice that is suited to them."""
        languages = self.languages
        found: dict[str, list[str]] = {}
        for language in sorted(self.accented):
            for voice in self._infos[languages[language]].voice_rules.accented[language]:
                found.setdefault(voice, []).append(language)
        return found

    @property
    def languages(self) -> Mapping[str, str]:
        """Name of the engine that speaks each language, by primary subtag."""
        spoken: dict[str, str] = {}
        for name, info in self._infos.items():
            for language in info.default_voices:
                spoken.setdefault(language, name)
        return spoken

    def list(self) -> Sequence[Voice]:
        """List every voice a client can name: the engines', then the stored ones if their place is there."""
        return [*self._voices.values(), *map(self.entry, self._store.list_reachable())]

    def entry(self, voice: StoredVoice) -> Voice:
        """Describe a stored voice as ``list`` does, with the engine that speaks its language."""
        spoken = primary(voice.language or "") in self.languages
        engine = self._default_for(voice.language or "", clones=True).engine.info.name if spoken else ""
        return Voice(voice.id, voice.name, voice.language or "", engine)

    def resolve(
        self, voice: str | Voice | StoredVoice | None, language: str, *, cloning: bool = False
    ) -> ResolvedVoice:
        """Choose the engine and voice that speak ``language`` (BCP 47).

        voice: an id, or the voice itself; cloning: the speech is to sound like a recording, so engines that
        clone come first. A voice is replaced by the language's default if its engine does not speak that, and
        one that is not suited to a language with an accent by one of its gender that is; a stored voice is
        spoken by the engine that clones best. Raises UnknownVoice, and UnsupportedLanguage if no engine
        speaks the language.
        """
        found = self.find(voice) if isinstance(voice, str | None) else voice
        if found is None:
            return self._default_for(language, clones=cloning)
        if isinstance(found, StoredVoice):
            return replace(self._default_for(language, clones=True), stored=found)
        if primary(language) in self._infos[found.engine].default_voices:
            suited = _suited(self._infos[found.engine], found, primary(language))
            return ResolvedVoice(self._engines[found.engine], suited, language)
        return self._default_for(language)

    def find(self, voice: str | None) -> Voice | StoredVoice | None:
        """Find a voice by its id or a mix, a stored one as it is on disk now (reads a file).

        Speakers of Kani-TTS have their names too, with any engine. None for the default. Raises
        UnknownVoice, and InvalidRequest for a mix that is not valid.
        """
        if voice is None or voice == DEFAULT_VOICE:
            return None
        if voice.startswith(CUSTOM_PREFIX):
            return self._store.get(voice)
        if voice not in self._voices and SEPARATOR in voice:
            return self._mix(voice)
        return self._voices.get(voice) or self.speaker(voice) or self._published(voice)

    def speaker(self, name: str) -> Voice | None:
        """Find an engine's own voice by its name without the engine's; None without one."""
        ids = {f"{engine}:{name}".lower() for engine in self._infos}
        return next((voice for voice in self._voices.values() if voice.id.lower() in ids), None)

    def _published(self, name: str) -> Voice | StoredVoice | None:
        """Find what stands for a speaker of Kani-TTS: a stored voice of the name, or the nearest voice.

        None for the default. Raises UnknownVoice.
        """
        speaker = names.SPEAKERS.get(name.lower())
        if speaker is None and not names.ANY.fullmatch(name.lower()):
            raise UnknownVoice(name)
        with suppress(UnknownVoice, StoreUnavailable):
            return self._store.get(CUSTOM_PREFIX + name)
        return None if speaker is None else names.nearest(speaker, list(self._infos.values()))

    def _mix(self, name: str) -> Voice:
        """Describe a mix as a voice, with the language of its largest part."""
        parts = parse_mix(name)
        for part in parts:
            if part.voice not in self._voices:
                raise UnknownVoice(part.voice)
        voices = [self._voices[part.voice] for part in parts]
        networks = {(voice.engine, self._infos[voice.engine].network_of(voice)) for voice in voices}
        if len(networks) > 1 or not self._infos[voices[0].engine].voice_rules.mixes:
            raise InvalidRequest("voice", "cannot be mixed of these: their engines do not mix them")
        return replace(voices[0], id=mix_name(parts), name=mix_name(parts))

    def _default_for(self, language: str, *, clones: bool = False) -> ResolvedVoice:
        default = self._own_default()
        speaking = [info for info in self._infos.values() if primary(language) in info.default_voices]
        if not speaking:
            raise UnsupportedLanguage(language, ", ".join(sorted(self.languages)))
        if default is not None and primary(default.language or "") != primary(language):
            default = None
        kept = default if isinstance(default, StoredVoice) else None
        info = speaking[0]
        if clones or kept is not None:
            info = max(speaking, key=lambda info: _CLONING_RANK[info.cloning.kind])
        if isinstance(default, Voice) and (not clones or default.engine == info.name):
            return ResolvedVoice(self._engines[default.engine], default.id, language)
        return ResolvedVoice(self._engines[info.name], _regional(info, language), language, kept)

    def _own_default(self) -> Voice | StoredVoice | None:
        """The voice that replaces its language's default; None if it was deleted meanwhile, or cannot be
        reached."""
        try:
            return self.find(self._default)
        except StoreUnavailable:
            return None
        except UnknownVoice:
            if not self._missing_logged:
                log.warning(
                    "the configured default voice was deleted: falling back to its language's default"
                )
                self._missing_logged = True
            return None


def _suited(engine: EngineInfo, voice: Voice, language: str) -> str:
    """The voice itself, or one of its gender for a language with an accent, or of another network."""
    other = engine.voice_rules.networks.get(language, "") != engine.network_of(voice)
    suited = engine.voices_for(language) if other or language in engine.voice_rules.accented else ()
    if not suited or any(voice.id == one.id for one in suited):
        return voice.id
    return next((one.id for one in suited if one.gender == voice.gender), suited[0].id)


def _regional(engine: EngineInfo, language: str) -> str:
    """The engine's voice for a regional variant of a language, or for the macro-region of that region."""
    default = engine.default_voices[primary(language)]
    wanted = canonical(language)
    tags = {voice.id: voice.language for voice in engine.voices}
    for tag in filter(None, (wanted, parent(wanted))):
        if tags.get(default) == tag:
            return default
        if regional := next((voice for voice in tags if tags[voice] == tag), None):
            return regional
    return default
