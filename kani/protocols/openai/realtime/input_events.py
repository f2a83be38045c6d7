"""Server events about items of input audio: their turns, commits and transcripts."""

import logging
from typing import Any

from kani.core.conversation.input.events import InputEvents, Refused, VoiceState
from kani.core.conversation.input.transcript import Transcript
from kani.core.conversation.items import Message
from kani.core.errors import SpeechError
from kani.core.recognizer import NO_WORDS
from kani.protocols.openai.errors import api_error
from kani.protocols.openai.realtime.client_events import EventError, unsupported
from kani.protocols.openai.realtime.conversation import send_item
from kani.protocols.openai.realtime.server_events import EventSender
from kani.protocols.openai.transcription.answers import log_probability

log = logging.getLogger(__name__)

_NO_WORDS = {"code": "no_words", "message": NO_WORDS}

_TRANSCRIPTION = "conversation.item.input_audio_transcription"


class RealtimeEvents(InputEvents):
    def __init__(self, sender: EventSender) -> None:
        self._sender = sender

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

    async def committed(self, item: Message, previous: str | None) -> None:
        await self._sender.send("input_audio_buffer.committed", previous_item_id=previous, item_id=item.id)
        await send_item(self._sender, previous, item)

    async def cleared(self) -> None:
        await self._sender.send("input_audio_buffer.cleared")

    async def grown(self, transcript: Transcript, delta: str, start_s: float) -> None:
        await self._sender.send(f"{_TRANSCRIPTION}.delta", **_place(transcript), delta=delta)

    async def completed(self, transcript: Transcript) -> None:
        """Send a transcript, with the log probabilities of its words, null where one of them is unknown."""
        further: dict[str, Any] = {}
        if transcript.tells_log_probabilities:
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

    async def failed(self, transcript: Transcript, error: SpeechError) -> None:
        known = input_error(error).as_json()
        await self._sender.send(f"{_TRANSCRIPTION}.failed", **_place(transcript), error=known)

    async def silence_answered(self, item: Message, previous: str | None, start_ms: int, end_ms: int) -> None:
        await self._sender.send(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=start_ms,
            audio_end_ms=end_ms,
            item_id=item.id,
        )
        await self.committed(item, previous)

    async def unanswerable(self) -> None:
        param = "session.audio.input.turn_detection.create_response"
        await self._sender.error(
            unsupported("speech cannot be answered, set create_response to false", param)
        )

    async def refused(self, error: Refused) -> None:
        assert isinstance(error, EventError)
        await self._sender.error(error)

    def refusal(self, error: SpeechError) -> EventError:
        return input_error(error)


def input_error(error: SpeechError) -> EventError:
    known = api_error(error)
    kind = "server_error" if known.status >= 500 else "invalid_request_error"
    return EventError(str(error), known.code or "server_error", None, kind=kind)


def _place(transcript: Transcript) -> dict[str, Any]:
    return {"item_id": transcript.item_id, "content_index": transcript.content_index}
