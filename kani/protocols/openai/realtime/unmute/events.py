"""Server events of Unmute's dialect: the types that its clients know, as any other ends their session."""

from collections.abc import Iterable
from typing import Any

from typing_extensions import override

from kani.core.conversation.input.events import VoiceState
from kani.core.conversation.input.transcript import Transcript
from kani.core.conversation.items import Item, Message
from kani.core.conversation.prompt import SILENCE
from kani.core.errors import SpeechError
from kani.core.recognizer import NO_WORDS
from kani.protocols.openai.realtime.input_events import RealtimeEvents, input_error
from kani.protocols.openai.realtime.server_events import EventSender
from kani.protocols.openai.realtime.unmute.opus import OpusOutput

TRANSCRIPTION_DELTA = "conversation.item.input_audio_transcription.delta"
CUT = "—"
"""Mark at the end of an answer that broke off, for the client only."""

_FIELDS: dict[str, tuple[str, ...]] = {
    "session.updated": ("session",),
    "input_audio_buffer.speech_started": (),
    "input_audio_buffer.speech_stopped": (),
    TRANSCRIPTION_DELTA: ("delta", "start_time"),
    "response.created": ("response",),
    "response.text.delta": ("delta",),
    "response.text.done": ("text",),
    "response.audio.delta": ("delta",),
    "response.audio.done": (),
    "unmute.response.text.delta.ready": ("delta",),
    "unmute.interrupted_by_vad": (),
    "unmute.additional_outputs": ("args",),
    "error": ("error",),
}
"""The events, and their fields."""


class UnmuteSender(EventSender):
    """Sends the events that the dialect has, and drops all others."""

    @override
    async def send(self, name: str, /, **fields: Any) -> None:
        """Send an event with the dialect's fields of it, or nothing."""
        if (known := _FIELDS.get(name)) is not None:
            await super().send(name, **{field: fields[field] for field in known})


async def warn(sender: EventSender, message: str) -> None:
    """Send a warning, which Unmute's page logs and does not show."""
    await sender.send("error", error={"type": "warning", "message": message})


class UnmuteEvents(RealtimeEvents):
    """Events of the input: starts and stops of speech, and its words with their times."""

    def __init__(self, sender: EventSender, stream: OpusOutput) -> None:
        """stream: of the answers; it rests while a voice over them is judged."""
        super().__init__(sender)
        self._stream = stream

    @override
    async def voice_over_answer(self, state: VoiceState) -> None:
        """Let the answer rest, or go on."""
        if state == "heard":
            self._stream.flows.clear()
        else:
            self._stream.flows.set()

    @override
    async def grown(self, transcript: Transcript, delta: str, start_s: float) -> None:
        """Send a word, without the space before it."""
        await self._sender.send(TRANSCRIPTION_DELTA, delta=delta.strip(), start_time=round(start_s, 3))

    @override
    async def completed(self, transcript: Transcript) -> None:
        """Warn of a turn without words: no other event of the dialect tells why nothing follows."""
        await super().completed(transcript)
        if transcript.stopped and not transcript.text:
            await warn(self._sender, NO_WORDS)

    @override
    async def failed(self, transcript: Transcript, error: SpeechError) -> None:
        await super().failed(transcript, error)
        await self._sender.error(input_error(error))


def chat_history(items: Iterable[Item]) -> list[dict[str, str]]:
    """Return what both sides have said, as the clients read it: messages of one side in a row are joined."""
    history: list[dict[str, str]] = []
    for item in items:
        if not isinstance(item, Message) or not (text := _text(item)):
            continue
        if history and history[-1]["role"] == item.role:
            history[-1]["content"] += f" {text}"
        else:
            history.append({"role": item.role, "content": text})
    return history


def _text(message: Message) -> str:
    if message.role == "user":
        return message.text or ("" if message.pending else SILENCE)
    spoken = message.spoken
    cut = spoken is not None and (message.status == "incomplete" or spoken.heard != spoken.text)
    return message.text + CUT if cut and message.text else message.text
