"""A worker: one engine or recogniser, and the servers that are connected to it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from kani.core.engine import Engine
from kani.core.recognizer import Recognizer
from kani.core.session.slots import SlotQueue
from kani.engines.remote import messages
from kani.engines.remote.channel import Channel, ProtocolError
from kani.engines.worker.exchanges import (
    CloningExchange,
    Exchange,
    RecognitionExchange,
    SpeechExchange,
    outcome,
)
from kani.runtime.cancelling import end_tasks

MAX_EXCHANGES = 4096
"""Exchanges of one server at once; another is refused as busy."""


class Worker:
    """Serves a started engine, or a started recogniser, to the servers that connect."""

    def __init__(self, engine: Engine | None, recognizer: Recognizer | None = None, name: str = "") -> None:
        """name: for the servers' metrics; empty where the worker's address is the best one."""
        self._engine = engine
        self._recognizer = recognizer
        self._name = name
        self._servers: set[ServerConnection] = set()
        self._ended = asyncio.Event()
        self.draining = False  # True if further exchanges are refused
        if engine is not None:
            self._slots = SlotQueue(lambda: engine.info.max_concurrency, self._announce)
            light = engine.info.light
            self._light = SlotQueue(lambda: light.slots if light is not None else 0, self._announce)
            self._announced = engine.info

    @property
    def exchanges(self) -> int:
        return sum(server.exchanges for server in self._servers)

    def _ready(self) -> messages.Ready:
        recognizer = self._recognizer.info if self._recognizer is not None else None
        engine = self._engine.info if self._engine is not None else None
        return messages.Ready(engine, recognizer, self._name, self.draining)

    def _announce(self) -> None:
        """Tell the servers of a changed description: its speed was measured."""
        if self._engine is not None and self._engine.info is not self._announced:
            self._announced = self._engine.info
            for server in self._servers:
                server.channel.send(self._ready())

    async def drain(self, within_s: float) -> None:
        """Refuse further exchanges; return once those under way have ended, ``within_s`` later at most."""
        self.draining = True
        for server in self._servers:
            server.channel.send(self._ready())
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.exchanges:
                    self._ended.clear()
                    await self._ended.wait()

    async def serve(self, channel: Channel) -> None:
        """Serve a server that has shaken hands, until its connection ends; all it held is free then."""
        server = ServerConnection(channel, self._exchange, self._ended.set)
        self._servers.add(server)
        try:
            channel.send(self._ready())
            channel.receive(server.receive)
            channel.watch(self._announce)
            await channel.lost.wait()
        finally:
            await server.aclose()
            self._servers.discard(server)

    def _exchange(self, opening: messages.Opening, channel: Channel) -> Exchange | None:
        """Return the exchange of an opening, None if it is refused.

        Raises ProtocolError for what is not served here.
        """
        if self.draining:
            return None
        engine, recognizer = self._engine, self._recognizer
        match opening:
            case messages.Speak() if engine is not None:
                if not opening.granted_s >= 0:
                    raise ProtocolError("a grant that is no number of seconds")
                if opening.written is not None and not engine.info.accepts_partial_text:
                    raise ProtocolError("text that is still being written, which this engine does not accept")
                segment, known = opening.segment, engine.info.light
                if segment.light and (known is None or not known.speak(segment.voice, segment.language)):
                    raise ProtocolError("a light network, which this engine does not have for the voice")
                return SpeechExchange(opening, engine, self._light if segment.light else self._slots, channel)
            case messages.Embed() if engine is not None and engine.info.cloning.kind != "none":
                return CloningExchange(opening, engine, channel)
            case messages.Refine() if engine is not None and engine.info.cloning.kind == "nearest voice":
                return CloningExchange(opening, engine, channel)
            case messages.Recognize() | messages.Transcribe() if recognizer is not None:
                return RecognitionExchange(opening, recognizer, channel)
        raise ProtocolError(f"{type(opening).__name__}, which this worker does not serve")


@dataclass(eq=False)
class ServerConnection:
    """One connected server, and its exchanges."""

    channel: Channel
    _new_exchange: Callable[[messages.Opening, Channel], Exchange | None]
    _ended: Callable[[], None]  # called at the end of each exchange
    _closed: bool = False
    _exchanges: dict[int, tuple[Exchange, asyncio.Task[None]]] = field(default_factory=dict)

    @property
    def exchanges(self) -> int:
        return len(self._exchanges)

    def receive(self, frame: memoryview) -> None:
        """Accept a message. Raises ProtocolError."""
        try:
            message = messages.decode_to_worker(frame)
            match message:
                case messages.Ping():
                    self.channel.send(messages.Pong())
                case messages.Launch():
                    raise ProtocolError("a launch of an engine that runs already")
                case _ if isinstance(message, messages.Opening):
                    self._open(message)
                case _:
                    # Messages for an exchange that has just ended come too late.
                    known = self._exchanges.get(message.exchange)
                    if known is not None:
                        if isinstance(message, messages.Cancel):
                            known[1].cancel()
                        else:
                            known[0].receive(message)
        except ValueError as error:
            raise ProtocolError(f"a message that cannot be read ({error})") from error

    def _open(self, opening: messages.Opening) -> None:
        number = opening.exchange
        if number in self._exchanges:
            raise ProtocolError(f"exchange {number} is open already")
        if len(self._exchanges) >= MAX_EXCHANGES:
            busy = f"the engine worker has {MAX_EXCHANGES} exchanges of this server"
            self.channel.send(messages.Failed(number, "busy", busy))
            return
        exchange = self._new_exchange(opening, self.channel)
        if exchange is None:
            self.channel.send(messages.Full(number))
            return
        task = asyncio.create_task(self._run(number, exchange))
        self._exchanges[number] = exchange, task
        # Also of a task that was cancelled before its first step.
        task.add_done_callback(lambda task: self._end(number, task))

    async def _run(self, number: int, exchange: Exchange) -> None:
        self.channel.send(await outcome(number, exchange))

    def _end(self, number: int, task: asyncio.Task[None]) -> None:
        del self._exchanges[number]
        # A segment that this process cuts short is lost to its server, and not complete.
        if task.cancelled() and not self._closed:
            self.channel.send(messages.Ended(number))
        self._ended()

    async def aclose(self) -> None:
        """Cancel every exchange, and return once their slots are free."""
        self._closed = True
        await end_tasks(*(task for _, task in self._exchanges.values()))
