"""One conversation of ElevenLabs Agents."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from typing_extensions import override

from kani.core.audio.decoding import run_if_long
from kani.core.chat_model import ToolCall
from kani.core.conversation.answer import Answer
from kani.core.conversation.early import Start
from kani.core.conversation.history import History
from kani.core.conversation.input.audio import InputAudio
from kani.core.conversation.input.events import InputEvents, Refused
from kani.core.conversation.input.transcript import Transcript
from kani.core.conversation.items import FunctionCall, Message, Part, Role, new_id
from kani.core.conversation.responses import Response, Responses, read_aloud
from kani.core.conversation.turn_answers import TurnAnswers
from kani.core.errors import SpeechError
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.types import SpeechRequest
from kani.protocols.elevenlabs.agents import messages
from kani.protocols.elevenlabs.agents.config import (
    END_CALL,
    FORMAT,
    NO_AGENT,
    AgentConfig,
    Initiation,
    unserved_overrides,
    with_agent,
    with_tools,
    with_variables,
)
from kani.protocols.elevenlabs.agents.messages import Sender, read_message
from kani.protocols.elevenlabs.agents.output import AgentOutput
from kani.protocols.elevenlabs.agents.tools import ClientTools
from kani.protocols.elevenlabs.errors import error_detail
from kani.protocols.elevenlabs.plugin import ElevenLabsSettings
from kani.protocols.elevenlabs.realtime.messages import samples_of
from kani.protocols.elevenlabs.voice_ids import resolve_voice
from kani.protocols.shared.calls.bodies import read
from kani.protocols.shared.connection import NORMAL, POLICY_VIOLATION, Client
from kani.protocols.shared.conversation import ConnectionLimits, ConversationConnection
from kani.protocols.shared.errors import BadMessage
from kani_text import languages

PROTOCOL = "elevenlabs-agents"
LIMITS = ConnectionLimits(session_s=3600.0, idle_s=900.0)

UNASKED_S = 1.0
"""Longest wait for ``conversation_initiation_client_data``, which clients without a package may leave out."""

LISTENING_S = 0.1
"""Seconds after the metadata without a message: ElevenLabs' package in Node loses those of the same read."""

PING_S = 10.0
"""Seconds from a ping to the next, which tells clients that the connection lives."""

_INITIATION = "conversation_initiation_client_data"
_NOT_SERVED = {
    "feedback": "no conversation is kept that it could be about",
    "mcp_tool_approval_result": "no call of an MCP tool waits for an approval",
}
"""Reasons, by the types of messages that are known and not served."""


