"""Stretches of a recording, and the segments of their words."""

from __future__ import annotations

import numpy as np
import pytest

from kani.core.types import Samples
from kani.runtime.recognition.local_agreement import HypothesisWord
from kani.runtime.recognition.passes import TimedWord
from kani.runtime.recognition.recording_chunks import MAX_CHUNK_S, Chunk, ChunkCutter
from kani.runtime.recognition.transcription import split_segments
from kani.runtime.voice_detector import CHUNK_SAMPLES, SAMPLE_RATE

FRAME_S = CHUNK_SAMPLES / SAMPLE_RATE


class Loudness:
    """Detects a voice where the audio is not zero."""

    def __init__(self) -> None:
        self._rest: Samples = np.zeros(0, np.float32)

    def feed_after_silence(self, samples: Samples) -> list[float]:
        return [0.9 * float(abs(samples[0]) > 0)] * (len(samples) // CHUNK_SAMPLES) if len(samples) else []

    def feed(self, samples: Samples) -> list[float]:
        audio = np.concatenate([self._rest, samples])
        whole = len(audio) // CHUNK_SAMPLES * CHUNK_SAMPLES
        self._rest = audio[whole:]
        return [float(abs(frame[0]) > 0) for frame in audio[:whole].reshape(-1, CHUNK_SAMPLES)]


def audio(*parts: tuple[str, float]) -> Samples:
    """Speech and silence in turns, each sample of speech with its own value."""
    pieces = [np.full(round(seconds * SAMPLE_RATE), kind == "speech", np.float32) for kind, seconds in parts]
    return np.concatenate(pieces)


def cut(samples: Samples, piece_s: float = 20.0) -> list[Chunk]:
    cutter = ChunkCutter(Loudness())  # type: ignore[arg-type]
    size = round(piece_s * SAMPLE_RATE)
    chunks = [chunk for at in range(0, len(samples), size) for chunk in cutter.feed(samples[at : at + size])]
    return chunks + cutter.finish()


@pytest.mark.parametrize("piece_s", [0.013, 1.0, 60.0])
def test_long_pause_divides_and_is_left_out(piece_s: float) -> None:
    recording = audio(("silence", 5), ("speech", 3), ("silence", 4), ("speech", 2), ("silence", 9))
    chunks = cut(recording, piece_s)
    assert [round(chunk.start_s, 1) for chunk in chunks] == [4.7, 11.7]
    assert [round(chunk.duration_s, 1) for chunk in chunks] == [3.6, 2.6]
    for chunk in chunks:
        assert np.array_equal(chunk.samples, recording[chunk.start : chunk.start + len(chunk.samples)])


def test_short_pause_is_kept() -> None:
    assert len(cut(audio(("speech", 3), ("silence", 1.5), ("speech", 2)))) == 1


def test_long_speech_is_cut_in_its_longest_late_pause() -> None:
    parts = [("speech", 9.0), ("silence", 0.6), ("speech", 2.0), ("silence", 0.3), ("speech", 8.0)]
    first, second = cut(audio(*parts))
    assert first.duration_s == pytest.approx(9.3, abs=0.1)
    assert second.start == first.start + len(first.samples)
    assert first.duration_s + second.duration_s == pytest.approx(19.9, abs=0.01)


def test_speech_without_pause_is_cut_and_nothing_lost() -> None:
    recording = audio(("speech", 100.0)) * np.arange(1, 100 * SAMPLE_RATE + 1, dtype=np.float32)
    chunks = cut(recording)
    assert all(chunk.duration_s <= MAX_CHUNK_S + FRAME_S for chunk in chunks)
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), recording)


def test_silence_has_no_stretch() -> None:
    assert cut(audio(("silence", 90))) == []
    assert cut(np.zeros(0, np.float32)) == []


def test_memory_is_that_of_a_stretch() -> None:
    cutter = ChunkCutter(Loudness())  # type: ignore[arg-type]
    for _ in range(200):
        cutter.feed(audio(("silence", 5)))
    assert len(cutter._audio) < SAMPLE_RATE


def test_rest_begins_in_the_pause_after_what_is_told() -> None:
    second = round(SAMPLE_RATE / CHUNK_SAMPLES)
    voices = (0.9,) * 2 * second + (0.1,) * second + (0.9,) * 3 * second
    chunk = Chunk(100, np.zeros(len(voices) * CHUNK_SAMPLES, np.float32), voices)
    for told_s in (1.5, 2.5):
        rest = chunk.rest(told_s)
        assert rest is not None and 2.6 < (rest.start - 100) / SAMPLE_RATE < 2.8
        assert rest.start + len(rest.samples) == chunk.start + len(chunk.samples)
    # The speech up to the end is the word's.
    assert chunk.rest(5.2) is None
    breath = Chunk(0, chunk.samples, voices[: 3 * second] + (0.9,) * 10 + (0.0,) * (3 * second - 10))
    assert breath.rest(1.5) is None


def test_word_ends_with_its_voice() -> None:
    chunk = Chunk(0, np.zeros(50 * CHUNK_SAMPLES, np.float32), (0.0,) * 10 + (1.0,) * 10 + (0.0,) * 30)
    start_s, end_s = chunk.voiced(0.0, 50 * FRAME_S)
    assert (start_s, end_s) == (pytest.approx(10 * FRAME_S - 0.05), pytest.approx(20 * FRAME_S + 0.05))
    assert chunk.voiced(11 * FRAME_S, 13 * FRAME_S) == (11 * FRAME_S, 13 * FRAME_S)
    assert chunk.voiced(1.0, 1.2) == (1.0, 1.2)


def timed(texts: str, step_s: float = 0.4, pause_at: int = -1) -> list[TimedWord]:
    words, at_s = [], 0.0
    for number, text in enumerate(texts.split()):
        at_s += 1.5 if number == pause_at else 0.0
        words.append(TimedWord(HypothesisWord(text, (number,)), at_s, at_s + step_s, 0.9))
        at_s += step_s
    return words


def test_segments_are_sentences() -> None:
    found = [
        " ".join(one.word.text for one in some) for some in split_segments(timed("Yes. It is, here! So"))
    ]
    assert found == ["Yes.", "It is, here!", "So"]


def test_pause_and_length_end_segments() -> None:
    assert [len(some) for some in split_segments(timed("a b c d", pause_at=2))] == [2, 2]
    clauses = " ".join(["word word word word word,"] * 10)
    divided = list(split_segments(timed(clauses)))
    assert all(some[-1].word.text == "word," for some in divided)
    lengths = [len(" ".join(one.word.text for one in some)) for some in divided]
    assert max(lengths) <= 110 and sum(lengths) + len(lengths) - 1 == len(clauses)
    endless = list(split_segments(timed("word " * 100)))
    assert max(len(" ".join(one.word.text for one in some)) for some in endless) <= 175
