"""One recognition session: samples in, recognised words and pauses out."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

from kani.core import tracing
from kani.core.audio.resampling import LEAD_S, LowDelayResampler
from kani.core.recognizer import (
    STEP_S,
    Mark,
    RecognitionEvent,
    RecognizedWord,
    Recognizer,
    Step,
    recognition,
)
from kani.core.session.budget import Share
from kani.core.transcriber import HeardCheck, Transcriber
from kani.core.turns.pause_judge import PauseJudge, TurnModel
from kani.core.turns.second_hearing import Hearing, SecondHearing
from kani.core.types import Samples

MAX_BACKLOG_S = 60.0
"""Seconds of a connection's audio that may wait for the recogniser; ``feed`` waits beyond that."""

MAX_BACKLOG_PIECES = 10_000
"""Pieces of a session's audio that may wait, however short they are."""

PIECE_BYTES = 128
"""Bytes of memory that a piece takes beside its samples, which take ``SAMPLE_BYTES`` each."""

SAMPLE_BYTES = 4

PATIENCE_S = 60.0
"""Longest wait of ``feed`` in which the recogniser takes nothing of the connection's audio, while all
connections together have too much."""

SLICE_S = 1.0
"""Seconds that are resampled at a time: a long piece must not block the event loop."""


@dataclass(frozen=True, slots=True)
class RecognitionContext:
    """Everything that a session of the recogniser gets from the service that opens it."""

    start: Callable[[], Awaitable[None]]  # makes the recogniser ready
    closed: Callable[[Any], None]  # called with the session once nothing of it is left
    recognized: Callable[[float, float], None]
    """Called with the seconds of audio that were recognised, and how many seconds late that is."""
    span: tracing.Span = tracing.UNRECORDED  # span of the session, which ends it
    varieties: frozenset[str] = frozenset()
    """Languages that may be spoken, with their letters; see ``HeardCheck``."""


class Backlog:
    """Audio of one connection that waits for the recogniser, of all its sessions together.

    share: its part of the budget of all connections. Where that is full, a connection that holds more than
    a small share waits as it does at its own limit.
    """

    def __init__(self, share: Share) -> None:
        self.share = share
        self.changed = asyncio.Event()  # the recogniser took some of it, or a session has ended
        self.language: str | None = None
        """Primary subtag of the last two words that were heard alike: the next session expects it."""
        self.last_language = ""  # of the last word; empty where it is not known

    def add_word(self, word: RecognizedWord) -> None:
        if word.language and word.language == self.last_language:
            self.language = word.language
        self.last_language = word.language

    def is_full(self, sample_rate: int) -> bool:
        """Return True if no more is to be fed, at ``sample_rate`` hertz."""
        most = MAX_BACKLOG_S * sample_rate * SAMPLE_BYTES + PIECE_BYTES
        return self.share.size > most or not self.share.fits(self.share.size)

    def hold(self, size: int) -> None:
        """Count ``size`` bytes more, or fewer."""
        self.share.hold(self.share.size + size)

    async def wait(self) -> None:
        """Wait for a change. Raises Busy if there is none in time, and the budget is full."""
        self.changed.clear()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.changed.wait()
        except TimeoutError as error:
            if not self.share.fits(self.share.size):
                raise self.share.refusal() from error


