"""Answers of connections that play them themselves: calls, and the Live API."""

from abc import ABC, abstractmethod
from typing import Any, Literal

from typing_extensions import override

from kani.core.audio.resampling import LowDelayResampler
from kani.core.conversation.answer import Ending
from kani.core.conversation.early import Start
from kani.core.conversation.input.events import VoiceState
from kani.core.conversation.items import Part
from kani.core.conversation.paced import PacedAudio, Utterance
from kani.core.types import Samples
from kani.protocols.openai.realtime.answers.output import ResponseContext, ResponseOutput
from kani.protocols.openai.realtime.input_events import RealtimeEvents

Side = Literal["input", "output"]
"""Side of a call: the caller's speech, or the answers."""


class Track(PacedAudio, ABC):
    """The audio of a call: it plays the answers, and brings what the caller says as binary messages."""

    @abstractmethod
    def hear(self, message: bytes, sample_rate: int) -> Samples:
        """Return the audio of a message, at ``sample_rate`` hertz."""

    @abstractmethod
    def stop(self) -> None:
        """Play nothing any more."""


class PacedEvents(RealtimeEvents):
    """Events of the input; the answer rests while a voice over it is judged."""

    def __init__(self, paced: PacedAudio, *given: Any) -> None:
        super().__init__(*given)
        self._paced = paced

    @override
    async def voice_over_answer(self, state: VoiceState) -> None:
        self._paced.resting = state == "heard"
        await super().voice_over_answer(state)


class PacedOutput(ResponseOutput):
    """The events of one response, and its audio at the pace at which it is heard."""

    def __init__(self, paced: PacedAudio, start: Start, context: ResponseContext) -> None:
        """start: runs a coroutine as a task of the connection."""
        super().__init__(context)
        self._paced, self._start_task = paced, start
        self._resampler = LowDelayResampler(self._config.output_format.sample_rate, paced.sample_rate)
        self._utterance = Utterance(paced.sample_rate)
        self._audible = False

    @override
    async def start(self) -> None:
        self.answer.playback = self._utterance
        await super().start()

    @override
    async def _give_out(self, samples: Samples) -> None:
        self.answer.check()  # or one that was cancelled while its words were sent would begin again
        if not self._audible:
            self._audible = True
            self._paced.begin(self._utterance, self._drained, self._cleared)
            await self._sender.send("output_audio_buffer.started", response_id=self.id)
        await self._paced.wait_for_room()
        self.answer.check()
        self._paced.put(self._utterance, self._resampler.feed(samples))

    @override
    async def end(self, ending: Ending) -> None:
        await super().end(ending)
        if self._audible:
            self._paced.finish(self._utterance)

    def _drained(self) -> None:
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
