"""Events of a recognition stream and their order, with a scripted voice detector and a scripted model."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from kani.core.recognizer import STEP_S, VOICE_CHUNK_S, Mark, RecognizedWord, Step
from kani.core.types import Samples
from kani.runtime.recognition.local_agreement import HypothesisWord
from kani.runtime.recognition.passes import PassInput, PassResult, TimedWord
from kani.runtime.recognition.stream import STEP_SAMPLES, RecognitionStream
from kani.runtime.voice_detector import CHUNK_SAMPLES, SAMPLE_RATE

WORD_S = 0.4


class ScriptedVoice:
    """Detects a voice in each chunk that is not all zeros."""

    def __init__(self) -> None:
        self.pending = np.zeros(0, np.float32)

    def feed(self, samples: Samples) -> list[float]:
        audio = np.concatenate([self.pending, samples])
        whole = len(audio) // CHUNK_SAMPLES * CHUNK_SAMPLES
        self.pending = audio[whole:]
        return [0.9 * bool(chunk.any()) for chunk in audio[:whole].reshape(-1, CHUNK_SAMPLES)]

    def feed_after_silence(self, samples: Samples) -> list[float]:
        return ScriptedVoice().feed(samples)


def transcribe(audio: PassInput, *, has_speech: bool = True, probability: float = 0.5) -> PassResult:
    """Recognise words of ``WORD_S``, named by the value of their samples: 0.01 is "w1" and so on.

    The last one, where less than half of it is there, is recognised as another word.
    """
    words = list[TimedWord]()
    values = np.round(audio.samples * 100).astype(int)
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    for at, until in pairwise(edges):
        if values[at]:
            half = (until - at) / SAMPLE_RATE < 0.5 * WORD_S and until == len(values)
            word = HypothesisWord(f"{'half' if half else 'w'}{values[at]}", (int(values[at]),))
            words.append(TimedWord(word, at / SAMPLE_RATE, until / SAMPLE_RATE, probability))
    known = len(audio.prefix)
    assert audio.prefix == tuple(timed.word.tokens[0] for timed in words[:known])
    return PassResult(tuple(words[known:]) if has_speech else (), audio.language or "en", 0.95, has_speech)


class Driver:
    """Feeds a stream at the pace of its own clock (all at once if ``fast``), and collects its events."""

    def __init__(self, language: str | None = "en", *, fast: bool = False) -> None:
        self.now_s = 0.0
        self.fast = fast
        self.stream = RecognitionStream(ScriptedVoice(), language, clock=lambda: self.now_s)  # type: ignore[arg-type]
        self.collected: list[RecognizedWord | Step | Mark] = []
        self.passes: list[PassInput] = []

    @property
    def events(self) -> list[RecognizedWord | Step | Mark]:
        while self.stream.events:
            self.collected.append(self.stream.events.popleft())
        return self.collected

    @property
    def words(self) -> list[RecognizedWord]:
        return [event for event in self.events if isinstance(event, RecognizedWord)]

    @property
    def texts(self) -> list[str]:
        return [word.text for word in self.words]

    @property
    def steps(self) -> list[Step]:
        return [event for event in self.events if isinstance(event, Step)]

    @property
    def longest_pass_s(self) -> float:
        return max(len(audio.samples) for audio in self.passes) / SAMPLE_RATE

    def feed(self, *parts: Samples | Mark, passes: bool = True, has_speech: bool = True) -> None:
        """Feed audio and marks, and make each pass as soon as it is due if ``passes``."""
        for samples in parts:
            if isinstance(samples, Mark):
                self.stream.add_mark(samples)
                continue
            for at in range(0, len(samples), STEP_SAMPLES):
                assert not self.stream.full
                piece = samples[at : at + STEP_SAMPLES]
                if not self.fast:
                    self.now_s += len(piece) / SAMPLE_RATE
                self.stream.feed(piece)
                if passes:
                    self.make_passes(has_speech=has_speech)

    def make_one(self, *, has_speech: bool = True, probability: float = 0.5) -> None:
        audio = self.stream.begin_pass()
        self.stream.finish_pass(transcribe(audio, has_speech=has_speech, probability=probability))

    def make_passes(self, *, has_speech: bool = True) -> None:
        while self.stream.pass_due:
            audio = self.stream.begin_pass()
            assert not self.stream.pass_due
            self.passes.append(audio)
            self.stream.finish_pass(self.recognize(audio, has_speech))

    def recognize(self, audio: PassInput, has_speech: bool) -> PassResult:
        return transcribe(audio, has_speech=has_speech)


@pytest.fixture
def driver() -> Driver:
    return Driver()


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def words(first: int, count: int) -> Samples:
    """``count`` words from number ``first`` on, each with a sound of its own."""
    one = round(WORD_S * SAMPLE_RATE)
    return np.repeat(np.arange(first, first + count, dtype=np.float32) / 100, one)


def names(first: int, count: int) -> list[str]:
    """Texts that ``transcribe`` gives for ``words``."""
    return [f"w{number}" for number in range(first, first + count)]


def test_silence_needs_no_pass_and_words_come_once_with_their_times(driver: Driver) -> None:
    driver.feed(silence(30))
    assert not driver.passes and not driver.words
    assert [step.index for step in driver.steps] == list(range(375))
    assert {step.pause_probabilities for step in driver.steps} == {(1.0, 1.0, 1.0, 1.0)}
    driver.feed(words(1, 10))
    assert len(driver.words) >= 8, "they come during speech"
    driver.feed(silence(1.0))
    assert driver.texts == names(1, 10)
    for number, word in enumerate(driver.words):
        times = 30.0 + number * WORD_S, 30.0 + (number + 1) * WORD_S
        assert (word.start_s, word.end_s) == pytest.approx(times, abs=0.001)


@pytest.mark.parametrize(
    ("steps_between", "probability", "decided"), [(8, 0.9, 5), (8, 0.5, 4), (3, 0.9, 4), (3, 0.5, 4)]
)
def test_likely_word_is_decided(driver: Driver, steps_between: int, probability: float, decided: int) -> None:
    """Others are decided by two passes; a word that ends where the audio does may be half a word."""
    for samples, texts in (
        (words(1, 4), []),
        (words(5, 2)[: STEP_SAMPLES * steps_between], names(1, decided)),
    ):
        driver.feed(samples, passes=False)
        driver.make_one(probability=probability)
        assert driver.texts == texts


def test_speech_after_a_long_pause_waits_for_the_words_before_it(driver: Driver) -> None:
    """Its voice does not."""
    driver.feed(words(1, 4), silence(1.2), words(5, 3), silence(1.2), passes=False)
    assert len(driver.steps) == int((7 * WORD_S + 2.4) / STEP_S) and not driver.words
    voiced = [max(step.voices) > 0.5 for step in driver.steps]
    assert sum(voiced) == pytest.approx(7 * WORD_S / STEP_S, abs=2)
    after = [step for step in driver.steps if any(voiced[: step.index])]
    assert not any(step.settled or step.pause_probabilities[2] >= 0.6 for step in after)
    driver.make_passes()
    assert driver.texts == names(1, 7)
    assert driver.words[4].start_s == pytest.approx(4 * WORD_S + 1.2, abs=0.05)
    assert [audio.prefix for audio in driver.passes] == [(), ()]
    driver.feed(silence(STEP_S))
    assert driver.steps[-1].settled and driver.steps[-1].pause_probabilities[2] >= 0.6


@pytest.mark.parametrize("sizes", [(1280, 1280, 1280, 160), (1115, 1280, 5), (1600, 7)])
def test_each_step_has_the_voices_of_its_own_audio(driver: Driver, sizes: tuple[int, ...]) -> None:
    """However long the pieces are in which it comes: turns count their time by these."""
    samples, at = np.concatenate([silence(4.0), words(1, 2), silence(4.0)]), 0
    while at < len(samples):
        for size in sizes:
            driver.feed(samples[at : at + size])
            at += size
    voices = [voice for step in driver.steps for voice in step.voices]
    assert len(voices) == int(8.8 / VOICE_CHUNK_S)
    assert np.flatnonzero(voices).tolist() == [*range(125, 150)]
    assert {len(step.voices) for step in driver.steps} == {2, 3}


def test_live_audio_is_bounded_and_passes_short(driver: Driver) -> None:
    driver.feed(words(1, 4), passes=False)
    while not driver.stream.full:
        driver.feed(silence(STEP_S), passes=False)
    assert driver.now_s < 25
    driver.make_passes()
    assert not driver.stream.full and driver.texts == names(1, 4)
    driver = Driver()
    driver.feed(words(1, 98))
    assert driver.longest_pass_s <= 12.1
    driver.feed(silence(1.0))
    assert driver.texts == names(1, 98)
    driver = Driver()
    for first in (1, 4, 7):
        driver.feed(words(first, 3), silence(0.4))
    driver.feed(silence(1.0))
    assert driver.texts == names(1, 9)


def test_words_stay_within_the_detected_speech(driver: Driver) -> None:
    driver.feed(silence(1.0))
    driver.feed(words(1, 3), silence(0.4), passes=False)
    result = transcribe(driver.stream.begin_pass())
    wide = tuple(
        replace(word, start_s=word.start_s - 0.2 * (at == 0), end_s=word.end_s + 0.3 * (at == 2))
        for at, word in enumerate(result.words)
    )
    driver.stream.finish_pass(replace(result, words=wide))
    first, second, third = driver.words
    assert first.start_s == pytest.approx(0.95, abs=CHUNK_SAMPLES / SAMPLE_RATE)
    assert third.end_s == pytest.approx(1.0 + 3 * WORD_S + 0.05, abs=CHUNK_SAMPLES / SAMPLE_RATE)
    assert second.start_s == pytest.approx(1.0 + WORD_S, abs=0.001)


def test_recording_needs_few_passes_and_live_speech_after_it_is_soon_live() -> None:
    driver = Driver(fast=True)
    driver.feed(silence(0.5), words(1, 98), silence(1.0))
    assert driver.texts == names(1, 98)
    assert len(driver.passes) <= 8
    driver = Driver(fast=True)
    driver.feed(words(1, 20))
    driver.fast = False
    driver.feed(words(21, 20))
    assert driver.texts[:36] == names(1, 36)


def test_words_before_a_pause_are_decided_within_it_however_fast_the_audio_comes() -> None:
    driver = Driver(fast=True)
    audio = np.concatenate([words(1, 30), silence(0.8), words(31, 8), silence(1.5)])
    for at in range(0, len(audio), STEP_SAMPLES):
        while driver.stream.full:
            done = driver.stream.begin_pass()
            driver.now_s += 2.0
            driver.stream.finish_pass(transcribe(done))
        driver.stream.feed(audio[at : at + STEP_SAMPLES])
    driver.make_passes()
    assert driver.texts == names(1, 38)
    settled, after = list[bool](), 0
    for event in driver.events:
        if isinstance(event, RecognizedWord):
            after += 1
        elif after == 30 and isinstance(event, Step) and event.settled:
            settled.append(event.pause_probabilities[1] >= 0.6)
    assert True in settled


def test_noise_like_a_voice_is_forgotten(driver: Driver) -> None:
    """It does not grow without bound, and speech after it is recognised."""
    driver.feed(words(1, 98), has_speech=False)
    assert not driver.words
    assert driver.longest_pass_s <= 12.1
    driver.feed(silence(1.0), has_speech=False)
    driver.feed(words(1, 4), silence(1.0))
    assert driver.texts == names(1, 4)


def test_pass_is_due_while_none_runs_and_urgent_for_live_speech_that_pauses() -> None:
    live, recording = Driver(), Driver(fast=True)
    live.feed(words(1, 3), passes=False)
    assert live.stream.pass_due and not live.stream.urgent
    audio = live.stream.begin_pass()
    live.feed(words(4, 3), passes=False)
    assert not live.stream.pass_due
    live.stream.finish_pass(transcribe(audio))
    assert live.stream.pass_due
    live.feed(silence(0.4), passes=False)
    assert live.stream.urgent
    recording.feed(words(1, 6), passes=False)
    recording.stream.feed(silence(STEP_S))
    while not recording.stream.pass_due:
        recording.stream.feed(silence(STEP_S))
    assert not recording.stream.urgent


def test_marks_come_back_when_the_words_before_them_are_decided(driver: Driver) -> None:
    driver.feed(Mark(1), silence(0.5), words(1, 3), silence(0.5), Mark(2))
    assert (driver.events[0], driver.events[-1]) == (Mark(1), Mark(2))
    driver = Driver()
    driver.feed(words(1, 5), Mark(7))
    assert Mark(7) not in driver.events
    driver.feed(silence(0.4))
    assert driver.events.index(Mark(7)) > driver.events.index(driver.words[-1])
    assert driver.texts == names(1, 5)
    driver = Driver()
    driver.feed(words(1, 5), Mark(7), words(6, 2))
    before = driver.events[: driver.events.index(Mark(7))]
    assert [event.text for event in before if isinstance(event, RecognizedWord)][:5] == names(1, 5)
    driver.feed(words(8, 3), silence(1))
    assert driver.texts == names(1, 10)
    # The end of the audio decides all words.
    driver = Driver()
    driver.feed(words(1, 5), Mark(1), Mark(2), passes=False)
    driver.stream.end()
    assert not driver.stream.finished
    driver.make_passes()
    assert driver.stream.finished
    assert driver.texts == names(1, 5)
    assert driver.events[-2:] == [Mark(1), Mark(2)]
    # Marks without audio are bounded.
    driver = Driver()
    driver.feed(words(1, 3), passes=False)
    count = 0
    while not driver.stream.full:
        driver.feed(Mark(count))
        count += 1
        assert count <= 64
    driver.make_passes()
    marks = [event for event in driver.events if isinstance(event, Mark)]
    assert marks == [Mark(number) for number in range(count)]


def test_language_is_kept_once_it_is_detected_until_a_pause() -> None:
    driver = Driver(language=None)
    driver.feed(silence(0.5), words(1, 12), silence(1.0))
    first, before = driver.passes[0], len(driver.passes)
    assert (first.language, first.expected, driver.passes[-1].language) == (None, None, "en")
    assert len(first.samples) >= 0.9 * SAMPLE_RATE
    driver.feed(words(13, 8), silence(1.0))
    assert (driver.passes[before].language, driver.passes[before].expected) == (None, "en")
    assert driver.texts == names(1, 20)
    # One word is not enough.
    driver = Driver(language=None)
    for number in (1, 2):
        driver.feed(words(number, 1), silence(1))
    assert driver.texts == names(1, 2)
    assert [audio.language for audio in driver.passes] == [None, None]
    # A pause between two sentences tells none: the second one does.
    driver = Driver(language=None)
    driver.feed(words(1, 1), silence(0.4))
    assert not driver.texts
    driver.feed(silence(0.3))
    assert driver.texts == names(1, 1) and driver.passes[0].decisive


def test_pass_of_a_pause_begins_before_the_pause_is_long_enough_to_decide() -> None:
    driver = Driver()
    driver.feed(words(1, 4), silence(0.2))
    begun = len(driver.passes)
    assert driver.passes[-1].decisive and "w4" not in driver.texts
    driver.feed(silence(0.2))
    assert driver.texts == names(1, 4) and len(driver.passes) == begun
    # Speech that goes on is no pause: its words are decided as those of other speech.
    driver = Driver()
    driver.feed(words(1, 1), silence(0.2))
    assert driver.passes[-1].decisive
    driver.feed(words(2, 1)[: 2 * STEP_SAMPLES])
    assert not driver.texts
    driver.feed(words(2, 1)[2 * STEP_SAMPLES :], words(3, 2), silence(0.4))
    assert driver.texts == names(1, 4)


def test_pause_after_further_speech_is_no_pause_of_the_pass_before_it() -> None:
    driver = Driver()
    driver.feed(words(1, 1), silence(0.2), passes=False)
    audio = driver.stream.begin_pass()
    assert audio.decisive
    driver.feed(words(2, 1), silence(0.3), passes=False)
    driver.stream.finish_pass(transcribe(audio))
    assert not driver.texts
    driver.feed(silence(0.4))
    assert driver.texts == names(1, 2)


@pytest.mark.parametrize("silence_s", [0.0, 0.1, 0.2, 0.22, 0.3])
def test_all_words_are_decided_once_the_audio_ends_within_a_pass(silence_s: float) -> None:
    driver = Driver()
    driver.feed(words(1, 3), silence(silence_s), passes=False)
    audio = driver.stream.begin_pass()
    driver.feed(silence(0.01), passes=False)
    driver.stream.end()
    driver.stream.finish_pass(transcribe(audio))
    driver.make_passes()
    assert driver.stream.finished and driver.texts == names(1, 3)


class ForeignDriver(Driver):
    """Hears Arabic at first; in it, no later pass finds speech, as in the audio of another language."""

    def recognize(self, audio: PassInput, has_speech: bool) -> PassResult:
        spoken = audio.language or ("en" if any(one.language for one in self.passes) else "ar")
        return replace(transcribe(audio, has_speech=audio.language != "ar"), language=spoken)


class ForgetfulDriver(Driver):
    """Leaves out all words after a prefix, as Whisper does where they repeat it."""

    def recognize(self, audio: PassInput, has_speech: bool) -> PassResult:
        return replace(transcribe(audio), words=()) if audio.prefix else transcribe(audio)


def test_wrong_language_is_given_up_and_a_given_one_kept_where_there_is_no_speech() -> None:
    driver = ForeignDriver(language=None)
    driver.feed(words(1, 12), silence(1.0))
    assert [audio.language for audio in driver.passes].count("ar") == 1
    assert driver.texts == names(1, 12)
    assert driver.words[-1].language == "en"
    driver = Driver(language="ar")
    driver.feed(words(1, 6), silence(1.0), has_speech=False)
    assert {audio.language for audio in driver.passes} == {"ar"} and not driver.words


@pytest.mark.parametrize("language", [None, "en"])
def test_dropped_pass_changes_no_words_until_a_pause_decides_those_before(language: str | None) -> None:
    """Speech that goes on is not cut there: without its beginning, its first words may be left out."""
    driver = Driver(language)
    driver.feed(words(1, 6))
    assert driver.texts and driver.texts != names(1, 6)
    driver.feed(words(7, 1), has_speech=False)
    driver.feed(words(8, 4), silence(1.0))
    assert len(driver.passes[-1].samples) > 11 * WORD_S * SAMPLE_RATE
    assert driver.texts == names(1, 11)
    driver = Driver(language)
    driver.feed(words(1, 6))
    driver.feed(silence(1.0), has_speech=False)
    assert driver.texts == names(1, 6)


def test_speech_after_the_last_words_that_were_believed_is_heard_again(driver: Driver) -> None:
    driver.feed(words(1, 4), passes=False)
    driver.make_one()
    driver.feed(words(5, 4), silence(0.4), passes=False)
    driver.make_one(has_speech=False)
    assert driver.texts == names(1, 4)
    driver.make_passes()
    assert driver.texts == names(1, 8) and not driver.stream.pass_due


@pytest.mark.parametrize(("spoken_s", "times"), [(0.05, 0), (0.15, 1)])
def test_end_of_a_decided_word_is_not_the_same_word_again(
    driver: Driver, spoken_s: float, times: int
) -> None:
    """As of the digit that Whisper wrote twice: the second began just before the end of the speech."""
    driver.feed(words(1, 6))
    driver.feed(silence(0.4), passes=False)
    decided = driver.texts
    audio = driver.stream.begin_pass()
    end_s, begin_s = len(audio.samples) / SAMPLE_RATE, audio.speech_s - spoken_s
    comma = TimedWord(HypothesisWord(",", (0,)), begin_s, begin_s, 0.9)
    again = TimedWord(HypothesisWord(decided[-1], (1,)), begin_s, end_s, 0.5)
    driver.stream.finish_pass(PassResult((comma, again), "en", 1.0, has_speech=True))
    assert decided and driver.texts == [*decided, *decided[-1:] * times]


def test_decided_words_are_no_beginning_of_another_language() -> None:
    driver = Driver(language=None)
    driver.feed(words(1, 6))
    driver.feed(words(7, 1), has_speech=False)
    before = driver.texts
    driver.feed(words(8, 1), passes=False)
    audio = driver.stream.begin_pass()
    assert audio.language is None and audio.prefix
    driver.stream.finish_pass(replace(transcribe(audio), language="es"))
    assert driver.texts == before
    audio = driver.stream.begin_pass()
    assert (audio.language, audio.prefix) == ("es", ())
    driver.stream.finish_pass(transcribe(audio))
    driver.feed(silence(1.0))
    assert driver.texts == names(1, 8)


def test_repeated_speech_is_heard_by_itself_where_it_was_left_out() -> None:
    driver = ForgetfulDriver()
    for first in (1, 5, 9):
        driver.feed(words(first, 4), passes=False)
        driver.feed(silence(0.4))
    driver.feed(silence(1.0))
    assert driver.texts == names(1, 12)
    assert driver.words[4].start_s == pytest.approx(4 * WORD_S + 0.4, abs=0.06)


def test_speech_that_no_word_tells_is_heard_again_but_not_without_progress(driver: Driver) -> None:
    driver.feed(words(1, 8), silence(0.4), passes=False)
    whole = transcribe(driver.stream.begin_pass())
    driver.stream.finish_pass(replace(whole, words=whole.words[:3], untold_s=3 * WORD_S))
    assert driver.texts == names(1, 3) and driver.stream.pass_due
    driver.make_passes()
    assert driver.texts == names(1, 8)
    assert driver.passes[-1].prefix == () and not driver.stream.pass_due
    # The end of a word before the cut is no word; a word that is said twice has a length.
    for end_s, twice in ((0.05, 0), (WORD_S, 1)):
        driver = Driver()
        driver.feed(words(1, 8), silence(0.4), passes=False)
        driver.stream.begin_pass()
        driver.stream.finish_pass(replace(whole, words=whole.words[:3], untold_s=3 * WORD_S))
        rest = transcribe(driver.stream.begin_pass())
        again = replace(whole.words[2], start_s=0.0, end_s=end_s)
        driver.stream.finish_pass(replace(rest, words=(again, *rest.words)))
        driver.make_passes()
        assert driver.texts == [*names(1, 3), *names(3, 1) * twice, *names(4, 5)]
    # Here its words lie at the beginning of the audio, however often it is heard.
    driver = Driver()
    driver.feed(words(1, 6), silence(0.4), passes=False)
    passes = 0
    while driver.stream.pass_due:
        result = transcribe(replace(driver.stream.begin_pass(), prefix=()))
        squeezed = tuple(replace(word, start_s=0.0, end_s=0.0) for word in result.words[:1])
        driver.stream.finish_pass(replace(result, words=squeezed, untold_s=0.0))
        passes += 1
        assert passes < 3
