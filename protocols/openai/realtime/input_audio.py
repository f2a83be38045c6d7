"""The input audio buffer of a session: audio in, turns and their transcripts out.

The audio between two commits, clears or changes of the configuration is one ``_Track``, a recognition
session of its own. Tracks are transcribed one after the other, so that the events of two items never mix.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

from protocols.openai.errors import api_error
from protocols.openai.realtime.client_events import EventError, unsupported
from protocols.openai.realtime.conversation import Conversation, Item
from protocols.openai.realtime.server_events import EventSender, new_id
from protocols.openai.realtime.session_config import SessionConfig
from protocols.openai.realtime.transcript import Transcript
from protocols.openai.realtime.turn_detector import TurnDetector, TurnStarted, TurnStopped
from speech.errors import Busy, EngineFailed, EngineUnavailable, SpeechError
from speech.recognizer import Mark, RecognitionEvent, RecognizedWord, Step
from speech.service import SpeechService
from speech.session.recognition import RecognitionSession
from speech.types import Samples

log = logging.getLogger(__name__)

PROTOCOL = "openai-realtime"

MAX_TRACKS = 8
"""Tracks that wait for their transcripts; beyond them no further audio or commit is read until one ends."""

REPLAY_S = 10.0
"""Audio that a track keeps from its start on, to recognise it anew once the client names its language."""

MARK_BACKLOG_S = 1.0
"""Audio ahead of the recogniser with which a turn's end gets no mark: it would stand far behind the end."""

LIKELY = 0.6
"""Probability of a 2 s pause from which on all words before it are known (``Recognizer.recognize``)."""

MAX_FAILURES = 3
"""Failures of the recogniser in a row after which the connection closes."""


NO_WORDS = {
    "code": "no_words",
    "message": "speech was heard, but no words in it: speak up, or name the language",
}
"""Why the transcript of a turn is empty."""


class InputFailed(Exception):
    """The recogniser cannot serve this connection any more; the error event has been sent."""


@dataclass(eq=False)
class _Track:
    """A stretch of audio. ``transcript``: of the turn that goes on, or of the next."""

    session: RecognitionSession | None  # None without any audio
    sample_rate: int
    start_s: float  # in the audio of the session
    language: str | None
    transcript: Transcript
    committed: bool = False  # by the client
    dropped: bool = False  # cleared, or replaced: nothing more of it is sent
    ended: bool = False  # by this side; otherwise its end means that the server stops
    turns_seen: bool = False
    clears: int = 0  # of the client, which it learns about after the track's commit
    replay: list[Samples] | None = field(default_factory=list)  # None once it is too long


