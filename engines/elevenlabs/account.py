"""The account's voices, as ElevenLabs lists them, and what its models speak."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Iterator
from typing import Any

import httpx

from engines.elevenlabs.failures import UpstreamFailed, from_http_response, redacted
from speech.types import Voice

ENGINE = "elevenlabs"
VOICE_ID_PATTERN = re.compile(r"[A-Za-z0-9]{1,64}")

MAX_VOICES = 1000
_LARGEST_LIST = 16 << 20
_LONGEST_NAME = 100

# By ElevenLabs' page of models. Norwegian is "no" there and "nb" in most texts' tags.
_TWENTY_NINE = (
    "ar bg cs da de el en es fi fil fr hi hr id it ja ko ms nl pl pt ro ru sk sv ta tr uk zh".split()
)
_THIRTY_TWO = [*_TWENTY_NINE, "hu", "nb", "no", "vi"]
_OF_MODEL = {
    "eleven_multilingual_v2": _TWENTY_NINE,
    "eleven_monolingual_v1": ["en"],
    "eleven_flash_v2": ["en"],
    "eleven_turbo_v2": ["en"],
}
_TOLD_LANGUAGE = frozenset({"eleven_flash_v2_5", "eleven_turbo_v2_5"})
_OTHER_PROTOCOL = ("eleven_v3", "eleven_v4")


def model_languages(model: str) -> list[str]:
    """What ``model`` speaks, by primary subtag; of one that is not known, what the latest ones speak."""
    return _OF_MODEL.get(model, _THIRTY_TWO)


def language_code(model: str, language: str) -> str | None:
    """How ``model`` is told to speak ``language`` (a primary subtag); None where it takes no such word."""
    if model not in _TOLD_LANGUAGE:
        return None
    return "no" if language == "nb" else language


def accepts_streamed_text(model: str) -> bool:
    """Whether ``model`` can be streamed into. The third generation speaks another protocol."""
    return not model.startswith(_OTHER_PROTOCOL)


async def fetch_voices(
    base_url: str, key: str, *, tls_context: ssl.SSLContext | None, timeout_s: float
) -> tuple[Voice, ...]:
    """The account's voices, ``MAX_VOICES`` at most. Raises UpstreamFailed.

    A voice's language stays open, as each of them speaks all.
    """
    body = bytearray()
    try:
        async with (
            asyncio.timeout(timeout_s),
            httpx.AsyncClient(trust_env=False, verify=tls_context or True, timeout=timeout_s) as client,
            client.stream("GET", f"{base_url}/v1/voices", headers={"xi-api-key": key}) as answer,
        ):
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > _LARGEST_LIST:
                    raise UpstreamFailed("other", "the list of voices has no end")
    except TimeoutError as error:
        raise UpstreamFailed("stalled", f"no list of voices within {timeout_s:g} s") from error
    except httpx.HTTPError as error:
        raise UpstreamFailed("unreachable", redacted(f"{type(error).__name__}: {error}", key)) from error
    if answer.status_code != httpx.codes.OK:
        raise from_http_response(answer.status_code, bytes(body), key)
    try:
        listed = json.loads(body)["voices"]
    except (ValueError, RecursionError, LookupError, TypeError) as error:
        raise UpstreamFailed("other", "the list of voices cannot be read") from error
    return tuple(_known(listed))[:MAX_VOICES]


def make_voice(id: str, name: str = "", gender: str = "") -> Voice:
    """ElevenLabs' voice ``id``, as clients here name it."""
    return Voice(f"{ENGINE}:{id}", name[:_LONGEST_NAME] or id, "", ENGINE, gender)


def _known(listed: Any) -> Iterator[Voice]:
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
