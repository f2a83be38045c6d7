"""A voice over an answer: nothing of it is sent until it is known to interrupt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from kani.core.conversation.echo import HEARD_S
from kani.core.recognizer import STEP_S, RecognizedWord, Step
from kani.core.turns.interruption import Verdict, VoiceOverAnswer
from kani.core.turns.recent_audio import RecentAudio
from kani.core.types import Samples
from kani.protocols.openai.realtime.input_events import InputEvents, VoiceState
from kani.protocols.openai.realtime.turn_detector import Turns


class HeldVoice:
    """The voices over answers in one track; times are in seconds of the track."""

    def __init__(self, turns: Turns, events: InputEvents, sample_rate: int) -> None:
        """sample_rate: hertz of the track's audio."""
        self._turns = turns
        self._events = events
        self._rate = sample_rate
        self._audio = RecentAudio(sample_rate, HEARD_S)
        self._voice: VoiceOverAnswer | None = None  # the last one
        self._rests = False  # the answer, as far as the client can have it rest
        self.held = False
        """True while a voice is judged."""

    @property
    def echo_until_s(self) -> float:
        """End of the last voice's echo of an answer."""
        return 0.0 if self._voice is None else self._voice.echo_until_s

    def add_audio(self, samples: Samples) -> None:
        """Take the track's audio."""
        self._audio.add(samples)

    def holds(self, step: Step) -> bool:
        """Return True if the voice that begins in a step is to be judged; from then on it is."""
        if self._turns.holds_voice(self._heard(step), self._rate):
            self._voice = VoiceOverAnswer(partial(self._turns.is_echo, sample_rate=self._rate))
            self.held = True
        return self.held

    def takes(self, word: RecognizedWord) -> bool:
        """Return True if a word is of a held voice, or of an echo: it is in no transcript yet."""
        if self._voice is None or not (self.held or self._voice.is_of_echo(word)):
            return False
        if self.held:
            self._voice.add_word(word)
        return True

    async def release(self) -> Sequence[RecognizedWord]:
        """Hold nothing any more, as the voice is a turn's; returns its words so far."""
        if not self.held or self._voice is None:
            return ()
        await self._end("interrupts")
        return self._voice.words

    async def judge(self, step: Step) -> Verdict:
        """Return what is known of the held voice after a step.

        After ``Verdict.INTERRUPTS`` call ``release``; ``Verdict.NOTHING`` is the end of it.
        """
        assert self._voice is not None
        verdict = self._voice.judge(step, partial(self._heard, step))
        match verdict:
            case Verdict.OPEN if self._voice.voiced_s and not self._rests:
                self._rests = True
                await self._events.voice_over_answer("heard")
            case Verdict.NOTHING:
                await self._end("ignored")
        return verdict

    def forget(self, step: Step) -> None:
        """Forget audio from before a step."""
        self._audio.forget(self._end_of(step))

    async def aclose(self) -> None:
        """Forget a voice that is still held."""
        await self._end("ignored")

    async def _end(self, state: VoiceState) -> None:
        self.held = False
        if self._rests:
            self._rests = False
            await self._events.voice_over_answer(state)

    def _heard(self, step: Step) -> Samples:
        return self._audio.before(self._end_of(step))

    def _end_of(self, step: Step) -> int:
        return (step.index + 1) * round(STEP_S * self._rate)
