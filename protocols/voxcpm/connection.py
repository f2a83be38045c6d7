"""VoxCPM's protocol on its WebSocket: requests are spoken side by side, told apart by their ids."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict

from starlette.websockets import WebSocket, WebSocketDisconnect

from protocols.shared.client_languages import accept_languages
from protocols.voxcpm import messages
from protocols.voxcpm.messages import (
    BadMessage,
    Cancel,
    Failure,
    Ping,
    TtsRequest,
    complete,
    validation_failure,
)
from protocols.voxcpm.params import Params, read_params
from protocols.voxcpm.request import ConnectionContext, RequestRunner, SharedState
from speech import request_ids

MAX_REQUESTS = 256
"""Requests of one connection under way at once."""

MAX_REQUEST_BYTES = 16 * 2**20
"""How much the messages of those may weigh together."""

MAX_HEAVY_REQUESTS = 4
"""How many of those may hold a recording or a whole answer in memory; others wait for their turn."""

MAX_ENDED_IDS = 256
"""Of how many requests that are over a connection knows that there were such."""

MAX_TIMEOUT_S = 3600.0

SUBPROTOCOLS = ("voxcpm-tts-v1", "voxcpm-tts")
"""Those that are answered, in order of preference; a key that comes as another one is not repeated."""


async def serve(websocket: WebSocket, house: SharedState) -> None:
    """Serve one client of ``/tts``."""
    offered = websocket.scope["subprotocols"]
    await websocket.accept(next((name for name in SUBPROTOCOLS if name in offered), None))
    house.meter.connected()
    try:
        await VoxCPMConnection(websocket, house).run()
    finally:
        house.meter.disconnected()


class _Request:
    """A request under way."""

    def __init__(self, params: Params, size: int) -> None:
        self.params = params
        self.size = size
        self.since = time.perf_counter()
        self.cancelled = False
        self.running: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        """End it, unless that was asked for before; one that has not begun yet will see it."""
        if not self.cancelled:
            self.cancelled = True
            if self.running is not None:
                self.running.cancel()


class VoxCPMConnection:
    """One client. Every request gets one last message: ``complete`` or ``error``."""

    def __init__(self, websocket: WebSocket, house: SharedState) -> None:
        self._websocket = websocket
        self._house = house
        # In turn, so that each stream gets its share of a slow line, and no more than a message of it waits.
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._requests: dict[str, _Request] = {}
        self._under_way = 0
        self._bytes = 0
        self._gone = False
        self._over: OrderedDict[bytes, None] = OrderedDict()
        self._last_id: str | None = None
        self._count = 0

    async def run(self) -> None:
        """Serve until the client goes, or something breaks that no message explains."""
        # It holds this connection, so this connection does not hold it: what a request that was broken
        # off had in memory is freed at once.
        visit = ConnectionContext(
            self._house,
            self._websocket.client.host if self._websocket.client else "",
            _timeout_s(self._websocket),
            accept_languages(self._websocket.headers),
            asyncio.Semaphore(MAX_HEAVY_REQUESTS),
            self._send,
        )
        try:
            async with asyncio.TaskGroup() as group:
                await self._read(group, visit)
                for task in self._tasks:
                    task.cancel()
        except* WebSocketDisconnect:
            pass

    async def _read(self, group: asyncio.TaskGroup, visit: ConnectionContext) -> None:
        while True:
            received = await self._websocket.receive()
            if received["type"] == "websocket.disconnect":
                return
            raw = received.get("text")
            try:
                if raw is None:
                    sentence = "Binary messages from client are not supported"
                    raise BadMessage(Failure("UNSUPPORTED_FORMAT", sentence))
                match messages.read(raw):
                    case Ping(timestamp):
                        await self._send(messages.pong(timestamp))
                    case Cancel(request_id):
                        self._cancel(request_id)
                    case TtsRequest() as request:
                        self._begin(request, len(raw), group, visit)
            except BadMessage as error:
                about = error.request_id if error.request_id is not None else self._last_id
                await self._fail(about, error.failure)

    def _cancel(self, request_id: str) -> None:
        """End a request; nothing is answered for one that is over."""
        if request_id in self._requests:
            self._requests[request_id].cancel()
        elif _digest(request_id) not in self._over:
            raise BadMessage(Failure("REQUEST_NOT_FOUND", "Request not found"), request_id)

    def _begin(
        self, request: TtsRequest, size: int, group: asyncio.TaskGroup, visit: ConnectionContext
    ) -> None:
        """Speak a request beside the others. Raises BadMessage."""
        name = request.request_id
        if name in self._requests:
            raise BadMessage(validation_failure({"request_id": "is that of a request under way"}), name)
        self._last_id = name
        self._remember(name)
        params = read_params(request.params, self._house.settings.max_text, name)
        if self._under_way >= MAX_REQUESTS or self._bytes + size > MAX_REQUEST_BYTES:
            limit = f"{MAX_REQUESTS}, and {MAX_REQUEST_BYTES // 2**20} MiB in all"
            sentence = f"too many requests on this connection (at most {limit}), please try again later"
            raise BadMessage(Failure("QUEUE_FULL", sentence), name)
        self._count += 1
        under_way = self._requests[name] = _Request(params, size)
        self._under_way += 1
        self._bytes += size
        with request_ids.bind(f"{request_ids.current()}-{self._count}"):
            task = group.create_task(self._answer(name, under_way, visit), name="voxcpm request")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, name: str, request: _Request, visit: ConnectionContext) -> None:
        """Speak one request, and send its last message, from where on nothing can cancel it.

        It counts as under way until that message is on its way: a client that does not read gets no more.
        """
        meter, mode = self._house.meter, request.params.mode
        status = "cancelled"

        async def finish(ending: str, last: str) -> None:
            nonlocal status
            status = ending
            self._end(name)
            await self._send(last)

        utterance = RequestRunner(visit, name, request.params, finish)
        meter.request_queued()
        try:
            request.running = asyncio.current_task()
            if request.cancelled:
                raise asyncio.CancelledError
            await utterance.run()
        except asyncio.CancelledError:
            if not request.cancelled or self._requests.get(name) is not request:
                raise
            await finish("cancelled", complete(name, {"cancelled": True}))
        finally:
            # A task that was cancelled keeps its error, that its frames, and those this request.
            request.running = None
            self._under_way -= 1
            self._bytes -= request.size
            meter.request_ended(mode, status, time.perf_counter() - request.since, utterance.started)

    def _end(self, name: str) -> None:
        """A request is over: its id may be used again."""
        del self._requests[name]
        self._remember(name)

    def _remember(self, name: str) -> None:
        digest = _digest(name)
        self._over.pop(digest, None)
        self._over[digest] = None
        while len(self._over) > MAX_ENDED_IDS:
            self._over.popitem(last=False)

    async def _fail(self, about: str | None, failure: Failure) -> None:
        self._house.meter.error_sent(failure.code)
        await self._send(messages.error(about, failure))

    async def _send(self, message: str | bytes) -> None:
        async with self._writing:
            if self._gone:
                raise WebSocketDisconnect
            try:
                if isinstance(message, str):
                    await self._websocket.send_text(message)
                else:
                    await self._websocket.send_bytes(message)
            except WebSocketDisconnect:
                # Starlette complains of the next who tries.
                self._gone = True
                raise


def _digest(request_id: str) -> bytes:
    return hashlib.blake2b(request_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _timeout_s(websocket: WebSocket) -> float | None:
    """How long the client would wait for a request, if it says so in a way that makes sense."""
    try:
        seconds = float(websocket.headers.get("x-request-timeout", ""))
    except ValueError:
        return None
    return seconds if 0 < seconds <= MAX_TIMEOUT_S else None