class InputAudio:
    """Audio of one connection.

    Call ``append``, ``commit``, ``clear`` and ``configure`` as the client asks; ``run`` sends the events.
    """

    def __init__(
        self,
        service: SpeechService,
        sender: EventSender,
        conversation: Conversation,
        config: SessionConfig,
        client: str,
        interrupt: Callable[[], None],
    ) -> None:
        """config: at first; client: address for the rate limit; interrupt: stops the speech out."""
        self._service = service
        self._sender = sender
        self._conversation = conversation
        self._config = config
        self._client = client
        self._interrupt = interrupt
        self._track: _Track | None = None  # takes the audio that comes
        self._tracks: deque[_Track] = deque()  # those that are not transcribed yet, this one included
        self._changed = asyncio.Event()
        self._pending: deque[Transcript] = deque()  # of turns that stopped, whose words may be undecided
        self._position_s = 0.0
        self._failures = 0
        self._unavailable = False

    async def append(self, samples: Samples) -> None:
        """Take audio at the rate of the configured format; waits while too much is not recognised yet.

        Raises EventError where audio cannot be recognised, InputFailed if the server is busy.
        """
        if self._unavailable or not len(samples):
            return
        track = self._track or await self._open_track(Transcript(new_id("item")), self._position_s)
        rate = self._config.input_format.sample_rate
        self._position_s += len(samples) / rate
        track.transcript.duration_s += len(samples) / rate
        if track.replay is not None:
            track.replay.append(samples)
            if self._position_s - track.start_s > REPLAY_S:
                track.replay = None
        assert track.session is not None
        await track.session.feed(samples)

    async def _open_track(self, transcript: Transcript, start_s: float) -> _Track:
        await self._wait_for_tracks()
        config = self._config
        rate = config.input_format.sample_rate
        language = config.transcription.language if config.transcription is not None else None
        try:
            session = self._service.open_recognition(
                protocol=PROTOCOL, client=self._client, sample_rate=rate, language=language
            )
        except Busy as error:
            # Of twenty pieces of audio a second each would be refused.
            await self._sender.error(_event_error(error))
            raise InputFailed from error
        except SpeechError as error:
            self._unavailable = isinstance(error, EngineUnavailable)
            raise _event_error(error) from error
        self._track = _Track(session, rate, start_s, language, transcript)
        self._add(self._track)
        return self._track

    async def _wait_for_tracks(self) -> None:
        while len(self._tracks) >= MAX_TRACKS:
            self._changed.clear()
            await self._changed.wait()

    def _add(self, track: _Track) -> None:
        self._tracks.append(track)
        self._changed.set()

    async def commit(self) -> None:
        """End the item that goes on; with turn detection the turn, if there is one."""
        track, self._track = self._track, None
        if track is None:
            await self._wait_for_tracks()
            rate = self._config.input_format.sample_rate
            track = _Track(None, rate, self._position_s, None, Transcript(new_id("item")))
            self._add(track)
        track.committed = True
        if self._config.turn_detection is None:
            await self._send_committed(track.transcript)
        self._end(track)

    async def clear(self) -> None:
        """Forget the audio that was not committed."""
        if self._track is not None:
            self._drop(self._track)
        unknown = [track for track in self._tracks if track.committed and not track.transcript.committed]
        if unknown:
            # Clients that commit and clear at once take a clear without a commit for the end of their audio.
            unknown[-1].clears += 1
        else:
            await self._sender.send("input_audio_buffer.cleared")

    def _drop(self, track: _Track) -> None:
        track.dropped = True
        self._end(track)
        self._track = None

    def _end(self, track: _Track) -> None:
        track.ended = True
        track.replay = None
        if track.session is not None:
            if track.dropped:
                track.session.cancel()
            else:
                track.session.finish()

    async def configure(self, config: SessionConfig) -> None:
        """Use ``config`` from here on; a new language counts for the whole of an item that has just begun."""
        before, self._config = self._config, config
        self._unavailable = False
        track = self._track
        if track is None:
            return
        language = config.transcription.language if config.transcription is not None else None
        manual = (before.turn_detection is None, config.turn_detection is None)
        same_rate = track.sample_rate == config.input_format.sample_rate
        if language == track.language and same_rate and manual[0] == manual[1]:
            return
        replay = track.replay if same_rate and not track.turns_seen and not track.transcript.text else None
        if replay is None:
            self._track = None
            self._end(track)
            await self._open_track(track.transcript, self._position_s)
            return
        self._drop(track)
        opened = await self._open_track(track.transcript, track.start_s)
        opened.replay = replay
        assert opened.session is not None
        for samples in replay:
            await opened.session.feed(samples)

    async def run(self) -> None:
        """Send the events of all tracks. Returns once the server stops; raises InputFailed."""
        while True:
            while not self._tracks:
                self._changed.clear()
                await self._changed.wait()
            track = self._tracks[0]
            try:
                await self._transcribe(track)
                self._failures = 0
            except SpeechError as error:
                await self._fail(track, error)
            finally:
                self._tracks.popleft()
                self._changed.set()
            for _ in range(track.clears):
                await self._sender.send("input_audio_buffer.cleared")
            if not track.ended:
                return

    async def _transcribe(self, track: _Track) -> None:
        detector = TurnDetector(track.start_s)
        if track.session is not None:
            async with track.session as session, aclosing(session.events()) as events:
                async for event in events:
                    if track.dropped:
                        break
                    await self._handle(event, track, detector)
        if not track.dropped:
            await self._finish(track, detector)
        self._pending.clear()

    async def _handle(self, event: RecognitionEvent, track: _Track, detector: TurnDetector) -> None:
        match event:
            case RecognizedWord():
                await self._handle_word(event, track, detector)
            case Mark():
                while self._pending and self._pending[0].number <= event.number:
                    await self._complete(self._pending.popleft())
            case Step():
                if event.pause_probabilities[2] >= LIKELY:
                    await self._complete_pending()
                detection = self._config.turn_detection
                for turn in detector.feed(event, detection) if detection is not None else ():
                    await self._handle_turn(turn, track)

    async def _handle_word(self, word: RecognizedWord, track: _Track, detector: TurnDetector) -> None:
        detector.add_word(word.text)
        # Words come in order: those of a turn are complete once one of a later turn has come.
        while self._pending and track.start_s + word.start_s >= self._pending[0].end_s:
            await self._complete(self._pending.popleft())
        if self._pending:
            transcript = self._pending[0]
        elif detector.in_turn or self._config.turn_detection is None:
            transcript = track.transcript
        else:
            return
        delta = transcript.add(word)
        if self._config.transcription is not None:
            await self._sender.send(
                "conversation.item.input_audio_transcription.delta",
                item_id=transcript.item_id,
                content_index=0,
                delta=delta,
            )

    async def _handle_turn(self, turn: TurnStarted | TurnStopped, track: _Track) -> None:
        transcript = track.transcript
        match turn:
            case TurnStarted():
                track.turns_seen = True
                transcript.start_s = turn.start_s
                await self._sender.send(
                    "input_audio_buffer.speech_started",
                    audio_start_ms=round(1000 * turn.start_s),
                    item_id=transcript.item_id,
                )
                detection = self._config.turn_detection
                if self._config.kind == "realtime" and detection is not None and detection.interrupt_response:
                    self._interrupt()
            case TurnStopped():
                await self._stop_turn(transcript, turn.end_s)
                track.transcript = Transcript(new_id("item"))
                self._pending.append(transcript)
                session = track.session
                # The mark returns once all words are decided, also if no more audio comes.
                if session is not None and session.backlog_samples < MARK_BACKLOG_S * track.sample_rate:
                    await session.mark(transcript.number)

    async def _stop_turn(self, transcript: Transcript, end_s: float) -> None:
        transcript.end_s = end_s
        transcript.duration_s = end_s - transcript.start_s
        await self._sender.send(
            "input_audio_buffer.speech_stopped",
            audio_end_ms=round(1000 * end_s),
            item_id=transcript.item_id,
        )
        await self._send_committed(transcript)
        detection = self._config.turn_detection
        if self._config.kind == "realtime" and detection is not None and detection.create_response:
            param = "session.audio.input.turn_detection.create_response"
            await self._sender.error(
                unsupported("speech cannot be answered, set create_response to false", param)
            )

    async def _finish(self, track: _Track, detector: TurnDetector) -> None:
        """Complete what is left at the end of a track."""
        await self._complete_pending()
        if not track.committed:
            return
        transcript = track.transcript
        if not transcript.committed:
            if detector.in_turn:
                await self._stop_turn(transcript, detector.stop().end_s)
            else:
                transcript.duration_s = 0.0
                await self._send_committed(transcript)
        await self._complete(transcript)

    async def _send_committed(self, transcript: Transcript) -> None:
        transcript.committed = True
        item = Item(transcript.item_id, "user", (_spoken(None),))
        previous = self._conversation.append(item)
        await self._sender.send(
            "input_audio_buffer.committed", previous_item_id=previous, item_id=transcript.item_id
        )
        await self._sender.send("conversation.item.added", previous_item_id=previous, item=item.as_json())
        await self._sender.send("conversation.item.done", previous_item_id=previous, item=item.as_json())

    async def _complete_pending(self) -> None:
        while self._pending:
            await self._complete(self._pending.popleft())

    async def _complete(self, transcript: Transcript) -> None:
        if self._config.transcription is None:
            return
        # The item may be deleted by now.
        with suppress(EventError):
            item = self._conversation.find(transcript.item_id)
            self._conversation.set_content(item, (_spoken(transcript.text),))
        further: dict[str, Any] = {}
        if transcript.language:
            further["languages"] = [{"code": transcript.language}]
        elif transcript.stopped:
            # A field of ours: an event of another type would end the connections of some clients.
            further["details"] = NO_WORDS
            log.info("%.1f s of speech were heard, but no words in it", transcript.duration_s)
        await self._sender.send(
            "conversation.item.input_audio_transcription.completed",
            item_id=transcript.item_id,
            content_index=0,
            transcript=transcript.text,
            **further,
            usage={"type": "duration", "seconds": round(transcript.duration_s, 3)},
        )

    async def _fail(self, track: _Track, error: SpeechError) -> None:
        """Send that the items under way failed. Raises InputFailed if that goes on."""
        if self._track is track:
            self._track = None
        track.ended = True
        failed = [*self._pending, track.transcript]
        self._pending.clear()
        for transcript in failed:
            await self._sender.send(
                "conversation.item.input_audio_transcription.failed",
                item_id=transcript.item_id,
                content_index=0,
                error=_event_error(error).as_json(),
            )
        self._failures += 1
        if not isinstance(error, EngineFailed) or self._failures >= MAX_FAILURES:
            await self._sender.error(_event_error(error))
            raise InputFailed from error

    async def aclose(self) -> None:
        """Free the recognition sessions of all tracks that ``run`` has not freed."""
        for track in self._tracks:
            if track.session is not None:
                async with track.session:
                    pass
        self._tracks.clear()


def _spoken(transcript: str | None) -> dict[str, str | None]:
    """Return the content of an item of the user's speech."""
    return {"type": "input_audio", "transcript": transcript}


def _event_error(error: SpeechError) -> EventError:
    known = api_error(error)
    kind = "server_error" if known.status >= 500 else "invalid_request_error"
    return EventError(str(error), known.code or "server_error", None, kind=kind)
