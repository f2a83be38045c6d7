"""The tools of an agent: functions of its client, and the one by which it hangs up."""

import asyncio
from collections.abc import Callable, Mapping

from kani.core.chat_model import ToolCall
from kani.core.conversation.history import History
from kani.core.conversation.items import FunctionCall, FunctionOutput, new_id
from kani.protocols.elevenlabs.agents.config import TOOL_S
from kani.protocols.elevenlabs.agents.messages import Sender, ToolResult
from kani_text import foreign

NO_OBJECT = "the arguments are not a JSON object: call the tool again"
NO_RESULT = "called; no result comes"


class ClientTools:
    """Calls of one conversation. The model goes on once all calls of an answer have their results."""

    def __init__(self, sender: Sender, history: History, go_on: Callable[[], None]) -> None:
        """go_on: has the model answer."""
        self._sender, self._history, self._go_on = sender, history, go_on
        self._waiting: dict[str, asyncio.TimerHandle] = {}  # by the ids of the calls
        self._called = False  # whether the answer that is being made has called any

    async def call(self, call: ToolCall, timeouts: Mapping[str, float]) -> None:
        """Have the client run a function; timeouts: in seconds, by the tools' names."""
        self._called = True
        self._history.append(FunctionCall(new_id("item"), call.id, call.name, call.arguments))
        try:
            arguments = foreign.convert(foreign.parse_json(call.arguments or "{}"), dict)
        except foreign.Unreadable:
            self._add(call.id, NO_OBJECT)
            return
        timeout_s = timeouts.get(call.name, TOOL_S)
        if timeout_s:
            late = ToolResult(call.id, f"nothing has come within {timeout_s:g} s", is_error=True)
            self._waiting[call.id] = asyncio.get_running_loop().call_later(timeout_s, self.take, late)
        else:
            self._add(call.id, NO_RESULT)
        await self._sender.send(
            "client_tool_call", tool_name=call.name, tool_call_id=call.id, parameters=arguments
        )

    def take(self, result: ToolResult) -> None:
        """Take a result, unless no call waits for it."""
        if (timer := self._waiting.pop(result.tool_call_id, None)) is None:
            return
        timer.cancel()
        self._add(result.tool_call_id, f"error: {result.result}" if result.is_error else result.result)
        if not (self._waiting or self._called):
            self._go_on()

    def _add(self, call_id: str, result: str) -> None:
        self._history.append(FunctionOutput(new_id("item"), call_id, result))

    def answer_ended(self, *, goes_on: bool) -> None:
        """Note that the answer calls no further tool; goes_on: False if it ends the call."""
        called, self._called = self._called, False
        if goes_on and called and not self._waiting:
            self._go_on()

    def close(self) -> None:
        for timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
