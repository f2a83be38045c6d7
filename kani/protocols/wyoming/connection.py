"""One connection: events come in, and are answered in their order."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from kani.core.errors import Busy, InvalidRequest, SpeechCancelled, SpeechError, TimedOut
from kani.core.service import SpeechService
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.types import SpeechRequest
from kani.protocols.shared.errors import BadMessage
from kani.protocols.shared.protocol import UNREAD_S, ByteStream
from kani.protocols.shared.tasks import run_until_first
from kani.protocols.wyoming import events
from kani.protocols.wyoming.framing import Event, EventReader
from kani.protocols.wyoming.info import Description
from kani.protocols.wyoming.plugin import Settings
from kani.protocols.wyoming.recognition import Recognition, send_transcript
from kani.protocols.wyoming.speaking import Speech, open_speech


def code_of(error: BadMessage | SpeechError) -> str:
    match error:
        case BadMessage() | InvalidRequest():
            return "invalid-request"
        case Busy():
            return "busy"
        case TimedOut():
            return "timed-out"
        case SpeechCancelled():
            return "stopping"
    return "engine-failed"


def text_of(error: BadMessage | SpeechError) -> str:
    return "the server is stopping" if isinstance(error, SpeechCancelled) else str(error)


log = logging.getLogger(__name__)

IDLE_S = 300.0
"""Longest wait for a client's next event (seconds), unless it waits for the server."""

LINGER_S = 2.0
LINGER_BYTES = 64 * 1024
"""Time for which a client's input is dropped after an error. Closing at once would reset the connection, and
the client might never read the error."""

Handler = Callable[[Event], Awaitable[None]]
Request = Speech | Recognition


