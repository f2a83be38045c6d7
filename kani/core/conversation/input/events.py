"""Events about the input, for the client of a conversation."""

from typing import Literal

from kani.core.conversation.input.transcript import Transcript
from kani.core.conversation.items import Message
from kani.core.errors import SpeechError

VoiceState = Literal["heard", "ignored", "interrupts"]
"""States of a voice over an answer."""


class Refused(Exception):
    """Something of a client that cannot be served; ``str()`` is for the client."""


class InputEvents:
    """Takes what becomes of the input; a dialect tells its client what it has a word for."""

    async def started(self, transcript: Transcript) -> None:
        """A turn has started."""

    async def voice_over_answer(self, state: VoiceState) -> None:
        """A voice is heard over the answer, which may rest until the next of these events."""

    async def stopped(self, transcript: Transcript) -> None:
        """The turn has stopped."""

    async def committed(self, item: Message, previous: str | None) -> None:
        """An item has joined the conversation, after that of the id ``previous``; its words are to come."""

    async def cleared(self) -> None:
        """The audio that was not committed is forgotten."""

    async def grown(self, transcript: Transcript, delta: str, start_s: float) -> None:
        """Text was added to a transcript; start_s: of its word, in the session's audio."""

    async def completed(self, transcript: Transcript) -> None:
        """All words of an item are known."""

    async def failed(self, transcript: Transcript, error: SpeechError) -> None:
        """The words of an item will not come."""

    async def silence_answered(self, item: Message, previous: str | None, start_ms: int, end_ms: int) -> None:
        """An empty item stands for the user's silence, and is answered; the times are of the audio."""

    async def unanswerable(self) -> None:
        """The client wants answers, and there is no language model."""

    async def refused(self, error: Refused) -> None:
        """Something cannot be served."""

    def refusal(self, error: SpeechError) -> Refused:
        """Return a failure as the client is to read it."""
        return Refused(str(error))
