"""Recognises a turn once more as a whole, while its end is waited for.

Live words are decided pause by pause, in long speech before its end, and never revised: numbers in groups,
spelled names and addresses come out in pieces. A short turn without pauses is heard as a whole anyway.
"""

import asyncio
import logging
import math
import os
from collections import deque
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from kani.core.errors import SpeechError
from kani.core.recognizer import RecognizedWord, Step
from kani.core.transcriber import HeardCheck, TranscribedWord, Transcriber, TranscriptionOptions
from kani.core.turns.pause_judge import PROBABLE
from kani.core.turns.recent_audio import RecentAudio
from kani.core.turns.speech_gate import SpeechGate
from kani.core.turns.unfinished_words import DICTATION
from kani.core.turns.words import dictates, with_at_sign
from kani.core.types import Samples

LONGEST_TURN_S = 30.0
"""Longest turn that is recognised once more: it is the most that is kept of a session's audio."""

LONGEST_WAIT_S, DICTATED_WAIT_S, WAIT_SHARE = 0.5, 1.0, 0.05
"""Most that a turn's transcript waits for it after the turn's end: of any, of a dictated one, and for both
this share of the turn's length more, as the work on a long one takes longer."""

LATE_S = 5.0
"""Most time from a turn's end on for the work on a turn that is answered already."""

BESIDE_ANSWERS = (os.cpu_count() or 1) > 2
"""True if a turn is heard as a whole while its answer is made: with two cores both would take longer."""

_PAUSE_S = 0.25
"""Silence at which live words are decided, and after which the end of a turn is suspected."""

_QUIET = 0.3
"""Probability of a voice at which a turn goes on: it may be too quiet to begin one."""

_LONG_S = 1.5
"""Length of speech without a pause from which on its first words are decided before its last are heard."""

_SURE_S = 0.6
"""Silence that is taken for the end of a turn, whatever its sound is."""

_MARGIN_S = 0.3
"""Audio before a turn that is heard with it."""

_IDLE_S, _KEPT_S = 5.0, 1.5
"""Silence after which no more than this is kept, as an idle session needs no memory: the margin, what a turn
has before its onset, and the time until that is found."""

_CUT_OFF_S = 0.1
"""Time after the last word of a turn's text from which on a live word begins that the text lacks."""

