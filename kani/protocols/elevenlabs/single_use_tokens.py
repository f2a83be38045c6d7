"""Single-use tokens: a backend makes one with its key, and a browser opens one connection by it."""

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core import shared_numbers
from kani.core.errors import Busy, InvalidRequest
from kani.protocols.elevenlabs.errors import endpoint, json_answer

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
        self._database = shared_numbers.database()
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS tokens (digest BLOB PRIMARY KEY, kind TEXT, ends REAL)"
        )

    def issue(self, kind: str, ending: str = "") -> str:
        """Make a token of a type; ending: what it is for. Raises InvalidRequest and Busy."""
        if kind not in PATHS:
            raise InvalidRequest("token_type", f"must be one of {', '.join(PATHS)}")
        now = self._clock()
        self._database.execute("DELETE FROM tokens WHERE ends <= ?", (now,))
        if self._database.execute("SELECT count(*) FROM tokens").fetchone()[0] >= MAX_TOKENS:
            raise Busy(f"too many tokens wait to be used (at most {MAX_TOKENS})")
        token = f"sutkn_{secrets.token_urlsafe(32)}{ending}"
        row = (_digest(token), kind, now + LIFE_S)
        self._database.execute("INSERT INTO tokens VALUES (?, ?, ?)", row)
        return token

    def use(self, kind: str, token: str) -> bool:
        """Return True for a token of that type that was not used before; it is used up."""
        used = "DELETE FROM tokens WHERE digest = ? AND kind = ? AND ends > ?"
        return self._database.execute(used, (_digest(token), kind, self._clock())).rowcount == 1

    @property
    def keys(self) -> Mapping[str, Callable[[str], bool]]:
        """Functions that tell whether a token opens a path, by its path; see ``Protocol.temporary_keys``."""
        return {path: partial(self.use, kind) for kind, paths in PATHS.items() for path in paths}

    def routes(self) -> list[BaseRoute]:
        async def create(request: Request) -> Response:
            return json_answer({"token": self.issue(request.path_params["token_type"])})

        return [Route("/v1/single-use-token/{token_type}", endpoint(create), methods=["POST"])]


def _digest(token: str) -> bytes:
    # Looked up by a digest: the time that takes tells nothing about a token.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
