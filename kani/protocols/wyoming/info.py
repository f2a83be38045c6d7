"""The server's description of itself, ``info``: its voices and its recogniser."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kani.core.errors import SpeechError
from kani.core.recognizer import RecognizerInfo
from kani.core.service import SpeechService
from kani.core.types import Voice
from kani.core.voices.catalogue import VoiceCatalogue
from kani.protocols.wyoming.framing import Event
from kani.protocols.wyoming.plugin import Settings
from kani_text.languages import canonical, primary

PROGRAM = "Kani"
"""Name of the entry, the speech and the recognition in Home Assistant."""

FRESH_S = 5.0
"""Seconds for which a description is answered from memory; Home Assistant asks every 30 s."""

ANSWER_WITHIN_S = 0.3
"""Longest wait for a new description where there is an older one: older clients wait for one second."""

ATTRIBUTIONS: Mapping[str, tuple[str, str]] = {
    "kokoro": ("hexgrad", "https://huggingface.co/hexgrad/Kokoro-82M"),
    "kani": ("nineninesix", "https://huggingface.co/nineninesix"),
    "espeak-ng": ("eSpeak NG", "https://github.com/espeak-ng/espeak-ng"),
    "elevenlabs": ("ElevenLabs", "https://elevenlabs.io"),
    "whisper": ("OpenAI", "https://github.com/openai/whisper"),
    "transcribe": ("transcribe.cpp", "https://github.com/handy-computer/transcribe.cpp"),
    "kyutai": ("Kyutai", "https://kyutai.org/next/stt"),
}
"""Makers of the engines' voices and models, and their sites."""

OWN = ("kani-tts", "")


class Description:
    """Makes the description, at most once in ``FRESH_S`` seconds: the stored voices are files."""

    def __init__(self, service: SpeechService, version: str, settings: Settings) -> None:
        self._service = service
        self._version = version
        self._settings = settings
        self._packed = b""
        self._made_at = -FRESH_S
        self._making: asyncio.Task[None] | None = None

    async def packed(self) -> bytes:
        """Return the event as bytes: from memory, or made anew where that takes no time.

        Raises StoreUnavailable.
        """
        if time.monotonic() - self._made_at >= FRESH_S:
            if self._making is None or self._making.done():
                self._making = asyncio.create_task(self._make(), name="wyoming description")
            await asyncio.wait([self._making], timeout=ANSWER_WITHIN_S if self._packed else None)
            if self._making.done():
                self._making.result()
        return self._packed

    async def _make(self) -> None:
        self._packed = await asyncio.to_thread(self._describe)
        self._made_at = time.monotonic()

    def _describe(self) -> bytes:
        """Make the description. Blocks: reads the stored voices."""
        service, recognizer = self._service, self._service.recognition.recognizer
        speech = _program(OWN, self._version) | {
            "voices": describe_voices(service.catalogue),
            "supports_synthesize_streaming": True,
        }
        asr = []
        if recognizer is not None and service.recognition.hears_live:
            asr.append(_recognition(recognizer.info, self._version, self._settings.end_of_speech))
        others: dict[str, list[Any]] = {kind: [] for kind in ("handle", "intent", "wake", "mic", "snd")}
        return Event("info", {"asr": asr, "tts": [speech], **others}).pack()


def describe_voices(catalogue: VoiceCatalogue) -> list[dict[str, Any]]:
    """Describe every voice. Blocks: reads the stored ones.

    Home Assistant sorts the voices of a language by their descriptions and takes the first of them for a new
    assistant, so the description of the default voice sorts first, those of other engines last.
    """
    # Home Assistant speaks by no voice at all of a server that gives it no description.
    voices = catalogue.list()
    spoken = catalogue.languages
    regional = _regional_languages(voices)
    accented = catalogue.accented_by_voice()
    defaults = {_default_voice(catalogue, language) for language in spoken}
    return [
        {
            "name": voice.id,
            "attribution": _attribution(ATTRIBUTIONS.get(voice.engine, OWN)),
            "installed": True,
            "description": _description(voice, defaults, spoken),
            "version": None,
            "languages": [*_languages(voice, regional, sorted(spoken)), *accented.get(voice.id, ())],
            "speakers": None,
        }
        for voice in voices
    ]


def _default_voice(catalogue: VoiceCatalogue, language: str) -> str:
    try:
        resolved = catalogue.resolve(None, language)
    except SpeechError:
        return ""
    return resolved.stored.id if resolved.stored is not None else resolved.voice


def _description(voice: Voice, defaults: set[str], spoken: Mapping[str, str]) -> str:
    details = ", ".join(filter(None, (voice.gender, voice.language, voice.engine)))
    if voice.id in defaults:
        return f"(default) {voice.name} ({details})"
    second_best = voice.engine != spoken.get(primary(voice.language), voice.engine)
    return f"{'~ ' if second_best else ''}{voice.name} ({details})"


def _regional_languages(voices: Sequence[Voice]) -> frozenset[str]:
    """Return the languages that only have voices with a region.

    Home Assistant offers a voice only under its exact tags: beside one voice of "es-MX" it would offer no
    voice of "es" to those who chose Mexico.
    """
    tags = [canonical(voice.language) for voice in voices if voice.language]
    return frozenset(map(primary, tags)) - {tag for tag in tags if tag == primary(tag)}


def _languages(voice: Voice, regional: frozenset[str], every: list[str]) -> list[str]:
    """Return the languages that a voice is offered for: all for a voice without a language of its own."""
    if not voice.language:
        return every
    tag = canonical(voice.language)
    return list(dict.fromkeys((primary(tag), tag) if primary(tag) in regional else (primary(tag),)))


def _recognition(info: RecognizerInfo, version: str, end_of_speech: bool) -> dict[str, Any]:
    maker = ATTRIBUTIONS.get(info.name, OWN)
    model = _program(maker, info.version, info.name) | {"languages": sorted(info.languages)}
    return _program(OWN, version) | {
        "models": [model],
        "supports_transcript_streaming": True,
        "requires_external_vad": not end_of_speech,
        "prefers_auto_gain_enabled": None,
        "prefers_noise_reduction_enabled": None,
    }


def _program(maker: tuple[str, str], version: str, name: str = PROGRAM) -> dict[str, Any]:
    return {
        "name": name,
        "attribution": _attribution(maker),
        "installed": True,
        "description": f"{name} {version}",
        "version": version,
    }


def _attribution(maker: tuple[str, str]) -> dict[str, str]:
    name, url = maker
    return {"name": name, "url": url}
