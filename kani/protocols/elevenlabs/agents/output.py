"""Messages of one answer of an agent.

Clients queue the audio and play it: it is sent as fast as it is made, and an interruption is a message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from typing_extensions import override

from kani.core.audio.encoding import create_encoder
from kani.core.chat_model import ChatFailed, ToolCall
from kani.core.conversation.answer import Answer, Ending
from kani.core.conversation.history import History
from kani.core.conversation.items import Part
from kani.core.conversation.responses import Output
from kani.core.types import SpeechChunk
from kani.protocols.elevenlabs.agents.config import AgentConfig
from kani.protocols.elevenlabs.agents.messages import Sender
from kani.protocols.elevenlabs.errors import error_detail


class AgentOutput(Output):
    def __init__(
        self,
        sender: Sender,
        history: History,
        call: Callable[[ToolCall], Awaitable[None]],
        ended: Callable[[AgentOutput], Awaitable[None]],
        answer: Answer,
        config: AgentConfig,
    ) -> None:
        """call: calls a tool; ended: called after the answer, once the next one may begin."""
        super().__init__(answer)
        self._config, self._sender, self._history = config, sender, history
        self._call, self._ended = call, ended
        self._encoder = create_encoder(config.output_format, config.output_format.sample_rate)
        self._told = False  # whether the client has the text
        self._cut = False  # whether the user interrupted it

    @override
    async def start(self) -> None:
        """Send nothing: clients know an answer by its first text or audio."""

    @override
    async def began(self) -> None:
        if not self._config.written:
            self.message.spoken = self.answer.spoken
        self._history.append(self.message)
        await self._part("start", "")

    async def _part(self, kind: str, text: str) -> None:
        await self._sender.send("agent_chat_response_part", type=kind, text=text)

    @override
    async def fed(self, text: str) -> None:
        self.answer.check()
        await self._part("delta", text)

    wrote = fed

    @override
    async def spoke(self, chunk: SpeechChunk, text: str) -> None:
        if data := self._encoder.feed(chunk.samples):
            self.answer.check()
            await self._sender.send("audio", audio_base_64=data)

    @override
    async def called(self, call: ToolCall) -> None:
        await self._call(call)

    @override
    async def end_items(self, ending: Ending) -> None:
        """Send the whole text, and why there is no more of it."""
        message, written = self.message, self._config.written
        message.status = "completed" if ending.outcome == "completed" else "incomplete"
        if self.answer.text:
            self._history.change(message, parts=(Part("text", self.answer.text, is_speech=not written),))
            await self._part("stop", "")
        if written or ending.outcome != "cancelled":
            await self._tell()
        if ending.error is not None:
            of_model = isinstance(ending.error, ChatFailed)
            reason = str(ending.error) if of_model else error_detail(ending.error).message
            await self._sender.error(reason, "llm_error" if of_model else "tts_cascade_error", 1011)

    @override
    async def end(self, ending: Ending) -> None:
        await self._ended(self)

    async def _tell(self) -> None:
        if self.answer.text and not self._told:
            self._told = True
            await self._sender.send("agent_response", agent_response=self.answer.text)

    @property
    def interrupted(self) -> bool:
        """True once the user speaks or writes before this answer is played to its end."""
        spoken = self.answer.spoken
        return self.answer.cancel_reason is not None or spoken.heard_s < spoken.duration_s

    def is_cut(self) -> bool:
        """Return True once, after the user has interrupted this answer and something of it was sent."""
        if self._cut or not self.interrupted or not self.answer.spoken.duration_s:
            return False
        self._cut = True
        return True

    async def tell_cut(self) -> None:
        """Send what was heard of the answer."""
        await self._tell()
        original, heard = self.answer.text, self.answer.spoken.heard
        await self._sender.send(
            "agent_response_correction", original_agent_response=original, corrected_agent_response=heard
        )
