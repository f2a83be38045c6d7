"""The scheduler: order of sequences, their events, and isolation of failures."""

from __future__ import annotations

import gc
import logging
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kani.engines.kani.model.codec.nanocodec import NanoCodec
from kani.engines.kani.model.runner import Codes, Prefill, Runner, Samples
from kani.engines.kani.model.sampler import Sampling
from kani.engines.kani.model.scheduler import MAX_ATTEMPTS, Scheduler
from kani.engines.kani.model.sequence import MAX_CHUNK_FRAMES, End, Ending, SpeechSequence, Utterance
from tests.engines.kani.model.conftest import (
    LONGEST_FRAMES,
    LONGEST_PROMPT,
    Frames,
    NewRunner,
    Prompt,
    run_alone,
)
from tests.judges.lfm2_judge import Judge

GREEDY = Sampling(temperature=0.0, repetition_penalty=1.0)
SAMPLED = Sampling(seed=7)
FRAME = 12
FRAME_S = 0.08
RATE = round(FRAME / FRAME_S)
"""Hertz at which the tiny codec's frames take as long as those of a real one."""
WITHIN_S = 300.0


class Directed(Runner):
    """A runner that executes a test's actions before its n-th frame, in the loop's thread."""

    script: dict[int, list[Callable[[], object]]]
    load: list[int]

    def sample(self, count: int) -> Codes:
        self.load = [*getattr(self, "load", []), count]
        for act in getattr(self, "script", {}).pop(len(self.load), []):
            act()
        return super().sample(count)


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
        assert self.ended.wait(WITHIN_S), "no end was told"
        assert len(self.ends) == 1
        return self.ends[0]


@contextmanager
def scheduling(
    runner: Runner, *, max_lead_s: float = 1e9, start: bool = True, **changes: int
) -> Iterator[Scheduler]:
    """A scheduler, started or not, that is stopped in the end."""
    how = {"max_prefill_prompts": 1, "prefill_tokens_per_step": 16} | changes
    scheduler = Scheduler(runner, sample_rate=RATE, frame_s=FRAME_S, max_lead_s=max_lead_s, **how)
    if start:
        scheduler.start()
    try:
        yield scheduler
    finally:
        if scheduler._thread.ident is not None:
            scheduler.stop()


Expected = Callable[[Prompt, Sampling, int], Samples]


@pytest.fixture(scope="module")
def expected(new_runner: NewRunner, codec: NanoCodec, judge: Judge) -> Expected:
    """Expected samples: the codes of a solo run (transformers', if greedy), decoded at once."""
    known: dict[tuple[Prompt, Sampling], Frames] = {}

    def samples(prompt: Prompt, sampling: Sampling, frames: int) -> Samples:
        if (prompt, sampling) not in known:
            said = run_alone(new_runner(1), prompt, sampling, 14)
            assert sampling.temperature or judge.agrees(prompt, said, sampling.repetition_penalty)
            known[prompt, sampling] = said if said[-1][0] < 4032 else said[:-1]
        assert frames <= 14
        codes = torch.tensor(known[prompt, sampling][:frames])[None]
        return codec.decode(codes, torch.tensor([0]), codec.new_state(1))[0].numpy()

    return samples


def same(actual: Samples, wanted: Samples) -> bool:
    """Check if the samples are of the same codes."""
    return len(actual) == len(wanted) and bool(np.abs(actual - wanted).max(initial=0.0) <= 1e-5)


def test_batched_sequences_match_transformers(
    new_runner: NewRunner, expected: Expected, prompts: list[Prompt]
) -> None:
    with scheduling(new_runner(3), max_prefill_prompts=2, prefill_tokens_per_step=7) as scheduler:
        lengths = [(prompt, 5 + number) for number, prompt in enumerate(prompts)]
        hearers = [Collector(scheduler).say(prompt, GREEDY, frames) for prompt, frames in lengths]
        for (prompt, frames), hearer in zip(lengths, hearers, strict=True):
            wanted = expected(prompt, GREEDY, frames)
            whole = len(wanted) == frames * FRAME
            assert hearer.end().ending is (Ending.MAX_LENGTH if whole else Ending.FINISHED)
            assert same(hearer.heard, wanted)


