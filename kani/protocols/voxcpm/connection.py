"""VoxCPM's protocol on its WebSocket: requests run concurrently, told apart by their ids."""

import asyncio
import hashlib
from dataclasses import dataclass, field

from starlette.websockets import WebSocket, WebSocketDisconnect

from kani.core import request_ids
from kani.core.recent import Recent
from kani.core.session.budget import Share
from kani.core.session.voice_resolver import LanguageMemory
from kani.protocols.shared.connection import Client
from kani.protocols.voxcpm import messages
from kani.protocols.voxcpm.params import Params, read_params
from kani.protocols.voxcpm.request import ConnectionContext, RequestRunner, SharedState

MAX_REQUESTS = 256
"""Concurrent requests of one connection."""

MAX_REQUEST_BYTES = 16 * 2**20
"""Bytes of the messages of those requests together."""

MAX_HEAVY_REQUESTS = 4
"""Requests of one connection that hold a recording or a whole answer in memory; others wait."""

MAX_ENDED_IDS = 256
"""Ids of ended requests that a connection remembers: to cancel one is no error."""

MAX_TIMEOUT_S = 3600.0
"""Longest timeout that a client may ask for."""

SUBPROTOCOLS = ("voxcpm-tts-v1", "voxcpm-tts")
"""Subprotocols by preference. Any other is not echoed: it may be a key."""


async def serve(websocket: WebSocket, shared: SharedState) -> None:
    offered = websocket.scope["subprotocols"]
    await websocket.accept(next((name for name in SUBPROTOCOLS if name in offered), None))
    await VoxCPMConnection(Client(websocket), shared).run()


@dataclass(eq=False)
class _Request:
    params: Params
    size: int  # bytes of its message
    cancelled: bool = False
    running: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        """Cancel the request once; one that does not run yet checks ``cancelled`` when it starts."""
        if not self.cancelled:
            self.cancelled = True
            if self.running is not None:
                self.running.cancel()


@dataclass(eq=False)
class VoxCPMConnection:
    """One client. Every request gets one last message: ``complete`` or ``error``."""

    _client: Client
    _shared: SharedState
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _requests: dict[str, _Request] = field(default_factory=dict)
    _unanswered: int = 0
    _held: Share = field(init=False)  # bytes of the requests that are not answered
    _ended_ids: Recent[bytes, None] = field(default_factory=lambda: Recent(MAX_ENDED_IDS))
    _last_id: str | None = None
    _count: int = 0

    async def run(self) -> None:
        context = ConnectionContext(
            self._shared,
            self._client.address,
            _timeout_s(self._client.websocket),
            self._client.languages,
            LanguageMemory(),
            asyncio.Semaphore(MAX_HEAVY_REQUESTS),
            self._client.send,
        )
        try:
            with self._shared.service.budgets.requests.share() as self._held:
                async with asyncio.TaskGroup() as group:
                    await self._read(group, context)
                    for task in self._tasks:
                        task.cancel()
        except* WebSocketDisconnect:
            pass

    async def _read(self, group: asyncio.TaskGroup, context: ConnectionContext) -> None:
        while (raw := await self._client.receive()) is not None:
            try:
                if isinstance(raw, bytes):
                    sentence = "Binary messages from client are not supported"
                    raise messages.RejectedMessage(messages.Failure("UNSUPPORTED_FORMAT", sentence))
                match messages.read(raw):
                    case messages.Ping(timestamp):
                        await self._client.send(messages.pong(timestamp))
                    case messages.Cancel(request_id):
                        self._cancel(request_id)
                    case messages.TtsRequest() as request:
                        self._start(request, len(raw), group, context)
            except messages.RejectedMessage as error:
                failed_id = error.request_id if error.request_id is not None else self._last_id
                await self._fail(failed_id, error.failure)

    def _cancel(self, request_id: str) -> None:
        """Cancel a request, unless it has ended. Raises RejectedMessage for an unknown id."""
        if request_id in self._requests:
            self._requests[request_id].cancel()
        elif _digest(request_id) not in self._ended_ids:
            raise messages.RejectedMessage(
                messages.Failure("REQUEST_NOT_FOUND", "Request not found"), request_id
            )

    def _start(
        self, request: messages.TtsRequest, size: int, group: asyncio.TaskGroup, context: ConnectionContext
    ) -> None:
        """Start a request. Raises RejectedMessage."""
        request_id = request.request_id
        if request_id in self._requests:
            failure = messages.validation_failure({"request_id": "is that of a request under way"})
            raise messages.RejectedMessage(failure, request_id)
        self._last_id = request_id
        self._ended_ids.keep(_digest(request_id), None)
        params = read_params(request.params, self._shared.max_text, request_id, request.beside)
        held = self._held.size + size
        if self._unanswered >= MAX_REQUESTS or held > MAX_REQUEST_BYTES or not self._held.fits(held):
            limit = f"{MAX_REQUESTS}, and {MAX_REQUEST_BYTES // 2**20} MiB in all"
            sentence = f"too many requests on this connection (at most {limit}), please try again later"
            raise messages.RejectedMessage(messages.Failure("QUEUE_FULL", sentence), request_id)
        self._count += 1
        running = self._requests[request_id] = _Request(params, size)
        self._unanswered += 1
        self._held.hold(held)
        with request_ids.bind(f"{request_ids.current()}-{self._count}"):
            task = group.create_task(self._answer(request_id, running, context), name="voxcpm request")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request_id: str, request: _Request, context: ConnectionContext) -> None:
        """Run one request and send its last message; while that is sent it can no longer be cancelled.

        The request counts towards the limits until that message is sent: a client that does not read cannot
        start more.
        """

        async def finish(last: str) -> None:
            del self._requests[request_id]
            self._ended_ids.keep(_digest(request_id), None)
            await self._client.send(last)

        try:
            request.running = asyncio.current_task()
            if request.cancelled:
                raise asyncio.CancelledError
            await RequestRunner(context, request_id, request.params, finish).run()
        except asyncio.CancelledError:
            if not request.cancelled or self._requests.get(request_id) is not request:
                raise
            await finish(messages.complete(request_id, {"cancelled": True}))
        finally:
            # A cycle: a cancelled task keeps its error, that its frames, and those this request.
            request.running = None
            self._unanswered -= 1
            self._held.hold(self._held.size - request.size)

    async def _fail(self, request_id: str | None, failure: messages.Failure) -> None:
        await self._client.send(messages.error(request_id, failure))


def _digest(request_id: str) -> bytes:
    return hashlib.blake2b(request_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _timeout_s(websocket: WebSocket) -> float | None:
    """Return the client's timeout for a request, if its header is a number within limits."""
    try:
        seconds = float(websocket.headers.get("x-request-timeout", ""))
    except ValueError:
        return None
    return seconds if 0 < seconds <= MAX_TIMEOUT_S else None
