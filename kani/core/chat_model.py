"""Interface of the language models of conversations: messages in, text and calls of tools out."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from kani.core.errors import SpeechError

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask its caller to run."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON Schema of its arguments, an object."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool, as the model has written it."""

    id: str
    name: str
    arguments: str
    """JSON, unchecked: a model may write anything."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message to the model."""

    role: Role
    text: str
    calls: tuple[ToolCall, ...] = ()
    """Calls in an assistant's message."""
    call_id: str = ""
    """Id of the call that a tool's message is the result of."""
    pictures: tuple[str, ...] = ()
    """Pictures of a user's message, as "data:" addresses."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation that the model is to continue."""

    messages: tuple[ChatMessage, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    """"auto", "none", "required", or the name of one tool."""
    max_tokens: int | None = None
    """Tokens of the answer; None: no limit of the request's own."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the request, by the endpoint's names, which it may not know."""


@dataclass(frozen=True, slots=True)
class ChatText:
    """Text that the model has written. Its reasoning is not part of it."""

    text: str


@dataclass(frozen=True, slots=True)
class ChatWaiting:
    """The model has written nothing yet, ``seconds`` after the request: it may be loading."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ChatUsage:
    """Tokens of a request and its answer, as the endpoint counts them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Tokens of the input that the endpoint had kept."""


@dataclass(frozen=True, slots=True)
class ChatEnd:
    """End of an answer; nothing follows."""

    reason: FinishReason
    usage: ChatUsage = ChatUsage()


ChatEvent = ChatText | ToolCall | ChatWaiting | ChatEnd


class ChatFailed(SpeechError):
    """A model gave no answer, or only a part of one.

    ``code``: "unreachable", "unauthorized", "unknown_model", "refused", "rate_limited", "timeout", "broken"
    or "failed". ``str()`` is fit for a client: it holds no key.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ChatModel(Protocol):
    """A language model. It never blocks the event loop."""

    @property
    def name(self) -> str:
        """The model's own, "" until it is known."""

    @property
    def description(self) -> str:
        """Model and address, for people."""

    @property
    def asked_early(self) -> bool:
        """True if it may be asked for answers that are not sure to be wanted."""

    async def start(self) -> None:
        """Look for the model. Raises EngineUnavailable for one that is known not to be there."""

    async def stop(self) -> None:
        """Free everything. Called when no answer is being written."""

    def answer(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Yield an answer as it is written: text in pieces, each call of a tool once it is complete.

        A ``ChatEnd`` comes last. Closing the generator, or cancelling the task that awaits it, stops the
        model. Raises ChatFailed.
        """
