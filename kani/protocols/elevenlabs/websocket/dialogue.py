"""Connections of text to dialogue: several voices take turns in a context.

Each turn is a context of its own under the dialogue's id, sent after the turn before it has ended.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from msgspec import structs
from typing_extensions import override

from kani.core.audio.prosody_filter import PAUSES_S
from kani.core.errors import InvalidRequest
from kani.core.session.session import SpeechSession
from kani.core.types import Boundary
from kani.protocols.elevenlabs.http.speech import SPEAKER_PAUSE_S
from kani.protocols.elevenlabs.voice_settings import DialogueSettings, VoiceSettings
from kani.protocols.elevenlabs.websocket import messages
from kani.protocols.elevenlabs.websocket.context import Context
from kani.protocols.elevenlabs.websocket.messages import ClientMessage, MessageWriter, TurnText
from kani.protocols.elevenlabs.websocket.multi import MultiContextConnection
from kani.protocols.elevenlabs.websocket.timed_audio import AudioClock, TimedEncoder
from kani.protocols.shared.calls.bodies import json_text


@dataclass(slots=True)
class Turn:
    """A speaker's turn; ``voice_id`` is None until there is text."""

    voice_id: str | None = None
    pause_s: float = 0.0  # before it
    last: bool = True  # of the dialogue, as far as it is known


@dataclass(frozen=True, slots=True)
class DialogueWriter(MessageWriter):
    """Writes the messages of one turn."""

    timed: bool = False  # whether characters are sent with their times
    turn: Turn = field(default_factory=Turn)

    @override
    def audio(self, data: bytes, alignments: messages.Alignments) -> str:
        fields: dict[str, Any] = {"audio": data, **self._ids}
        if self.timed:
            written, normalized = map(_alignment_json, (alignments.written, alignments.normalized))
            fields = {"alignment": written, **fields, "normalized_alignment": normalized}
        return json_text(fields)

    @override
    def final(self) -> str:
        return json_text({**self._ids, "is_final" if self.turn.last else "is_final_audio_for_turn": True})

    @property
    @override
    def _ids(self) -> dict[str, str | None]:
        return {"context_id": self.context_id} if self.multi else {}


def _alignment_json(alignment: messages.Alignment | None) -> dict[str, Any] | None:
    if alignment is None:
        return None
    return {
        "char_durations_ms": alignment.durations_ms,
        "char_start_times_ms": alignment.starts_ms,
        "chars": list(alignment.characters),
    }


@dataclass(slots=True)
class _Dialogue:
    """A dialogue that takes text; its current turn is the connection's open context."""

    voices: dict[str, str | None]  # this server's voices by the client's ids
    settings: VoiceSettings
    encoder: TimedEncoder  # of all turns: they are one stream of audio
    turn: Turn = field(default_factory=Turn)
    ended: list[Context] = field(default_factory=list)  # turns before the current one


@dataclass(eq=False)
class DialogueConnection(MultiContextConnection):
    """A client of text to dialogue's ``multi-stream-input``, or, without ids, of its ``stream-input``.

    A context's first message names its voices. Another voice, or ``new_turn``, begins a turn. Closing a
    context speaks all of its text; in other respects contexts are as in ``MultiContextConnection``.
    """

    multi: ClassVar[bool] = True  # True if messages have a context id

    _dialogues: dict[str | None, _Dialogue] = field(default_factory=dict)

    @override
    async def run(self) -> None:
        try:
            await super().run()
        finally:
            # Its contexts refer to this connection: a cycle, unless removed.
            self._dialogues.clear()

    @override
    def _parse(self, raw: str) -> ClientMessage:
        return messages.read_message(raw, DialogueSettings)

    @override
    async def _handle_message(self, message: ClientMessage) -> None:
        if self._input_ended.is_set():
            return
        context_id = message.context if self.multi else None
        if context_id not in self._open and (message.voices or message.inputs):
            self._open_dialogue(context_id, message)
        for index, turn_text in enumerate(message.inputs):
            # A context that has failed takes no more text.
            if context_id in self._open:
                await self._feed(context_id, index, turn_text)
        if message.flush and context_id in self._open:
            self._open[context_id].handle_message(ClientMessage(flush=True))
        if message.close_socket or message.close_context:
            await super()._handle_message(structs.replace(message, context_id=context_id, contextId=None))

    def _open_dialogue(self, context_id: str | None, message: ClientMessage) -> None:
        if not message.voices:
            if context_id in self._dialogues:
                return
            raise InvalidRequest("voices", "is required in the first message of a context")
        voices = {voice_id: self._find_voice(voice_id) for voice_id in message.voices}
        audio_format = self._query.audio_format
        encoder = TimedEncoder(audio_format, AudioClock(audio_format))
        dialogue = _Dialogue(voices, message.voice_settings or VoiceSettings(), encoder)
        self._open_turn(context_id, dialogue)
        self._dialogues = {each: known for each, known in self._dialogues.items() if each in self._open}
        self._dialogues[context_id] = dialogue

    def _open_turn(self, context_id: str | None, dialogue: _Dialogue) -> None:
        start = partial(self._start_turn, dialogue.voices, dialogue.settings, dialogue.turn)
        # A character cannot begin before the audio of its message, from which its time counts.
        context = Context(start, dialogue.encoder, cut=True, strict=True, auto_mode=False, audio_tags=True)
        writer = DialogueWriter(
            context_id, multi=self.multi, timed=self._query.sync_alignment, turn=dialogue.turn
        )
        self._open_context(context_id, context, writer)

    def _start_turn(
        self, voices: dict[str, str | None], settings: VoiceSettings, turn: Turn, _: VoiceSettings
    ) -> SpeechSession:
        """Open the session of a turn, which has its first text."""
        session = self._open_session(voices[turn.voice_id or ""], settings)
        if turn.pause_s:
            session.add_pause(turn.pause_s)
        return session

    async def _feed(self, context_id: str | None, index: int, turn_text: TurnText) -> None:
        dialogue, voice_id = self._dialogues[context_id], turn_text.voice_id
        if voice_id not in dialogue.voices:
            raise InvalidRequest(f"inputs[{index}].voice_id", "must be one of the context's voices")
        if not turn_text.text.strip():
            if dialogue.turn.voice_id is not None:
                self._open[context_id].handle_message(ClientMessage(text=turn_text.text))
            return
        before = dialogue.turn.voice_id
        if before is not None and (turn_text.new_turn or voice_id != before):
            dialogue.turn.last = False
            ended = self._open.pop(context_id)
            ended.continued = True
            ended.finish()
            dialogue.ended.append(ended)
            pause_s = SPEAKER_PAUSE_S if voice_id != before else PAUSES_S[Boundary.SENTENCE]
            dialogue.turn = Turn(voice_id, pause_s)
            self._open_turn(context_id, dialogue)
            await self._wait_for_closing()
            if context_id not in self._open:
                return
        dialogue.turn.voice_id = voice_id
        self._open[context_id].handle_message(ClientMessage(text=turn_text.text))

    @override
    def _close_context(self, context_id: str | None, context: Context) -> None:
        context.close(flush=True)
        turns = self._dialogues.pop(context_id).ended
        # An interruption of the last turn is one of all that are still spoken.
        for turn in turns:
            turn.lower_priority()
            turn.broken_off = context.broken_off


class SingleDialogueConnection(DialogueConnection):
    """A client of text to dialogue's ``stream-input``."""

    multi = False