@settings(max_examples=12, deadline=None)  # an example runs whole schedules
@given(data=st.data())
def test_any_schedule_ends_every_sequence_once(
    new_runner: NewRunner, expected: Expected, prompts: list[Prompt], data: st.DataObject
) -> None:
    runner = new_runner(data.draw(st.integers(1, 3)), Directed)
    runner.script = {}
    asked: list[tuple[Collector, Prompt, Sampling, int, bool]] = []
    with scheduling(
        runner,
        max_lead_s=data.draw(st.sampled_from([0.0, 0.2, 1e9])),
        start=False,
        max_prefill_prompts=data.draw(st.integers(1, 3)),
        prefill_tokens_per_step=data.draw(st.integers(1, 50)),
    ) as scheduler:
        for _ in range(data.draw(st.integers(1, 6))):
            prompt, sampling = (
                data.draw(st.sampled_from(prompts)),
                data.draw(st.sampled_from([GREEDY, SAMPLED])),
            )
            frames = data.draw(st.integers(1, 14))
            hearer = Collector(scheduler, lags=data.draw(st.booleans()))
            begin = partial(hearer.say, prompt, sampling, frames)
            if first := data.draw(st.integers(0, 8)):
                runner.script.setdefault(first, []).append(begin)
            else:
                begin()
            cancelled = data.draw(st.integers(0, 3)) == 0
            if cancelled:
                runner.script.setdefault(data.draw(st.integers(first + 1, 12)), []).append(hearer.cancel)
            asked.append((hearer, prompt, sampling, frames, cancelled))
        scheduler.start()
        hearers = [hearer for hearer, *_ in asked]
        while pending := [hearer for hearer in hearers if not hearer.ended.is_set()]:
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
        for hearer, prompt, sampling, frames, cancelled in asked:
            wanted = expected(prompt, sampling, frames)
            end = hearer.end().ending
            assert end in (Ending.FINISHED, Ending.MAX_LENGTH) or (cancelled and end is Ending.CANCELLED)
            assert same(hearer.heard, wanted if end is not Ending.CANCELLED else wanted[: len(hearer.heard)])
        assert scheduler.counts == {"waiting": 0, "running": 0, "paused": 0}


def test_cancelled_slot_is_reused_at_next_frame(new_runner: NewRunner, prompts: list[Prompt]) -> None:
    runner = new_runner(1, Directed)
    with scheduling(runner, start=False, prefill_tokens_per_step=100) as scheduler:
        first, second = Collector(scheduler), Collector(scheduler)
        at: dict[str, int] = {}

        def cancel() -> None:
            if len(first.pieces) == 3:
                at["cancelled"] = scheduler.frames
                first.cancel()

        first.on_piece = cancel
        second.on_piece = lambda: at.setdefault("heard", scheduler.frames)
        first.say(prompts[7], GREEDY, 20)
        second.say(prompts[4], GREEDY, 3)
        scheduler.start()
        assert first.end().ending is Ending.CANCELLED
        assert second.end().ending is Ending.MAX_LENGTH
        assert at["heard"] == at["cancelled"] + 1
        assert len(first.pieces) == 3


def test_no_audio_follows_cancel(new_runner: NewRunner, prompts: list[Prompt]) -> None:
    runner = new_runner(1, Directed)
    with scheduling(runner, start=False) as scheduler:
        hearer = Collector(scheduler).say(prompts[7], GREEDY, 20)
        runner.script = {4: [hearer.cancel]}
        scheduler.start()
        assert hearer.end().ending is Ending.CANCELLED
        assert len(hearer.pieces) == 3


@pytest.mark.parametrize("place", ["waiting", "reading", "reading with others", "running", "paused", "ended"])
def test_sequence_is_cancelled_in_every_state(
    new_runner: NewRunner, expected: Expected, prompts: list[Prompt], place: str
) -> None:
    runner = new_runner(
        3 if place.startswith("reading") else 2 if place in ("running", "paused") else 1, Directed
    )
    with scheduling(
        runner, max_lead_s=0.0, start=False, max_prefill_prompts=2, prefill_tokens_per_step=4
    ) as scheduler:
        other = Collector(scheduler).say(prompts[4], GREEDY, 12)
        hearer = Collector(scheduler, lags=place == "paused")
        late = Collector(scheduler)
        if place == "reading with others":
            late.say(prompts[6], GREEDY, 5)
        runner.script = {
            1: [partial(hearer.say, prompts[7], GREEDY, 2 if place == "ended" else 12)],
            # By then its prompt of 48 tokens is read in part, or all of it where it came first.
            4: [] if place in ("running", "paused", "ended") else [hearer.cancel],
        }
        if place == "running":
            hearer.on_piece = hearer.cancel
        scheduler.start()
        if place == "paused":
            assert other.end().ending is Ending.MAX_LENGTH
            hearer.wait_until_paused()
            hearer.cancel()
        assert hearer.end().ending is (Ending.MAX_LENGTH if place == "ended" else Ending.CANCELLED)
        assert len(hearer.pieces) == {"running": 1, "paused": 1, "ended": 2}.get(place, 0)
        hearer.cancel()
        assert other.end().ending is Ending.MAX_LENGTH
        assert same(other.heard, expected(prompts[4], GREEDY, 12))
        if place == "reading with others":
            assert same((late.end(), late.heard)[1], expected(prompts[6], GREEDY, 5))
    assert len(hearer.ends) == 1


