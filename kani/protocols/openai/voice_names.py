"""OpenAI's voice names, and every other way for a request to name a voice.

OpenAI's voices speak all languages and this server's one each. So a name selects a voice for each language,
and the language of the text selects among those: ``alloy`` is the default voice of every language, the
others are a voice of the same gender where the language has one.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from kani.core.errors import UnknownVoice
from kani.core.service import SpeechService
from kani.core.voices.catalogue import DEFAULT_VOICE
from kani.core.voices.store import CUSTOM_PREFIX
from kani.protocols.shared.errors import field_error
from kani_text.languages import primary

DEFAULT_NAME = "alloy"
MAX_VOICE_LENGTH = 200
"""Characters of a voice's name or a mix."""


@dataclass(frozen=True, slots=True)
class NamedVoice:
    gender: Literal["female", "male", ""]  # "" for the default voice of each language
    english: str = ""  # voice id that is nearest in timbre


OPENAI_VOICES = {
    "alloy": NamedVoice(""),
    "ash": NamedVoice("male", "am_fenrir"),
    "ballad": NamedVoice("male", "bm_george"),
    "cedar": NamedVoice("male", "am_michael"),
    "coral": NamedVoice("female", "af_bella"),
    "echo": NamedVoice("male", "am_echo"),
    "fable": NamedVoice("male", "bm_fable"),
    "marin": NamedVoice("female", "af_sarah"),
    "nova": NamedVoice("female", "af_nova"),
    "onyx": NamedVoice("male", "am_onyx"),
    "sage": NamedVoice("female", "af_kore"),
    "shimmer": NamedVoice("female", "af_aoede"),
    "verse": NamedVoice("male", "am_puck"),
}
"""OpenAI's thirteen voices."""


@dataclass(frozen=True, slots=True)
class VoiceChoice:
    """A voice as ``SpeechRequest`` takes it: ``voice``, or ``voices`` by language."""

    voice: str | None
    voices: dict[str, str]


def resolve_voice(service: SpeechService, name: str | None, param: str = "voice") -> VoiceChoice:
    """Find the voice that a request names; None is the default voice of the text's language.

    name: one of OpenAI's names (in any case), which means the engine's own voice of that name if it has one,
    an id of this server, the name of a stored voice with or without its prefix, or a mix of voices. Reads a
    file for stored voices. Raises UnknownVoice, and RequestError for a name that is too long.
    """
    if name is None or name == DEFAULT_VOICE:
        return VoiceChoice(None, {})
    if len(name) > MAX_VOICE_LENGTH:
        raise field_error(
            param, f"too long (at most {MAX_VOICE_LENGTH} characters)", "string_above_max_length"
        )
    if name.lower() in OPENAI_VOICES and (own := service.catalogue.speaker(name)) is not None:
        return VoiceChoice(own.id, {})
    if (named := OPENAI_VOICES.get(name.lower())) is not None:
        return VoiceChoice(None, _by_language(service, named))
    try:
        found = service.catalogue.find(name)
    except UnknownVoice as unknown:
        # Of a mix the error names the part.
        with suppress(UnknownVoice):
            found = service.catalogue.find(CUSTOM_PREFIX + name)
            return VoiceChoice(None if found is None else found.id, {})
        raise unknown from None
    return VoiceChoice(None if found is None else found.id, {})


def _by_language(service: SpeechService, named: NamedVoice) -> dict[str, str]:
    """Return the voice of each language that has one like ``named``."""
    if not named.gender:
        return {}
    chosen: dict[str, str] = {}
    for info in service.engines:
        defaults = set(info.default_voices.values())
        # The default voice of a language is its best.
        for voice in sorted(info.voices, key=lambda voice: voice.id not in defaults):
            if voice.gender == named.gender:
                chosen.setdefault(primary(voice.language), voice.id)
        for language in info.voice_rules.accented:
            same = (voice.id for voice in info.voices_for(language) if voice.gender == named.gender)
            if (suited := next(same, None)) is not None:
                chosen.setdefault(language, suited)
        if any(voice.id == named.english for voice in info.voices):
            chosen["en"] = named.english
    return chosen
