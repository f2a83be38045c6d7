"""Single-use tokens: a backend makes one with its key, and a browser opens one connection by it."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core import shared_numbers
from kani.core.errors import Busy, InvalidRequest
from kani.protocols.elevenlabs.errors import endpoint, json_response

LIFE_S = 900.0
MAX_TOKENS = 10_000
"""Tokens that are neither used nor expired."""

AGENT, AGENT_PATH = "agent", "/v1/convai/conversation"

PATHS = {
    AGENT: (AGENT_PATH,),
    "realtime_scribe": ("/v1/speech-to-text/realtime",),
    "batch_scribe": ("/v1/speech-to-text",),
    "tts_websocket": (
        "/v1/text-to-speech/{voice_id}/stream-input",
        "/v1/text-to-speech/{voice_id}/multi-stream-input",
    ),
}
"""Paths that the tokens of each type open."""


class SingleUseTokens:
    """Tokens that were made and not used yet, by their digests."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: in seconds."""
        self._clock = clock
        self._tokens: MutableMapping[str, tuple[str, float]] = {}  # types and ends, in the order of the ends
        if shared_numbers.memory is not None:
            self._tokens = _Files(shared_numbers.memory.folder / "tokens")

    def issue(self, kind: str, ending: str = "") -> str:
        """Make a token of a type; ending: what it is for. Raises InvalidRequest and Busy."""
        if kind not in PATHS:
            raise InvalidRequest("token_type", f"must be one of {', '.join(PATHS)}")
        now = self._clock()
        while self._tokens and self._tokens[oldest := next(iter(self._tokens))][1] <= now:
            del self._tokens[oldest]
        if len(self._tokens) >= MAX_TOKENS:
            raise Busy(f"too many tokens wait to be used (at most {MAX_TOKENS})")
        token = f"sutkn_{secrets.token_urlsafe(32)}{ending}"
        self._tokens[_digest(token)] = (kind, now + LIFE_S)
        return token

    def use(self, kind: str, token: str) -> bool:
        """Return True for a token of that type that was not used before; it is used up."""
        known = self._tokens.get(_digest(token))
        if known is None or known[0] != kind:
            return False
        # Of several processes that have found it, one can take it away.
        return self._tokens.pop(_digest(token), None) is not None and known[1] > self._clock()

    @property
    def keys(self) -> Mapping[str, Callable[[str], bool]]:
        """Functions that tell whether a token opens a path, by its path; see ``Protocol.temporary_keys``."""
        return {path: partial(self.use, kind) for kind, paths in PATHS.items() for path in paths}

    def routes(self) -> list[BaseRoute]:
        async def create(request: Request) -> Response:
            return json_response({"token": self.issue(request.path_params["token_type"])})

        return [Route("/v1/single-use-token/{token_type}", endpoint(create), methods=["POST"])]


def _digest(token: str) -> str:
    # Looked up by a digest: the time that takes tells nothing about a token.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class _Files(MutableMapping[str, tuple[str, float]]):
    """Types and ends in files by digests, for all processes of one server; in the order of the ends."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder

    def __getitem__(self, digest: str) -> tuple[str, float]:
        try:
            kind, end = (self._folder / digest).read_text().split()
        except (FileNotFoundError, ValueError) as error:  # used up; or not written yet
            raise KeyError(digest) from error
        return kind, float(end)

    def __setitem__(self, digest: str, token: tuple[str, float]) -> None:
        (self._folder / digest).write_text(f"{token[0]} {token[1]}")

    def __delitem__(self, digest: str) -> None:
        try:
            (self._folder / digest).unlink()
        except FileNotFoundError as error:
            raise KeyError(digest) from error

    def __len__(self) -> int:
        return sum(1 for _ in self._folder.iterdir())

    def __iter__(self) -> Iterator[str]:
        return iter([path.name for path in sorted(self._folder.iterdir(), key=_written)])


def _written(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0
