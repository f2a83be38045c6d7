"""ElevenLabs' models, which all select this server's own voices, and the tags that those of v3 read."""

import re
from collections.abc import Iterable
from typing import Any

from kani.core.errors import InvalidRequest
from kani.core.service import SpeechService
from kani_text.languages import english_name

DEFAULT_MODEL = "eleven_multilingual_v2"

MODELS = {
    "eleven_multilingual_v2": "Eleven Multilingual v2",
    "eleven_flash_v2_5": "Eleven Flash v2.5",
    "eleven_turbo_v2_5": "Eleven Turbo v2.5",
    "eleven_flash_v2": "Eleven Flash v2",
    "eleven_turbo_v2": "Eleven Turbo v2",
    "eleven_v3": "Eleven v3",
    "eleven_v3_conversational": "Eleven v3 Conversational",
    "eleven_v4": "Eleven v4",
    "eleven_v4_turbo": "Eleven v4 Turbo",
    "eleven_multilingual_v1": "Eleven Multilingual v1",
    "eleven_monolingual_v1": "Eleven English v1",
}
"""Display names by ``model_id``."""

DEFAULT_DIALOGUE_MODEL = "eleven_v3"

_TAGGED = ("eleven_v3", "eleven_v4")
"""Beginnings of the ids of models with audio tags."""


def validate_model(model_id: str | None) -> None:
    """Raise InvalidRequest unless ``model_id`` is None or one of ElevenLabs' models."""
    if model_id is not None and model_id not in MODELS:
        raise InvalidRequest("model_id", f"must be one of {', '.join(MODELS)}")


def has_audio_tags(model_id: str | None) -> bool:
    return model_id is not None and model_id.startswith(_TAGGED)


def list_models(service: SpeechService, max_text: int) -> list[dict[str, Any]]:
    """Build ``GET /v1/models``: each model with the languages of this server."""
    languages = [
        {"language_id": language, "name": english_name(language) or language}
        for language in sorted(service.catalogue.languages)
    ]
    return [_model(model_id, name, languages, max_text) for model_id, name in MODELS.items()]


def _model(model_id: str, name: str, languages: list[dict[str, str]], max_text: int) -> dict[str, Any]:
    return {
        "model_id": model_id,
        "name": name,
        "can_be_finetuned": False,
        "can_do_text_to_speech": True,
        "can_do_voice_conversion": False,
        "can_use_style": False,
        "can_use_speaker_boost": False,
        "serves_pro_voices": False,
        "token_cost_factor": 0.0,
        "description": "Spoken by this server's own voices, whichever model is named.",
        "requires_alpha_access": False,
        "max_characters_request_free_user": max_text,
        "max_characters_request_subscribed_user": max_text,
        "maximum_text_length_per_request": max_text,
        "languages": languages,
        "model_rates": {"character_cost_multiplier": 0.0, "cost_discount_multiplier": 1.0},
        "concurrency_group": "standard",
    }


MAX_TAG_LENGTH = 100
"""Characters between the brackets; in longer ones there is text, which is spoken."""

MAX_NAMED = 20
MAX_NAME_LENGTH = 40
"""Tags that a header names, and characters of each."""

# A Markdown link, "[text](address)", is none.
_TAG = re.compile(rf"\[(?=[^\W\d_])[^\[\]\x00-\x1f\x7f]{{1,{MAX_TAG_LENGTH}}}\](?!\()")
_OPEN = re.compile(rf"\[(?:(?=[^\W\d_])[^\[\]\x00-\x1f\x7f]{{1,{MAX_TAG_LENGTH}}}\]?)?\Z")


def without_tags(text: str) -> str:
    """Return ``text`` with each audio tag, a direction like "[whispers]", replaced by as many spaces.

    No engine here acts on them. The text keeps its length, and its characters their times.
    """
    return _TAG.sub(lambda tag: " " * len(tag[0]), text)


def named_tags(texts: Iterable[str]) -> list[str]:
    """Return the texts' tags, each once, for a header: in ASCII, shortened, ``MAX_NAMED`` at most."""
    found = dict.fromkeys(tag[0].lower() for text in texts for tag in _TAG.finditer(text))
    names = (tag[1:-1].encode("ascii", "backslashreplace").decode() for tag in list(found)[:MAX_NAMED])
    return [f"[{name[:MAX_NAME_LENGTH]}]" for name in names]


class IncrementalTags:
    """Removes the tags of a text that comes in pieces: what may become a tag waits for its end."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the text that is certain, tags included: ``without_tags`` of it has none."""
        text = self._held + text
        begun = _OPEN.search(text)
        end = begun.start() if begun is not None else len(text)
        self._held = text[end:]
        return text[:end]

    def finish(self) -> str:
        rest, self._held = self._held, ""
        return rest
