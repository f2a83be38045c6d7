"""The upstream server by HTTP: its models, voices, speech and transcriptions, and how each fails."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, ClassVar
from urllib.parse import urlsplit

import httpx2

from kani.core.errors import EngineUnavailable
from kani.engines.openai.plugin import OpenAIUpstreamSettings
from kani.engines.upstream.failures import ServiceFailed, redacted
from kani.engines.upstream.relay import SECONDS_EACH, check_key
from kani.runtime import bounded_http
from kani_text import foreign

CONNECT_S = 10.0
SILENCE_S = 60.0
"""Longest wait for a byte (seconds): some servers make a sentence whole before they send any."""

STREAMS = 4
"""Requests that it is sent at the same time, unless KANI_MAX_CONCURRENT tells a number."""

LIST_S = 10.0
"""Longest wait for a list, and for an error's text."""

MAX_LIST_BYTES = 4 << 20
MAX_NAME = 200
MAX_ERROR_BYTES = 1 << 16
MAX_SPEECH_PIECES = 200_000

_CODES = {401: "unauthorized", 403: "unauthorized", 408: "stalled", 429: "busy", 503: "busy"}


class UpstreamFailed(ServiceFailed):
    sentences: ClassVar = {
        "unauthorized": "the upstream server refused this server's key",
        "busy": "the upstream server takes no more requests at the moment",
        "refused": "the upstream server refused the request",
        "unavailable": "the upstream server is out of order",
        "unreachable": "the upstream server cannot be reached",
        "stalled": "the upstream server did not answer in time",
        "closed_early": "the upstream server broke off before all was sent",
        "silent": "the upstream server sent no sound",
        "unreadable": "the upstream server sent an answer that cannot be read",
    }
    passing = frozenset(("busy", "unavailable", "unreachable", "closed_early"))
    of_one_request = frozenset(("refused", "silent"))


class Upstream:
    def __init__(self, settings: OpenAIUpstreamSettings, silence_s: float = SILENCE_S) -> None:
        self._url = settings.url or ""
        self._place = urlsplit(self._url).netloc
        self._key = settings.api_key.get_secret_value() if settings.api_key is not None else ""
        self._silence_s = silence_s
        self._client: httpx2.AsyncClient | None = None

    def patience_s(self, audio_s: float) -> float:
        """Return the most seconds of waiting for an answer about ``audio_s`` seconds of audio."""
        return self._silence_s + SECONDS_EACH * audio_s

    async def start(self) -> None:
        """Make the client. Raises EngineUnavailable for settings that cannot be used."""
        if not self._url:
            raise EngineUnavailable(
                "the engine and the recogniser `openai` need a server: set KANI_UPSTREAM to its address "
                "with its version, as http://localhost:8880/v1"
            )
        if self._key:
            check_key(self._key, "KANI_UPSTREAM_KEY", self._url, "KANI_UPSTREAM")
        https = urlsplit(self._url).scheme == "https"
        tls = (
            await asyncio.to_thread(ssl.create_default_context)
            if https
            else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        timeout = httpx2.Timeout(self._silence_s, connect=CONNECT_S)
        self._client = bounded_http.new_client(timeout=timeout, headers=headers, tls=tls, keepalive=16)

    async def stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def listed(self, path: str, *keys: str) -> list[Any]:
        """Return a list that the server offers, under the first of ``keys`` that it has; empty without one.

        Raises UpstreamFailed.
        """
        try:
            parsed = foreign.parse_json(await self.whole("GET", path, MAX_LIST_BYTES, LIST_S))
        except UpstreamFailed as failure:
            if failure.code != "refused":
                raise
            return []
        except ValueError as error:
            raise UpstreamFailed("unreadable", f"{path} is no JSON") from error
        found = (
            next((parsed[key] for key in keys if key in parsed), []) if isinstance(parsed, dict) else parsed
        )
        return found if isinstance(found, list) else []

    async def whole(self, method: str, path: str, max_bytes: int, within_s: float, **request: Any) -> bytes:
        """Return the body of an answer that comes to its end in time. Raises UpstreamFailed."""
        try:
            async with asyncio.timeout(within_s), self.answer(method, path, **request) as answer:
                return await bounded_http.body(answer, max_bytes)
        except TimeoutError as error:
            raise UpstreamFailed("stalled", f"no whole answer to {path} in {within_s:g} s") from error

    @asynccontextmanager
    async def answer(self, method: str, path: str, **request: Any) -> AsyncGenerator[httpx2.Response, None]:
        """Send a request; yields an answer with status 200. Raises UpstreamFailed, in the body as well.

        Nothing but its head has a time here: see ``whole``, and ``within_s`` of ``bounded_http.pieces``.
        """
        assert self._client is not None, "the client is made by start"
        try:
            async with self._client.stream(method, self._url + path, **request) as answer:
                if answer.status_code != httpx2.codes.OK:
                    body = await bounded_http.body(answer, MAX_ERROR_BYTES, within_s=LIST_S)
                    raise self._refusal(answer, body)
                yield answer
        except bounded_http.AnswerRefused as error:
            raise UpstreamFailed("unreadable", f"its answer {error}") from error
        except httpx2.ConnectError as error:
            raise UpstreamFailed("unreachable", redacted(f"{self._place}: {error}", self._key)) from error
        except httpx2.TimeoutException as error:
            raise UpstreamFailed("stalled", type(error).__name__) from error
        except httpx2.HTTPError as error:
            raise UpstreamFailed("closed_early", redacted(error, self._key)) from error

    def _refusal(self, answer: httpx2.Response, body: bytes) -> UpstreamFailed:
        status = answer.status_code
        code = _CODES.get(status, "unavailable" if status >= 500 else "refused")
        return UpstreamFailed(code, redacted(f"HTTP {status}: {body.decode(errors='replace')}", self._key))


def names(listed: list[Any]) -> list[tuple[str, str, str]]:
    """Return the id, the language and the gender of each entry of a list of voices or models.

    Entries are names, or objects with an id or a name; what is none of these is left out.
    """
    found: dict[str, tuple[str, str, str]] = {}
    for entry in listed[:1000]:
        fields = entry if isinstance(entry, dict) else {"id": entry}
        id = fields.get("id") or fields.get("voice_id") or fields.get("name")
        if not isinstance(id, str) or len(id) > MAX_NAME or not id.isprintable() or " " in id:
            continue
        language, gender = (fields.get(name) for name in ("language", "gender"))
        found[id] = (
            id,
            language if isinstance(language, str) else "",
            gender if gender in ("female", "male") else "",
        )
    return list(found.values())


async def chosen_model(upstream: Upstream, usual: str) -> str:
    """Return the only model that a server lists, else the usual one. Raises UpstreamFailed."""
    models = names(await upstream.listed("/models", "data", "models"))
    return models[0][0] if len(models) == 1 else usual
