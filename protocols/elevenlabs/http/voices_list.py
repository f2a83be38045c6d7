"""The voices as ElevenLabs' clients are shown them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

from protocols.elevenlabs.models import DEFAULT_MODEL, MODELS
from protocols.elevenlabs.settings import ElevenLabsSettings
from protocols.elevenlabs.voice_ids import PREMADE_VOICES, PremadeVoice, resolve_voice
from protocols.elevenlabs.voice_settings import DEFAULT_SETTINGS
from speech.errors import InvalidRequest, UnknownVoice
from speech.request import Range
from speech.service import SpeechService
from speech.text.languages import english_name, primary
from speech.types import Voice
from speech.voices.cloning import CloningStatus
from speech.voices.store import CUSTOM_PREFIX, StoredVoice
from speech.voices.store_files import media_type

DEFAULT_PAGE_SIZE = 10
PAGE_SIZE_RANGE = Range(1, 100)
MAX_SEARCH_LENGTH = 200


def describe_voices(service: SpeechService, voices: list[Voice], base_url: str) -> list[dict[str, Any]]:
    """These voices of the catalogue; reads files."""
    kept = {voice.id: voice for voice in service.store.list()}
    return [describe_voice(voice, base_url, kept.get(voice.id)) for voice in voices]


def describe_voice(voice: Voice, base_url: str, kept: StoredVoice | None = None) -> dict[str, Any]:
    """A voice. base_url: how the client reaches this server, where it can hear the voice; kept: what else is
    known of one that a client made.
    """
    language = english_name(primary(voice.language))
    labels = {"language": primary(voice.language), "gender": voice.gender, "engine": voice.engine}
    preview = f"{base_url}/api/voices/{quote(voice.id, safe='')}/audio"
    told = {
        "voice_id": voice.id,
        "name": voice.name,
        "category": "cloned" if kept is not None else "premade",
        "labels": {name: value for name, value in labels.items() if value},
        "description": f"{language}, spoken by {voice.engine}" if language else "",
        "preview_url": preview,
        "settings": DEFAULT_SETTINGS,
        "available_for_tiers": [],
        "high_quality_base_model_ids": list(MODELS),
        "verified_languages": [
            {
                "language": primary(voice.language),
                "model_id": DEFAULT_MODEL,
                "accent": None,
                "locale": voice.language,
                "preview_url": preview,
            }
        ]
        if voice.language
        else [],
        "samples": None,
        "fine_tuning": None,
        "sharing": None,
        "safety_control": None,
        "is_owner": kept is not None,
        "is_legacy": False,
    }
    return told if kept is None else told | _as_kept(kept)


def _as_kept(voice: StoredVoice) -> dict[str, Any]:
    return {
        "description": voice.description,
        "created_at_unix": int(datetime.fromisoformat(voice.consent_at).timestamp()),
        "recording_quality_reason": " ".join(voice.advice) or None,
    }


def describe_voice_id(
    service: SpeechService, voice_id: str, settings: ElevenLabsSettings, base_url: str
) -> dict[str, Any]:
    """The voice of that id, however a request may name it; reads files. Raises UnknownVoice.

    Of a kept one also its recording, and how it is spoken: ``labels.cloning``, and ``labels.similarity`` (at
    most 1) where an engine only comes near.
    """
    ours = resolve_voice(service, voice_id, settings)
    if ours is None:
        return _without_language(voice_id, settings)
    voice = next((voice for voice in service.catalogue.list() if voice.id == ours), None)
    if voice is None:
        raise UnknownVoice(voice_id)
    if not ours.startswith(CUSTOM_PREFIX):
        return describe_voice(voice, base_url) | {"voice_id": voice_id}
    kept = service.store.get(ours)
    told = describe_voice(voice, base_url, kept) | {"voice_id": voice_id}
    told["labels"] |= _likeness(service.cloning.statuses(kept), voice)
    recording = service.store.recording(kept)
    return told | {"samples": [_sample(kept, media_type(recording))]}


def sample_id(voice: StoredVoice) -> str:
    """What a kept voice's one recording is called."""
    return voice.sha256[:20]


def _sample(voice: StoredVoice, media_type: str) -> dict[str, Any]:
    return {
        "sample_id": sample_id(voice),
        "file_name": voice.name,
        "mime_type": media_type,
        "size_bytes": voice.size,
        "hash": voice.sha256,
        "duration_secs": voice.duration_s,
    }


def _likeness(engines: list[CloningStatus], voice: Voice) -> dict[str, str]:
    """How a kept voice is spoken in its language: by which way, and how near it comes."""
    speaking = next((one for one in engines if one.engine == voice.engine), None)
    if speaking is None:
        return {}
    similarity = speaking.similarity.get(primary(voice.language))
    told = {"cloning": str(speaking.cloning)}
    return told if similarity is None else told | {"similarity": f"{similarity.now:.2f}"}


def _without_language(voice_id: str, settings: ElevenLabsSettings) -> dict[str, Any]:
    """What stands for the default voice of each language: one of ElevenLabs' own, or ``default``."""
    premade = PREMADE_VOICES.get(settings.voices.get(voice_id, voice_id), PremadeVoice("Default", ""))
    described = describe_voice(Voice(voice_id, premade.name, "", "", premade.gender), "")
    what = "The default voice of the text's language."
    return described | {"description": what, "preview_url": None}


def search_voices(voices: list[Voice], query: dict[str, str]) -> tuple[list[Voice], int, str | None]:
    """``GET /v2/voices``: a page of those that match, how many match, and what names the next page.

    query: search, sort, sort_direction, category, voice_type, page_size (1–100), next_page_token. Raises
    InvalidRequest.
    """
    words = query.get("search", "").strip().casefold()
    if len(words) > MAX_SEARCH_LENGTH:
        raise InvalidRequest("search", f"too long (at most {MAX_SEARCH_LENGTH} characters)")
    wanted = [voice for voice in voices if _matches(voice, words) and _of_kind(voice, query)]
    if query.get("sort") == "name":
        wanted.sort(key=lambda voice: voice.name.casefold())
    if query.get("sort_direction") == "desc":
        wanted.reverse()
    size = _whole_number(query, "page_size", DEFAULT_PAGE_SIZE)
    PAGE_SIZE_RANGE.check("page_size", size)
    start = _whole_number(query, "next_page_token", 0)
    end = start + size
    return wanted[start:end], len(wanted), str(end) if end < len(wanted) else None


def _matches(voice: Voice, words: str) -> bool:
    # A kept voice's name has "_" where its client wrote a space.
    spaced = voice.name.replace("_", " ")
    shown = (
        voice.id,
        voice.name,
        spaced,
        voice.language,
        voice.gender,
        english_name(primary(voice.language)),
    )
    return any(words in text.casefold() for text in shown)


def _of_kind(voice: Voice, query: dict[str, str]) -> bool:
    kept = voice.id.startswith(CUSTOM_PREFIX)
    if query.get("category") not in (None, "", "cloned" if kept else "premade"):
        return False
    ours = ("personal", "non-default", "workspace") if kept else ("default",)
    return query.get("voice_type") in (None, "", "saved", *ours)


def _whole_number(query: dict[str, str], name: str, default: int) -> int:
    written = query.get(name) or str(default)
    if not (written.isascii() and written.isdecimal() and len(written) < 10):
        raise InvalidRequest(name, "must be a whole number")
    return int(written)
