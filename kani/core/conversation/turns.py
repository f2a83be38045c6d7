"""The turns of a user's speech: where each begins, pauses and ends, and if a voice over an answer is one.

Everything that converses or hears commands feeds one ``TurnMachine`` with what its recognition yields.
"""

import enum
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Protocol

from kani.core.conversation.echo import HEARD_S
from kani.core.recognizer import STEP_S, VOICE_CHUNK_S, RecognizedWord, Step
from kani.core.turns.interruption import Verdict, VoiceOverAnswer, words_are_known
from kani.core.turns.pause_judge import has_probably_ended
from kani.core.turns.recent_audio import RecentAudio
from kani.core.types import Samples
from kani_text.writing import ends_turn

ONSET_CHUNKS = 2
"""Loud chunks in a row that begin speech; a click is one chunk."""

OFF_FACTOR = 0.6
"""Speech goes on down to this part of the threshold. In 80 sentences with 10 dB of noise, 0.4 finds the ends
0.1 s later in the median; 0.7 cuts one in a pause of 0.26 s."""

PROBABLE_AFTER_S = 0.2
"""Silence after which a turn with a complete sentence has probably ended."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Silence that ends a turn, in seconds."""

    complete_s: float  # where sound and words say that the speaker has said all
    unfinished_s: float  # where they say the opposite
    sentence_s: float  # where that is unknown, after a word that ends a sentence
    other_s: float  # and after any other

    def silence_s(self, complete: bool | None, *, sentence_ended: bool) -> float:
        """Return the silence that ends a turn, in seconds.

        complete: see ``Step.complete``; sentence_ended: whether the last word has the mark of an end.
        """
        if complete is None:
            return self.sentence_s if sentence_ended else self.other_s
        return self.complete_s if complete else self.unfinished_s


PATIENCE = Patience(0.2, 1.5, 0.7, 4.0)
"""Patience of a conversation."""


@dataclass(frozen=True, slots=True)
class TurnRule:
    """How turns begin and end."""

    patience: Patience = PATIENCE
    threshold: float = 0.5  # probability of a voice from which on it is speech
    padding_s: float = 0.3  # audio before the onset of speech that is a part of its turn
    waits_for_words: bool = False
    """True if a turn goes on until its words are decided: more may come."""


class TurnState(enum.Enum):
    SILENT = enum.auto()  # no turn goes on
    JUDGED = enum.auto()  # there is a voice over an answer; it is not known yet if it interrupts
    SPEAKING = enum.auto()  # the user speaks
    PAUSED = enum.auto()  # the user is silent in a turn that goes on


class _Heard(enum.Enum):
    """Inputs of the machine."""

    VOICE = enum.auto()
    VOICE_OVER_ANSWER = enum.auto()
    INTERRUPTION = enum.auto()
    NOTHING = enum.auto()
    SILENCE = enum.auto()
    END = enum.auto()


_NEXT = {
    (TurnState.SILENT, _Heard.VOICE): TurnState.SPEAKING,
    (TurnState.SILENT, _Heard.VOICE_OVER_ANSWER): TurnState.JUDGED,
    (TurnState.JUDGED, _Heard.INTERRUPTION): TurnState.SPEAKING,
    (TurnState.JUDGED, _Heard.NOTHING): TurnState.SILENT,
    (TurnState.SPEAKING, _Heard.SILENCE): TurnState.PAUSED,
    (TurnState.PAUSED, _Heard.VOICE): TurnState.SPEAKING,
    (TurnState.SPEAKING, _Heard.END): TurnState.SILENT,
    (TurnState.PAUSED, _Heard.END): TurnState.SILENT,
}
"""All transitions. Of a voice that goes on, and of its silence, nothing else changes."""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    start_s: float  # start with the padding before it, in seconds of the audio
    words: Sequence[RecognizedWord] = ()  # words of it that were kept back while it was judged
    voiced_s: float = 0.0  # seconds of voice in which it was judged, without the answer's echo
    told: bool = False  # True after ``VoiceChange.HEARD``


@dataclass(frozen=True, slots=True)
class TurnStopped:
    end_s: float  # end with the silence that ended it, in seconds of the audio


class VoiceChange(enum.Enum):
    """Changes of a voice over an answer that is no turn so far."""

    HEARD = enum.auto()  # there is one
    NOTHING = enum.auto()  # it was nothing, and has ended
    ECHO = enum.auto()  # it was never ``HEARD``, as it was the answer's echo


TurnChange = TurnStarted | TurnStopped | VoiceChange


