"""The voices of an ElevenLabs account, and the languages of its models."""

import asyncio
import re
import ssl
from collections.abc import Iterator
from typing import Any

import httpx2

from kani.core.types import Voice
from kani.engines.elevenlabs.failures import UpstreamFailed, from_http_response
from kani.engines.upstream.failures import redacted
from kani.runtime import bounded_http
from kani_text import foreign

ENGINE = "elevenlabs"
VOICE_ID_PATTERN = re.compile(r"[A-Za-z0-9]{1,64}")

MAX_VOICES = 1000
_MAX_LIST_BYTES = 16 << 20
_MAX_NAME_CHARACTERS = 100

# From ElevenLabs' page of models. Norwegian is "no" there and "nb" in most texts' tags.
_LANGUAGES_29 = (
    "ar bg cs da de el en es fi fil fr hi hr id it ja ko ms nl pl pt ro ru sk sv ta tr uk zh".split()
)
_LANGUAGES_32 = [*_LANGUAGES_29, "hu", "nb", "no", "vi"]
_MODEL_LANGUAGES = {
    "eleven_multilingual_v2": _LANGUAGES_29,
    "eleven_monolingual_v1": ["en"],
    "eleven_flash_v2": ["en"],
    "eleven_turbo_v2": ["en"],
}
_TAKE_LANGUAGE_CODE = frozenset({"eleven_flash_v2_5", "eleven_turbo_v2_5"})
_OTHER_PROTOCOL = ("eleven_v3", "eleven_v4")


def model_languages(model: str) -> list[str]:
    """Return the primary subtags that ``model`` speaks; an unknown model counts as one of the latest."""
    return _MODEL_LANGUAGES.get(model, _LANGUAGES_32)


def language_code(model: str, language: str) -> str | None:
    """Return ``model``'s ``language_code`` for a primary subtag; None if it takes no such parameter."""
    if model not in _TAKE_LANGUAGE_CODE:
        return None
    return "no" if language == "nb" else language


def accepts_streamed_text(model: str) -> bool:
    """Return whether text can be streamed into ``model``; the third generation has another protocol."""
    return not model.startswith(_OTHER_PROTOCOL)


async def fetch_voices(
    base_url: str, key: str, *, tls_context: ssl.SSLContext | None, timeout_s: float
) -> tuple[Voice, ...]:
    """Fetch the account's voices, at most ``MAX_VOICES``. Raises UpstreamFailed.

    Their language is left empty, as each voice speaks all languages of the model.
    """
    try:
        async with (
            asyncio.timeout(timeout_s),
            bounded_http.new_client(
                timeout=timeout_s, headers={"xi-api-key": key}, tls=tls_context
            ) as client,
            client.stream("GET", f"{base_url}/v1/voices") as answer,
        ):
            body = await bounded_http.body(answer, _MAX_LIST_BYTES)
    except bounded_http.AnswerRefused as error:
        raise UpstreamFailed("other", f"the list of voices {error}") from error
    except TimeoutError as error:
        raise UpstreamFailed("stalled", f"no list of voices within {timeout_s:g} s") from error
    except httpx2.HTTPError as error:
        raise UpstreamFailed("unreachable", redacted(f"{type(error).__name__}: {error}", key)) from error
    if answer.status_code != httpx2.codes.OK:
        raise from_http_response(answer.status_code, body, key)
    return read_voices(body)


def read_voices(body: bytes) -> tuple[Voice, ...]:
    """Return the voices of a list, at most ``MAX_VOICES``. Raises UpstreamFailed if it is none."""
    try:
        listed = foreign.parse_json(body)["voices"]
    except (ValueError, LookupError, TypeError) as error:
        raise UpstreamFailed("other", "the list of voices cannot be parsed") from error
    return tuple(_valid_voices(listed))[:MAX_VOICES]


def make_voice(id: str, name: str = "", gender: str = "") -> Voice:
    """Return ElevenLabs' voice ``id`` as clients of this server name it."""
    return Voice(f"{ENGINE}:{id}", name[:_MAX_NAME_CHARACTERS] or id, "", ENGINE, gender)


def _valid_voices(listed: Any) -> Iterator[Voice]:
    for entry in listed if isinstance(listed, list) else []:
        if not isinstance(entry, dict):
            continue
        id, name, labels = entry.get("voice_id"), entry.get("name"), entry.get("labels")
        if not isinstance(id, str) or VOICE_ID_PATTERN.fullmatch(id) is None:
            continue
        gender = labels.get("gender") if isinstance(labels, dict) else None
        yield make_voice(
            id, name if isinstance(name, str) else "", gender if gender in ("female", "male") else ""
        )
