"""Many voices at once: first audio, late pieces, steps a second, memory, and where the time goes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from benchmarks.kani.probes import best_s
from benchmarks.kani.streams import Listening, PlayingListening, first_audio, together
from kani.engines.kani.model.loader import KaniModel
from kani.engines.kani.model.sampler import Sampling
from tools.gpu import models, references, sequences
from tools.gpu.results import Case

COUNTS, SMALL_COUNTS = (1, 16, 64, 256, 512, 1024), (1, 4)
FRAMES, SMALL_FRAMES = 100, 12  # 8 s, 1 s
FIRSTS = 10
PACED = {False: (64, 256, 1024), True: (4,)}
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
        if case.left_s > _LEAST_S:
            _together(case, kani, count, paced=True)
    kani.scheduler.stop()
    _halves(case, kani, counts)
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


def _memory(case: Case) -> dict[str, Any]:
    if case.device.type != "cuda":
        return {}
    free, total = torch.cuda.mem_get_info(case.device)
    return {"used_gib": (total - free) / 2**30, "of_gib": total / 2**30}


def _together(case: Case, kani: KaniModel, count: int, *, paced: bool) -> None:
    frames = SMALL_FRAMES if case.small else FRAMES
    steps = kani.scheduler.frames
    found = together(kani, count, frames, PlayingListening if paced else Listening)
    steps = kani.scheduler.frames - steps
    firsts = sorted(found.first_s)
    case.write(
        "streams whose listeners take their time" if paced else "streams",
        streams=count,
        late=found.stalled,
        first_ms={"median": 1000 * firsts[count // 2], "worst": 1000 * firsts[-1]},
        audio_s_a_second=found.throughput,
        steps_a_second=steps / found.wall_s,
        **_memory(case),
    )


def _halves(case: Case, kani: KaniModel, counts: Sequence[int]) -> None:
    """A frame's two halves, of slots that are all free: its codes and its audio."""
    runner = kani.runner
    for count in counts:
        rows = min(count, runner.slots)
        works = {
            "codes": partial(runner._graphs.run, runner._make_frame, rows, runner._spans()[0]),
            "audio": partial(runner._graphs.run, runner._decode_frame, rows),
        }
        with torch.inference_mode():
            took = {name: 1000 * best_s(work, case.device, _PROFILED_STEPS) for name, work in works.items()}
        case.write("halves of a frame", streams=rows, ms=took)


def _profile(case: Case, kani: KaniModel, count: int) -> None:
    """The operations that take longest in frames of ``count`` streams; a step's other time is the CPU's."""
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
        if on_gpu:
            torch.cuda.synchronize()
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
