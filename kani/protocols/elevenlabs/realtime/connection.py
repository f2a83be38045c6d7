"""One connection of realtime speech to text: audio in, transcripts of its segments out."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from kani.core import request_ids
from kani.core.audio.decoding import run_if_long
from kani.core.conversation.heard_turns import heard_turns
from kani.core.conversation.turns import TurnMachine, TurnStarted, TurnStopped
from kani.core.errors import SpeechCancelled, SpeechError
from kani.core.expected_words import as_prompt
from kani.core.recognizer import STEP_S, RecognizedWord, Step, text_of
from kani.core.service import SpeechService
from kani.core.session.recognition import RecognitionSession
from kani.core.types import Samples
from kani.protocols.elevenlabs.realtime import messages
from kani.protocols.elevenlabs.realtime.config import SessionConfig, parse_config
from kani.protocols.elevenlabs.realtime.messages import Fault, Input, Refused, fault_of, parse_message
from kani.protocols.shared.connection import NORMAL, POLICY_VIOLATION, Client
from kani.protocols.shared.errors import BadMessage
from kani.protocols.shared.recordings.upload import MAX_RECORDING_S

PROTOCOL = "elevenlabs-asr"
PATH = "/v1/speech-to-text/realtime"

NO_KEY = Fault("auth_error", "a valid API key is needed: xi-api-key: KEY, or ?token=TOKEN", POLICY_VIOLATION)

IDLE_TIMEOUT_S = 120.0
"""Seconds without any message after which a client is disconnected, unless it waits for a transcript.
Libraries keep their sessions alive."""

MAX_WAITING = 8
"""Recognitions that wait for their transcripts; beyond them a commit is refused."""

UNSENT_S = 3.0
"""Seconds without audio, beyond the pause that ends a segment, after which a client is taken for silent.
Pieces of a live client are shorter, and so are most stalls of its network."""

LONGEST_SEGMENT_S = 90.0
"""Seconds of audio after which a segment is committed without being asked for."""


@dataclass(eq=False)
class Recognition:
    """One recognition. Where the server commits at pauses, it has all segments until no more audio comes."""

    _session: RecognitionSession | None  # None without any audio
    _start_s: float  # place of its audio in that of the connection
    _config: SessionConfig
    _send: Callable[[str], Awaitable[None]]
    _voiced_s: float = 0.0  # of the segment so far
    _words: list[RecognizedWord] = field(default_factory=list)  # of the segment so far
    _steps: int = 0  # of the segment so far
    _begun: bool = True  # False from a commit until speech goes on
    committed: bool = False  # there is no more audio
    _asked: bool = False  # True once the client has committed: it is answered, also without words

    def __post_init__(self) -> None:
        if self._session is not None and not self._config.include_timestamps:
            # The words of a segment that is heard as a whole would have no times.
            self._session.hear_turns_again()

    async def feed(self, samples: Samples) -> None:
        """Recognise audio; waits while too much is not recognised yet."""
        assert self._session is not None
        await self._session.feed(samples)

    def commit(self, *, asked: bool = True) -> None:
        """End the audio; ``run`` sends the transcript, where it was not asked for only if it has words."""
        self.committed, self._asked = True, asked
        if self._session is not None:
            self._session.finish()

    async def aclose(self) -> None:
        """Free the session, if ``run`` is not called."""
        if self._session is not None:
            async with self._session:
                pass

    async def run(self) -> None:
        """Send the transcripts, up to the end of the audio. Raises SpeechError."""
        if self._session is None:
            await self._send_committed()
            return
        turns = TurnMachine(self._config.input_format.sample_rate)
        async with (
            self._session as session,
            aclosing(session.events()) as events,
            aclosing(heard_turns(events, session, turns, self._config.rule)) as heard,
        ):
            async for event in heard:
                match event:
                    case RecognizedWord():
                        self._words.append(event)
                        await self._send(messages.partial(text_of(self._words)))
                    case Step():
                        await self._take_step(event)
                    case TurnStarted() if not self._begun:
                        self._begun = True
                        session.begin_turn(event.start_s)
                    case TurnStopped():
                        await self._stop_turn()
            if self._asked or self._words:
                await self._send_committed()

    async def _take_step(self, step: Step) -> None:
        self._steps += 1
        self._voiced_s += step.voiced_s(self._config.vad_threshold)
        too_long = self._steps * STEP_S >= LONGEST_SEGMENT_S and not self.committed
        if self._words and too_long:
            await self._send_committed()

    async def _stop_turn(self) -> None:
        if not self._words:
            # A sound without words.
            self._voiced_s = 0.0
        elif self._voiced_s >= self._config.min_speech_duration_ms / 1000:
            await self._send_committed()

    async def _send_committed(self) -> None:
        words, self._words, self._steps = self._words, [], 0
        self._voiced_s = 0.0
        self._begun = False
        hearing = self._session.end_turn() if words and self._session is not None else None
        heard = None if hearing is None else await hearing.in_time()
        text, language = text_of(words), words[-1].language if words else ""
        if heard is not None:
            text, language = heard.text, heard.language
        await self._send(messages.committed(text))
        config = self._config
        if config.include_timestamps or config.include_language_detection:
            timed = words if config.include_timestamps else None
            await self._send(messages.committed_with_timestamps(text, language, timed, self._start_s))


@dataclass(eq=False)
class RealtimeConnection:
    """One client; call ``run`` after the handshake."""

    _client: Client
    _service: SpeechService
    _config: SessionConfig
    _previous_text: str = ""
    _audio_s: float = 0.0  # so far
    _fed_at: float = 0.0  # when its last audio was taken, by the clock of the event loop
    _current: Recognition | None = None  # takes the audio that comes
    _waiting: asyncio.Queue[Recognition] = field(default_factory=asyncio.Queue)
    _unanswered: int = 0  # recognitions without their last transcript, that of ``_current`` included

    def __post_init__(self) -> None:
        self._backlog = self._service.recognition.open_backlog()

    async def run(self) -> None:
        """Serve until the client disconnects, or an error ends the session."""
        try:
            await self._client.send(messages.session_started(request_ids.current(), self._config))
            await self._client.serve(self._read(), self._transcribe())
        except WebSocketDisconnect:
            pass
        except (BadMessage, SpeechError) as error:
            await tell(self._client, fault_of(error))
        finally:
            while not self._waiting.empty():
                await self._waiting.get_nowait().aclose()

    async def _read(self) -> None:
        """Handle messages until the client disconnects. Raises BadMessage and SpeechError."""
        while (message := await self._next()) is not None:
            await self._handle(message)

    async def _next(self) -> Input | None:
        """Return the client's next message, None once it has disconnected. Raises BadMessage."""
        silent_at = self._fed_at + self._config.pause_s + UNSENT_S
        silent = asyncio.get_running_loop().call_at(silent_at, self._end_silent)
        try:
            text = await self._received()
        finally:
            silent.cancel()
        if isinstance(text, bytes):
            raise BadMessage("binary messages are not supported")
        if text is None:
            return None
        return await run_if_long(text, parse_message, text, self._config.input_format)

    async def _received(self) -> str | bytes | None:
        while True:
            try:
                async with asyncio.timeout(IDLE_TIMEOUT_S):
                    return await self._client.receive()
            except TimeoutError as error:
                if self._unanswered == (self._current is not None):
                    reason = f"nothing came for {IDLE_TIMEOUT_S:g} s"
                    raise Refused("insufficient_audio_activity", reason, NORMAL) from error

    async def _handle(self, message: Input) -> None:
        if message.previous_text:
            if self._audio_s:
                raise BadMessage("previous_text: may come with the first audio only")
            self._previous_text = message.previous_text
        if len(message.samples):
            await self._feed(message.samples)
        if message.commit:
            await self._commit()

    async def _feed(self, samples: Samples) -> None:
        start_s = self._audio_s
        rate = self._config.input_format.sample_rate
        self._audio_s += len(samples) / rate
        if self._audio_s > MAX_RECORDING_S:
            reason = f"the session has too much audio (at most {MAX_RECORDING_S:g} s)"
            raise Refused("session_time_limit_exceeded", reason, NORMAL)
        if self._current is None:
            session = self._service.recognition.open_recognition(
                protocol=PROTOCOL,
                client=self._client.address,
                sample_rate=rate,
                language=self._config.language,
                prompt=as_prompt(self._config.keyterms, self._previous_text),
                backlog=self._backlog,
            )
            self._current = self._wait_for(Recognition(session, start_s, self._config, self._client.send))
        await self._current.feed(samples)
        self._fed_at = asyncio.get_running_loop().time()

    def _end_silent(self) -> None:
        """Commit what was said before the client stopped sending."""
        recognition = self._current
        if self._config.rule is not None and recognition is not None and self._waiting.qsize() < MAX_WAITING:
            self._current = None
            recognition.commit(asked=False)

    async def _commit(self) -> None:
        if self._waiting.qsize() >= MAX_WAITING:
            reason = f"too many commits wait for their transcripts (at most {MAX_WAITING})"
            await self._client.send(Fault("commit_throttled", reason, NORMAL).as_json())
            return
        recognition, self._current = self._current, None
        if recognition is None:
            recognition = Recognition(None, self._audio_s, self._config, self._client.send)
            self._wait_for(recognition)
        recognition.commit()

    def _wait_for(self, recognition: Recognition) -> Recognition:
        self._waiting.put_nowait(recognition)
        self._unanswered += 1
        return recognition

    async def _transcribe(self) -> None:
        """Send the transcripts. Raises SpeechError."""
        while True:
            recognition = await self._waiting.get()
            await recognition.run()
            self._unanswered -= 1
            if not recognition.committed:
                # The server has ended it.
                raise SpeechCancelled


async def tell(client: Client, fault: Fault) -> None:
    await client.close(fault.code, fault.reason, last=fault.as_json())


def routes(service: SpeechService) -> list[BaseRoute]:
    """Return the route. Every refusal is a message, which a browser can read, and a close."""

    async def serve(websocket: WebSocket) -> None:
        await websocket.accept()
        client = Client(websocket)
        # No message of a client holds a key: one that the handshake lacks does not come.
        if websocket.scope.get("key_check") is not None:
            await tell(client, NO_KEY)
            return
        try:
            config = parse_config(websocket.query_params, service.recognition.spoken)
        except SpeechError as error:
            await tell(client, fault_of(error))
            return
        await RealtimeConnection(client, service, config).run()

    return [WebSocketRoute(PATH, serve)]
