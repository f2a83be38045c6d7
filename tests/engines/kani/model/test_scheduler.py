"""The scheduler: order of sequences, their events, and isolation of failures."""

from __future__ import annotations

import gc
import logging
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kani.engines.kani.model.codec.nanocodec import NanoCodec
from kani.engines.kani.model.graphs import Frame
from kani.engines.kani.model.runner import MAX_CHUNK_FRAMES, Codes, Prefill, Runner, Samples
from kani.engines.kani.model.sampler import Sampling
from kani.engines.kani.model.scheduler import MAX_ATTEMPTS, Scheduler
from kani.engines.kani.model.sequence import End, Ending, SpeechSequence, Utterance
from tests.engines.kani import conftest
from tests.engines.kani.conftest import LONGEST_FRAMES, LONGEST_PROMPT, Frames, Prompt
from tests.judges.lfm2_judge import Judge
from tests.support import patience

GREEDY = Sampling(temperature=0.0, repetition_penalty=1.0)
SAMPLED = Sampling(seed=7)
FRAME = 12
FRAME_S = 0.08
RATE = round(FRAME / FRAME_S)
"""Hertz at which the tiny codec's frames take as long as those of a real one."""
IDLE = {"waiting": 0, "running": 0, "paused": 0}


class Directed(Runner):
    """A runner that executes a test's actions before its n-th frame, in the loop's thread."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.script: dict[int, list[Callable[[], object]]] = {}
        self._begun = 0

    def begin_frame(self, count: int) -> Frame:
        self._begun += 1
        for act in self.script.pop(self._begun, []):
            act()
        return super().begin_frame(count)


class Endless(Directed):
    def end_frame(self, frame: Frame) -> Codes:
        return np.minimum(super().end_frame(frame), self.layout.codebook_size - 1)


class Noted(Endless):
    """Notes which of its frames begin (numbers) and are waited for (negative numbers)."""

    noted: Sequence[int] = ()

    def begin_frame(self, count: int) -> Frame:
        self.noted = [*self.noted, self._begun + 1]
        return super().begin_frame(count)

    def end_frame(self, frame: Frame) -> Codes:
        self.noted = [*self.noted, -1 - sum(number < 0 for number in self.noted)]
        return super().end_frame(frame)


class Faulty(Endless):
    """Never ends; some attempts are silent, or silent or constant from a given frame on."""

    mute = 0
    """Attempts without anything audible."""
    silent_after = stuck_after = 10**9

    def admit(self, slot: int, prefill: Prefill, row: int, sampling: Sampling) -> None:
        super().admit(slot, prefill, row, sampling)
        self.seeds = [*getattr(self, "seeds", ()), sampling.seed]
        self.frame = 0

    def end_frame(self, frame: Frame) -> Codes:
        codes = super().end_frame(frame)
        self.frame += 1
        if self.frame > self.stuck_after:
            codes[:] = 7
        return codes

    def decode_audio(self, slots: Sequence[int], codes: Codes) -> Samples:
        samples = super().decode_audio(slots, codes)
        return samples * (len(self.seeds) > self.mute and self.frame <= self.silent_after)


def breaking(runner: Runner, where: str, after: int, error: Exception) -> None:
    """Have a method fail once it was called ``after`` times: before its work, ``begin_frame`` after it."""
    calls, method = count(), getattr(runner, where)

    def broken(*arguments: Any) -> Any:
        done = [method(*arguments)] if where == "begin_frame" else []
        if next(calls) == after:
            raise error
        return done[0] if done else method(*arguments)

    setattr(runner, where, broken)


class Collector:
    """A listener that collects events and acknowledges audio at once, unless it lags."""

    def __init__(self, scheduler: Scheduler, *, lags: bool = False) -> None:
        self.scheduler, self.lags = scheduler, lags
        self.pieces: list[Samples] = []
        self.ends: list[End] = []
        self.ended = threading.Event()
        self.stream: SpeechSequence | None = None
        self.on_piece: Callable[[], object] = lambda: None

    def say(self, prompt: Prompt, sampling: Sampling, frames: int, expected_s: float = 100.0) -> Collector:
        self.stream = self.scheduler.submit(Utterance(prompt, sampling, frames, expected_s, "7f3a-1"), self)
        return self

    def __call__(self, event: Samples | End) -> None:
        if isinstance(event, End):
            self.ends.append(event)
            self.ended.set()
            return
        assert not self.ends
        self.pieces.append(event)
        if not self.lags:
            self.take()
        self.on_piece()

    def take(self) -> None:
        if self.stream is not None:
            self.scheduler.acknowledge(self.stream, self.stream.unconsumed_samples)

    def cancel(self) -> None:
        if self.stream is not None:
            self.scheduler.cancel(self.stream)

    def wait_until_paused(self) -> None:
        """Poll until a sequence is paused: there is no event for it."""
        while not self.scheduler.counts["paused"]:
            assert not self.ended.wait(0.002)

    @property
    def heard(self) -> Samples:
        return np.concatenate([np.zeros(0, np.float32), *self.pieces])

    def end(self) -> End:
        assert self.ended.wait(patience.WITHIN_S), "no end was told"
        assert len(self.ends) == 1
        return self.ends[0]


class Bench:
    """Runners of the tiny model, and the samples that are expected of each utterance."""

    def __init__(
        self, new: conftest.NewRunner, codec: NanoCodec, judge: Judge, prompts: list[Prompt]
    ) -> None:
        self._new, self._codec, self._judge, self.prompts = new, codec, judge, prompts
        self._known: dict[tuple[Prompt, Sampling], Frames] = {}

    def runner(
        self, slots: int = 1, kind: type[Runner] = Directed, *, whole: bool = False, **attributes: Any
    ) -> Any:
        made = self._new(slots, kind, whole=whole)
        for name, value in attributes.items():
            setattr(made, name, value)
        return made

    def decoded(self, codes: Frames) -> Samples:
        decoded = self._codec.decode(torch.tensor(codes)[None], torch.tensor([0]), self._codec.new_state(1))
        return decoded[0].numpy()

    def alone(self, prompt: Prompt, sampling: Sampling, frames: int, kind: type[Runner] = Runner) -> Frames:
        return conftest.run_alone(self._new(1, kind), prompt, sampling, frames)

    def expected(self, spoken: Utterance) -> Samples:
        """The codes of a solo run (transformers', if greedy), decoded at once."""
        prompt, sampling = known = spoken.prompt, spoken.sampling
        if known not in self._known:
            said = self.alone(prompt, sampling, 14)
            assert sampling.temperature or self._judge.agrees(prompt, said, sampling.repetition_penalty)
            self._known[known] = said if said[-1][0] < 4032 else said[:-1]
        assert spoken.max_frames <= 14
        return self.decoded(self._known[known][: spoken.max_frames])

    def check(self, hearer: Collector, *, cancelled: bool = False) -> None:
        """Check that it heard what it asked for, all of it unless it was cancelled."""
        assert hearer.stream is not None
        end, spoken = hearer.end().ending, hearer.stream.utterance
        wanted = self.expected(spoken)
        if cancelled and end is Ending.CANCELLED:
            wanted = wanted[: len(hearer.heard)]
        else:
            whole = len(wanted) == spoken.max_frames * FRAME
            assert end is (Ending.MAX_LENGTH if whole else Ending.FINISHED)
        assert len(hearer.heard) == len(wanted)
        assert np.abs(hearer.heard - wanted).max(initial=0.0) <= 1e-5


@pytest.fixture(scope="module")
def bench(new_runner: conftest.NewRunner, codec: NanoCodec, judge: Judge, prompts: list[Prompt]) -> Bench:
    return Bench(new_runner, codec, judge, prompts)


@contextmanager
def scheduling(
    runner: Runner, *, max_lead_s: float = 1e9, start: bool = True, **changes: int
) -> Iterator[Scheduler]:
    how = {"max_prefill_prompts": 1, "prefill_tokens_per_step": 16} | changes
    scheduler = Scheduler(runner, sample_rate=RATE, frame_s=FRAME_S, max_lead_s=max_lead_s, **how)
    if start:
        scheduler.start()
    try:
        yield scheduler
    finally:
        if scheduler._thread.ident is not None:
            scheduler.stop()


@settings(max_examples=12)  # an example runs whole schedules
@given(data=st.data())
def test_any_schedule_ends_every_sequence_once(bench: Bench, data: st.DataObject) -> None:
    runner = bench.runner(data.draw(st.integers(1, 3)), whole=data.draw(st.booleans()))
    asked: list[tuple[Collector, bool]] = []
    with scheduling(
        runner,
        max_lead_s=data.draw(st.sampled_from([0.0, 0.2, 1e9])),
        start=False,
        max_prefill_prompts=data.draw(st.integers(1, 3)),
        prefill_tokens_per_step=data.draw(st.integers(1, 50)),
    ) as scheduler:
        for _ in range(data.draw(st.integers(1, 6))):
            prompt = data.draw(st.sampled_from(bench.prompts))
            sampling = data.draw(st.sampled_from([GREEDY, SAMPLED]))
            hearer = Collector(scheduler, lags=data.draw(st.booleans()))
            begin = partial(hearer.say, prompt, sampling, data.draw(st.integers(1, 14)))
            if first := data.draw(st.integers(0, 8)):
                runner.script.setdefault(first, []).append(begin)
            else:
                begin()
            cancelled = data.draw(st.integers(0, 3)) == 0
            if cancelled:
                runner.script.setdefault(data.draw(st.integers(first + 1, 12)), []).append(hearer.cancel)
            asked.append((hearer, cancelled))
        scheduler.start()
        while pending := [hearer for hearer, _ in asked if not hearer.ended.is_set()]:
            # Those that lag catch up whenever they get to it.
            pending[0].ended.wait(0.005)
            for hearer in pending:
                hearer.take()
            counts = scheduler.counts
            if not counts["waiting"] + counts["running"]:
                # No frame is made any more: those who were to come with a later one come now.
                for _, acts in sorted(runner.script.items()):
                    for act in acts:
                        act()
                runner.script = {}
        for hearer, cancelled in asked:
            bench.check(hearer, cancelled=cancelled)
        assert scheduler.counts == IDLE


def test_cancelled_slot_is_reused_at_next_frame(bench: Bench) -> None:
    with scheduling(bench.runner(), start=False, prefill_tokens_per_step=100) as scheduler:
        first, second = Collector(scheduler), Collector(scheduler)
        at: dict[str, int] = {}

        def cancel() -> None:
            if len(first.pieces) == 3:
                at["cancelled"] = scheduler.frames
                first.cancel()

        first.on_piece = cancel
        second.on_piece = lambda: at.setdefault("heard", scheduler.frames)
        first.say(bench.prompts[7], GREEDY, 20)
        second.say(bench.prompts[4], GREEDY, 3)
        scheduler.start()
        assert first.end().ending is Ending.CANCELLED
        assert second.end().ending is Ending.MAX_LENGTH
        assert at["heard"] == at["cancelled"] + 1
        assert len(first.pieces) == 3


@pytest.mark.parametrize(
    ("place", "slots", "pieces"),
    [
        ("waiting", 1, 0),
        ("reading", 3, 0),
        ("reading with others", 3, 0),
        ("running", 2, 1),
        ("paused", 2, 1),
        ("ended", 1, 2),
    ],
)
def test_sequence_is_cancelled_in_every_state(bench: Bench, place: str, slots: int, pieces: int) -> None:
    runner = bench.runner(slots)
    with scheduling(
        runner, max_lead_s=0.0, start=False, max_prefill_prompts=2, prefill_tokens_per_step=4
    ) as scheduler:
        others = [Collector(scheduler).say(bench.prompts[4], GREEDY, 12)]
        hearer = Collector(scheduler, lags=place == "paused")
        if place == "reading with others":
            others.append(Collector(scheduler).say(bench.prompts[6], GREEDY, 5))
        runner.script = {
            1: [partial(hearer.say, bench.prompts[7], GREEDY, 2 if place == "ended" else 12)],
            # By then its prompt of 48 tokens is read in part, or all of it where it came first.
            4: [] if pieces else [hearer.cancel],
        }
        if place == "running":
            hearer.on_piece = hearer.cancel
        scheduler.start()
        if place == "paused":
            assert others[0].end().ending is Ending.MAX_LENGTH
            hearer.wait_until_paused()
            hearer.cancel()
        assert hearer.end().ending is (Ending.MAX_LENGTH if place == "ended" else Ending.CANCELLED)
        assert len(hearer.pieces) == pieces
        hearer.cancel()
        for other in others:
            bench.check(other)
    assert len(hearer.ends) == 1


def test_lagging_listener_yields_slot(bench: Bench) -> None:
    with scheduling(bench.runner(), max_lead_s=2 * FRAME_S) as scheduler:
        slow = Collector(scheduler, lags=True).say(bench.prompts[4], SAMPLED, 14)
        bench.check(Collector(scheduler).say(bench.prompts[6], SAMPLED, 10))
        assert not slow.ends
        assert scheduler.counts == {"waiting": 0, "running": 0, "paused": 1}
        assert 2 * FRAME < len(slow.heard) <= 5 * FRAME
        slow.lags = False
        slow.take()
        bench.check(slow)


def test_listener_waits_for_no_lock(bench: Bench) -> None:
    with scheduling(bench.runner(), start=False) as scheduler:
        spoken = scheduler.submit(Utterance(bench.prompts[4], SAMPLED, 14, 100.0), lambda event: None)
        telling = threading.Thread(target=scheduler.acknowledge, args=(spoken, 3), daemon=True)
        with scheduler._changed:
            telling.start()
            telling.join(patience.WITHIN_S)
            assert not telling.is_alive() and spoken.unconsumed_samples == -3


@pytest.mark.parametrize("whole", [False, True])
def test_chunks_grow_from_one_frame_to_maximum(bench: Bench, whole: bool) -> None:
    with scheduling(bench.runner(kind=Endless, whole=whole)) as scheduler:
        hearer = Collector(scheduler).say(bench.prompts[0], GREEDY, LONGEST_FRAMES)
        assert hearer.end().ending is Ending.MAX_LENGTH
    sizes = [len(piece) // FRAME for piece in hearer.pieces]
    assert sizes == [1] * 16 + [2] * 8 + [4] * 7
    assert sum(sizes) == LONGEST_FRAMES and max(sizes) <= MAX_CHUNK_FRAMES


@pytest.mark.parametrize(("cancels", "noted"), [(False, [1, 2, -1, 3, -2, 4, -3]), (True, [1, 2, -1])])
def test_next_frame_begins_before_last_is_handled(bench: Bench, cancels: bool, noted: list[int]) -> None:
    runner = bench.runner(1, Noted, whole=True)
    with scheduling(runner, start=False, prefill_tokens_per_step=100) as scheduler:
        hearer = Collector(scheduler).say(bench.prompts[0], GREEDY, 3)
        if cancels:
            hearer.on_piece = hearer.cancel
        scheduler.start()
        assert hearer.end().ending is (Ending.CANCELLED if cancels else Ending.MAX_LENGTH)
        # The frame after the last one was begun, and is thrown away; the slot is free for another.
        assert runner.noted == noted
        hearer = Collector(scheduler).say(bench.prompts[5], GREEDY, 3)
        assert hearer.end().ending is Ending.MAX_LENGTH
    codes = bench.alone(bench.prompts[5], GREEDY, 3, Endless)
    np.testing.assert_allclose(hearer.heard, bench.decoded(codes), rtol=0, atol=1e-5)


LOOPS, FALLS_SILENT = {"stuck_after": 2}, {"silent_after": 4}


def attempted(
    bench: Bench, sampling: Sampling, frames: int, expected_s: float, **fault: int
) -> tuple[Any, Collector, End]:
    """Speech of a faulty model: its runner, what was heard, and the end."""
    runner = bench.runner(1, Faulty, **fault)
    with scheduling(runner) as scheduler:
        hearer = Collector(scheduler).say(bench.prompts[2], sampling, frames, expected_s)
        return runner, hearer, hearer.end()


@pytest.mark.parametrize(
    ("fault", "frames", "expected_s", "detail", "tried_for"),
    [
        ({}, 60, 0.0, "speech did not end", 26),
        ({}, 60, 100.0, "there was no voice", 40),
        ({}, 5, 100.0, "there was no voice", 5),
        (LOOPS, 60, 100.0, "speech repeated itself", 33),
    ],
)
def test_silent_anomaly_is_retried_twice(
    bench: Bench,
    fault: dict[str, int],
    frames: int,
    expected_s: float,
    detail: str,
    tried_for: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner = bench.runner(1, Faulty, mute=99, **fault)
    with scheduling(runner) as scheduler:
        hearer = Collector(scheduler).say(bench.prompts[2], SAMPLED, frames, expected_s)
        end = hearer.end()
        assert (end.ending, end.detail, hearer.pieces) == (Ending.ANOMALY, detail, [])
        assert scheduler.frames == MAX_ATTEMPTS * tried_for
        assert [record.__dict__["request"] for record in caplog.records] == ["7f3a-1"] * MAX_ATTEMPTS
        # The slot is free, and the same request is tried with the same seeds.
        Collector(scheduler).say(bench.prompts[2], SAMPLED, 3).end()
    assert len(set(runner.seeds)) == MAX_ATTEMPTS == 3
    assert runner.seeds[:3] == runner.seeds[3:] and runner.seeds[0] == SAMPLED.seed


@pytest.mark.parametrize("silent", [1, 2])
def test_only_audible_attempt_is_emitted(bench: Bench, silent: int) -> None:
    runner, hearer, end = attempted(bench, SAMPLED, 8, 100.0, mute=silent)
    assert end.ending is Ending.MAX_LENGTH and len(runner.seeds) == silent + 1
    codes = bench.alone(bench.prompts[2], Sampling(seed=runner.seeds[-1]), 8, Endless)
    np.testing.assert_allclose(hearer.heard, bench.decoded(codes), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("how", "fault", "expected_s", "detail", "least", "most"),
    [
        (SAMPLED, {}, 0.0, "speech did not end", 26, 26),
        (SAMPLED, LOOPS, 100.0, "speech repeated itself", 33, 33),
        # Silence is noticed when it is spoken, a chunk at a time.
        (SAMPLED, FALLS_SILENT, 100.0, "there was no voice", 4 + 37 + 1, LONGEST_FRAMES - 1),
        # Greedy speech would only repeat itself.
        (GREEDY, LOOPS | {"mute": 99}, 0.0, "", LONGEST_FRAMES, LONGEST_FRAMES),
        (GREEDY, FALLS_SILENT, 0.0, "", LONGEST_FRAMES, LONGEST_FRAMES),
    ],
)
def test_audible_anomaly_ends_speech_unless_it_is_greedy(
    bench: Bench, how: Sampling, fault: dict[str, int], expected_s: float, detail: str, least: int, most: int
) -> None:
    runner, hearer, end = attempted(bench, how, LONGEST_FRAMES, expected_s, **fault)
    assert (end.ending, end.detail) == (Ending.ANOMALY if detail else Ending.MAX_LENGTH, detail)
    assert runner.seeds == [how.seed]
    assert least <= len(hearer.heard) // FRAME <= most


def test_stop_cancels_every_sequence(bench: Bench) -> None:
    runner, prompts = bench.runner(2, Endless), bench.prompts
    with scheduling(runner, max_lead_s=0.0, start=False, prefill_tokens_per_step=1) as scheduler:
        paused = Collector(scheduler, lags=True).say(prompts[0], GREEDY, 60)
        running = Collector(scheduler).say(prompts[1], GREEDY, 60)
        read, waits = Collector(scheduler), Collector(scheduler)
        seen: list[dict[str, int]] = []
        stopper = threading.Thread(target=scheduler.stop)

        def stop() -> None:
            seen.append(scheduler.counts)
            stopper.start()
            # It asks the loop to end, and waits for it.
            while not scheduler._stopping:
                stopper.join(0.001)

        paused.on_piece = lambda: (read.say(prompts[7], GREEDY, 60), waits.say(prompts[7], GREEDY, 60))
        runner.script = {20: [stop]}
        scheduler.start()
        for hearer in (paused, running, read, waits):
            assert hearer.end().ending is Ending.CANCELLED
        stopper.join()
        assert seen == [{"waiting": 2, "running": 1, "paused": 1}]
        with pytest.raises(RuntimeError, match="has been stopped"):
            Collector(scheduler).say(prompts[0], GREEDY, 5)


@pytest.mark.parametrize("error", [RuntimeError, ValueError, torch.OutOfMemoryError])
@pytest.mark.parametrize("when", ["audio", "end"])
def test_raising_listener_affects_only_itself(
    bench: Bench, caplog: pytest.LogCaptureFixture, error: type[Exception], when: str
) -> None:
    calls: list[Samples | End] = []

    def listener(event: Samples | End) -> None:
        calls.append(event)
        if (when == "end") == isinstance(event, End):
            raise error("the event loop is closed")

    with scheduling(bench.runner(2)) as scheduler:
        scheduler.submit(Utterance(bench.prompts[7], GREEDY, 6, 100.0), listener)
        for hearer in [Collector(scheduler).say(bench.prompts[at], GREEDY, 12) for at in (4, 6)]:
            bench.check(hearer)
    assert isinstance(calls[-1], End) and not any(isinstance(call, End) for call in calls[:-1])
    assert len(calls) == (2 if when == "audio" else 7)
    assert calls[-1].ending is (Ending.CANCELLED if when == "audio" else Ending.MAX_LENGTH)
    assert "a listener failed" in caplog.text and "the event loop is closed" in caplog.text


@pytest.mark.parametrize(("where", "after", "failing"), [
    ("start_prefill", 1, {1, 2}), ("prefill_chunk", 3, {1, 2}), ("admit", 1, {1, 2}), ("admit", 2, {2}),
    ("decode_audio", 3, {0}), ("begin_frame", 3, {0}), ("advance", 3, {0}), ("save", 0, {0}),
    ("restore", 0, {0}),
])  # fmt: skip
def test_out_of_memory_fails_its_sequences(bench: Bench, where: str, after: int, failing: set[int]) -> None:
    runner = bench.runner(3)
    breaking(runner, where, after, torch.OutOfMemoryError("CUDA out of memory"))
    lags = where in ("save", "restore")
    with scheduling(runner, max_lead_s=0.0 if lags else 1e9, start=False, max_prefill_prompts=2) as scheduler:
        first = Collector(scheduler, lags=lags).say(bench.prompts[4], GREEDY, 12)
        second, third = Collector(scheduler), Collector(scheduler)
        others = [partial(each.say, bench.prompts[n], GREEDY, 6) for each, n in ((second, 6), (third, 3))]
        if failing != {0}:
            runner.script = {5: others}
        scheduler.start()
        if where == "restore":
            first.wait_until_paused()
            first.take()
        if not lags and failing == {0}:
            assert first.end().ending is Ending.FAILED
            for say in others:
                say()
        for number, hearer in enumerate([first] if lags else [first, second, third]):
            if number in failing:
                end = hearer.end()
                assert (end.ending, end.detail) == (Ending.FAILED, "out of memory")
            else:
                bench.check(hearer)
        bench.check(Collector(scheduler).say(bench.prompts[5], GREEDY, 9))


@pytest.mark.parametrize(
    ("where", "after"),
    [("start_prefill", 0), ("prefill_chunk", 1), ("admit", 1), ("begin_frame", 4), ("advance", 4),
     ("decode_audio", 4), ("release", 0), ("save", 0), ("restore", 0)],
)  # fmt: skip
def test_failed_step_ends_all(bench: Bench, caplog: pytest.LogCaptureFixture, where: str, after: int) -> None:
    runner = bench.runner(2)
    breaking(runner, where, after, RuntimeError("an illegal memory access"))
    with scheduling(runner, max_lead_s=0.0, start=False, max_prefill_prompts=2) as scheduler:
        hearers = [Collector(scheduler, lags=where in ("save", "restore")) for _ in range(4)]
        for hearer, prompt in zip(hearers, bench.prompts[4:], strict=True):
            hearer.say(prompt, GREEDY, 14)
            if where == "release":
                hearer.on_piece = hearers[0 if hearer is hearers[0] else 3].cancel
        scheduler.start()
        if where == "restore":
            hearers[0].wait_until_paused()
            hearers[0].take()
        for hearer in hearers:
            cancelled = where == "release" and hearer is hearers[3]
            assert hearer.end().ending is (Ending.CANCELLED if cancelled else Ending.FAILED)
        bench.check(Collector(scheduler).say(bench.prompts[5], SAMPLED, 9))
    assert "an illegal memory access" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_dead_loop_ends_every_sequence(bench: Bench) -> None:
    runner = bench.runner()
    breaking(runner, "begin_frame", 2, IndexError("a mistake"))
    with scheduling(runner, start=False) as scheduler:
        hearers = [Collector(scheduler).say(bench.prompts[4], GREEDY, 10) for _ in range(3)]
        scheduler.start()
        assert [hearer.end().ending for hearer in hearers] == [Ending.FAILED] * 3
        with pytest.raises(RuntimeError, match="has been stopped"):
            Collector(scheduler).say(bench.prompts[0], GREEDY, 5)


@pytest.mark.parametrize(
    ("prompt", "frames"),
    [
        *(((), 5), ((1,) * (LONGEST_PROMPT + 1), 5), ((-1,), 5), ((310,), 5)),
        ((1,), 0),
        ((1,), LONGEST_FRAMES + 1),
    ],
)
def test_oversized_utterance_is_refused(bench: Bench, prompt: Prompt, frames: int) -> None:
    with scheduling(bench.runner()) as scheduler:
        with pytest.raises(ValueError, match=r"a prompt|speech has"):
            Collector(scheduler).say(prompt, GREEDY, frames)
        assert scheduler.counts == IDLE


@pytest.mark.heard
def test_ended_sequences_leave_no_tensors(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)

    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    def some(scheduler: Scheduler, count: int) -> None:
        pick = random.Random(count)
        hearers = [Collector(scheduler, lags=pick.random() < 0.3) for _ in range(count)]
        for hearer in hearers:
            hearer.say(pick.choice(bench.prompts), pick.choice([GREEDY, SAMPLED]), pick.randint(1, 4))
            if pick.random() < 0.2:
                hearer.cancel()
        for hearer in hearers:
            while not hearer.ended.wait(0.002):
                hearer.take()

    threads = threading.active_count()
    with scheduling(bench.runner(4), max_lead_s=0.05, max_prefill_prompts=3) as scheduler:
        some(scheduler, 10)
        before = tensors()
        some(scheduler, 200)
        assert tensors() <= before + 5
        assert threading.active_count() == threads + 1
    assert threading.active_count() == threads