class Answers(Protocol):
    """Knowledge about the answer that may be heard while a voice begins."""

    def holds_voice(self, heard: Samples, sample_rate: int) -> bool:
        """Return True if a voice that begins is to be judged before it counts as a turn.

        heard: the last ``HEARD_S`` seconds of the input, at ``sample_rate`` hertz.
        """

    def is_echo(self, heard: Samples, sample_rate: int) -> bool:
        """Return True if what the input has just heard is an answer."""


@dataclass(slots=True)
class _Speech:
    """The speech so far and its words: they decide how long a silence ends the turn."""

    end_s: float  # in seconds of what turns are told in
    complete: bool | None = None  # see ``Step.complete``
    sentence_ended: bool = False
    worded: bool = False  # the speech before the pause has words
    known: bool = False  # and all of them have come

    def begin(self) -> None:
        """Forget the speech before; ``known`` comes with each step."""
        self.complete, self.sentence_ended, self.worded = None, False, False

    def take(self, step: Step) -> None:
        self.complete = self.complete if step.complete is None else step.complete
        self.known = words_are_known(step)

    def is_over(self, now_s: float, rule: TurnRule) -> bool:
        """Return True if a turn ends with the silence from the end of the speech to ``now_s``."""
        # Nothing more is known of speech in which no word is recognised: it is not waited for.
        ended = self.sentence_ended or (self.known and not self.worded)
        silent = now_s - self.end_s >= rule.patience.silence_s(self.complete, sentence_ended=ended)
        return silent and (self.known or not rule.waits_for_words)

    def may_be_over(self, now_s: float, rule: TurnRule) -> bool:
        """Return True if it depends on words that have not come whether a turn ends with that silence."""
        silence_s = rule.patience.silence_s(self.complete, sentence_ended=True)
        return rule.waits_for_words and not self.known and now_s - self.end_s >= silence_s


