"""Server events of one answer in Unmute's dialect.

Its clients play what comes as it comes, and drop nothing of it: so the audio is sent no faster than it is
played, and an interruption is heard at once.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence

from kani.core.audio.ogg_opus import ENCODED_RATE
from kani.core.audio.playback import Playback
from kani.core.conversation.answer import Ending
from kani.core.conversation.items import Message, Part
from kani.core.types import Span, SpeechChunk
from kani.protocols.openai.realtime.answers.output import EventOutput, ResponseContext, event_error
from kani.protocols.openai.realtime.unmute.events import chat_history, warn
from kani.protocols.openai.realtime.unmute.opus import PIECE, OpusOutput

AHEAD_S = 0.24
"""Seconds of audio that are sent before they are played: they bridge a late packet, and are heard after an
interruption."""

GOODBYE = "bye!"
"""An answer that ends so ends the conversation."""

_WORD = re.compile(r"\S+")


class UnmuteOutput(EventOutput):
    def __init__(
        self, context: ResponseContext, *, stream: OpusOutput, hang_up: Callable[[Message], Awaitable[None]]
    ) -> None:
        """stream: of the connection; hang_up: called with an answer that says goodbye."""
        super().__init__(context)
        self._stream = stream
        self._hang_up = hang_up
        self._playback = Playback()
        self._told = 0  # characters of the answer's words that were sent

    async def start(self) -> None:
        """Send what was said so far, and that the answer is under way."""
        await self._send_history()
        response = {
            "object": "realtime.response",
            "status": "in_progress",
            "voice": self._config.voice,
            "chat_history": chat_history(self._conversation.items),
        }
        await self._sender.send("response.created", response=response)

    async def _send_history(self) -> None:
        history = chat_history(self._conversation.items)
        args = {"chat_history": history, "debug_dict": {}, "debug_plot_data": []}
        await self._sender.send("unmute.additional_outputs", args=args)

    async def waiting(self, seconds: float) -> None:
        """Send a warning that the model has written nothing yet."""
        message = f"the language model has written nothing for {seconds:.0f} s: it may be loading"
        await warn(self._sender, message)

    async def began(self) -> None:
        self.message.spoken = self.answer.spoken
        self._conversation.append(self.message)

    async def fed(self, text: str) -> None:
        await self._sender.send("unmute.response.text.delta.ready", delta=text)

    async def spoke(self, chunk: SpeechChunk, text: str) -> None:
        """Send the audio as it is played, and each word before the page in which it begins."""
        pages = await asyncio.to_thread(self._stream.write, chunk.samples)
        end_s = chunk.start_s
        for number, page in enumerate(pages):
            await asyncio.sleep(max(0.0, self._playback.remaining_s - AHEAD_S))
            await self._stream.flows.wait()
            self.answer.check()
            seconds = len(chunk.samples[number * PIECE :][:PIECE]) / ENCODED_RATE
            end_s += seconds
            await self._send_words([span for span in chunk.spans if span.start_s < end_s])
            self._playback.add(seconds)
            await self._send_audio(page)
        await self._send_words(chunk.spans)

    async def _send_words(self, spans: Sequence[Span]) -> None:
        """Send the words that begin in ``spans``, with their marks, which are spans of their own."""
        if not spans:
            return
        for word in _WORD.finditer(self.answer.text, self._told):
            if word.start() >= spans[-1].end:
                break
            self._told = word.end()
            await self._sender.send("response.text.delta", delta=word.group())

    async def _send_audio(self, page: bytes) -> None:
        if page:
            await self._sender.send("response.audio.delta", delta=page)

    async def end_items(self, ending: Ending) -> None:
        """Send the end of the audio once it is played, and why it ended before its time."""
        message = self.message
        if message.spoken is not None:
            part = Part("output_audio", message.spoken.text, is_speech=True)
            self._conversation.change(message, parts=(part,))
            await self._send_audio(await asyncio.to_thread(self._stream.flush))
        if ending.outcome != "cancelled":
            await asyncio.sleep(max(0.0, self._playback.remaining_s))
        cancelled = self.answer.cancel_reason is not None
        message.status = "completed" if ending.outcome == "completed" and not cancelled else "incomplete"
        if cancelled:
            await self._sender.send("unmute.interrupted_by_vad")
        if ending.error is not None:
            await self._sender.error(event_error(ending.error))
        heard = self.answer.given_out and not cancelled
        if heard:
            await self._sender.send("response.text.done", text=self.answer.text)
        await self._send_history()
        if heard:
            await self._sender.send("response.audio.done")

    async def end(self, ending: Ending) -> None:
        """Hang up after a goodbye."""
        if self.message.status == "completed" and self.message.text.rstrip().lower().endswith(GOODBYE):
            await self._hang_up(self.message)
