"""Kyutai's names of voices, and which of ours answers to each.

A name of theirs is a file of recorded speech that this server does not have: what speaks instead is a
voice of that language and sex. A name that nobody knows is the default voice, as it is there.
"""

from __future__ import annotations

import re

from speech.errors import InvalidRequest
from speech.service import SpeechService

KNOWN_VOICES = {
    "unmute-prod-website/p329_022.wav": ("en", "female"),
    "unmute-prod-website/developpeuse-3.wav": ("fr", "female"),
    "unmute-prod-website/degaulle-2.wav": ("fr", "male"),
    "unmute-prod-website/fabieng-enhanced-v2.wav": ("fr", "male"),
}
VOICE_FOLDERS = {"expresso/": ("en", ""), "cml-tts/fr/": ("fr", ""), "vctk/": ("en", "")}

# "+2.5": where in the recording to begin; the plus is a space once it has been in a URL.
_OFFSET = re.compile(r"[+ ]\d+(\.\d*)?$")


def resolve_voice(name: str | None, service: SpeechService) -> str | None:
    """The id of the voice that answers to ``name``; None is the default voice."""
    if not name:
        return None
    name = _OFFSET.sub("", name)
    meant = _meant(name)
    if meant is None:
        try:
            service.catalogue.language_of(name)
        except InvalidRequest:
            return None
        return name
    language, gender = meant
    for engine in service.engines:
        if language in engine.default_voices:
            default = engine.default_voices[language]
            voices = [voice for voice in engine.voices if voice.language.partition("-")[0] == language]
            voices.sort(key=lambda voice: voice.id != default)
            return next((voice.id for voice in voices if not gender or voice.gender == gender), default)
    return None


def _meant(name: str) -> tuple[str, str] | None:
    known = {**KNOWN_VOICES, **{file.rpartition("/")[2]: meant for file, meant in KNOWN_VOICES.items()}}
    if name in known:
        return known[name]
    return next((meant for folder, meant in VOICE_FOLDERS.items() if name.startswith(folder)), None)
