"""The Realtime session of a call: the WebSocket's, but for the audio, which is on the tracks."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from typing_extensions import override

from kani.core.audio.pcm import from_pcm16
from kani.core.audio.resampling import LowDelayResampler
from kani.core.conversation.answer import Ending
from kani.core.conversation.early import Start
from kani.core.conversation.input_events import VoiceState
from kani.core.conversation.items import Part
from kani.core.types import Samples
from kani.protocols.openai.realtime.answers.output import ResponseContext, ResponseOutput
from kani.protocols.openai.realtime.client_events import ClientEvent, EventError
from kani.protocols.openai.realtime.connection import RealtimeConnection
from kani.protocols.openai.realtime.input_events import RealtimeEvents
from kani.protocols.openai.realtime.webrtc.speaker import RATE, RTP_RATE, Speaker, Utterance


class CallConnection(RealtimeConnection):
    """A session whose binary messages are the caller's audio: 16-bit samples at ``RTP_RATE`` hertz."""

    def __init__(self, speaker: Speaker, *given: Any) -> None:
        """given: as for any connection; speaker: plays the answers."""
        make_output = partial(CallOutput, speaker, self._start)
        make_events = partial(CallEvents, speaker)
        parts: dict[str, Any] = {"make_events": make_events, "make_output": make_output}
        super().__init__(*given, beta=False, silence=speaker.clear, **parts)
        self._speaker = speaker
        self._hears_at = 0  # hertz
        self._refusal = ""

    @override
    async def _receive(self, received: str | bytes | None) -> None:
        try:
            await super()._receive(received)
        finally:
            # Its events are sent by tasks of this connection.
            self._speaker.stop()

    @override
    async def _handle_message(self, received: str | bytes) -> None:
        if isinstance(received, str):
            await super()._handle_message(received)
            return
        try:
            await self._hear(from_pcm16(received))
        except EventError as error:
            # Said once: fifty pieces come a second.
            if str(error) != self._refusal:
                await self._sender.error(error)
            self._refusal = str(error)

    async def _hear(self, samples: Samples) -> None:
        rate = self._config.input_format.sample_rate
        if rate != self._hears_at:
            self._hears_at, self._resampler = rate, LowDelayResampler(RTP_RATE, rate)
        await self._input.append(self._resampler.feed(samples))

    @override
    async def _handle(self, event: ClientEvent) -> None:
        if event.type != "output_audio_buffer.clear":
            await super()._handle(event)
            return
        with suppress(EventError):
            self._responses.cancel(None)
        self._speaker.clear()


class CallEvents(RealtimeEvents):
    """Events of the input; the answer rests while a voice over it is judged."""

    def __init__(self, speaker: Speaker, *given: Any) -> None:
        super().__init__(*given)
        self._speaker = speaker

    @override
    async def voice_over_answer(self, state: VoiceState) -> None:
        self._speaker.resting = state == "heard"
        await super().voice_over_answer(state)


class CallOutput(ResponseOutput):
    """The events of one response, and its audio on the track."""

    def __init__(self, speaker: Speaker, start: Start, context: ResponseContext) -> None:
        """start: runs a coroutine as a task of the connection."""
        super().__init__(context)
        self._speaker, self._start_task = speaker, start
        self._resampler = LowDelayResampler(self._config.output_format.sample_rate, RATE)
        self._utterance = Utterance(self._drained, self._cleared)
        self._audible = False

    @override
    async def start(self) -> None:
        self.answer.playback = self._utterance
        await super().start()

    @override
    async def _give_out(self, samples: Samples) -> None:
        if not self._audible:
            self._audible = True
            await self._sender.send("output_audio_buffer.started", response_id=self.id)
        await self._speaker.wait_for_room()
        self.answer.check()
        self._speaker.put(self._utterance, self._resampler.feed(samples))

    @override
    async def end(self, ending: Ending) -> None:
        await super().end(ending)
        if self._audible:
            self._speaker.finish(self._utterance)

    def _drained(self) -> None:
        if self._audible:
            self._start_task(self._sender.send("output_audio_buffer.stopped", response_id=self.id))

    def _cleared(self) -> None:
        """Keep what was played, and send that."""
        self._audible = False
        kept = self._conversation.get(self.message.id) is self.message
        if kept:
            self._conversation.truncate(self.message, self._utterance.played_s)
        self._start_task(self._send_cleared(kept=kept))

    async def _send_cleared(self, *, kept: bool) -> None:
        await self._sender.send("output_audio_buffer.cleared", response_id=self.id)
        if kept:
            place = {"item_id": self.message.id, "content_index": 0}
            end_ms = round(1000 * self._utterance.played_s)
            await self._sender.send("conversation.item.truncated", **place, audio_end_ms=end_ms)

    @override
    def _item_part(self, text: str) -> Part:
        spoken = self.message.spoken
        return super()._item_part(text if spoken is None else spoken.heard)
