"""Many voices at once: first audio, late pieces, steps a second, memory, and where the time goes."""

from __future__ import annotations

import heapq
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmarks.kani.streams import Listening, first_audio
from kani.engines.kani.model.loader import KaniModel
from kani.engines.kani.model.runner import Codes
from kani.engines.kani.model.sampler import Sampling
from tools.gpu import models, references, sequences
from tools.gpu.results import Case

COUNTS, SMALL_COUNTS = (1, 16, 64, 256, 512, 1024), (1, 4)
FRAMES, SMALL_FRAMES = 100, 12
FIRSTS = 10
PACED = {False: (64, 256, 1024), True: (4,)}
PACED_AUDIO_S = 8.0
_PROFILED_STEPS = 10
_LINES = 10
_LEAST_S = 30.0
"""Seconds that have to be left for another number of streams."""


def many_streams(case: Case) -> None:
    """Part streams: a Kani checkpoint in the precision of a server."""
    models.make_models(case.work, small=case.small)
    counts = SMALL_COUNTS if case.small else COUNTS
    kani = _loaded(case, max(counts))
    kani.scheduler.start()
    found = first_audio(kani, 2 if case.small else FIRSTS)
    case.write("first audio alone", median_ms=1000 * statistics.median(found), worst_ms=1000 * max(found))
    for count in counts:
        if case.left_s < _LEAST_S:
            case.write("left out for want of time", streams=count)
            continue
        _together(case, kani, count, paced=False)
    for count in PACED[case.small]:
        if case.left_s > _LEAST_S + PACED_AUDIO_S:
            _together(case, kani, count, paced=True)
    kani.scheduler.stop()
    _profile(case, kani, counts[-1] if case.small else 256)


def _loaded(case: Case, slots: int) -> KaniModel:
    """The model, with half of the slots until they fit."""
    begun = time.perf_counter()
    while True:
        try:
            kani = references.opened(case.work, "kani", str(case.device), "bfloat16", slots)
            break
        except MemoryError as error:
            case.write("does not fit", slots=slots, reason=str(error))
            slots //= 2
    case.write("loaded", slots=slots, seconds=time.perf_counter() - begun, **_memory(case))
    return kani


def _memory(case: Case) -> dict[str, float]:
    if case.device.type != "cuda":
        return {}
    free, total = torch.cuda.mem_get_info(case.device)
    return {"used_gib": (total - free) / 2**30, "of_gib": total / 2**30}


class _Clock(threading.Thread):
    """Acknowledges audio when a listener has heard it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._due: list[tuple[float, int, PacedListening, int]] = []
        self._changed = threading.Condition()
        self._number = 0

    def at(self, when: float, listening: PacedListening, samples: int) -> None:
        """Acknowledge at a time of ``time.perf_counter``."""
        with self._changed:
            self._number += 1
            heapq.heappush(self._due, (when, self._number, listening, samples))
            self._changed.notify()

    def run(self) -> None:
        """Wait for the next, for ever."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._due))
                wait_s = self._due[0][0] - time.perf_counter()
                if wait_s > 0:
                    self._changed.wait(wait_s)
                    continue
                _, _, listening, samples = heapq.heappop(self._due)
            listening.acknowledge(samples)


class PacedListening(Listening):
    """A listener that takes audio as fast as it plays it, from its first piece on."""

    clock: _Clock

    def acknowledge(self, samples: int) -> None:
        """The samples were heard."""
        self._kani.scheduler.acknowledge(self.stream, samples)

    def _take(self, samples: int) -> None:
        ends_s = self.arrivals_s[0] + sum(self.durations_s)
        self.clock.at(self.asked + ends_s, self, samples)


def _together(case: Case, kani: KaniModel, count: int, *, paced: bool) -> None:
    frames = round(PACED_AUDIO_S / kani.frame_s) if paced and not case.small else FRAMES
    frames = SMALL_FRAMES if case.small else frames
    kind: type[Listening] = Listening
    if paced:
        PacedListening.clock = _Clock()
        PacedListening.clock.start()
        kind = PacedListening
    with _sampling(kani) as sampled:
        steps, begun = kani.scheduler.frames, time.perf_counter()
        streams = [kind(kani, seed, frames) for seed in range(count)]
        audio_s = sum(stream.wait().audio_s for stream in streams)
        wall_s = time.perf_counter() - begun
        steps = kani.scheduler.frames - steps
    firsts = sorted(stream.arrivals_s[0] for stream in streams)
    late = sum(stream.stalled for stream in streams)
    case.write(
        "streams whose listeners take their time" if paced else "streams",
        streams=count,
        late=late,
        first_ms={"median": 1000 * firsts[count // 2], "worst": 1000 * firsts[-1]},
        audio_s_a_second=audio_s / wall_s,
        steps_a_second=steps / wall_s,
        # The rest of a step is the CPU's: checks, chunks, listeners.
        share_of_the_frame=sampled[0] / wall_s,
        **_memory(case),
    )


@contextmanager
def _sampling(kani: KaniModel) -> Iterator[list[float]]:
    """Seconds spent in ``Runner.sample``, in the list's first place."""
    seconds, sample = [0.0], kani.runner.sample

    def timed(count: int) -> Codes:
        begun = time.perf_counter()
        codes = sample(count)
        seconds[0] += time.perf_counter() - begun
        return codes

    kani.runner.sample = timed  # type: ignore[method-assign]
    try:
        yield seconds
    finally:
        kani.runner.sample = sample  # type: ignore[method-assign]


def _profile(case: Case, kani: KaniModel, count: int) -> None:
    """The operations that take longest in frames of ``count`` streams."""
    runner = kani.runner
    count = min(count, runner.slots)
    for slot in range(count):
        sequences.admit(runner, slot, sequences.Asked(54, Sampling(seed=slot)))
    runner.sample(count)
    on_gpu = case.device.type == "cuda"
    kinds = [torch.profiler.ProfilerActivity.CPU]
    kinds += [torch.profiler.ProfilerActivity.CUDA] if on_gpu else []
    begun = time.perf_counter()
    with torch.profiler.profile(activities=kinds) as profile:
        for _ in range(_PROFILED_STEPS):
            runner.sample(count)
        case.settle()
    wall_ms = 1000 * (time.perf_counter() - begun) / _PROFILED_STEPS
    name = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    found = sorted(profile.key_averages(), key=lambda each: -getattr(each, name))
    whole = sum(getattr(each, name) for each in found) or 1.0
    case.write("frame, profiled", streams=count, wall_ms=wall_ms, busy_ms=whole / 1000 / _PROFILED_STEPS)
    for each in found[:_LINES]:
        case.write(
            "where the time goes",
            name=each.key[:80],
            share=getattr(each, name) / whole,
            calls_a_frame=each.count / _PROFILED_STEPS,
        )
