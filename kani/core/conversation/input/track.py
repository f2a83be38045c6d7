"""A stretch of input audio between two commits, clears or changes of the configuration."""

import enum
from dataclasses import dataclass, field
from typing import Self

from kani.core.conversation.config import ConversationConfig
from kani.core.conversation.input.transcript import Transcript
from kani.core.conversation.items import new_id
from kani.core.conversation.turn_answers import TurnAnswers
from kani.core.conversation.turns import TurnMachine
from kani.core.session.recognition import RecognitionSession
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples

REPLAY_S = 10.0
"""Audio that a track keeps from its start on, to recognise it anew for a language or names that come late."""

MARK_BACKLOG_S = 1.0
"""With this many seconds of audio ahead of the recogniser a turn's end gets no mark: it would come long after
the end."""


class TrackState(enum.Enum):
    """State of a track; it leaves ``OPEN`` once."""

    OPEN = enum.auto()  # it takes audio. If the recogniser ends it, the server stops.

    COMMITTED = enum.auto()  # the client has ended its item, which has to be completed

    FINISHED = enum.auto()  # no more audio comes: the turn that goes on has to be completed

    ENDED = enum.auto()
    """A new configuration or a failure has ended it; words that are still recognised are sent."""

    DROPPED = enum.auto()  # it was cleared or replaced: nothing more of it is sent


@dataclass(eq=False)
class Track:
    """A recognition session with its state. ``transcript``: of the turn that goes on, or of the next."""

    session: RecognitionSession | None  # None without any audio
    sample_rate: int
    start_s: float  # in the audio of the connection
    hears: TranscriptionOptions  # as of the configuration
    transcript: Transcript
    turns: TurnMachine
    state: TrackState = TrackState.OPEN
    turn_stopped: bool = False  # so that its audio is of several items
    clears: int = 0  # of the client, which it learns about after the track's commit
    replay: list[Samples] | None = field(default_factory=list)  # None once it is too long
    _fed: int = 0  # samples

    @classmethod
    def silent(cls, sample_rate: int, start_s: float, turns: TurnAnswers) -> Self:
        """Return the track of a commit without any audio."""
        machine = TurnMachine(sample_rate, turns, start_s)
        item = Transcript(new_id("item"))
        return cls(None, sample_rate, start_s, TranscriptionOptions(), item, machine, TrackState.COMMITTED)

    def configure(self, config: ConversationConfig) -> None:
        """Have turns judged as ``config`` wants."""
        if self.session is not None:
            self.session.judges_turns = config.judges_turns
            self.session.turns_are_answered = config.answers_turns

    async def feed(self, samples: Samples) -> None:
        """Recognise audio; waits while too much is not recognised yet."""
        assert self.session is not None
        self._fed += len(samples)
        self.turns.add_audio(samples)
        if self.replay is not None:
            self.replay.append(samples)
            if self._fed > REPLAY_S * self.sample_rate:
                self.replay = None
        await self.session.feed(samples)

    @property
    def text_so_far(self) -> tuple[str, str]:
        """Text and language of a turn that may have ended; see ``Hearing.so_far``."""
        live = self.transcript.text, self.transcript.language
        hearing = None if self.session is None else self.session.turn_so_far
        return live if hearing is None or self._has_earlier_words else hearing.so_far(*live)

    @property
    def _has_earlier_words(self) -> bool:
        """True if the track before has words of the turn: this one's session would hear a part of it."""
        return self.transcript.words_start_s < self.start_s

    def begin_turn(self) -> None:
        self.transcript.started = True
        if self.session is not None:
            self.session.begin_turn(max(self.transcript.start_s - self.start_s, self.turns.echo_until_s))

    def end_turn(self, end_s: float | None = None) -> None:
        """Have the transcript's turn recognised as a whole; it ends here, or at a place in the audio."""
        if self.session is None or self.transcript.again is not None:
            return
        hearing = self.session.end_turn(None if end_s is None else end_s - self.start_s)
        if hearing is not None and self._has_earlier_words:
            hearing.cancel()
        else:
            self.transcript.again = hearing

    def end(self, state: TrackState) -> None:
        self.state = state
        self.replay = None
        if self.session is None:
            return
        if state is TrackState.DROPPED:
            self.session.cancel()
        else:
            self.session.finish()

    async def mark_turn(self, transcript: Transcript) -> None:
        """Have a mark return once all words of a turn that ends here are decided, also without more audio."""
        if self.session is not None and self.session.backlog_samples < MARK_BACKLOG_S * self.sample_rate:
            await self.session.mark(transcript.number)

    @property
    def commit_is_untold(self) -> bool:
        """True if the client has committed, and does not know the item yet."""
        return self.state is TrackState.COMMITTED and not self.transcript.committed

    async def aclose(self) -> None:
        if self.session is not None:
            async with self.session:
                pass
