"""Recognition of one stream: which audio is kept, when a pass over it is due, which words are decided.

No model and no event loop: audio and the results of passes go in, recognition events come out. Where a voice
is, and so each ``Step``, is known as soon as live audio comes. The audio of an utterance that follows a pause
waits until a pass has decided the words before that pause. Audio that arrives faster than speech is accepted
only as its words are decided: so the words before a pause are known within the pause, as in live speech.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from kani.core.recognizer import STEP_S, Mark, RecognitionEvent, RecognizedWord, Step
from kani.core.turns.speech_gate import Pauses, SpeechGate, pause_probabilities
from kani.core.types import Samples
from kani.runtime.recognition.audio_window import ArrivalPace, AudioWindow
from kani.runtime.recognition.hypothesis import Hypothesis
from kani.runtime.recognition.local_agreement import is_complete
from kani.runtime.recognition.passes import PassInput, PassResult, TimedWord, moved
from kani.runtime.recognition.tuning import TUNING
from kani.runtime.voice_detector import CHUNK_SAMPLES, SAMPLE_RATE, VoiceStream

STEP_SAMPLES = round(STEP_S * SAMPLE_RATE)
"""Samples of a ``Step``, and the most that ``RecognitionStream.feed`` takes at a time."""


_UNKNOWN = 0.49
"""Most probability of a long pause while words before it are not decided, see ``Recognizer.recognize``.
Unmute takes a pause for a turn's end from 0.6 on, and Kyutai's own scripts one of more than 0.5."""


@dataclass(slots=True)
class _Pass:
    """A pass that is running, or waits for its pause to be long enough; times in seconds of the stream."""

    end_s: float  # end of its audio
    in_pause: bool  # whether it was begun in a pause
    decides_all: bool  # whether all its words are decided: its pause was long enough
    decides_until_s: float  # words that start before this time are decided in any case
    sparse: bool  # whether it comes long after the pass before it
    speech_end_s: float  # end of the detected speech when the pass began
    language: str | None  # that its words are in; None if it detects it


class RecognitionStream:
    """Recognition of one stream. ``events`` are to be passed on, in order."""

    def __init__(
        self,
        voices: VoiceStream,
        language: str | None,
        clock: Callable[[], float] = time.monotonic,
        before: tuple[int, ...] = (),
        expected: str | None = None,
    ) -> None:
        """voices: the voice detector; language: primary subtag, None to detect it; clock: in seconds; before:
        tokens of text that may precede the speech; expected: language of the speech before.
        """
        self.events: deque[RecognitionEvent] = deque()
        self.audio_ended = False
        """True if no more audio comes."""
        self._voices = voices
        self._before = before
        self._detects = language is None
        self._language = language  # settled, or given
        self._expected = expected  # of the utterances before
        self._pace = ArrivalPace(TUNING.max_speedup, TUNING.max_lead_s, clock)
        self._arrived = SpeechGate()
        self._arrived_samples = 0
        self._waiting: deque[tuple[Samples, list[float]]] = deque()  # each piece with its voices
        self._gate = SpeechGate()  # of the audio that is not waiting, as all below
        self._window = AudioWindow()
        self._hypothesis = Hypothesis()
        self._marks: deque[tuple[float, Mark]] = deque()
        self._steps = 0
        self._voices_since_step: list[float] = []
        self._pass: _Pass | None = None
        self._result: PassResult | None = None  # of the pass, while it waits
        self._passed = 0  # end of the audio of the last pass, in samples of the stream
        self._decided_s = 0.0  # all words before this time are decided
        self._onset_s = 0.0  # first onset of speech since all words were decided

    @property
    def pass_running(self) -> bool:
        return self._pass is not None and self._result is None

    @property
    def now_s(self) -> float:
        """Seconds of audio so far, without what waits."""
        return self._window.end_s

    @property
    def finished(self) -> bool:
        """True if the audio has ended and all its words and marks are in ``events``."""
        return self.audio_ended and self._settled and not self._marks and not self.pass_running

    @property
    def is_backlog(self) -> bool:
        """True if the audio arrives faster than it can have been spoken."""
        return self._pace.is_backlog

    @property
    def urgent(self) -> bool:
        """True if live speech waits for the pass that is due: its speaker pauses."""
        return self._decisive and not self.is_backlog

    @property
    def pass_due(self) -> bool:
        """True if a pass over the audio is due now."""
        if self._pass is not None or not self._undecided:
            return False
        if self._decisive:
            return True
        long_enough = self._window.duration_s >= TUNING.first_pass_s
        new_s = self.now_s - max(self._passed / SAMPLE_RATE, self._window.start_s)
        return self._gate.speaking and not self.is_backlog and long_enough and new_s >= TUNING.new_audio_s

    @property
    def full(self) -> bool:
        """True if a pass has to end before more audio is accepted."""
        waits_s = (self._arrived_samples - self._window.end) / SAMPLE_RATE
        crowded = waits_s >= TUNING.longest_wait_s or len(self._marks) >= TUNING.max_marks
        return self._blocked and (crowded or self.is_backlog)

    @property
    def _settled(self) -> bool:
        """True if all words of the audio so far are decided."""
        return not self._waiting and not self._undecided

    @property
    def _blocked(self) -> bool:
        """True if a pass has to end before more audio is added to that of the next one."""
        if not self.pass_running and not self.pass_due:
            return False
        paused = self._undecided and self._gate.silence_s >= TUNING.forget_silence_s - STEP_S
        crowded = self._window.duration_s >= TUNING.longest_s or len(self._marks) >= TUNING.max_marks
        return paused or crowded or (self.is_backlog and self._decisive)

    def feed(self, samples: Samples) -> None:
        """Accept more audio: 16 kHz, at most ``STEP_SAMPLES`` samples."""
        self._pace.add(len(samples) / SAMPLE_RATE)
        self._arrived_samples += len(samples)
        voices = self._voices.feed(samples)
        for voice in voices:
            self._arrived.feed(voice)
        self._voices_since_step += voices
        self._waiting.append((samples, voices))
        self._take_waiting()
        while (self._steps + 1) * STEP_SAMPLES <= self._arrived_samples:
            # Those of its own audio: a step without any is one of a recogniser that tells none.
            first, until = (at * STEP_SAMPLES // CHUNK_SAMPLES for at in (self._steps, self._steps + 1))
            voiced = tuple(self._voices_since_step[: until - first])
            del self._voices_since_step[: until - first]
            self.events.append(Step(self._steps, self._pauses(), voiced, settled=self._settled))
            self._steps += 1
        self._return_marks()

    def _pauses(self) -> Pauses:
        # Undecided words may go on with the sentence, and are lost on clients that end their turn.
        ended = self._settled and self._hypothesis.sentence_ended
        half, one, two, three = pause_probabilities(self._arrived, sentence_ended=ended)
        most = 1.0 if self._settled else _UNKNOWN
        return half, one, min(two, most), min(three, most)

    def _take_waiting(self) -> None:
        """Add audio that has come to that of the next pass, as far as the words before it are decided."""
        while self._waiting and not self._blocked:
            samples, voices = self._waiting.popleft()
            self._window.append(samples)
            for voice in voices:
                all_decided = not self._undecided
                self._gate.feed(voice)
                if all_decided and self._gate.speaking:
                    self._onset_s = self._gate.onset_s
                self._use_result()
            self._forget_silence()
        self._use_result()

    def add_mark(self, mark: Mark) -> None:
        """Place a mark at the end of the audio so far."""
        self._marks.append((self._arrived_samples / SAMPLE_RATE, mark))
        self._return_marks()

    def end(self) -> None:
        self.audio_ended = True
        self._take_waiting()
        self._return_marks()

    def begin_pass(self) -> PassInput:
        """Begin the pass that is due; ``finish_pass`` must be called before the next."""
        until_s = self.now_s - TUNING.undecided_s if self._window.duration_s >= TUNING.longest_s else 0.0
        if self._due_mark_s is not None:
            until_s = max(until_s, self._due_mark_s)
        overlaps = self._passed > self._window.start
        sparse = overlaps and self._window.end - self._passed >= TUNING.sparse_pass_s * SAMPLE_RATE
        speech_end_s = self._gate.speech_end_s
        self._pass = _Pass(
            self.now_s, self._pausing, self._long_pause, until_s, sparse, speech_end_s, self._language
        )
        self._passed = self._window.end
        return PassInput(
            self._window.samples,
            self._language,
            self._hypothesis.prefix,
            self._expected,
            speech_end_s - self._window.start_s,
            self._before,
            self._decisive,
            self._window.start,
        )

    def finish_pass(self, result: PassResult) -> None:
        if self.full:
            self._pace.pause()
        self._result = result
        self._use_result()
        self._take_waiting()
        self._return_marks()

    def _use_result(self) -> None:
        """Take the result of the pass once its pause is long enough, or the speech has gone on."""
        if (done := self._pass) is None:
            return
        goes_on = self._gate.speech_end_s > done.speech_end_s
        done.decides_all = done.decides_all or (done.in_pause and not goes_on and self._long_pause)
        if self._result is not None and (done.decides_all or goes_on or not done.in_pause):
            result, self._result, self._pass = self._result, None, None
            self._take_result(result, done)

    def _take_result(self, result: PassResult, done: _Pass) -> None:
        until_s = done.end_s if done.decides_all else done.decides_until_s
        words = self._believed(result, done, until_s)
        if words is None:
            self._hear_again(self._hypothesis.end_s)
            return
        if until_s or (result.has_speech and self._language is not None):
            self._decide_words(words, result.language, done, until_s)
        untold_s = self._untold_s(result, done, until_s)
        if untold_s is not None:
            self._hear_again(untold_s)
            return
        self._decided_s = max(self._decided_s, until_s)
        if self._window.duration_s >= TUNING.long_s:
            self._shorten_window()
        self._forget_silence()

    def _believed(self, result: PassResult, done: _Pass, until_s: float) -> tuple[TimedWord, ...] | None:
        """Return the words of a pass, in seconds of the stream; None to hear what is not decided by itself.

        Where the answer of a decisive pass is no speech, these are the words of the pass before it.
        """
        prefix = self._hypothesis.prefix
        if result.has_speech:
            self._settle_language(result)
            decides = self._language is not None or until_s
            if done.language is None and prefix and decides and result.language != self._hypothesis.language:
                # The decided words are no beginning of an answer in another language.
                self._language = result.language
                return None
            words = [moved(timed, self._window.start_s) for timed in result.words]
            return tuple(self._hypothesis.without_tail(words, done.speech_end_s))
        # The language may have been a wrong guess, or it has changed.
        doubted = self._detects and self._language is not None
        if doubted:
            self._language = self._expected = None
        if until_s and (doubted or prefix):
            rest_s = done.speech_end_s - self._hypothesis.end_s
            if rest_s >= TUNING.repeated_s or not prefix:
                return None
        return self._hypothesis.take_undecided() if until_s else ()

    def _settle_language(self, result: PassResult) -> None:
        """Settle the language of the utterance, once there is enough speech to tell."""
        if self._language is not None or not result.has_speech:
            return
        speech_s = self._gate.speech_end_s - self._window.start_s - TUNING.onset_margin_s
        for least_s, probability in TUNING.language_by_speech:
            if speech_s >= least_s and result.language_probability >= probability:
                self._language = result.language

    def _untold_s(self, result: PassResult, done: _Pass, until_s: float) -> float | None:
        """Return from when on there is speech that the words of a decisive pass leave out, if there is any.

        Whisper leaves out what repeats the words that it was given as the beginning of its answer.
        """
        from_s = None
        if result.untold_s is not None and until_s:
            from_s = max(self._window.start_s + result.untold_s, self._hypothesis.end_s)
        elif done.decides_all and self._hypothesis.prefix:
            from_s = self._hypothesis.end_s
            if done.speech_end_s - from_s < TUNING.repeated_s:
                return None
        if from_s is None or from_s >= until_s or from_s < self._window.start_s + TUNING.least_progress_s:
            return None
        return from_s

    def _hear_again(self, from_s: float) -> None:
        """Have the next pass recognise the speech from ``from_s`` on by itself."""
        self._decided_s = max(self._decided_s, from_s)
        self._window.drop_before(from_s)
        self._hypothesis.forget_decided()

    def _decide_words(self, words: tuple[TimedWord, ...], language: str, done: _Pass, until_s: float) -> None:
        """Emit the words that are decided, and keep the others for the next pass."""
        texts = [timed.word for timed in words]
        agreed = self._hypothesis.agreed_count(words)
        count = 0
        for timed in words:
            likely = timed.probability >= TUNING.sure_probability
            known = count < agreed or (done.sparse and likely and is_complete(texts, count))
            settled = known and timed.end_s <= done.end_s - TUNING.end_margin_s
            if not (done.decides_all or timed.start_s < until_s or settled):
                break
            latest_s = done.speech_end_s + TUNING.outside_speech_s
            self._decide(timed, latest_s, self._language or language)
            count += 1
        self._hypothesis.undecided = words[count:]

    def _decide(self, timed: TimedWord, latest_s: float, language: str) -> None:
        """Emit a word, its times moved into the detected speech and after the word before it."""
        word = timed.word
        earliest_s = self._onset_s - TUNING.outside_speech_s
        start_s = max(min(max(timed.start_s, earliest_s), latest_s), self._hypothesis.end_s)
        end_s = max(min(timed.end_s, latest_s), start_s)
        self._hypothesis.decide(word, end_s, language)
        if word.normalized:
            likelihood = math.log(max(timed.probability, 1e-10))
            self.events.append(RecognizedWord(word.text, start_s, end_s, language, likelihood))

    @property
    def _undecided(self) -> bool:
        """True if there is speech with undecided words."""
        return self._gate.speech_end_s > self._decided_s

    @property
    def _pausing(self) -> bool:
        """True if an utterance may be complete, so that all its words can be decided."""
        least_s = TUNING.decide_silence_s if self.is_backlog else TUNING.hear_silence_s
        return self._long_pause or (not self._gate.speaking and self._gate.silence_s >= least_s)

    @property
    def _long_pause(self) -> bool:
        """True if an utterance is complete."""
        settled = self._language is not None or bool(self._hypothesis.prefix)
        least_s = TUNING.decide_silence_s if settled else TUNING.guess_silence_s
        silent = not self._gate.speaking and self._gate.silence_s >= least_s
        return (self.audio_ended and not self._waiting) or silent

    @property
    def _due_mark_s(self) -> float | None:
        """Place of the first mark, if enough audio has come since."""
        if not self._marks:
            return None
        place_s = self._marks[0][0]
        due = self.now_s >= place_s + TUNING.mark_s or len(self._marks) >= TUNING.max_marks
        return place_s if due else None

    @property
    def _decisive(self) -> bool:
        """True if the pass that is due has to decide words without agreement."""
        crowded = self._window.duration_s >= TUNING.longest_s
        return self._undecided and (self._pausing or self._due_mark_s is not None or crowded)

    def _return_marks(self) -> None:
        """Emit the marks before which all words are decided."""
        while self._marks and (self._settled or self._decided_s >= self._marks[0][0]):
            self.events.append(self._marks.popleft()[1])

    def _shorten_window(self) -> None:
        """Forget the audio of decided words, but for the last of them."""
        dropped_until_s = self._hypothesis.drop_decided(TUNING.kept_words)
        if dropped_until_s is not None:
            self._window.drop_before(dropped_until_s)
        if self._window.duration_s >= TUNING.longest_s:
            # No words in all of it: noise that the detector takes for a voice.
            self._restart(self.now_s - TUNING.undecided_s)

    def _forget_silence(self) -> None:
        """Forget audio without speech, but for its end, where a word may begin."""
        if self.pass_running or self._undecided:
            return
        if self._gate.silence_s >= TUNING.forget_silence_s or not self._gate.speech_end_s:
            if self._detects and self._language is not None:
                self._expected, self._language = self._language, None
            self._restart(self.now_s - TUNING.onset_margin_s)

    def _restart(self, at_s: float) -> None:
        """Forget all audio before ``at_s``, and all words."""
        self._window.drop_before(at_s)
        self._hypothesis.clear()
