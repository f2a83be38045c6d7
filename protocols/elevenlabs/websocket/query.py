"""What a client says in the URL of ElevenLabs' WebSockets."""

from __future__ import annotations

import math
from dataclasses import dataclass

from starlette.datastructures import QueryParams

from protocols.elevenlabs.formats import resolve_format
from protocols.elevenlabs.models import validate_model
from protocols.elevenlabs.normalization import parse_normalization
from speech.audio.encoding import AudioFormat
from speech.errors import InvalidRequest
from speech.request import Range
from speech.service import SpeechService
from speech.text import languages

SEED_RANGE = Range(0, 2**32 - 1)

DEFAULT_INACTIVITY_S = 20.0
MIN_INACTIVITY_S = 1.0
MAX_INACTIVITY_S = 180.0


@dataclass(frozen=True, slots=True)
class Query:
    """audio: how it goes out; language: a BCP 47 tag, None is told from voice or text; inactivity_s: how
    long no message may come; sync: ``sync_alignment``; auto_mode: whether each message is spoken at once;
    normalize: whether numbers, abbreviations and the like are spelled out.
    """

    audio_format: AudioFormat
    language: str | None
    seed: int | None
    inactivity_timeout_s: float
    sync_alignment: bool
    auto_mode: bool
    normalize: bool


def parse_query(query: QueryParams, service: SpeechService) -> Query:
    """The parameters of both WebSockets; those that nobody knows are passed over. Raises InvalidRequest."""
    validate_model(query.get("model_id") or None)
    language = query.get("language_code")
    if language:
        language = languages.resolve(language)
        service.catalogue.resolve(None, language)
    seed = _number(query, "seed")
    if seed is not None:
        SEED_RANGE.check("seed", seed)
    inactivity_s = _number(query, "inactivity_timeout")
    return Query(
        audio_format=resolve_format(query.get("output_format") or None),
        language=language or None,
        seed=int(seed) if seed is not None else None,
        inactivity_timeout_s=_inactivity(DEFAULT_INACTIVITY_S if inactivity_s is None else inactivity_s),
        sync_alignment=_flag(query, "sync_alignment"),
        auto_mode=_flag(query, "auto_mode"),
        normalize=parse_normalization(query.get("apply_text_normalization")),
    )


def _inactivity(seconds: float) -> float:
    if seconds < MIN_INACTIVITY_S:
        raise InvalidRequest("inactivity_timeout", f"must be at least {MIN_INACTIVITY_S:g}")
    # Clients that ask for more get the most there is, as from the service.
    return min(seconds, MAX_INACTIVITY_S)


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


def _flag(query: QueryParams, name: str) -> bool:
    match query.get(name, "").lower():
        case "true" | "1":
            return True
        case "false" | "0" | "":
            return False
    raise InvalidRequest(name, "must be true or false")
