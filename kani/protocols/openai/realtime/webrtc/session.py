"""The Realtime session of a call: the WebSocket's, but for the audio, which is on the tracks."""

from contextlib import suppress
from functools import partial
from typing import Any

from typing_extensions import override

from kani.core.audio.pcm import from_pcm16
from kani.core.audio.resampling import LowDelayResampler
from kani.core.types import Samples
from kani.protocols.openai.realtime.answers.paced import PacedEvents, PacedOutput
from kani.protocols.openai.realtime.client_events import ClientEvent, EventError
from kani.protocols.openai.realtime.connection import RealtimeConnection
from kani.protocols.openai.realtime.webrtc.speaker import RTP_RATE, Speaker


class CallConnection(RealtimeConnection):
    """A session with the caller's audio as its binary messages: 16-bit samples at ``RTP_RATE`` hertz."""

    def __init__(self, speaker: Speaker, *given: Any) -> None:
        """given: as for any connection; speaker: plays the answers."""
        make_output = partial(PacedOutput, speaker, self._start)
        make_events = partial(PacedEvents, speaker)
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
