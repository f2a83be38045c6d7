"""What is told of a stream and when, with a voice and a model that are scripted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.whisper.local_agreement import HypothesisWord
from engines.whisper.passes import PassInput, PassResult, TimedWord
from engines.whisper.stream import STEP_SAMPLES, RecognitionStream
from engines.whisper.vad import CHUNK_SAMPLES, SAMPLE_RATE
from speech.recognizer import STEP_S, Mark, RecognizedWord, Step
from speech.types import Samples

WORD_S = 0.4


class Voice:
    """Hears a voice in each chunk that is not all zeros."""

    def __init__(self) -> None:
        self.left = np.zeros(0, np.float32)

    def take(self, samples: Samples) -> list[float]:
        """See ``VoiceStream.take``."""
        audio = np.concatenate([self.left, samples])
        whole = len(audio) // CHUNK_SAMPLES
        self.left = audio[whole * CHUNK_SAMPLES :]
        return [
            0.9 * bool(chunk.any()) for chunk in audio[: whole * CHUNK_SAMPLES].reshape(whole, CHUNK_SAMPLES)
        ]


def model(passage: PassInput, *, sound: bool = True, probability: float = 0.5) -> PassResult:
    """Hears words of ``WORD_S``, named by what is in the samples: 0.01 is "w1" and so on.

    The last one is only half there at times: it is heard as something else then.
    """
    words = list[TimedWord]()
    audio = np.round(passage.samples * 100).astype(int)
    at = 0
    while at < len(audio):
        until = at
        while until < len(audio) and audio[until] == audio[at]:
            until += 1
        if audio[at]:
            half = (until - at) / SAMPLE_RATE < 0.5 * WORD_S and until == len(audio)
            guess = HypothesisWord(f"half{audio[at]}" if half else f"w{audio[at]}", (int(audio[at]),))
            words.append(TimedWord(guess, at / SAMPLE_RATE, until / SAMPLE_RATE, probability))
        at = until
    known = len(passage.prefix)
    assert passage.prefix == tuple(word.word.tokens[0] for word in words[:known])
    return PassResult(tuple(words[known:]) if sound else (), passage.language or "en", 0.95, sound)


class Stream:
    """A stream that is fed at the pace of a clock of its own, and what was told."""

    def __init__(self, language: str | None = "en", *, fast: bool = False) -> None:
        self.now_s = 0.0
        self.fast = fast
        self.listening = RecognitionStream(Voice(), language, clock=lambda: self.now_s)  # type: ignore[arg-type]
        self.told: list[RecognizedWord | Step | Mark] = []
        self.passages: list[PassInput] = []

    def feed(self, samples: Samples, *, hear: bool = True, sound: bool = True) -> None:
        """Take in audio, and make each pass as soon as it is due if ``hear``."""
        for at in range(0, len(samples), STEP_SAMPLES):
            assert not self.listening.full
            piece = samples[at : at + STEP_SAMPLES]
            if not self.fast:
                self.now_s += len(piece) / SAMPLE_RATE
            self.listening.feed(piece)
            if hear:
                self.hear(sound=sound)
        self.collect()

    def hear(self, *, sound: bool = True) -> None:
        """Make the passes that are due."""
        while self.listening.pass_due:
            passage = self.listening.begin_pass()
            assert not self.listening.pass_due
            self.passages.append(passage)
            self.listening.finish(model(passage, sound=sound))
        self.collect()

    def collect(self) -> None:
        """Take what was told."""
        while self.listening.events:
            self.told.append(self.listening.events.popleft())

    @property
    def words(self) -> list[str]:
        """The words that were told."""
        return [told.text for told in self.told if isinstance(told, RecognizedWord)]

    @property
    def steps(self) -> list[Step]:
        """The steps that were told."""
        return [told for told in self.told if isinstance(told, Step)]


def silence(seconds: float) -> Samples:
    """So many seconds in which nobody speaks."""
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def words(first: int, count: int) -> Samples:
    """So many words, each with a sound of its own."""
    one = round(WORD_S * SAMPLE_RATE)
    return np.repeat(np.arange(first, first + count, dtype=np.float32) / 100, one)


def names(first: int, count: int) -> list[str]:
    """What the model hears in ``words``."""
    return [f"w{number}" for number in range(first, first + count)]


def test_nothing_is_heard_in_silence_and_no_pass_is_made() -> None:
    """Each Step says that nobody has spoken yet."""
    stream = Stream()
    stream.feed(silence(30))
    assert not stream.passages
    assert [step.index for step in stream.steps] == list(range(375))
    assert {step.pause_probabilities for step in stream.steps} == {(1.0, 1.0, 1.0, 1.0)}


def test_words_come_while_someone_speaks_each_once_with_its_time() -> None:
    """Most are told before the speaker pauses."""
    stream = Stream()
    stream.feed(silence(1.0))
    stream.feed(words(1, 10))
    heard = [told for told in stream.told if isinstance(told, RecognizedWord)]
    assert len(heard) >= 8
    stream.feed(silence(1.0))
    heard = [told for told in stream.told if isinstance(told, RecognizedWord)]
    assert [word.text for word in heard] == names(1, 10)
    for number, word in enumerate(heard):
        assert word.start_s == pytest.approx(1.0 + number * WORD_S, abs=0.001)
        assert word.end_s == pytest.approx(1.0 + (number + 1) * WORD_S, abs=0.001)


@pytest.mark.parametrize(
    ("later", "probability", "told"),
    [(8, 0.9, names(1, 5)), (8, 0.5, names(1, 4)), (3, 0.9, names(1, 4)), (3, 0.5, names(1, 4))],
)
def test_a_likely_word_is_told_by_one_pass_where_they_are_seldom(
    later: int, probability: float, told: list[str]
) -> None:
    """Others by two. None that ends where the audio does: it may be half a word."""
    stream = Stream()
    stream.feed(words(1, 4), hear=False)
    stream.listening.finish_pass(model(stream.listening.begin_pass(), probability=probability))
    stream.collect()
    assert stream.words == []
    stream.feed(words(5, 2)[: STEP_SAMPLES * later], hear=False)
    stream.listening.finish_pass(model(stream.listening.begin_pass(), probability=probability))
    stream.collect()
    assert stream.words == told


def test_words_come_before_the_step_that_says_that_their_speaker_pauses() -> None:
    """The Step waits for the pass, however long that takes."""
    stream = Stream()
    stream.feed(words(1, 4), hear=False)
    taken_s = 0.0
    while not stream.listening.full:
        stream.feed(silence(STEP_S), hear=False)
        taken_s += STEP_S
    assert taken_s < 0.7
    assert not any(step.pause_probabilities[2] >= 0.6 for step in stream.steps)
    stream.hear()
    assert not stream.listening.full
    stream.feed(silence(1.0))
    first = next(
        at for at, told in enumerate(stream.told) if isinstance(told, Step) and told.pauses[2] >= 0.6
    )
    last = max(at for at, told in enumerate(stream.told) if isinstance(told, RecognizedWord))
    assert last < first
    assert stream.words == names(1, 4)


def test_no_word_lies_outside_of_what_was_said() -> None:
    """Whatever the model takes for its beginning and its end."""
    stream = Stream()
    stream.feed(silence(1.0))
    stream.feed(words(1, 3), hear=False)
    stream.feed(silence(0.4), hear=False)
    heard = model(stream.listening.begin_pass())
    wide = tuple(
        replace(word, start_s=word.start_s - 0.2 * (at == 0), end_s=word.end_s + 0.3 * (at == 2))
        for at, word in enumerate(heard.words)
    )
    stream.listening.finish_pass(replace(heard, words=wide))
    stream.collect()
    told = [one for one in stream.told if isinstance(one, RecognizedWord)]
    assert told[0].start_s == pytest.approx(0.95, abs=CHUNK_SAMPLES / SAMPLE_RATE)
    assert told[-1].end_s == pytest.approx(1.0 + 3 * WORD_S + 0.05, abs=CHUNK_SAMPLES / SAMPLE_RATE)
    assert told[1].start_s == pytest.approx(1.0 + WORD_S, abs=0.001)


def test_a_short_gap_divides_nothing() -> None:
    """The audio before it is heard together with what comes behind it."""
    stream = Stream()
    for first in (1, 4, 7):
        stream.feed(words(first, 3))
        stream.feed(silence(0.4))
    stream.feed(silence(1.0))
    assert stream.words == names(1, 9)


def test_a_long_speech_is_kept_short() -> None:
    """Forty seconds without a pause: every word once, and no pass over more than twelve seconds."""
    stream = Stream()
    stream.feed(words(1, 98))
    assert max(len(passage.samples) for passage in stream.passages) <= 12.1 * SAMPLE_RATE
    stream.feed(silence(1.0))
    assert stream.words == names(1, 98)


def test_a_recording_is_heard_with_few_passes() -> None:
    """Only those that decide something."""
    stream = Stream(fast=True)
    stream.feed(silence(0.5))
    stream.feed(words(1, 98))
    stream.feed(silence(1.0))
    assert stream.words == names(1, 98)
    assert len(stream.passages) <= 8


def test_who_goes_on_speaking_behind_a_recording_is_soon_heard_as_he_speaks() -> None:
    """Words come while he speaks, without a pause."""
    stream = Stream(fast=True)
    stream.feed(words(1, 20))
    stream.fast = False
    stream.feed(words(21, 20))
    assert stream.words[:36] == names(1, 36)


@pytest.mark.slow
def test_what_sounds_like_a_voice_and_is_none_is_forgotten() -> None:
    """Neither does it grow without bound, nor is what comes behind it missed."""
    stream = Stream()
    stream.feed(words(1, 98), sound=False)
    assert stream.words == []
    assert max(len(passage.samples) for passage in stream.passages) <= 12.1 * SAMPLE_RATE
    stream.feed(silence(1.0), sound=False)
    stream.feed(words(1, 4))
    stream.feed(silence(1.0))
    assert stream.words == names(1, 4)


def test_a_pass_that_is_under_way_is_not_asked_for_again() -> None:
    """The next is wanted once it has ended."""
    stream = Stream()
    stream.feed(words(1, 3), hear=False)
    assert stream.listening.pass_due
    passage = stream.listening.begin_pass()
    stream.feed(words(4, 3), hear=False)
    assert not stream.listening.pass_due
    stream.listening.finish(model(passage))
    assert stream.listening.wants_pass


def test_only_a_speaker_who_pauses_is_urgent() -> None:
    """Neither who still speaks, nor a recording."""
    stream = Stream()
    stream.feed(words(1, 3), hear=False)
    assert stream.listening.pass_due
    assert not stream.listening.urgent
    stream.feed(silence(0.4), hear=False)
    assert stream.listening.urgent
    recording = Stream(fast=True)
    recording.feed(words(1, 6), hear=False)
    recording.listening.take(silence(STEP_S))
    while not recording.listening.wants_pass:
        recording.listening.take(silence(STEP_S))
    assert not recording.listening.urgent


def test_a_mark_where_nobody_speaks_comes_back_at_once() -> None:
    """Before anybody has, and once all that was said is decided."""
    stream = Stream()
    stream.listening.add_mark(Mark(1))
    stream.feed(silence(0.5))
    stream.feed(words(1, 3))
    stream.feed(silence(0.5))
    stream.listening.add_mark(Mark(2))
    stream.collect()
    assert isinstance(stream.told[0], Mark)
    assert stream.told[-1] == Mark(2)


def test_a_mark_behind_speech_comes_after_its_words_once_there_is_silence() -> None:
    """The pause decides the words."""
    stream = Stream()
    stream.feed(words(1, 5))
    stream.listening.add_mark(Mark(7))
    stream.collect()
    assert Mark(7) not in stream.told
    stream.feed(silence(0.4))
    assert stream.told.index(Mark(7)) > max(
        at for at, told in enumerate(stream.told) if isinstance(told, RecognizedWord)
    )
    assert stream.words == names(1, 5)


def test_a_mark_in_the_middle_of_speech_comes_when_its_words_are_decided() -> None:
    """Half a second later, though no one pauses."""
    stream = Stream()
    stream.feed(words(1, 5))
    stream.listening.add_mark(Mark(7))
    stream.feed(words(6, 2))
    at = stream.told.index(Mark(7))
    before = [told.text for told in stream.told[:at] if isinstance(told, RecognizedWord)]
    assert before[:5] == names(1, 5)
    stream.feed(words(8, 3))
    stream.feed(silence(1))
    assert stream.words == names(1, 10)


def test_a_mark_comes_back_at_the_end_of_the_audio() -> None:
    """All of them, in order, behind all words."""
    stream = Stream()
    stream.feed(words(1, 5))
    stream.listening.add_mark(Mark(1))
    stream.listening.add_mark(Mark(2))
    stream.listening.end()
    stream.hear()
    assert stream.listening.finished
    assert stream.words == names(1, 5)
    assert stream.told[-2:] == [Mark(1), Mark(2)]


def test_marks_without_audio_do_not_pile_up() -> None:
    """With enough of them a pass is due that lets them go."""
    stream = Stream()
    stream.feed(words(1, 3), hear=False)
    count = 0
    while not stream.listening.full:
        stream.listening.add_mark(Mark(count))
        count += 1
        assert count <= 64
    stream.hear()
    assert [told for told in stream.told if isinstance(told, Mark)] == [Mark(n) for n in range(count)]


def test_the_end_decides_what_was_said_without_a_pause() -> None:
    """The stream is done only then."""
    stream = Stream()
    stream.feed(words(1, 5), hear=False)
    stream.listening.end()
    assert not stream.listening.finished
    stream.hear()
    assert stream.listening.finished
    assert stream.words == names(1, 5)


def test_the_language_is_told_once() -> None:
    """From the first second on, and kept."""
    stream = Stream(language=None)
    stream.feed(silence(0.5))
    stream.feed(words(1, 12))
    assert stream.passages[0].language is None
    assert stream.passages[-1].language == "en"
    assert len(stream.passages[0].samples) >= 0.9 * SAMPLE_RATE


def test_a_short_word_is_told_though_its_language_is_not_certain() -> None:
    """And the language is asked for again the next time."""
    stream = Stream(language=None)
    stream.feed(words(1, 1))
    stream.feed(silence(1))
    stream.feed(words(2, 1))
    stream.feed(silence(1))
    assert stream.words == names(1, 2)
    assert [passage.language for passage in stream.passages] == [None, None]