class AgentEvents(InputEvents):
    """Tells the client its own words, and what fails."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    @override
    async def completed(self, transcript: Transcript) -> None:
        if transcript.text:
            await self._sender.send("user_transcript", user_transcript=transcript.text)

    @override
    async def failed(self, transcript: Transcript, error: SpeechError) -> None:
        await self.refused(self.refusal(error))

    @override
    async def refused(self, error: Refused) -> None:
        await self._sender.error(str(error), "asr_transcription_error", 1011)

    @override
    def refusal(self, error: SpeechError) -> Refused:
        return Refused(error_detail(error).message)


class AgentResponses(Responses):
    """Answers of an agent; the first may be a given text."""

    def __init__(
        self,
        service: SpeechService,
        history: History,
        client: Client,
        start: Start,
        silence: Callable[[], None],
        make_output: Callable[[Answer, AgentConfig], AgentOutput],
    ) -> None:
        super().__init__(service, PROTOCOL, history, start, silence)
        self._client, self._make_output = client, make_output
        self.first_message = ""

    @override
    async def answer(self, config: AgentConfig) -> Response | None:
        async with self._creating:
            if not self._conversation_is_free:
                return None
            items = self._history.items
            # A user who was faster is answered instead of greeted.
            text = self.first_message if self._history.last_of_user() is None else ""
            self.first_message = ""
            made = None if text else self._early.take(self._asked(items, config))
            if made is None:
                session = None if config.written else await self._open_session(config)
                made = self._made(read_aloud(text) if text else self._ask(items, config), session, config)
            return self._add(Response(self._make_output(made.answer, config), made.session))

    @override
    async def _open_session(self, config: AgentConfig) -> SpeechSession:
        spoken = (config.language,) if config.language else self._client.languages
        request = SpeechRequest(voice=config.voice_id, languages=spoken, speed=config.speed)
        try:
            return self._service.open(
                request, protocol=PROTOCOL, client=self._client.address, memory=self._memory
            )
        except SpeechError as error:
            raise Refused(error_detail(error).message) from error


class AgentConnection(ConversationConnection):
    """One client. A message that cannot be served is answered with an error, and changes nothing."""

    _responses: AgentResponses

    def __init__(
        self,
        client: Client,
        service: SpeechService,
        settings: ElevenLabsSettings,
        load: Callable[[], AgentConfig],
    ) -> None:
        """load: returns the agent; it reads a file, and raises InvalidRequest."""
        super().__init__(client, service, LIMITS)
        self._settings, self._load = settings, load
        self._config = NO_AGENT
        self._history = History(self._memory)
        self._sender = Sender(client.send)
        self._tools = ClientTools(self._sender, self._history, self._go_on)
        self._ending: FunctionCall | None = None  # of the answer that is being made
        make_output = partial(AgentOutput, self._sender, self._history, self._call, self._answer_ended)
        self._responses = AgentResponses(
            service, self._history, client, self._start, self._silence, make_output
        )
        events = AgentEvents(self._sender)
        self._turns = TurnAnswers(self._responses, self._history, events, lambda: self._config, self._start)
        self._input = InputAudio(
            service, PROTOCOL, self._history, events, self._config, client.address, self._turns
        )
        self._ping_id: int | None = None  # of the last ping, None once it is answered
        self._pinged_at = 0.0
        self._ping_ms: int | None = None  # that it took, which the next ping tells
        self._begun = False
        self._beginning = asyncio.Lock()

    @override
    async def _greet(self) -> None:
        """Have the conversation begin, also if the client does not ask for it."""
        self._start(self._begin({}, UNASKED_S))

    async def _begin(self, given: dict[str, Any], wait_s: float = 0.0) -> None:
        """Begin the conversation after ``wait_s``, unless it has begun; given: the client's initiation."""
        await asyncio.sleep(wait_s)
        async with self._beginning:
            if self._begun:
                return
            self._begun = True
            try:
                config = self._config = await self._configured(read(given, Initiation))
            except SpeechError as error:
                await self._client.close(POLICY_VIOLATION, error_detail(error).message)
                return
            await self._input.configure(config)
            await self._sender.send(
                "conversation_initiation_metadata",
                conversation_id=new_id("conv"),
                agent_output_audio_format=FORMAT,
                user_input_audio_format=FORMAT,
            )
        await asyncio.sleep(LISTENING_S)
        for refused in config.refused:
            await self._sender.error(refused)
        if config.language:
            self._responses.expect(languages.primary(config.language))
        self._start(self._ping())
        if config.first_message and self._history.last_of_user() is None:
            self._responses.first_message = config.first_message
            self._go_on()

    async def _configured(self, given: Initiation) -> AgentConfig:
        """Return the agent: the file's, with the client's overrides. Raises SpeechError."""
        config = await asyncio.to_thread(self._load)
        place, override = "conversation_config_override", given.conversation_config_override
        config = with_agent(config, override, place)
        config = replace(config, refused=config.refused + unserved_overrides(override, place))
        config = with_tools(config, given.custom_llm_extra_body.tools, "custom_llm_extra_body.tools")
        config = with_variables(config, given.dynamic_variables)
        if config.language and (tag := languages.resolve(config.language)):
            self._service.catalogue.resolve(None, tag)
            heard = None if config.written else self._service.recognition.spoken(tag)
            config = replace(config, language=tag, heard_language=heard)
        if config.voice_id is not None:
            voice = await asyncio.to_thread(
                resolve_voice, self._service, config.voice_id, self._settings, config.language
            )
            config = replace(config, voice_id=voice)
        return config

    @override
    async def _handle_message(self, received: str | bytes) -> None:
        try:
            given = await read_message(received)
            kind = given.get("type")
            if kind == "enclave_setup_config":  # it comes before the initiation
                raise BadMessage(f"type: {kind} is not served")
            if kind == _INITIATION and self._begun:
                raise BadMessage(f"type: {_INITIATION} comes once, and first")
            await self._begin(given if kind == _INITIATION else {})
            if kind != _INITIATION:
                await self._handle(kind, given)
        except SpeechError as error:
            await self._sender.error(error_detail(error).message)
        except (BadMessage, Refused) as error:
            await self._sender.error(str(error))

    async def _handle(self, kind: Any, given: dict[str, Any]) -> None:
        """Handle a message after the initiation. Raises BadMessage, Refused and SpeechError."""
        match kind:
            case None if "user_audio_chunk" in given:
                await self._hear(read(given, messages.Audio))
            case "user_message":
                self._take_text(read(given, messages.Written).text)
            case "multimodal_message":
                await self._take_multimodal(read(given, messages.Multimodal))
            case "contextual_update":
                self._update(read(given, messages.Written))
            case "client_tool_result":
                self._tools.take(read(given, messages.ToolResult))
            case "pong" if given.get("event_id") == self._ping_id is not None:
                self._ping_ms = max(1, round(1000 * (time.perf_counter() - self._pinged_at)))
                self._ping_id = None
            case "pong" | "user_activity":
                pass  # as any message it keeps the conversation open; no agent here speaks into a silence
            case str() if kind in _NOT_SERVED:
                raise BadMessage(f"type: {kind} is not served: {_NOT_SERVED[kind]}")
            case _:
                raise BadMessage(f"type: unknown message {str(kind)[:100]!r}")

    async def _hear(self, given: messages.Audio) -> None:
        if self._config.written:
            return
        audio, form = given.user_audio_chunk, self._config.input_format
        await self._input.append(await run_if_long(audio, samples_of, audio, form, "user_audio_chunk"))

    def _take_text(self, text: str) -> None:
        """Answer what the user has written; it interrupts. Raises Busy."""
        if not text.strip():
            return
        message = self._message("user", text)
        self._turns.stop_idling()
        self._responses.drop_early()
        self._responses.interrupt()
        self._history.append(message)
        self._go_on()

    async def _take_multimodal(self, given: messages.Multimodal) -> None:
        """Take the text of a message with files, and name these."""
        if given.file or given.files:
            await self._sender.error("file: files are not served, only the text beside them is read")
        if given.text is not None:
            self._take_text(given.text.text)

    def _message(self, role: Role, text: str, item_id: str = "") -> Message:
        message = Message(item_id or new_id("item"), role, (Part("text", text),))
        self._history.check_room(message)
        return message

    def _update(self, given: messages.Written) -> None:
        """Add a note for the model, in the place of an earlier one about the same."""
        item_id = f"context {given.context_id}" if given.context_id else ""
        message = self._message("system", given.text, item_id)
        if (before := self._history.get(message.id)) is not None:
            self._history.remove(before)
        self._history.append(message)

    def _go_on(self) -> None:
        """Have the model answer what it does not know yet, unless the user speaks."""
        self._turns.transcribed("", said=True)

    async def _call(self, call: ToolCall) -> None:
        if call.name == END_CALL and self._config.hangs_up:
            self._ending = FunctionCall(new_id("item"), call.id, call.name, call.arguments)
            self._history.append(self._ending)
        else:
            await self._tools.call(call, self._config.tool_timeouts)

    async def _answer_ended(self, output: AgentOutput) -> None:
        """Hang up if the answer was to end the call; the user has heard it by then, and said nothing more."""
        ending, self._ending = self._ending, None
        self._tools.answer_ended(goes_on=ending is None)
        if ending is None:
            return
        last = self._history.items[-1:]
        await self._input.told()
        await asyncio.sleep(output.answer.playback.ahead_s)
        if self._history.items[-1:] != last or output.answer.broken_off:
            return
        done = {"tool_call_id": ending.call_id, "tool_type": "system", "is_error": False, "is_called": True}
        await self._sender.send("agent_tool_response", tool_name=END_CALL, **done)
        await self._client.close(NORMAL, "the agent has ended the call")

    def _silence(self) -> None:
        """Tell the client of the answers that the user has interrupted."""
        if cut := [
            each for each in self._responses.playing if isinstance(each, AgentOutput) and each.is_cut()
        ]:
            self._start(self._tell_cut(cut))

    async def _tell_cut(self, cut: list[AgentOutput]) -> None:
        await self._sender.send("interruption")
        for output in cut:
            await output.tell_cut()

    async def _ping(self) -> None:
        while True:
            self._pinged_at = time.perf_counter()
            self._ping_id = await self._sender.send("ping", ping_ms=self._ping_ms)
            await asyncio.sleep(PING_S)

    @override
    async def _receive(self, received: str | bytes | None) -> None:
        try:
            await super()._receive(received)
        finally:
            self._tools.close()  # no result that is late asks the model for nobody

    @override
    async def _tell_end(self, reason: str) -> None:
        await self._sender.error(reason, "max_duration_exceeded", NORMAL)
