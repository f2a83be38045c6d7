"""Recognition's passes: agreement of two on words, stretches of recordings, segments, and their order."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from typing_extensions import override

from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples
from kani.runtime.recognition.local_agreement import HypothesisWord, agreed_count
from kani.runtime.recognition.passes import ChunkInput, ChunkResult, TimedWord
from kani.runtime.recognition.recording_chunks import MAX_CHUNK_S, Chunk, ChunkCutter
from kani.runtime.recognition.scheduler import SPEECH_S, PassScheduler, ScheduledStream
from kani.runtime.recognition.transcription import RecordingTranscription, split_segments
from kani.runtime.voice_detector import CHUNK_SAMPLES, SAMPLE_RATE
from tests.runtime.recognition.test_stream import ScriptedVoice
from tests.support.patience import WITHIN_S, happens


def words(text: str) -> list[HypothesisWord]:
    return [HypothesisWord(word, (number,)) for number, word in enumerate(text.split())]


FRAME_S = CHUNK_SAMPLES / SAMPLE_RATE


@pytest.mark.parametrize(
    ("before", "now", "count"),
    [
        ("", "the old", 0),
        ("the old", "", 0),
        ("the old", "the old clock", 2),
        ("the old clock", "the old", 2),
        ("the cold clock", "the old clock", 1),
        ("The, old", "the old! Clock", 2),
        ("the old", "the old.", 1),
        ("the old.", "the old.", 1),
        ("the old.", "the old. Clock", 2),
        ("what (old?)", "what (old?)", 1),
        ("Ça", "ça va", 1),
    ],
)
def test_agreement_ends_at_the_first_different_word(before: str, now: str, count: int) -> None:
    """Case and punctuation are ignored; the last word of a sentence waits for another to follow."""
    assert agreed_count(words(before), words(now)) == count


def audio(*parts: tuple[str, float]) -> Samples:
    """Speech and silence in turns, each sample of speech with its own value."""
    pieces = [np.full(round(seconds * SAMPLE_RATE), kind == "speech", np.float32) for kind, seconds in parts]
    return np.concatenate(pieces)


def cut(samples: Samples, piece_s: float = 20.0) -> list[Chunk]:
    cutter = ChunkCutter(ScriptedVoice())  # type: ignore[arg-type]
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


def test_short_pause_is_kept_and_long_speech_cut_in_a_late_one() -> None:
    assert len(cut(audio(("speech", 3), ("silence", 1.5), ("speech", 2)))) == 1
    parts = [("speech", 9.0), ("silence", 0.6), ("speech", 2.0), ("silence", 0.3), ("speech", 8.0)]
    first, second = cut(audio(*parts))
    assert second.start_s == pytest.approx(9.3, abs=0.1)
    assert second.start == first.start + len(first.samples)
    assert second.start_s + second.duration_s == pytest.approx(19.9, abs=0.01)


@pytest.mark.parametrize("speech_s", [0.2, 1.0, 5.0])
def test_silence_comes_before_a_recording_that_begins_with_speech(speech_s: float) -> None:
    """Whisper leaves out the end of a sentence at times that begins with its audio."""
    recording = audio(("speech", speech_s))
    (chunk,) = cut(recording)
    assert -0.5 < chunk.start_s < -0.25
    assert not chunk.samples[: -chunk.start].any() and not any(chunk.voices[:9])
    assert np.array_equal(chunk.samples[-chunk.start :], recording)
    cutter = ChunkCutter(ScriptedVoice(), leads=False)  # type: ignore[arg-type]
    (of_turn,) = [*cutter.feed(recording), *cutter.finish()]
    assert of_turn.start == 0 and np.array_equal(of_turn.samples, recording)


def test_speech_without_pause_is_cut_and_nothing_lost_and_silence_costs_no_memory() -> None:
    recording = audio(("speech", 100.0)) * np.arange(1, 100 * SAMPLE_RATE + 1, dtype=np.float32)
    chunks = cut(recording)
    assert all(chunk.duration_s <= MAX_CHUNK_S + FRAME_S for chunk in chunks)
    heard = np.concatenate([chunk.samples for chunk in chunks])
    assert np.array_equal(heard[-chunks[0].start :], recording)
    assert cut(audio(("silence", 90))) == cut(np.zeros(0, np.float32)) == []
    cutter = ChunkCutter(ScriptedVoice())  # type: ignore[arg-type]
    for _ in range(200):
        cutter.feed(audio(("silence", 5)))
    assert len(cutter._audio) < SAMPLE_RATE


def test_rest_begins_in_the_pause_after_what_is_told_and_a_word_ends_with_its_voice() -> None:
    second = round(SAMPLE_RATE / CHUNK_SAMPLES)
    voices = (0.9,) * 2 * second + (0.1,) * second + (0.9,) * 3 * second
    chunk = Chunk(100, np.zeros(len(voices) * CHUNK_SAMPLES, np.float32), voices)
    for told_s in (1.5, 2.5):
        rest = chunk.rest(told_s, 0.0, 2.0)
        assert rest is not None and 2.6 < (rest.start - 100) / SAMPLE_RATE < 2.8
        assert rest.start + len(rest.samples) == chunk.start + len(chunk.samples)
    # The speech up to the end is the word's.
    assert chunk.rest(5.2, 0.0, 6.0) is None
    breath = Chunk(0, chunk.samples, voices[: 3 * second] + (0.9,) * 10 + (0.0,) * (3 * second - 10))
    assert breath.rest(1.5, 0.0, 2.0) is None
    # Without a pause it begins where a voice is least likely, but not within the last word.
    within, after = (round(at_s * second) for at_s in (2.3, 2.7))
    fluent = [0.9] * 6 * second
    fluent[within], fluent[after] = 0.5, 0.6
    for least_s, place in ((0.0, within), (2.4, after)):
        rest = replace(chunk, voices=tuple(fluent)).rest(2.5, least_s, 3.0)
        assert rest is not None and abs((rest.start - 100) // CHUNK_SAMPLES - place) <= 1
    # So it does before a short word that a pause follows: the word that is told is over before it.
    short = [0.9] * 98 + [0.1] * 10 + [0.9] * 3 * second
    short[after] = 0.6
    for most_s, begin_s in ((2.7, 2.7), (3.0, 3.26)):
        rest = replace(chunk, voices=tuple(short)).rest(2.5, 2.4, most_s)
        assert rest is not None and (rest.start - 100) / SAMPLE_RATE == pytest.approx(begin_s, abs=0.1)
    chunk = Chunk(0, np.zeros(50 * CHUNK_SAMPLES, np.float32), (0.0,) * 10 + (1.0,) * 10 + (0.0,) * 30)
    assert chunk.voiced(0.0, 50 * FRAME_S) == pytest.approx((10 * FRAME_S - 0.05, 20 * FRAME_S + 0.05))
    assert chunk.voiced(11 * FRAME_S, 13 * FRAME_S) == (11 * FRAME_S, 13 * FRAME_S)
    assert chunk.voiced(1.0, 1.2) == (1.0, 1.2)


def test_word_without_a_voice_begins_and_ends_within_the_recording() -> None:
    """The alignment may place it in the silence before the recording."""
    chunk = Chunk(-10 * CHUNK_SAMPLES, np.zeros(50 * CHUNK_SAMPLES, np.float32), (0.0,) * 50)
    assert chunk.voiced(0.0, 0.5) == pytest.approx((10 * FRAME_S, 0.5))
    assert chunk.voiced(0.0, 0.1) == pytest.approx((10 * FRAME_S, 10 * FRAME_S))


class LateVoice(ScriptedVoice):
    """Detects a voice only after silence."""

    @override
    def feed(self, samples: Samples) -> list[float]:
        return [0.0] * len(super().feed(samples))


def test_two_seconds_are_searched_again_without_the_silence_before_them() -> None:
    recording = audio(("speech", 1.9))
    cutter = ChunkCutter(LateVoice())  # type: ignore[arg-type]
    assert cutter.feed(recording) == []
    (chunk,) = cutter.finish()
    assert np.array_equal(chunk.samples[-chunk.start :], recording)


def timed(texts: str, step_s: float = 0.4, pause_at: int = -1) -> list[TimedWord]:
    words, at_s = [], 0.0
    for number, text in enumerate(texts.split()):
        at_s += 1.5 if number == pause_at else 0.0
        words.append(TimedWord(HypothesisWord(text, (number,)), at_s, at_s + step_s, 0.9))
        at_s += step_s
    return words


def test_segments_are_sentences_pauses_and_lengths() -> None:
    said = [" ".join(one.word.text for one in some) for some in split_segments(timed("Yes. It is, here! So"))]
    assert said == ["Yes.", "It is, here!", "So"]
    assert [len(some) for some in split_segments(timed("a b c d", pause_at=2))] == [2, 2]
    clauses = " ".join(["word word word word word,"] * 10)
    divided = list(split_segments(timed(clauses)))
    assert all(some[-1].word.text == "word," for some in divided)
    lengths = [len(" ".join(one.word.text for one in some)) for some in divided]
    assert max(lengths) <= 110 and sum(lengths) + len(lengths) - 1 == len(clauses)
    endless = list(split_segments(timed("word " * 100)))
    assert max(len(" ".join(one.word.text for one in some)) for some in endless) <= 175


class Streams:
    """Streams and recordings with passes that note that they begin, and end once ``may_end`` is set."""

    def __init__(self, scheduler: PassScheduler[str]) -> None:
        self.scheduler = scheduler
        self.begun: list[str] = []
        self.may_end = threading.Event()

    def add(self, name: str) -> ScheduledStream[str]:
        def begin() -> Callable[[], str]:
            self.begun.append(name)
            return partial(self._end, name)

        return self.scheduler.add_stream(begin)

    def record(self, name: str, *, waited_for: bool = False) -> asyncio.Future[str]:
        """The result of a pass over a recording."""

        def work() -> str:
            self.begun.append(name)
            return self._end(name)

        return self.scheduler.run_in_background(work, waited_for=waited_for).result

    def _end(self, name: str) -> str:
        assert self.may_end.wait(WITHIN_S)
        return name


@pytest.fixture
async def streams() -> AsyncIterator[Streams]:
    """Those of one worker."""
    made = Streams(PassScheduler(1))
    yield made
    await made.scheduler.stop()


async def test_stream_served_longest_ago_is_next_after_urgent_ones(streams: Streams) -> None:
    a, b, c = (streams.add(name) for name in "abc")
    streams.may_end.set()
    for stream, name in ((c, "c"), (b, "b"), (a, "a")):
        assert await stream.request_pass() == name
    for urgent, order in ((None, "cba"), (a, "acb")):
        streams.begun.clear()
        streams.may_end.clear()
        requested = [streams.add("busy").request_pass(), *(stream.request_pass() for stream in (a, b, c))]
        if urgent is not None:
            urgent.urgent = True
        streams.may_end.set()
        await asyncio.gather(*requested)
        assert streams.begun == ["busy", *order]


async def test_stream_that_was_served_is_not_behind_all_new_ones(streams: Streams) -> None:
    old = streams.add("old")
    streams.may_end.set()
    await old.request_pass()
    streams.may_end.clear()
    requested = [streams.add(name).request_pass() for name in ("busy", "new")] + [old.request_pass()]
    streams.may_end.set()
    await asyncio.gather(*requested)
    assert streams.begun == ["old", "busy", "old", "new"]


async def test_cancelled_or_failed_pass_frees_its_turn(streams: Streams) -> None:
    """A waiting pass is never begun; a running one ends in vain, and its worker is free then."""

    def fail() -> str:
        raise RuntimeError("broken")

    running, waiting, last = (streams.add(name) for name in ("running", "waiting", "last"))
    first, left, result = running.request_pass(), waiting.request_pass(), last.request_pass()
    recording = streams.scheduler.run_in_background(lambda: streams.begun.append("recording") or "")
    after = streams.record("after")
    for one in (waiting, running, recording):
        one.cancel()
    assert left.cancelled() and first.cancelled() and recording.result.cancelled()
    broken = streams.scheduler.add_stream(lambda: fail).request_pass()
    streams.may_end.set()
    assert await asyncio.gather(result, after) == ["last", "after"]
    assert streams.begun == ["running", "last", "after"]
    with pytest.raises(RuntimeError, match="broken"):
        await broken


async def test_recording_that_is_left_takes_its_waiting_pass_along(streams: Streams) -> None:
    def transcribe(work: ChunkInput, stopped: Callable[[], bool]) -> list[ChunkResult]:
        streams.begun.append("left")
        return []

    async def spoken() -> AsyncIterator[Samples]:
        yield audio(("speech", 1))

    busy = streams.add("busy").request_pass()
    recording = RecordingTranscription(
        *(transcribe, lambda tokens: "", ScriptedVoice(), streams.scheduler, 2, TranscriptionOptions())  # type: ignore[arg-type]
    )
    listening = asyncio.ensure_future(anext(recording.segments(spoken())))
    await happens(lambda: streams.scheduler._background)
    listening.cancel()
    await asyncio.wait([listening])
    after = streams.record("after")
    streams.may_end.set()
    await asyncio.gather(busy, after)
    assert streams.begun == ["busy", "after"]


async def test_workers_limit_running_passes_and_an_open_stream_keeps_one_free() -> None:
    streams = Streams(PassScheduler(2))
    passes = [streams.add(name) for name in "abcd"]
    requested = [stream.request_pass() for stream in passes]
    assert streams.begun == ["a", "b"]
    streams.may_end.set()
    await asyncio.gather(*requested)
    assert streams.begun == ["a", "b", "c", "d"]
    for stream in passes:
        stream.close()
    live = streams.add("live")
    for one_live, begun in ((True, ["first", "live"]), (False, ["first", "second"])):
        streams.may_end.clear()
        streams.begun.clear()
        requested = [streams.record(name) for name in ("first", "second")]
        if one_live:
            requested.append(live.request_pass())
        await happens(lambda: sorted(streams.begun) == begun)  # noqa: B023
        streams.may_end.set()
        await asyncio.gather(*requested)
        live.close()
    await streams.scheduler.stop()


async def test_recordings_leave_a_worker_to_speech_for_some_seconds() -> None:
    now = 0.0
    streams = Streams(PassScheduler(2, clock=lambda: now))
    streams.scheduler.leave_core()
    streams.may_end.set()
    for at_s, at_once in ((SPEECH_S - 0.1, 1), (SPEECH_S, 2)):
        now = at_s
        streams.may_end.clear()
        streams.begun.clear()
        requested = [streams.record(name) for name in ("first", "second")]
        await happens(lambda: len(streams.begun) == at_once)  # noqa: B023
        assert len(streams.scheduler._background) == 2 - at_once
        streams.may_end.set()
        await asyncio.gather(*requested)
    await streams.scheduler.stop()


async def test_pass_that_is_waited_for_takes_the_worker_that_is_kept_free() -> None:
    streams = Streams(PassScheduler(2))
    requested = [streams.add("live").request_pass(), streams.record("recording")]
    assert streams.begun == ["live"]
    requested.append(streams.record("turn", waited_for=True))
    await happens(lambda: streams.begun == ["live", "turn"])
    streams.may_end.set()
    await asyncio.gather(*requested)
    # The live stream is open still, and a recording has the other worker.
    streams.may_end.clear()
    streams.begun.clear()
    requested = [streams.record("recording"), streams.record("rest")]
    await happens(lambda: streams.begun == ["recording"])
    requested.append(streams.record("turn", waited_for=True))
    await happens(lambda: streams.begun == ["recording", "turn"])
    streams.may_end.set()
    await asyncio.gather(*requested)
    assert streams.begun == ["recording", "turn", "rest"]
    await streams.scheduler.stop()


async def test_recordings_wait_for_streams_but_not_for_long() -> None:
    now = 0.0
    streams = Streams(PassScheduler(1, clock=lambda: now))
    busy, a, urgent = (streams.add(name) for name in ("busy", "a", "urgent"))
    requested = [busy.request_pass(), streams.record("first"), streams.record("second"), a.request_pass()]
    requested += [streams.record(name, waited_for=True) for name in ("turn", "later turn")]
    streams.may_end.set()
    await asyncio.gather(*requested)
    assert streams.begun == ["busy", "a", "turn", "later turn", "first", "second"]
    streams.begun.clear()
    streams.may_end.clear()
    requested = [busy.request_pass(), streams.record("first"), a.request_pass(), urgent.request_pass()]
    urgent.urgent = True
    now = 11.0
    requested.append(streams.record("turn", waited_for=True))
    streams.may_end.set()
    await asyncio.gather(*requested)
    assert streams.begun == ["busy", "urgent", "first", "a", "turn"]
    await streams.scheduler.stop()