class Connection:
    def __init__(
        self,
        stream: ByteStream,
        service: SpeechService,
        description: Description,
        max_text: int,
        settings: Settings,
    ) -> None:
        """max_text: characters of one request."""
        self._stream = stream
        self._service = service
        self._description = description
        self._settings = settings
        self._reader = EventReader(stream, max_text)
        # The request that is answered now, and the ones that take further events.
        self._requests: asyncio.Queue[Request] = asyncio.Queue()
        self._request: Request | None = None
        self._answered = asyncio.Event()
        self._answered.set()
        self._speech: Speech | None = None
        self._memory = LanguageMemory()
        self._backlog = service.recognition.open_backlog()
        self._recognition: Recognition | None = None
        self._transcribe = events.Transcribe()
        self._patience = asyncio.timeout(None)
        self._handlers: dict[str, Handler] = {
            "describe": self._describe,
            "ping": self._ping,
            "synthesize": self._synthesize,
            "synthesize-start": self._synthesize_start,
            "synthesize-chunk": self._synthesize_chunk,
            "synthesize-stop": self._synthesize_stop,
            "transcribe": self._set_transcribe,
            "audio-start": self._audio_start,
            "audio-chunk": self._audio_chunk,
            "audio-stop": self._audio_stop,
        }

    async def run(self) -> None:
        """Serve until the client closes the connection, or an error ends it."""
        try:
            async with self._patience:
                await run_until_first(self._read(), self._answer(), self._lost())
        except (BadMessage, SpeechError) as error:
            await self._refuse(error)
        except TimeoutError:
            log.info("closed a connection: its client sent, or read, nothing for too long")
            self._stream.writer.transport.abort()
        except OSError:
            log.debug("the client has gone")
        finally:
            # A request holds a session even before its answer begins.
            while not self._requests.empty():
                await self._requests.get_nowait().abandon()

    async def _read(self) -> None:
        """Handle the client's events until it closes the connection."""
        while True:
            self._wait_for_client()
            event = await self._reader.read()
            if event is None:
                return
            self._reschedule(None)
            # Unknown events are ignored: the protocol grows by them.
            if (handler := self._handlers.get(event.type)) is not None:
                await handler(event)
            self._stream.hold(0)
            await self._stream.rest()

    async def _lost(self) -> None:
        """Return when the connection is lost, which reading does not find while it is paused."""
        await asyncio.shield(self._stream.writer.wait_closed())

    def _wait_for_client(self) -> None:
        request = self._request
        self._stream.set_busy(request is not None)
        answering = request is not None and request.complete
        self._reschedule(None if answering else asyncio.get_running_loop().time() + IDLE_S)

    def _reschedule(self, deadline: float | None) -> None:
        if not self._patience.expired():
            self._patience.reschedule(deadline)

    async def _answer(self) -> None:
        while True:
            request = await self._requests.get()
            await request.answer(self._send)
            self._request = None
            self._answered.set()
            self._wait_for_client()

    def _begin(self, request: Request) -> None:
        self._request = request
        self._answered.clear()
        self._requests.put_nowait(request)

    async def _until_answered(self, event: Event) -> bool:
        """Wait for the end of the request under way; return False if the client leaves before it.

        event: the one that comes next. Raises BadMessage where the request under way lacks its end, as
        reading would have to go on for it.
        """
        if self._request is not None and not self._request.complete:
            raise BadMessage(f"{event.type}: the request before it has no end (synthesize-stop, audio-stop)")
        if not self._answered.is_set():
            waits = [asyncio.create_task(each.wait()) for each in (self._answered, self._stream.ended)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
        return self._answered.is_set()

    async def _send(self, event: Event) -> None:
        await self._write(event.pack())

    async def _write(self, packed: bytes) -> None:
        self._stream.writer.write(packed)
        async with asyncio.timeout(UNREAD_S):
            await self._stream.writer.drain()

    async def _refuse(self, error: BadMessage | SpeechError) -> None:
        """Send an error, and drop the client's input for a moment."""
        log.info("refused: %s", error)
        with suppress(OSError):
            async with asyncio.timeout(LINGER_S):
                await self._send(events.error(text_of(error), code_of(error)))
                self._stream.writer.write_eof()
                while await self._stream.reader.read(LINGER_BYTES):
                    pass

    async def _describe(self, event: Event) -> None:
        await self._write(await self._description.packed())
        log.debug("described the server to %s", self._stream.client)

    async def _ping(self, event: Event) -> None:
        await self._send(events.pong(events.read(event, events.Ping).text))

    async def _synthesize(self, event: Event) -> None:
        # Within a stream a client repeats the whole text, for servers that know no streams.
        if self._speech is not None:
            return
        request = events.read(event, events.Synthesize)
        if await self._until_answered(event):
            ssml = True if request.text_format == "ssml" else None
            speech = self._open_speech(request, streamed=False, ssml=ssml)
            speech.feed(request.text)
            speech.finish()

    async def _synthesize_start(self, event: Event) -> None:
        if self._speech is not None:
            raise BadMessage("synthesize-start: the text before it has not ended by synthesize-stop")
        request = events.read(event, events.SynthesizeStart)
        if await self._until_answered(event):
            self._speech = self._open_speech(request, streamed=True)

    async def _synthesize_chunk(self, event: Event) -> None:
        self._started_speech(event).feed(events.read(event, events.SynthesizeChunk).text)

    async def _synthesize_stop(self, event: Event) -> None:
        self._started_speech(event).finish()
        self._speech = None

    def _started_speech(self, event: Event) -> Speech:
        if self._speech is None:
            raise BadMessage(f"{event.type}: no synthesize-start came before it")
        return self._speech

    def _open_speech(
        self,
        given: events.Synthesize | events.SynthesizeStart,
        *,
        streamed: bool,
        ssml: bool | None = None,
    ) -> Speech:
        how = SpeechRequest(ssml=ssml, quotations=given.quotations, timed=False)
        session = open_speech(self._service, given.voice, self._stream.client, self._memory, how)
        speech = Speech(session, streamed=streamed)
        self._begin(speech)
        return speech

    async def _set_transcribe(self, event: Event) -> None:
        self._transcribe = events.read(event, events.Transcribe)
        await self._audio_start(event)

    async def _audio_start(self, event: Event) -> None:
        # A client that has its transcript may begin anew without audio-stop.
        if self._recognition is not None and self._recognition.complete:
            self._recognition = None

    async def _audio_chunk(self, event: Event) -> None:
        form = events.read(event, events.AudioFormat)
        if self._recognition is None:
            if not event.payload or not await self._until_answered(event):
                return
            self._recognition = Recognition(
                *(self._service, self._transcribe, self._stream.client, form, self._backlog),
                end_of_speech=self._settings.end_of_speech,
            )
            self._begin(self._recognition)
        await self._recognition.feed(event.payload, form)

    async def _audio_stop(self, event: Event) -> None:
        recognition, self._recognition = self._recognition, None
        request, self._transcribe = self._transcribe, events.Transcribe()
        if recognition is not None:
            await recognition.finish()
        elif await self._until_answered(event):
            await send_transcript(self._send, "", request.language)
