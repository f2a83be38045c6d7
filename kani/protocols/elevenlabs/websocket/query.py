"""Query parameters of ElevenLabs' WebSockets."""

import math
from dataclasses import dataclass

from starlette.datastructures import QueryParams

from kani.core.audio.encoding import AudioFormat
from kani.core.errors import InvalidRequest
from kani.core.service import SpeechService
from kani.protocols.elevenlabs.formats import resolve_format
from kani.protocols.elevenlabs.models import has_audio_tags, validate_model
from kani.protocols.elevenlabs.voice_settings import SEED_RANGE, parse_normalization
from kani.protocols.shared.query_flag import read_flag
from kani_text import languages

DEFAULT_INACTIVITY_S = 20.0
MIN_INACTIVITY_S = 1.0
MAX_INACTIVITY_S = 180.0


@dataclass(frozen=True, slots=True)
class Query:
    """Validated parameters of a connection."""

    audio_format: AudioFormat
    language: str | None  # BCP 47 tag; None is that of the voice, or detected from the text
    quotations: bool  # whether those in another language are spoken in it
    seed: int | None
    inactivity_timeout_s: float  # longest time without a message
    sync_alignment: bool  # whether times count from the start of the stream
    auto_mode: bool  # whether each message is spoken at once
    audio_tags: bool  # whether the model takes audio tags in its text
    normalize: bool  # whether numbers, abbreviations and the like are spelled out


def parse_query(query: QueryParams, service: SpeechService) -> Query:
    """Parse the parameters of both WebSockets; unknown ones are ignored. Raises InvalidRequest."""
    validate_model(query.get("model_id") or None)
    language = query.get("language_code")
    if language:
        language = languages.resolve(language)
        service.catalogue.resolve(None, language)
    seed = _number(query, "seed")
    if seed is not None:
        SEED_RANGE.check("seed", seed)
    inactivity_s = _number(query, "inactivity_timeout")
    inactivity_s = DEFAULT_INACTIVITY_S if inactivity_s is None else inactivity_s
    if inactivity_s < MIN_INACTIVITY_S:
        raise InvalidRequest("inactivity_timeout", f"must be at least {MIN_INACTIVITY_S:g}")
    return Query(
        audio_format=resolve_format(query.get("output_format") or None),
        language=language or None,
        quotations=read_flag(query, "quotations", default=True),
        seed=int(seed) if seed is not None else None,
        # Larger values are clamped, as by ElevenLabs' service.
        inactivity_timeout_s=min(inactivity_s, MAX_INACTIVITY_S),
        sync_alignment=read_flag(query, "sync_alignment"),
        auto_mode=read_flag(query, "auto_mode"),
        audio_tags=has_audio_tags(query.get("model_id")),
        normalize=parse_normalization(query.get("apply_text_normalization")),
    )


def _number(query: QueryParams, name: str) -> float | None:
    given = query.get(name)
    if not given:
        return None
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or (name == "seed" and number % 1):
        raise InvalidRequest(name, "must be a whole number" if name == "seed" else "must be a number")
    return number