def test_lagging_listener_yields_slot(
    new_runner: NewRunner, expected: Expected, prompts: list[Prompt]
) -> None:
    with scheduling(new_runner(1), max_lead_s=2 * FRAME_S) as scheduler:
        slow = Collector(scheduler, lags=True).say(prompts[4], SAMPLED, 14)
        quick = Collector(scheduler).say(prompts[6], SAMPLED, 10)
        assert quick.end().ending in (Ending.MAX_LENGTH, Ending.FINISHED)
        assert not slow.ends
        assert scheduler.counts == {"waiting": 0, "running": 0, "paused": 1}
        assert 2 * FRAME < len(slow.heard) <= 5 * FRAME
        slow.lags = False
        slow.take()
        assert slow.end().ending in (Ending.MAX_LENGTH, Ending.FINISHED)
        assert same(slow.heard, expected(prompts[4], SAMPLED, 14))
        assert same(quick.heard, expected(prompts[6], SAMPLED, 10))


def test_chunks_grow_from_one_frame_to_maximum(new_runner: NewRunner, prompts: list[Prompt]) -> None:
    with scheduling(new_runner(1, Endless)) as scheduler:
        hearer = Collector(scheduler).say(prompts[0], GREEDY, LONGEST_FRAMES)
        assert hearer.end().ending is Ending.MAX_LENGTH
    sizes = [len(piece) // FRAME for piece in hearer.pieces]
    assert sizes == [1] * 16 + [2, 2, 2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 4]
    assert sum(sizes) == LONGEST_FRAMES
    assert max(sizes) <= MAX_CHUNK_FRAMES


class Endless(Directed):
    def sample(self, count: int) -> Codes:
        codes = super().sample(count)
        np.minimum(codes, self.layout.codebook_size - 1, out=codes)
        return codes


class Faulty(Endless):
    """Never ends; some attempts are silent, or silent or constant from a given frame on."""

    mute = 0
    """Attempts without anything audible."""
    silent_after = 10**9
    stuck_after = 10**9

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.seeds: list[int] = []
        self.frame = 0

    def admit(self, slot: int, prefill: Prefill, row: int, sampling: Sampling) -> None:
        super().admit(slot, prefill, row, sampling)
        self.seeds.append(sampling.seed)
        self.frame = 0

    def sample(self, count: int) -> Codes:
        codes = super().sample(count)
        self.frame += 1
        if self.frame > self.stuck_after:
            codes[:] = 7
        return codes

    def decode_audio(self, slots: Sequence[int], codes: Codes) -> Samples:
        samples = super().decode_audio(slots, codes)
        return samples * (len(self.seeds) > self.mute and self.frame <= self.silent_after)


class RunsAway(Faulty):
    mute = 99


class Loops(Faulty):
    mute = 99
    stuck_after = 2


class LoopsAloud(Faulty):
    stuck_after = 2


class FallsSilent(Faulty):
    silent_after = 4


class SilentOnce(Faulty):
    mute = 1


class SilentTwice(Faulty):
    mute = 2


@pytest.mark.parametrize(
    ("kind", "frames", "expected_s", "detail", "tried_for"),
    [
        (RunsAway, 60, 0.0, "speech did not end", 26),
        (RunsAway, 60, 100.0, "there was no voice", 40),
        (RunsAway, 5, 100.0, "there was no voice", 5),
        (Loops, 60, 100.0, "speech repeated itself", 33),
    ],
)
def test_silent_anomaly_is_retried_twice(
    new_runner: NewRunner,
    prompts: list[Prompt],
    kind: type[Faulty],
    frames: int,
    expected_s: float,
    detail: str,
    tried_for: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner = new_runner(2, kind)
    assert isinstance(runner, Faulty)
    with scheduling(runner) as scheduler:
        hearer = Collector(scheduler).say(prompts[2], SAMPLED, frames, expected_s)
        end = hearer.end()
        assert (end.ending, end.detail) == (Ending.ANOMALY, detail)
        assert hearer.pieces == []
        assert scheduler.frames == MAX_ATTEMPTS * tried_for
        assert [record.__dict__["request"] for record in caplog.records] == ["7f3a-1"] * MAX_ATTEMPTS
        # The slot is free, and the same request is tried with the same seeds.
        Collector(scheduler).say(prompts[2], SAMPLED, 3).end()
    assert len(set(runner.seeds)) == MAX_ATTEMPTS == 3
    assert runner.seeds[:3] == runner.seeds[3:] and runner.seeds[0] == SAMPLED.seed


@pytest.mark.parametrize(("kind", "silent"), [(SilentOnce, 1), (SilentTwice, 2)])
def test_only_audible_attempt_is_emitted(
    new_runner: NewRunner, prompts: list[Prompt], codec: NanoCodec, kind: type[Faulty], silent: int
) -> None:
    runner = new_runner(1, kind)
    assert isinstance(runner, Faulty)
    with scheduling(runner) as scheduler:
        hearer = Collector(scheduler).say(prompts[2], SAMPLED, 8)
        assert hearer.end().ending is Ending.MAX_LENGTH
    assert len(runner.seeds) == silent + 1
    seeded = new_runner(1, Endless)
    codes = run_alone(seeded, prompts[2], Sampling(seed=runner.seeds[-1]), 8)
    wanted = codec.decode(torch.tensor(codes)[None], torch.tensor([0]), codec.new_state(1))[0]
    assert same(hearer.heard, wanted.numpy())


@pytest.mark.parametrize(
    ("kind", "expected_s", "detail", "frames"),
    [
        (Faulty, 0.0, "speech did not end", 26),
        (LoopsAloud, 100.0, "speech repeated itself", 33),
        (FallsSilent, 100.0, "there was no voice", None),
    ],
)
def test_audible_anomaly_ends_speech(
    new_runner: NewRunner,
    prompts: list[Prompt],
    kind: type[Faulty],
    expected_s: float,
    detail: str,
    frames: int | None,
) -> None:
    runner = new_runner(1, kind)
    assert isinstance(runner, Faulty)
    with scheduling(runner) as scheduler:
        hearer = Collector(scheduler).say(prompts[2], SAMPLED, LONGEST_FRAMES, expected_s)
        end = hearer.end()
        assert (end.ending, end.detail) == (Ending.ANOMALY, detail)
    assert runner.seeds == [SAMPLED.seed]
    said = len(hearer.heard) // FRAME
    # Silence is noticed when it is spoken, a chunk at a time.
    assert said == frames if frames else 4 + 37 < said < LONGEST_FRAMES


@pytest.mark.parametrize("kind", [Loops, FallsSilent])
def test_greedy_speech_skips_output_guard(
    new_runner: NewRunner, prompts: list[Prompt], kind: type[Faulty]
) -> None:
    runner = new_runner(1, kind)
    assert isinstance(runner, Faulty)
    with scheduling(runner) as scheduler:
        hearer = Collector(scheduler).say(prompts[2], GREEDY, LONGEST_FRAMES, 0.0)
        assert hearer.end().ending is Ending.MAX_LENGTH
    assert len(hearer.heard) == LONGEST_FRAMES * FRAME
    assert len(runner.seeds) == 1


def test_stop_cancels_every_sequence(new_runner: NewRunner, prompts: list[Prompt]) -> None:
    runner = new_runner(2, Endless)
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
    new_runner: NewRunner,
    expected: Expected,
    prompts: list[Prompt],
    caplog: pytest.LogCaptureFixture,
    error: type[Exception],
    when: str,
) -> None:
    calls: list[Samples | End] = []

    def listener(event: Samples | End) -> None:
        calls.append(event)
        if (when == "end") == isinstance(event, End):
            raise error("the event loop is closed")

    with scheduling(new_runner(2)) as scheduler:
        scheduler.submit(Utterance(prompts[7], GREEDY, 6, 100.0), listener)
        other = Collector(scheduler).say(prompts[4], GREEDY, 12)
        again = Collector(scheduler).say(prompts[6], GREEDY, 12)
        for hearer, prompt in ((other, prompts[4]), (again, prompts[6])):
            assert hearer.end().ending in (Ending.MAX_LENGTH, Ending.FINISHED)
            assert same(hearer.heard, expected(prompt, GREEDY, 12))
    assert isinstance(calls[-1], End) and not any(isinstance(call, End) for call in calls[:-1])
    assert len(calls) == (2 if when == "audio" else 7)
    assert calls[-1].ending is (Ending.CANCELLED if when == "audio" else Ending.MAX_LENGTH)
    assert "a listener failed" in caplog.text and "the event loop is closed" in caplog.text


class Breaks(Directed):
    where, after = "", 0
    error: Exception

    def fail_in(self, where: str) -> None:
        if where == self.where:
            self.after -= 1
            if self.after == -1:
                raise self.error


def _breaking(name: str) -> Callable[..., Any]:
    """The runner's method, which fails before its work, ``sample`` after it."""

    def method(self: Breaks, *arguments: Any) -> Any:
        if name != "sample":
            self.fail_in(name)
        result = getattr(super(Breaks, self), name)(*arguments)
        if name == "sample":
            self.fail_in(name)
        return result

    return method


for _name in "start_prefill prefill_chunk admit sample advance decode_audio release save restore".split():
    setattr(Breaks, _name, _breaking(_name))


def broken(new_runner: NewRunner, slots: int, where: str, after: int, error: Exception) -> Breaks:
    runner = new_runner(slots, Breaks)
    assert isinstance(runner, Breaks)
    runner.where, runner.after, runner.error = where, after, error
    return runner


@pytest.mark.parametrize(("where", "after", "failing"), [
    ("start_prefill", 1, {1, 2}), ("prefill_chunk", 3, {1, 2}), ("admit", 1, {1, 2}), ("admit", 2, {2}),
    ("decode_audio", 3, {0}), ("sample", 3, {0}), ("advance", 3, {0}), ("save", 0, {0}), ("restore", 0, {0}),
])  # fmt: skip
def test_out_of_memory_fails_requesting_sequences(
    new_runner: NewRunner,
    expected: Expected,
    prompts: list[Prompt],
    where: str,
    after: int,
    failing: set[int],
) -> None:
    runner = broken(new_runner, 3, where, after, torch.OutOfMemoryError("CUDA out of memory"))
    lags = where in ("save", "restore")
    with scheduling(runner, max_lead_s=0.0 if lags else 1e9, start=False, max_prefill_prompts=2) as scheduler:
        first = Collector(scheduler).say(prompts[4], GREEDY, 12)
        second, third, later = (
            Collector(scheduler),
            Collector(scheduler),
            Collector(scheduler),
        )
        first.lags = lags
        if failing != {0}:
            runner.script = {
                5: [partial(second.say, prompts[6], GREEDY, 6), partial(third.say, prompts[3], GREEDY, 6)]
            }
        scheduler.start()
        if where == "restore":
            first.wait_until_paused()
            first.take()
        if not lags and failing == {0}:
            assert first.end().ending is Ending.FAILED
            second.say(prompts[6], GREEDY, 6)
            third.say(prompts[3], GREEDY, 6)
        hearers = [first] if lags else [first, second, third]
        for number, hearer in enumerate(hearers):
            end = hearer.end()
            if number in failing:
                assert (end.ending, end.detail) == (Ending.FAILED, "out of memory")
            else:
                frames = 12 if hearer is first else 6
                assert same(hearer.heard, expected(hearer.stream.utterance.prompt, GREEDY, frames))
        later.say(prompts[5], GREEDY, 9)
        assert later.end().ending in (Ending.FINISHED, Ending.MAX_LENGTH)
        assert same(later.heard, expected(prompts[5], GREEDY, 9))


@pytest.mark.parametrize(
    ("where", "after"),
    [("start_prefill", 0), ("prefill_chunk", 1), ("admit", 1), ("sample", 4), ("advance", 4),
     ("decode_audio", 4), ("release", 0), ("save", 0), ("restore", 0)],
)  # fmt: skip
def test_failed_step_ends_all_and_loop_continues(
    new_runner: NewRunner,
    expected: Expected,
    prompts: list[Prompt],
    caplog: pytest.LogCaptureFixture,
    where: str,
    after: int,
) -> None:
    runner = broken(new_runner, 2, where, after, RuntimeError("an illegal memory access"))
    with scheduling(runner, max_lead_s=0.0, start=False, max_prefill_prompts=2) as scheduler:
        hearers = [Collector(scheduler, lags=where in ("save", "restore")) for _ in range(4)]
        for hearer, prompt in zip(hearers, prompts[4:], strict=True):
            hearer.say(prompt, GREEDY, 14)
        for hearer in hearers:
            hearer.on_piece = hearers[3].cancel if where == "release" else lambda: None
        if where == "release":
            hearers[0].on_piece = hearers[0].cancel
        scheduler.start()
        if where == "restore":
            hearers[0].wait_until_paused()
            hearers[0].take()
        for hearer in hearers:
            assert hearer.end().ending is (
                Ending.CANCELLED if where == "release" and hearer is hearers[3] else Ending.FAILED
            )
        later = Collector(scheduler).say(prompts[5], SAMPLED, 9)
        assert later.end().ending in (Ending.FINISHED, Ending.MAX_LENGTH)
        assert same(later.heard, expected(prompts[5], SAMPLED, 9))
    assert "an illegal memory access" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_dead_loop_ends_every_sequence(new_runner: NewRunner, prompts: list[Prompt]) -> None:
    runner = broken(new_runner, 1, "sample", 2, IndexError("a mistake"))
    with scheduling(runner, start=False) as scheduler:
        hearers = [Collector(scheduler).say(prompts[4], GREEDY, 10) for _ in range(3)]
        scheduler.start()
        assert [hearer.end().ending for hearer in hearers] == [Ending.FAILED] * 3
        with pytest.raises(RuntimeError, match="has been stopped"):
            Collector(scheduler).say(prompts[0], GREEDY, 5)


def test_threads_submit_concurrently(
    new_runner: NewRunner, expected: Expected, prompts: list[Prompt]
) -> None:
    with scheduling(new_runner(3), max_lead_s=0.1, max_prefill_prompts=2) as scheduler:
        failures: list[object] = []

        def client(number: int) -> None:
            pick = random.Random(number)
            for _ in range(4):
                prompt, frames = pick.choice(prompts), pick.randint(1, 10)
                hearer = Collector(scheduler, lags=pick.random() < 0.5)
                hearer.say(prompt, GREEDY, frames)
                cancelled = pick.random() < 0.3
                if cancelled:
                    hearer.cancel()
                while not hearer.ended.wait(0.002):
                    hearer.take()
                wanted = expected(prompt, GREEDY, frames)
                whole = hearer.end().ending is not Ending.CANCELLED
                if not same(hearer.heard, wanted if whole else wanted[: len(hearer.heard)]):
                    failures.append((number, prompt, frames))
                if not whole and not cancelled:
                    failures.append((number, "cancelled"))

        for prompt in prompts:
            expected(prompt, GREEDY, 1)
        threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


@pytest.mark.parametrize(
    ("prompt", "frames"),
    [
        ((), 5),
        ((1,) * (LONGEST_PROMPT + 1), 5),
        ((1,), 0),
        ((1,), LONGEST_FRAMES + 1),
        ((-1,), 5),
        ((310,), 5),
    ],
)
def test_oversized_utterance_is_refused(new_runner: NewRunner, prompt: Prompt, frames: int) -> None:
    with scheduling(new_runner(1)) as scheduler:
        with pytest.raises(ValueError, match=r"a prompt|speech has"):
            Collector(scheduler).say(prompt, GREEDY, frames)
        assert scheduler.counts == {"waiting": 0, "running": 0, "paused": 0}


@pytest.mark.heard
def test_ended_sequences_leave_no_tensors(
    new_runner: NewRunner, prompts: list[Prompt], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)

    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    pick = random.Random(0)

    def some(scheduler: Scheduler, count: int) -> None:
        hearers = [Collector(scheduler, lags=pick.random() < 0.3) for _ in range(count)]
        for hearer in hearers:
            hearer.say(pick.choice(prompts), pick.choice([GREEDY, SAMPLED]), pick.randint(1, 4))
            if pick.random() < 0.2:
                hearer.cancel()
        for hearer in hearers:
            while not hearer.ended.wait(0.002):
                hearer.take()

    threads = threading.active_count()
    with scheduling(new_runner(4), max_lead_s=0.05, max_prefill_prompts=3) as scheduler:
        some(scheduler, 10)
        before = tensors()
        some(scheduler, 200)
        assert tensors() <= before + 5
        assert threading.active_count() == threads + 1
    assert threading.active_count() == threads
