"""Answers of a Live session: words as they are spoken, and calls of tools as delegated work."""

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from typing_extensions import override

from kani.core.chat_model import ChatFailed, ChatUsage, ToolCall
from kani.core.conversation.answer import Ending
from kani.core.conversation.history import MAX_ITEMS
from kani.core.conversation.items import FunctionCall, FunctionOutput, new_id
from kani.core.conversation.paced import PacedAudio
from kani.core.types import Span, SpeechChunk
from kani.protocols.openai.live.session import Delegation
from kani.protocols.openai.realtime.answers.output import event_error
from kani.protocols.openai.realtime.answers.paced import PacedOutput

ACCEPTED = "Accepted: say in a few words that you are on it. The result comes later."


@dataclass
class Work:
    """Work that the model has delegated: calls of tools without a result, and who is told of it."""

    target: Delegation | None
    ask: Callable[[], None]  # have what was added to the conversation answered
    begun: deque[str] = field(default_factory=partial(deque, maxlen=MAX_ITEMS))  # ids of delegations
    open: dict[str, str] = field(default_factory=dict)  # ids of calls, and of the delegation of each
    due: str | None = None  # delegation with new results, which the next answer tells
    accepted: bool = False  # True while the next answer says that work was accepted

    def begin(self, call_id: str, delegation_id: str) -> None:
        """Note a call; of too many the oldest is forgotten, as its item is."""
        self.open[call_id] = delegation_id
        if len(self.open) > MAX_ITEMS:
            del self.open[next(iter(self.open))]


Word = tuple[str, float, float, bool]
"""A word of an answer, its start and end in seconds of the output, and whether it is the first."""


class LiveOutput(PacedOutput):
    def __init__(self, paced: PacedAudio, work: Work, say: Callable[[Word], None], *given: Any) -> None:
        """say: called as the audio of a word is taken; given: as for any paced output."""
        super().__init__(paced, *given)
        self._work, self._say = work, say
        self._delegation = ""  # that the answer continues or begins
        self._called = 0  # tools
        self._accepting = False
        self._unsaid = ""  # space before the next word
        self._begun = False  # True once a word was said

    @override
    async def start(self) -> None:
        await super().start()
        self._accepting, self._work.accepted = self._work.accepted, False
        self._delegation, self._work.due = self._work.due or "", None
        if self._delegation:
            await self._tell("response.created", response=self._response("in_progress"))

    async def _tell(self, name: str, **fields: Any) -> None:
        event = {"type": name, **fields}
        await self._sender.send("response.event", delegation_id=self._delegation, event=event)

    def _response(self, status: str) -> dict[str, Any]:
        model = self._config.model
        return {"object": "response", "id": self.id, "status": status, "model": model, "output": []}

    @override
    async def spoke(self, chunk: SpeechChunk, text: str) -> None:
        """Put further audio, and each word before the audio in which it begins."""
        self._texts.append(text)
        at = 0
        for span in chunk.spans:
            begins = round((span.start_s - chunk.start_s) * chunk.sample_rate)
            if begins > at:
                await self._give_out(chunk.samples[at:begins])
                at = begins
            self._unsaid += self.answer.text[span.start : span.end]
            if self._unsaid.strip():
                self._paced.tell(self._utterance, partial(self._reached, self._unsaid, span))
                self._unsaid = ""
        await self._give_out(chunk.samples[at:])

    def _reached(self, word: str, span: Span, start_s: float) -> None:
        self._say((word, start_s, start_s + span.end_s - span.start_s, not self._begun))
        self._begun = True

    @override
    async def called(self, call: ToolCall) -> None:
        await super().called(call)
        if self._work.target == "client":
            await self._hand_over(call)
            return
        if not self._delegation:
            await self._begin("responses", response_id=self.id)
            await self._tell("response.created", response=self._response("in_progress"))
        item = {"type": "function_call"} | asdict(
            FunctionCall(new_id("fc"), call.id, call.name, call.arguments)
        )
        self._work.begin(call.id, self._delegation)
        await self._tell("response.output_item.done", output_index=self._called, item=item)
        self._called += 1

    async def _begin(self, target: str, **fields: Any) -> None:
        """Tell of delegated work."""
        self._delegation = new_id("deleg")
        self._work.begun.append(self._delegation)
        delegation = {"id": self._delegation, "type": "delegation", "target": target, **fields}
        offset_ms = round(1000 * self._paced.position_s)
        await self._sender.send("session.delegation.created", offset_ms=offset_ms, delegation=delegation)

    async def _hand_over(self, call: ToolCall) -> None:
        """Take the call for accepted; the answer to that may not hand over again."""
        self._conversation.append(FunctionOutput(new_id("item"), call.id, ACCEPTED))
        self._called += 1
        if self._called == 1 and not self._accepting:
            await self._begin("client")
            self._work.accepted = not self.answer.text.strip()

    @override
    async def end_items(self, ending: Ending) -> None:
        await super().end_items(ending)
        if ending.error is not None and not isinstance(ending.error, ChatFailed):
            await self._sender.error(event_error(ending.error))

    @override
    async def end(self, ending: Ending) -> None:
        await super().end(ending)
        if self._delegation and self._work.target == "responses":
            # An interruption ends the speech, and not the work.
            status = "failed" if ending.outcome == "failed" else "completed"
            response = self._response(status) | {"usage": _usage_json(ending.usage)}
            await self._tell(f"response.{status}", response=response)
        if self._work.accepted:
            self._work.ask()


def _usage_json(usage: ChatUsage) -> dict[str, Any]:
    """Return the tokens; clients read the details without looking if they are there."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