@dataclass(eq=False)
class RecognitionSession(AbstractAsyncContextManager["RecognitionSession"]):
    """Feed samples, iterate over ``events``; leave by ``async with``, which frees everything.

    Iteration ends after ``finish`` once all audio is recognised. It raises EngineUnavailable where the
    recogniser cannot start, and EngineFailed. One feeder, one reader.
    """

    _context: RecognitionContext
    _recognizer: Recognizer
    _sample_rate: int  # hertz of the samples that are fed
    _language: str | None
    _prompt: str  # see ``PromptedRecognizer``, as of the candidates
    _candidates: frozenset[str]
    _turn_model: TurnModel | None  # hears whether a speaker has said all, where ``judges_turns`` is set
    _backlog: Backlog  # of its connection
    judges_turns: bool = False
    """True if steps tell whether the speaker has said all; costs some calls of the turn model a pause."""
    turns_are_answered: bool = False  # at once, see ``SecondHearing.answered``
    _hears_again: bool = False
    _again: SecondHearing | None = None
    _judge: PauseJudge | None = None
    _pulled: int = 0  # samples that the recogniser has read
    _check: HeardCheck = field(init=False)
    _waiting: deque[Samples | Mark] = field(default_factory=deque)
    _begun: int = 0  # samples of the first waiting piece that the recogniser has read
    _held: int = 0  # bytes of the backlog that are this session's
    _fed: int = 0
    _first_fed_at: float = 0.0
    _recognized_s: float = 0.0
    finished: bool = False  # further samples are dropped
    _cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._check = HeardCheck(self._context.varieties)

    @property
    def backlog_samples(self) -> int:
        """Number of samples that were fed and are not recognised yet."""
        return max(0, self._fed - round(self._recognized_s * self._sample_rate))

    @property
    def _lag_s(self) -> float:
        """Seconds that recognition is late; audio fed faster than real time adds nothing to it."""
        since_first_s = time.perf_counter() - self._first_fed_at
        return max(0.0, min(self.backlog_samples / self._sample_rate, since_first_s - self._recognized_s))

    def hear_turns_again(self) -> None:
        """Recognise each turn once more as a whole, where the recogniser can; call it before ``events``.

        ``begin_turn`` and ``end_turn`` tell where turns are, in seconds of the audio: from its start, if not.
        """
        self._hears_again = True

    def begin_turn(self, start_s: float) -> None:
        if self._again is not None:
            self._again.begin(start_s)

    def end_turn(self, end_s: float | None = None) -> Hearing | None:
        """End a turn, where the audio so far does if no place is given.

        Returns None for a short turn without a pause, which was heard as a whole.
        """
        if self._again is None:
            return None
        return self._again.end(self._recognized_s if end_s is None else end_s)

    @property
    def turn_so_far(self) -> Hearing | None:
        """The work on a turn that has probably ended, see ``end_turn``."""
        return None if self._again is None else self._again.so_far

    async def feed(self, samples: Samples) -> None:
        """Append ``samples``; returns once the backlog is below its limits. Dropped after ``finish``.

        Raises Busy where all connections have too much, and nothing of this one is read for ``PATIENCE_S``.
        """
        if not len(samples) or self.finished:
            return
        if not self._fed:
            self._first_fed_at = time.perf_counter()
        self._fed += len(samples)
        self._append(samples, samples.nbytes)
        while (self._crowded or self._backlog.is_full(self._sample_rate)) and not self.finished:
            await self._backlog.wait()

    async def mark(self, number: int) -> None:
        """Append a mark, yielded once all audio before it is decided; waits while too many pieces do.

        Raises Busy as ``feed`` does.
        """
        if not self.finished:
            self._append(Mark(number), 0)
        while self._crowded and not self.finished:
            await self._backlog.wait()

    @property
    def _crowded(self) -> bool:
        return len(self._waiting) > MAX_BACKLOG_PIECES

    def _append(self, piece: Samples | Mark, size: int) -> None:
        self._waiting.append(piece)
        self._hold(self._held + size + PIECE_BYTES)
        self._arrived.set()

    def _hold(self, size: int) -> None:
        self._backlog.hold(size - self._held)
        self._held = size

    def finish(self) -> None:
        self.finished = True
        self._arrived.set()
        self._backlog.changed.set()

    def cancel(self) -> None:
        """Mark the end, and drop the backlog."""
        self._waiting.clear()
        self._hold(0)
        self._cancelled.set()
        self.finish()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
        if self._again is not None:
            await self._again.aclose()
        self._context.span.set({"speech.audio_s": round(self._recognized_s, 3)})
        self._context.span.end(error)
        self._context.closed(self)

    async def events(self) -> AsyncGenerator[RecognitionEvent, None]:
        """Yield words, steps and marks in order; close the generator to stop the recogniser.

        Ends at once where the session is cancelled while the recogniser still starts.
        """
        with self._context.span.child("wait"):
            if not await self._wait_for_start():
                return
        info = self._recognizer.info  # a remote recogniser's is known only now
        if self._hears_again and info.hears_again and isinstance(self._recognizer, Transcriber):
            self._again = SecondHearing(
                *(self._recognizer, info.sample_rate, self._language, self._prompt),
                *(self._context.varieties, self._candidates),
            )
        engine = self._context.span.child("engine", {"speech.engine": info.name})
        recognizing = recognition(
            *(self._recognizer, self._audio(), self._language),
            *(self._prompt, self._candidates, self._backlog.language),
        )
        heard = False
        with engine:
            async with AsyncExitStack() as left:
                events = await left.enter_async_context(aclosing(recognizing))
                left.push_async_callback(self._close_judge)
                async for given in events:
                    event = self._check.event(given)
                    if isinstance(event, Step):
                        self._recognized_s = (event.index + 1) * STEP_S
                        self._context.recognized(STEP_S, self._lag_s)
                        if self._judge is not None:
                            event = await self._judge.judge(event)
                        if self._again is not None:
                            self._again.answered = self.turns_are_answered
                            self._again.feed(event, 1.0 if self._judge is None else self._judge.guess)
                    elif isinstance(event, RecognizedWord):
                        event = self._without_lead(event)
                        self._backlog.add_word(event)
                        if self._judge is not None:
                            self._judge.add_word(event)
                        if self._again is not None:
                            self._again.add_word(event)
                        if not heard:
                            heard = True
                            engine.event("first word")
                    yield event

    async def _wait_for_start(self) -> bool:
        """Return True once the recogniser has started, and False if the session is cancelled before."""
        starting = asyncio.ensure_future(self._context.start())
        cancelled = asyncio.ensure_future(self._cancelled.wait())
        try:
            await asyncio.wait((starting, cancelled), return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                return False
            starting.result()
            return True
        finally:
            starting.cancel()
            cancelled.cancel()
            await asyncio.wait((starting, cancelled))

    def _without_lead(self, word: RecognizedWord) -> RecognizedWord:
        lead_s = 0.0 if self._sample_rate == self._recognizer.info.sample_rate else LEAD_S
        return replace(word, start_s=max(0.0, word.start_s - lead_s), end_s=max(0.0, word.end_s - lead_s))

    async def _audio(self) -> AsyncGenerator[Samples | Mark, None]:
        resampler = LowDelayResampler(self._sample_rate, self._recognizer.info.sample_rate)
        longest = round(SLICE_S * self._sample_rate)
        while True:
            while not self._waiting:
                if self.finished:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            self._backlog.changed.set()
            piece = self._waiting[0]
            if isinstance(piece, Mark):
                self._check.give(0.0)
                self._forget_first(0)
                yield piece
                continue
            part = piece[self._begun : self._begun + longest]
            self._begun += len(part)
            if self._begun == len(piece):
                self._forget_first(piece.nbytes)  # a part of an array keeps all of it in memory
            if len(samples := resampler.feed(part)):
                self._check.give(len(samples) / self._recognizer.info.sample_rate)
                await self._show_judge(samples)
                if self._again is not None:
                    self._again.add_audio(samples)
                yield samples

    def _forget_first(self, size: int) -> None:
        """Forget the first waiting piece, of ``size`` bytes."""
        self._waiting.popleft()
        self._begun = 0
        self._hold(self._held - size - PIECE_BYTES)

    async def _show_judge(self, samples: Samples) -> None:
        """Let the judge of turns hear what the recogniser reads, if there is to be one."""
        if not self.judges_turns:
            await self._close_judge()
        elif self._judge is None and self._turn_model is not None:
            self._judge = PauseJudge(self._turn_model, self._recognizer.info.sample_rate, self._pulled)
        if self._judge is not None:
            self._judge.add_audio(samples)
        self._pulled += len(samples)

    async def _close_judge(self) -> None:
        judge, self._judge = self._judge, None
        if judge is not None:
            await judge.aclose()
