"""The input audio buffer of a session: audio in, turns and their transcripts out.

The audio between two commits, clears or changes of the configuration is one ``Track``, a recognition session
of its own. Tracks are transcribed one after the other, so that the events of two items never mix.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn

from kani.core.conversation.config import ConversationConfig
from kani.core.conversation.history import History
from kani.core.conversation.input.events import InputEvents
from kani.core.conversation.input.track import Track, TrackState
from kani.core.conversation.input.transcript import Transcript
from kani.core.conversation.input.words import TurnWords
from kani.core.conversation.items import new_id
from kani.core.conversation.turn_answers import TurnAnswers
from kani.core.conversation.turns import (
    TurnChange,
    TurnMachine,
    TurnStarted,
    TurnState,
    TurnStopped,
    VoiceChange,
)
from kani.core.errors import Busy, EngineFailed, EngineUnavailable, SpeechError
from kani.core.recognizer import Mark, RecognitionEvent, RecognizedWord, Step
from kani.core.service import SpeechService
from kani.core.turns.interruption import LIKELY
from kani.core.types import Samples

MAX_TRACKS = 8
"""Tracks that wait for their transcripts; beyond them no further audio or commit is read until one ends."""

MAX_FAILURES = 3
"""Failures of the recogniser in a row after which the connection closes."""


class InputFailed(Exception):
    """The recogniser cannot serve this connection any more; the error event has been sent."""


@dataclass(eq=False)
class InputAudio:
    """Audio of one connection.

    Call ``append``, ``commit``, ``clear`` and ``configure`` as the client asks; ``run`` sends the events.
    """

    _service: SpeechService
    _protocol: str  # name for the metrics
    _history: History  # takes the items
    _events: InputEvents
    _config: ConversationConfig
    _client: str  # address for the rate limit
    _turns: TurnAnswers  # learns of turns
    _track: Track | None = None  # takes the audio that comes
    _tracks: deque[Track] = field(default_factory=deque)  # not transcribed yet, this one included
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _position_s: float = 0.0
    _failures: int = 0
    _unavailable: bool = False
    _finished: bool = False  # whether no more audio comes
    _voice_at: float = 0.0
    _answer_ended: bool = False  # one that the client spoke itself

    def __post_init__(self) -> None:
        self._backlog = self._service.recognition.open_backlog()
        report = partial(self._service.observer.turn_stage, self._protocol)
        self._words = TurnWords(self._history, self._events, self._turns, lambda: self._config, report)

    async def append(self, samples: Samples) -> None:
        """Take audio at the rate of the configured format; waits while too much is not recognised yet.

        Raises Refused where audio cannot be recognised, InputFailed if the server is busy.
        """
        if self._unavailable or not len(samples):
            return
        track = self._track or await self._open_track(Transcript(new_id("item")), self._position_s)
        length_s = len(samples) / track.sample_rate
        self._position_s += length_s
        track.transcript.duration_s += length_s
        await self._feed(track, samples)

    async def _feed(self, track: Track, samples: Samples) -> None:
        try:
            await track.feed(samples)
        except Busy as error:
            await self._refuse(error)

    async def _refuse(self, error: SpeechError) -> NoReturn:
        """Send the reason, and end the connection: each of 20 pieces a second would be refused."""
        await self._events.refused(self._events.refusal(error))
        raise InputFailed from error

    async def _open_track(self, transcript: Transcript, start_s: float) -> Track:
        await self._wait_for_tracks()
        rate, hears = self._config.input_format.sample_rate, self._config.hears
        try:
            session = self._service.recognition.open_recognition(
                protocol=self._protocol,
                client=self._client,
                sample_rate=rate,
                language=hears.language,
                prompt=hears.prompt,
                candidates=hears.candidates,
                backlog=self._backlog,
            )
        except Busy as error:
            await self._refuse(error)
        except SpeechError as error:
            self._unavailable = isinstance(error, EngineUnavailable)
            raise self._events.refusal(error) from error
        session.hear_turns_again()
        machine = TurnMachine(rate, self._turns, start_s, resumed=transcript.started)
        self._track = track = Track(session, rate, start_s, hears, transcript, machine)
        track.configure(self._config)
        self._add(track)
        return track

    async def _wait_for_tracks(self) -> None:
        while len(self._tracks) >= MAX_TRACKS:
            self._changed.clear()
            await self._changed.wait()

    def _add(self, track: Track) -> None:
        self._tracks.append(track)
        self._changed.set()

    async def commit(self) -> None:
        """End the item that goes on; with turn detection the turn, if there is one."""
        track, self._track = self._track, None
        if track is None:
            await self._wait_for_tracks()
            track = Track.silent(self._config.input_format.sample_rate, self._position_s, self._turns)
            self._add(track)
        if self._config.rule is None:
            await self._words.commit(track.transcript)
        track.end(TrackState.COMMITTED)

    def finish(self) -> None:
        """Take that no more audio comes: ``run`` returns once the words of all of it are told."""
        track, self._track = self._track, None
        if track is not None:
            track.end(TrackState.FINISHED)
        self._finished = True
        self._changed.set()

    async def clear(self) -> None:
        """Forget the audio that was not committed."""
        if self._track is not None:
            self._track.end(TrackState.DROPPED)
            self._track = None
        unknown = [track for track in self._tracks if track.commit_is_untold]
        if unknown:
            # Clients that commit and clear at once take a clear without a commit for the end of their audio.
            unknown[-1].clears += 1
        else:
            await self._events.cleared()

    async def configure(self, config: ConversationConfig) -> None:
        """Use ``config`` from here on; a new language or prompt counts for all of an item just begun."""
        before, self._config = self._config, config
        self._unavailable = False
        self._answer_ended = before.over_answer and not config.over_answer
        track = self._track
        if track is None:
            return
        manual = (before.rule is None, config.rule is None)
        same_rate = track.sample_rate == config.input_format.sample_rate
        if config.hears == track.hears and same_rate and manual[0] == manual[1]:
            track.configure(config)
            return
        replay = track.replay if same_rate and not track.turn_stopped and not track.transcript.text else None
        self._track = None
        if replay is None:
            track.end(TrackState.ENDED)
            await self._open_track(track.transcript, self._position_s)
            return
        track.end(TrackState.DROPPED)
        opened = await self._open_track(track.transcript, track.start_s)
        for samples in replay:
            await self._feed(opened, samples)

    async def run(self) -> None:
        """Send the events of all tracks, until ``finish`` or the server's end. Raises InputFailed."""
        while True:
            while not self._tracks:
                if self._finished:
                    return
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
            await self._take(track.turns.dismiss(), track)
            self._turns.fell_silent()
            for _ in range(track.clears):
                await self._events.cleared()
            if track.state is TrackState.OPEN:
                return

    async def _transcribe(self, track: Track) -> None:
        if track.session is not None:
            async with track.session as session, aclosing(session.events()) as events:
                async for event in events:
                    if track.state is TrackState.DROPPED:
                        break
                    await self._handle(event, track)
        if track.state is not TrackState.DROPPED:
            await self._finish(track)
        self._words.give_up()

    async def _handle(self, event: RecognitionEvent, track: Track) -> None:
        match event:
            case RecognizedWord():
                await self._handle_word(event, track)
            case Mark():
                await self._words.complete_while(lambda pending: pending.number <= event.number)
            case Step():
                await self._handle_step(event, track)

    async def _handle_step(self, step: Step, track: Track) -> None:
        if step.pause_probabilities[2] >= LIKELY:
            await self._words.complete_while(lambda _: True)
        if self._answer_ended:
            self._answer_ended = False
            await self._take(track.turns.accept(), track)  # a voice at its end replies to it
        rule = self._config.rule
        if rule is not None and (voiced_s := step.voiced_s(rule.threshold)):
            self._voice_at = time.perf_counter()
            track.transcript.voiced_s += voiced_s
        await self._take(track.turns.feed(step, rule), track)
        if track.turns.state is TurnState.SPEAKING:
            self._turns.went_on()
        elif track.turns.state is TurnState.PAUSED:
            text, language = track.text_so_far
            if track.turns.has_probably_ended(step, text.split(), language):
                self._turns.paused(text, language)

    async def _handle_word(self, word: RecognizedWord, track: Track) -> None:
        kept_back = track.turns.add_word(word)
        # Words come in order: those of a turn are complete once one of a later turn has come.
        at_s = track.start_s + word.start_s
        await self._words.complete_while(lambda pending: pending.end_s <= at_s)
        if self._words.pending:
            transcript = self._words.pending[0]
        elif kept_back:
            return
        elif track.turns.in_turn or self._config.rule is None:
            transcript = track.transcript
        else:
            return
        await self._words.add(word, transcript, track.start_s)

    async def _take(self, changes: Sequence[TurnChange], track: Track) -> None:
        for change in changes:
            match change:
                case TurnStarted():
                    await self._start_turn(change, track)
                case TurnStopped():
                    track.turn_stopped = True
                    track.end_turn(change.end_s)
                    transcript = track.transcript
                    await self._stop_turn(transcript, change.end_s)
                    track.transcript = Transcript(new_id("item"))
                    self._words.pending.append(transcript)
                    await track.mark_turn(transcript)
                case VoiceChange.HEARD:
                    await self._events.voice_over_answer("heard")
                case VoiceChange.NOTHING | VoiceChange.ECHO:
                    if change is VoiceChange.NOTHING:
                        await self._events.voice_over_answer("ignored")
                    track.transcript = Transcript(new_id("item"))

    async def _start_turn(self, turn: TurnStarted, track: Track) -> None:
        """Tell of the turn that goes on, with the words of it that were kept back."""
        transcript = track.transcript
        if not transcript.started:  # before a new configuration
            transcript.start_s = turn.start_s
            track.begin_turn()
            await self._events.started(transcript)
        self._turns.started()
        if turn.told:
            await self._events.voice_over_answer("interrupts")
        for word in turn.words:
            await self._words.add(word, transcript, track.start_s)

    async def _stop_turn(self, transcript: Transcript, end_s: float) -> None:
        transcript.end_s = end_s
        transcript.duration_s = end_s - transcript.start_s
        await self._events.stopped(transcript)
        await self._words.commit(transcript)
        self._turns.stopped(end_s)
        if not self._config.asks_for_answers:
            return
        if self._config.answers:
            transcript.to_be_answered = True
            transcript.stopped_at = time.perf_counter()
            self._words.report("decided", transcript.stopped_at - self._voice_at)
        else:
            await self._events.unanswerable()

    async def _finish(self, track: Track) -> None:
        await self._words.complete_while(lambda _: True)
        if track.state is TrackState.FINISHED:
            if not track.turns.may_interrupt:
                await self._take(track.turns.dismiss(), track)
            if not track.turns.in_turn:
                return
        elif track.state is not TrackState.COMMITTED:
            return
        if not track.transcript.committed:
            if track.turns.in_turn:
                await self._take(track.turns.accept(), track)
                await self._stop_turn(track.transcript, track.turns.stop().end_s)
            else:
                track.transcript.duration_s = 0.0
                await self._words.commit(track.transcript)
        track.end_turn()
        await self._words.complete(track.transcript)

    async def _fail(self, track: Track, error: SpeechError) -> None:
        """Send that the items under way failed. Raises InputFailed if that goes on."""
        if self._track is track:
            self._track = None
        track.state = TrackState.ENDED
        await self._words.fail(track.transcript, error)
        self._failures += 1
        if not isinstance(error, EngineFailed) or self._failures >= MAX_FAILURES:
            await self._refuse(error)

    async def told(self) -> None:
        """Wait until the words of all turns that are answered already are told."""
        await self._words.told()

    async def aclose(self) -> None:
        """Free the recognition sessions of all tracks that ``run`` has not freed."""
        await self._words.aclose()
        for track in self._tracks:
            await track.aclose()
        self._tracks.clear()