_PAUSES = 64
"""Pauses of a turn that are remembered."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HeardTurn:
    """A turn that was recognised as a whole; ``language``: primary subtag."""

    text: str
    language: str
    words: tuple[TranscribedWord, ...] = ()


@dataclass(eq=False)
class Hearing:
    """The work on a turn."""

    _task: asyncio.Task[HeardTurn | None]
    begun: asyncio.Event  # lets the work begin
    end_s: float  # of the audio that is heard
    _longest_wait_s: float  # from the turn's end
    dictated: bool
    """True if the live words are pieces of a number or of a name: an answer waits for the whole."""
    _start_s: float  # of the audio that is heard
    _live_words: Collection[RecognizedWord]  # of the session, those that come later as well
    _ended_at: float = math.inf

    def end_turn(self) -> None:
        """Wait no longer than ``longest_wait_s`` from now on."""
        self._ended_at = asyncio.get_running_loop().time()

    @property
    def done(self) -> bool:
        return self._task.done()

    @property
    def _heard(self) -> HeardTurn | None:
        """The turn; None while the work goes on, and if nothing or less than live is understood."""
        heard = None if not self._task.done() or self._task.cancelled() else self._task.result()
        if heard is None or not heard.words:
            return heard
        known_s = self._start_s + heard.words[-1].end_s + _CUT_OFF_S
        return None if any(known_s < word.start_s < self.end_s for word in self._live_words) else heard

    def so_far(self, text: str, language: str) -> tuple[str, str]:
        """Return the turn's text and language as they are known; no text while a dictated one is worked on.

        text, language: of the live words.
        """
        if (heard := self._heard) is not None:
            return heard.text, heard.language
        return "" if self.dictated and not self._task.done() else text, language

    async def wait(self, *, answered: bool = False) -> None:
        """Return once the work has ended, or has taken too long since the end of the turn.

        answered: whether nothing but the transcript waits for it any more.
        """
        longest_s = LATE_S if answered else self._longest_wait_s
        left_s = self._ended_at + longest_s - asyncio.get_running_loop().time()
        await asyncio.wait({self._task}, timeout=max(left_s, 0.0))

    async def in_time(self, *, answered: bool = False) -> HeardTurn | None:
        """Return the turn, which has ended; None if nothing is understood, or that takes too long."""
        self.begun.set()
        await self.wait(answered=answered)
        if not self._task.done():
            self._task.cancel()
        return self._heard

    def cancel(self) -> None:
        self._task.cancel()


@dataclass(eq=False)
class SecondHearing:
    """The turns of one session: feed what the recogniser reads and yields. Times are in seconds of it."""

    _transcriber: Transcriber
    _rate: int  # hertz
    _language: str | None  # of the session, if given
    _prompt: str  # see ``PromptedRecognizer``, as the candidates
    _varieties: Collection[str]  # see ``HeardCheck``
    _candidates: frozenset[str]
    answered: bool = False
    """True if turns are answered at once: what is not dictated waits for that, see ``BESIDE_ANSWERS``."""
    _onset_s: float = 0.0  # start of the speech after the last pause
    _start_s: float = 0.0  # infinite between turns: voices there may be echoes
    _hearing: Hearing | None = None  # in this pause

    def __post_init__(self) -> None:
        self._audio = RecentAudio(self._rate, LONGEST_TURN_S)
        self._gate = SpeechGate(_QUIET)
        self._pauses: deque[float] = deque(maxlen=_PAUSES)  # where speech ended before each
        self._words: deque[RecognizedWord] = deque(maxlen=_PAUSES)
        self._running = set[asyncio.Task[HeardTurn | None]]()

    def add_audio(self, samples: Samples) -> None:
        self._audio.add(samples)

    def add_word(self, word: RecognizedWord) -> None:
        self._words.append(word)

    def feed(self, step: Step, guess: float | None) -> None:
        """Take a step of the audio; guess: probability that its pause ends the turn, None if unknown."""
        for voice in step.voices:
            spoke, ended_s = self._gate.speaking, self._gate.speech_end_s
            self._gate.feed(voice)
            if self._gate.speaking and not spoke:
                self._stop()
                if self._gate.onset_s - ended_s >= _PAUSE_S:
                    self._onset_s = self._gate.onset_s
                    self._pauses.append(ended_s)
        silence_s = self._gate.silence_s
        kept_s = _MARGIN_S + LONGEST_TURN_S if silence_s < _IDLE_S else _KEPT_S
        self._audio.forget_before(self._place(self._gate.now_s - kept_s))
        suspected = silence_s >= _PAUSE_S and guess is not None and guess >= PROBABLE
        if self._hearing is None and step.voices and (suspected or silence_s >= _SURE_S):
            self._hearing = self._begin(self._gate.now_s)

    def begin(self, start_s: float) -> None:
        """Note that a turn begins, and forget what came before it."""
        self._stop()
        self._start_s = start_s

    def end(self, end_s: float) -> Hearing | None:
        """End the turn; returns the work on it, None where it was heard as a whole or is too long."""
        begun = self._hearing
        if begun is not None and any(word.end_s > begun.end_s for word in self._words):
            self._stop()  # a voice that the gate does not find went on
        hearing, self._hearing = self._hearing or self._begin(end_s), None
        self._start_s = math.inf
        if hearing is not None:
            hearing.end_turn()
        return hearing

    @property
    def so_far(self) -> Hearing | None:
        """The work on the turn up to this pause, if it has begun."""
        return self._hearing

    async def aclose(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _stop(self) -> None:
        if self._hearing is not None:
            self._hearing.cancel()
            self._hearing = None

    def _begin(self, end_s: float) -> Hearing | None:
        paused = any(self._start_s < ended_s < end_s for ended_s in self._pauses)
        if not paused and self._gate.speech_end_s - max(self._onset_s, self._start_s) < _LONG_S:
            return None
        first = self._place(max(self._start_s - _MARGIN_S, 0.0))
        if first < self._audio.start:
            return None
        samples = self._audio.between(first, self._place(end_s))
        options, dictated = self._options([word for word in self._words if word.end_s > self._start_s])
        begun = asyncio.Event()
        if dictated or BESIDE_ANSWERS or not self.answered:
            begun.set()
        task = asyncio.create_task(self._hear(samples, options, begun))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        wait_s = (DICTATED_WAIT_S if dictated else LONGEST_WAIT_S) + WAIT_SHARE * len(samples) / self._rate
        return Hearing(task, begun, end_s, wait_s, dictated, first / self._rate, self._words)

    def _options(self, words: Sequence[RecognizedWord]) -> tuple[TranscriptionOptions, bool]:
        """Return the options for a turn with these live words, and True if it is dictated."""
        languages = frozenset(word.language for word in words if word.language)
        language = next(iter(languages)) if self._language is None and len(languages) == 1 else self._language
        dictated = dictates([word.text for word in words], language or "")
        prompt = f"{DICTATION.get(language or '', '') if dictated else ''} {self._prompt}".strip()
        candidates = languages or self._candidates
        return TranscriptionOptions(language, candidates, prompt=prompt, waited_for=True), dictated

    async def _hear(
        self, samples: Samples, options: TranscriptionOptions, begun: asyncio.Event
    ) -> HeardTurn | None:
        await begun.wait()
        example = options.prompt.removesuffix(self._prompt).strip()
        for prompt in dict.fromkeys((options.prompt, self._prompt)):
            check = HeardCheck(self._varieties)
            check.give(len(samples) / self._rate)
            heard = self._transcriber.transcribe(_only(samples), replace(options, prompt=prompt))
            try:
                async with aclosing(heard) as transcribed:
                    segments = [check.segment(segment) async for segment in transcribed]
            except SpeechError:
                return None  # the live words are there
            except Exception:
                log.exception("a turn cannot be recognised once more")
                return None
            text = with_at_sign("".join(segment.text for segment in segments).strip())
            # Speech that is hardly heard comes out as the example at times.
            if not example or not any(sentence in text for sentence in example.split(". ")):
                break
        words = tuple(word for segment in segments for word in segment.words)
        return HeardTurn(text, segments[-1].language, words) if text else None

    def _place(self, at_s: float) -> int:
        return round(at_s * self._rate)


async def _only(samples: Samples) -> AsyncIterator[Samples]:
    yield samples
