"""POST /v1/realtime/calls, which answers a WebRTC offer, and …/calls/{call_id}/hangup."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.websockets import WebSocket

from kani.core.conversation.items import new_id
from kani.core.service import SpeechService
from kani.protocols.openai.errors import endpoint
from kani.protocols.openai.realtime.answers.paced import Track
from kani.protocols.openai.realtime.client_events import EventError
from kani.protocols.openai.realtime.client_secrets import as_api_error, bounded_body
from kani.protocols.openai.realtime.connection import RealtimeConnection
from kani.protocols.openai.realtime.session_config import SessionConfig
from kani.protocols.openai.realtime.session_update import check_voice, heard_languages, updated_config
from kani.protocols.shared.calls.bodies import parse_object
from kani.protocols.shared.connection import Client
from kani.protocols.shared.conversation import ConnectionLimits
from kani.protocols.shared.errors import RequestError, field_error, json_response
from kani.runtime.extras import install_command

if TYPE_CHECKING:
    from kani.protocols.openai.realtime.webrtc.call import Call, MakeSession

PATH = "/v1/realtime/calls"
CALL = "kani.call"
"""Entry of ``scope["extensions"]`` of a session's WebSocket that is a call."""

MAX_CALLS = 64
"""Calls at once: each has a socket, and a thread that decodes."""

MAX_BYTES = 131_072
"""Bytes of an offer, with the session object."""

_PREFIXES = {"call_id": "rtc_", "session_id": "live_"}
_PASSED_ON = ("asgi", "http_version", "headers", "query_string", "client", "server", "root_path")


class Calls:
    """The calls that go on, of all dialects, by their ids."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[Call, asyncio.Task[None]]] = {}

    async def open(
        self, request: Request, call_id: str, websocket_path: str, make_session: MakeSession, offer: str
    ) -> str:
        """Return the SDP answer to an offer. Raises RequestError.

        websocket_path: where the call's session is served.
        """
        make_call, calls = await asyncio.to_thread(_load), self._running
        if len(calls) >= MAX_CALLS:
            raise RequestError(429, f"too many calls at once (at most {MAX_CALLS})", code="server_busy")
        call = make_call(make_session)
        # Its session is a WebSocket of this server: counted, bounded and closed as any other.
        scope = {name: request.scope[name] for name in _PASSED_ON if name in request.scope}
        scope |= {"type": "websocket", "scheme": "ws", "path": websocket_path, "subprotocols": []}
        scope["extensions"] = {CALL: call, "websocket.http.response": {}}

        async def serve() -> None:
            try:
                await request.app(scope, call.receive, call.send)
            finally:
                try:
                    await call.close()
                finally:
                    del calls[call_id]

        calls[call_id] = call, asyncio.create_task(serve(), name="call")
        try:
            if (status := await call.status) != 101:
                raise RequestError(status, "no further session can be opened now")
            return await call.answer(offer, request.scope["server"][0])
        except BaseException:
            call.end()
            raise

    async def join(self, websocket: WebSocket, field: str, call_id: str, subprotocol: str | None) -> None:
        """Serve another client of a call's session; field: name of the id."""
        try:
            call, _ = self._find(field, call_id)
        except RequestError as error:
            await websocket.send_denial_response(json_response({"error": error.as_json()}, error.status))
            return
        await websocket.accept(subprotocol)
        await call.join(Client(websocket))

    async def hang_up(self, request: Request) -> Response:
        """Answer a request that ends a call. Raises RequestError."""
        ((field, call_id),) = request.path_params.items()
        call, serving = self._find(field, call_id)
        call.end("close_requested")
        await asyncio.wait([serving])
        return Response()

    def _find(self, field: str, call_id: str) -> tuple[Call, asyncio.Task[None]]:
        """Return a call of the dialect that has this field. Raises RequestError."""
        # An ephemeral key opens paths of Realtime only.
        if not call_id.startswith(_PREFIXES[field]) or (found := self._running.get(call_id)) is None:
            raise RequestError(404, f"{field}: no call has this id", field, f"{field}_not_found")
        return found


def call_routes(
    calls: Calls,
    websocket_path: str,
    first_config: Callable[[HTTPConnection], SessionConfig],
    service: SpeechService,
    limits: ConnectionLimits,
) -> list[BaseRoute]:
    """Return the routes of calls, which are kept in ``calls``.

    websocket_path: where a call's session is served; first_config: of the session that a request opens, by
    its key or its query.
    """

    async def create(request: Request) -> Response:
        offer, session = await _read_body(request)
        try:
            config = first_config(request)
            if session.strip():
                given = parse_object(session)
                config = updated_config(config, given, heard_languages(service))
                await check_voice(service, config, given)
        except EventError as error:
            raise as_api_error(error) from error
        except ValueError as error:
            raise field_error("session", "is not a JSON object", "invalid_json") from error

        def make_session(client: Client, track: Track) -> RealtimeConnection:
            return RealtimeConnection(client, service, config, limits, track=track)

        call_id = new_id("rtc")
        answer = await calls.open(request, call_id, websocket_path, make_session, offer)
        return Response(answer, 201, {"location": f"{PATH}/{call_id}"}, "application/sdp")

    return [
        Route(PATH, endpoint(create), methods=["POST"]),
        Route(f"{PATH}/{{call_id}}/hangup", endpoint(calls.hang_up), methods=["POST"]),
    ]


def _load() -> Callable[[MakeSession], Call]:
    """Import what makes a call. Raises RequestError without its packages, or with others than were read."""
    try:
        from kani.protocols.openai.realtime.webrtc.bounds import unread_versions
        from kani.protocols.openai.realtime.webrtc.call import Call

        wrong = unread_versions()
    except ModuleNotFoundError as error:
        wrong = f"{error.name}, which is not installed here"
    if wrong:
        install = install_command("webrtc", "deploy/requirements-webrtc.txt")
        reason = f"A call by WebRTC needs {wrong}: {install}"
        raise RequestError(503, reason, code="webrtc_not_installed", retry=False)
    return Call


async def _read_body(request: Request) -> tuple[str, str]:
    """Return the offer of a request, and its session object or nothing. Raises RequestError."""
    body = await bounded_body(request, MAX_BYTES)
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return body.decode(errors="replace"), ""
    async with request.form(max_files=2, max_fields=2) as form:
        fields = [form.get(name) or "" for name in ("sdp", "session")]
        sdp, session = [
            each if isinstance(each, str) else (await each.read()).decode(errors="replace") for each in fields
        ]
        return sdp, session
