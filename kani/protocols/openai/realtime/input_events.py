"""Server events about items of input audio: their turns, commits and transcripts."""

from __future__ import annotations

import logging
from typing import Any, Literal

from kani.core.conversation.items import Message, Part
from kani.core.errors import SpeechError
from kani.core.recognizer import NO_WORDS
from kani.protocols.openai.errors import api_error
from kani.protocols.openai.realtime.client_events import EventError, unsupported
from kani.protocols.openai.realtime.conversation import Conversation, send_item
from kani.protocols.openai.realtime.server_events import EventSender
from kani.protocols.openai.realtime.transcript import Transcript
from kani.protocols.openai.transcription.answers import log_probability

log = logging.getLogger(__name__)

_NO_WORDS = {"code": "no_words", "message": NO_WORDS}

VoiceState = Literal["heard", "ignored", "interrupts"]
"""States of a voice over an answer."""

_TRANSCRIPTION = "conversation.item.input_audio_transcription"


class InputEvents:
    def __init__(self, sender: EventSender, conversation: Conversation) -> None:
        self._sender = sender
        self._conversation = conversation

    async def started(self, transcript: Transcript) -> None:
        await self._sender.send(
            "input_audio_buffer.speech_started",
            audio_start_ms=round(1000 * transcript.start_s),
            item_id=transcript.item_id,
        )

    async def voice_over_answer(self, state: VoiceState) -> None:
        """Send that a voice is heard over the answer, which may rest until the next of these events.

        A field of ours in an event that means no harm, as in ``ResponseOutput.waiting``.
        """
        details = {"code": "voice_over_answer", "state": state}
        await self._sender.send("rate_limits.updated", rate_limits=[], details=details)

    async def stopped(self, transcript: Transcript) -> None:
        await self._sender.send(
            "input_audio_buffer.speech_stopped",
            audio_end_ms=round(1000 * transcript.end_s),
            item_id=transcript.item_id,
        )

    async def committed(self, transcript: Transcript) -> None:
        """Add the item to the conversation and send that."""
        transcript.committed = True
        item = Message(transcript.item_id, "user", (_spoken(None),), pending=True)
        previous = self._conversation.append(item)
        await self._sender.send(
            "input_audio_buffer.committed", previous_item_id=previous, item_id=transcript.item_id
        )
        await send_item(self._sender, previous, item)

    async def cleared(self) -> None:
        """Send that the audio that was not committed is forgotten."""
        await self._sender.send("input_audio_buffer.cleared")

    async def grown(self, transcript: Transcript, delta: str, start_s: float) -> None:
        """Send the text that was added to a transcript; start_s: of its word, in the session's audio."""
        await self._sender.send(f"{_TRANSCRIPTION}.delta", **_place(transcript), delta=delta)

    async def completed(self, transcript: Transcript, *, log_probabilities: bool = False) -> None:
        """Send a transcript, with the log probabilities of its words, null where one of them is unknown."""
        further: dict[str, Any] = {}
        if log_probabilities:
            rows = [log_probability(text, value) for text, value in transcript.log_probabilities]
            further["logprobs"] = None if any(row["logprob"] is None for row in rows) else rows
        if transcript.language:
            further["languages"] = [{"code": transcript.language}]
        elif transcript.stopped and not transcript.text:
            # A field of ours. By `failed` the STT of openai-agents ends its connection, pipecat's reports an
            # error, and LiveKit's session gets no final transcript of the turn; all take an empty text.
            further["details"] = _NO_WORDS
            log.info("%.1f s of speech were heard, but no words in it", transcript.duration_s)
        await self._sender.send(
            f"{_TRANSCRIPTION}.completed",
            **_place(transcript),
            transcript=transcript.text,
            **further,
            usage={"type": "duration", "seconds": round(transcript.duration_s, 3)},
        )

    def settled(self, transcript: Transcript, *, known: bool) -> None:
        """Note that no more words come; known: whether those that came are the item's transcript."""
        # The item may be deleted by now.
        item = self._conversation.get(transcript.item_id)
        if isinstance(item, Message):
            if known:
                self._conversation.set_parts(item, (_spoken(transcript.text),))
            self._conversation.settle(item)

    async def failed(self, transcript: Transcript, error: EventError) -> None:
        await self._sender.send(f"{_TRANSCRIPTION}.failed", **_place(transcript), error=error.as_json())


def input_error(error: SpeechError) -> EventError:
    known = api_error(error)
    kind = "server_error" if known.status >= 500 else "invalid_request_error"
    return EventError(str(error), known.code or "server_error", None, kind=kind)


def unanswerable() -> EventError:
    """Return the error of a session that wants answers where no language model is set up."""
    param = "session.audio.input.turn_detection.create_response"
    return unsupported("speech cannot be answered, set create_response to false", param)


def _place(transcript: Transcript) -> dict[str, Any]:
    return {"item_id": transcript.item_id, "content_index": transcript.content_index}


def _spoken(transcript: str | None) -> Part:
    return Part("input_audio", transcript, is_speech=True)