@dataclass(eq=False)
class TurnMachine:
    """Finds the turns of one stream of audio: feed its audio, words and steps, in order."""

    sample_rate: int  # hertz of the audio
    _answers: Answers | None = None  # None where nothing is answered aloud
    now_s: float = 0.0
    """End of the audio so far, in seconds of what turns are told in; at first its start."""
    _: KW_ONLY
    resumed: bool = False
    """True if a turn of the stream before goes on with the first voice, which is not judged."""
    state: TurnState = field(init=False, default=TurnState.SILENT)
    _over_answer: VoiceOverAnswer | None = field(init=False, default=None)  # the last one
    _voice: bool = field(init=False, default=False)  # now
    _loud: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._audio = RecentAudio(self.sample_rate, HEARD_S)
        self._onset_s = self._last_stop_s = self.now_s
        self._speech = _Speech(self.now_s)

    @property
    def in_turn(self) -> bool:
        """True while a turn goes on, or a voice that may become one."""
        return self.state is not TurnState.SILENT

    @property
    def echo_until_s(self) -> float:
        """End of the last voice's echo of an answer, in seconds of this stream."""
        return 0.0 if self._over_answer is None else self._over_answer.echo_until_s

    def add_audio(self, samples: Samples) -> None:
        """Take audio before its steps come."""
        self._audio.add(samples)

    def add_word(self, word: RecognizedWord) -> bool:
        """Take a word; returns True if it is kept back: it is of a voice that is judged, or of an echo."""
        self._speech.worded = True
        self._speech.sentence_ended = ends_turn(word.text)
        over_answer = self._over_answer
        if over_answer is None:
            return False
        if self.state is TurnState.JUDGED:
            over_answer.add_word(word)
            return True
        return over_answer.is_of_echo(word)

    def feed(self, step: Step, rule: TurnRule | None) -> list[TurnChange]:
        """Take the next step of the audio; returns what has changed. rule: None where turns are not found."""
        self._speech.take(step)
        end = (step.index + 1) * round(STEP_S * self.sample_rate)
        heard = partial(self._audio.before, end)
        changes = list[TurnChange]()
        for voice, duration_s in _chunks(step):
            if rule is None:
                self.now_s += duration_s
            elif (change := self._feed_chunk(voice, duration_s, rule, heard)) is not None:
                changes.append(change)
        if self.state is TurnState.JUDGED:
            changes += self._judge(step, heard)
        self._audio.forget(end)
        return changes

    def _feed_chunk(
        self, voice: float, duration_s: float, rule: TurnRule, heard: Callable[[], Samples]
    ) -> TurnChange | None:
        begun_s = self.now_s
        self.now_s += duration_s
        self._loud = self._loud + 1 if voice >= rule.threshold else 0
        # Within a turn one loud chunk is enough, or a short word between two pauses would be missed.
        onset_chunks = 1 if self.in_turn or duration_s >= STEP_S else ONSET_CHUNKS
        if self._voice:
            self._voice = voice >= OFF_FACTOR * rule.threshold
        elif self._loud >= onset_chunks:
            self._voice = True
            self._speech.begin()
            if not self.in_turn:
                onset_s = begun_s - (onset_chunks - 1) * duration_s
                self._onset_s = max(onset_s - rule.padding_s, self._last_stop_s)
        if self._voice:
            self._speech.end_s = self.now_s
            return self._begin(heard)
        self._go(_Heard.SILENCE)
        paused = self.state is TurnState.PAUSED
        return self.stop() if paused and self._speech.is_over(self.now_s, rule) else None

    def _begin(self, heard: Callable[[], Samples]) -> TurnStarted | None:
        answers = None if self.resumed or self.in_turn else self._answers
        if answers is not None and answers.holds_voice(heard(), self.sample_rate):
            self._over_answer = VoiceOverAnswer(answers.is_echo, self.sample_rate)
            self._go(_Heard.VOICE_OVER_ANSWER)
        begins = self.state is TurnState.SILENT
        self._go(_Heard.VOICE)
        self.resumed = self.resumed and not begins
        return TurnStarted(self._onset_s) if begins else None

    def _judge(self, step: Step, heard: Callable[[], Samples]) -> list[TurnChange]:
        assert self._over_answer is not None
        match self._over_answer.judge(step, heard):
            case Verdict.INTERRUPTS:
                return self.accept()
            case Verdict.NOTHING:
                return self.dismiss()
            case Verdict.OPEN if self._over_answer.voiced_s and not self._over_answer.told:
                self._over_answer.told = True
                return [VoiceChange.HEARD]
        return []

    def accept(self) -> list[TurnChange]:
        """Take a voice over an answer that is still judged for a turn."""
        if self.state is not TurnState.JUDGED or self._over_answer is None:
            return []
        self._go(_Heard.INTERRUPTION)
        voice = self._over_answer
        return [TurnStarted(self._onset_s, tuple(voice.words), voice.voiced_s, voice.told)]

    def dismiss(self) -> list[TurnChange]:
        """Forget a voice over an answer that is still judged."""
        if self.state is not TurnState.JUDGED or self._over_answer is None:
            return []
        self._go(_Heard.NOTHING)
        self._voice = False
        return [VoiceChange.NOTHING if self._over_answer.told else VoiceChange.ECHO]

    def awaited_s(self, rule: TurnRule | None) -> float | None:
        """Return the end of the speech that a pause waits for the words of; None if it waits for none."""
        if rule is None or self.state is not TurnState.PAUSED:
            return None
        return self._speech.end_s if self._speech.may_be_over(self.now_s, rule) else None

    def know_words(self, until_s: float, rule: TurnRule) -> list[TurnChange]:
        """Take that all words of speech up to ``until_s`` have come, in a pause without further steps."""
        if self.state is not TurnState.PAUSED or self._speech.end_s > until_s:
            return []
        self._speech.known = True
        return [self.stop()] if self._speech.is_over(self.now_s, rule) else []

    def stop(self) -> TurnStopped:
        """End the turn that goes on here."""
        self._go(_Heard.END)
        self._voice = False
        self._last_stop_s = self.now_s
        return TurnStopped(self.now_s)

    def has_probably_ended(self, step: Step, words: Sequence[str], language: str) -> bool:
        """Return True in a pause of a turn that has probably ended.

        step: the last that was fed; words: of the turn so far; language: their primary subtag.
        """
        paused = self.state is TurnState.PAUSED and self.now_s - self._speech.end_s >= PROBABLE_AFTER_S
        return paused and has_probably_ended(step, words, language)

    @property
    def may_interrupt(self) -> bool:
        """True if a voice that is judged has enough words or voice for an interruption so far."""
        judged = self._over_answer if self.state is TurnState.JUDGED else None
        return judged is not None and judged.interrupts

    def _go(self, heard: _Heard) -> None:
        self.state = _NEXT.get((self.state, heard), self.state)


def _chunks(step: Step) -> list[tuple[float, float]]:
    """Return the voice of a step as probabilities, each with the seconds that it lasts."""
    if step.voices:
        return [(voice, VOICE_CHUNK_S) for voice in step.voices]
    return [(float(max(step.pause_probabilities) == 0), STEP_S)]
