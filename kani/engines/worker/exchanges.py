"""The worker's end of the exchanges: one task each, which runs the engine within its grant."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from kani.core import request_ids
from kani.core.audio.checked import checked_speech
from kani.core.engine import Engine, RefiningEngine, StreamingInputEngine
from kani.core.errors import EngineFailed, EngineUnavailable, SpeechError
from kani.core.recognizer import Mark, RecognizedWord, Recognizer, Step, recognition
from kani.core.session.slots import Slot, SlotQueue
from kani.core.transcriber import Transcriber
from kani.core.types import Samples, SpeechChunk
from kani.engines.remote import messages
from kani.engines.remote.channel import LEASE_S, Channel

if TYPE_CHECKING:
    from kani.engines.worker.received_text import ReceivedText

log = logging.getLogger(__name__)

Further = messages.Grant | messages.Feed | messages.Resume | messages.Audio | messages.Ended


class NoSlot(Exception):
    """No slot is free for an exchange that does not wait for one."""


class SpeechExchange:
    def __init__(self, opening: messages.Speak, engine: Engine, slots: SlotQueue, channel: Channel) -> None:
        self._opening = opening
        self._engine = engine
        self._slots = slots
        self._slot = Slot(slots)
        self._channel = channel
        self._granted_s = opening.granted_s
        self._granted = asyncio.Event()
        self._text: ReceivedText | None = None
        if opening.written is not None:
            # Its libraries are not in every worker's environment, nor has each engine a use for it.
            from kani.engines.worker.received_text import ReceivedText

            self._text = ReceivedText(opening.written, self._slot.suspended, self._ask)

    def receive(self, message: Further) -> None:
        match message:
            case messages.Grant():
                self._granted_s = max(self._granted_s, message.seconds)
                self._granted.set()
            case messages.Feed() if self._text is not None:
                self._text.receive(message.written)
            case messages.Resume() if self._text is not None:
                self._text.resume()

    def _ask(self, known: int, timeout_s: float | None) -> None:
        self._channel.send(messages.Waiting(self._opening.exchange, known, timeout_s))

    def _begin(self) -> AsyncGenerator[SpeechChunk, None]:
        segment, text, info = self._opening.segment, self._text, self._engine.info
        if text is not None:
            speech = cast(StreamingInputEngine, self._engine).stream(segment, text)
        else:
            speech = self._engine.synthesize(segment)
        # Here, as the message would hide the samples' type and shape.
        return checked_speech(
            speech,
            info.name,
            info.sample_rate,
            segment.max_seconds,
            lambda: len(segment.text if text is None else text.text),
        )

    async def run(self) -> None:
        """Send the audio of the segment, never more than one chunk beyond the grant.

        Raises NoSlot and SpeechError.
        """
        number, send, sent_s = self._opening.exchange, self._channel.send, 0.0
        if not self._opening.waits and not self._slots.has_free_place:
            raise NoSlot
        with request_ids.bind(self._opening.segment.request_id):
            async with self._slot as slot, aclosing(self._begin()) as chunks:
                log.debug("speaks a segment in %s", self._opening.segment.language)
                async for chunk in chunks:
                    packed = messages.pack_samples(chunk.samples)
                    send(messages.Chunk(number, packed, chunk.sample_rate, chunk.start_s, chunk.spans))
                    sent_s += chunk.duration_s
                    if sent_s >= self._granted_s:
                        await self._wait_for_grant(slot, sent_s)

    async def _wait_for_grant(self, slot: Slot, sent_s: float) -> None:
        """Wait for a grant; a pausable engine's slot is lent meanwhile, another's is held no longer than a
        lease.
        """
        if self._engine.info.sharing.pausable:
            async with slot.suspended():
                await self._until_granted(sent_s)
            return
        try:
            async with asyncio.timeout(LEASE_S):
                await self._until_granted(sent_s)
        except TimeoutError:
            raise EngineFailed(f"the server granted no more audio for {LEASE_S} s") from None

    async def _until_granted(self, sent_s: float) -> None:
        while sent_s >= self._granted_s:
            self._granted.clear()
            await self._granted.wait()


class CloningExchange:
    def __init__(self, opening: messages.Cloning, engine: Engine, channel: Channel) -> None:
        self._opening = opening
        self._engine = cast(RefiningEngine, engine)
        self._channel = channel

    def receive(self, message: Further) -> None:
        """Accept a further message of the exchange: there is none."""

    async def run(self) -> None:
        """Send the embeddings. Raises SpeechError."""
        opening, send = self._opening, self._channel.send
        if isinstance(opening, messages.Embed):
            send(messages.Embedded(opening.exchange, await self._engine.embed(opening.recording)))
            return
        refining = self._engine.refine(opening.recording, opening.embedding, opening.language)
        async with aclosing(refining) as better:
            async for embedding in better:
                send(messages.Embedded(opening.exchange, embedding))


class RecognitionExchange:
    def __init__(self, opening: messages.Hearing, recognizer: Recognizer, channel: Channel) -> None:
        self._opening = opening
        self._recognizer = recognizer
        self._channel = channel
        self._pieces: asyncio.Queue[Samples | Mark | None] = asyncio.Queue()
        self._pulled = self._announced = 0

    def receive(self, message: Further) -> None:
        """Accept audio, or its end. Raises ValueError for a part of a sample."""
        match message:
            case messages.Audio(samples=memoryview() as packed):
                self._pieces.put_nowait(messages.unpack_samples(packed))
            case messages.Audio(mark=int() as mark):
                self._pieces.put_nowait(Mark(mark))
            case messages.Ended():
                self._pieces.put_nowait(None)

    async def run(self) -> None:
        """Send the events. Raises SpeechError."""
        opening, number = self._opening, self._opening.exchange
        if isinstance(opening, messages.Transcribe):
            transcriber = self._recognizer
            if not isinstance(transcriber, Transcriber):
                raise EngineUnavailable(f"the recogniser {transcriber.info.name} transcribes no recordings")
            async with aclosing(transcriber.transcribe(self._samples(), opening.options)) as segments:
                async for segment in segments:
                    self._channel.send(messages.Transcribed(number, segment))
            return
        recognizing = recognition(
            *(self._recognizer, self._audio(), opening.language),
            *(opening.prompt, opening.candidates, opening.expected),
        )
        async with aclosing(recognizing) as events:
            async for event in events:
                match event:
                    case RecognizedWord():
                        self._channel.send(messages.Recognized(number, word=event))
                    case Step():
                        step = (event.index, event.pause_probabilities, event.voices, event.settled)
                        self._channel.send(messages.Recognized(number, step=step))
                    case Mark():
                        self._channel.send(messages.Recognized(number, mark=event.number))

    async def _audio(self) -> AsyncGenerator[Samples | Mark, None]:
        """Yield the audio, and grant as much again as is pulled."""
        rate = self._recognizer.info.sample_rate
        while (piece := await self._pieces.get()) is not None:
            if not isinstance(piece, Mark):
                self._pulled += len(piece)
                if self._pulled - self._announced >= messages.AUDIO_AHEAD_S / 4 * rate:
                    self._announced = self._pulled
                    granted_s = self._pulled / rate + messages.AUDIO_AHEAD_S
                    self._channel.send(messages.Grant(self._opening.exchange, granted_s))
            yield piece

    async def _samples(self) -> AsyncGenerator[Samples, None]:
        async with aclosing(self._audio()) as audio:
            async for piece in audio:
                if not isinstance(piece, Mark):
                    yield piece


Exchange = SpeechExchange | CloningExchange | RecognitionExchange


async def outcome(number: int, exchange: Exchange) -> messages.Outcome:
    """Run an exchange to its end; return the message about it. Raises CancelledError."""
    try:
        await exchange.run()
    except NoSlot:
        return messages.Full(number)
    except SpeechError as error:
        if isinstance(error, EngineFailed) and not error.logged:
            # The cause is known only here.
            log.error("the engine failed", exc_info=error)
            return messages.Failed(number, "failed", str(error), logged=True)
        return messages.Failed.of(number, error)
    except Exception:
        # Models and drivers raise errors of any type; the server must learn that the exchange has ended.
        log.exception("the engine failed")
        return messages.Failed(number, "failed", "speech synthesis failed", logged=True)
    return messages.Ended(number)
