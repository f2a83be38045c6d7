"""The model against its references: logits, codes, samples; graphs; any schedule; cancels; waits."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch

from benchmarks.kani.streams import cancels
from kani.engines.kani.model.graphs import Graphs
from kani.engines.kani.model.loader import KaniModel
from kani.engines.kani.model.runner import Codes, Samples
from kani.engines.kani.model.sampler import Sampling
from tools.gpu import models, references, sequences
from tools.gpu.references import FIRST, FRAMES, SECOND, References
from tools.gpu.results import Case
from tools.gpu.sequences import Asked

NEAR, NEAR_SAMPLES = 5e-3, 1e-3
"""Largest differences of float32 logits (of deviation 1), and of samples, from another device's."""

LEAST_DB = 25.0
"""Least ratio of the samples to the noise of bfloat16."""

_SLOTS = 8


def first_model(case: Case) -> None:
    """Part exact: a Kani checkpoint."""
    recorded = _references(case)
    kani = _opened(case, "kani", "float32", _SLOTS)
    _logits(case, kani, recorded, NEAR)
    said = _codes(case, kani, FIRST, recorded["codes"])
    _samples(case, kani, recorded, sequences.alone(kani.runner, FIRST[0], FRAMES)[1], "of whole frames")
    _samples(case, kani, recorded, _heard(kani, recorded), "of frames")
    _graphs(case, kani, said)
    _schedules(case, kani, FIRST, said)
    _waits(case, kani)
    kani.scheduler.start()
    found = cancels(kani, 3 if case.small else 10)
    kani.scheduler.stop()
    # Frames that were made from the cancel until the slot was free, and until the next was heard.
    case.write("cancel", ok=max(free for free, _ in found) <= 2, frames=[list(each) for each in found])
    del kani
    half = _opened(case, "kani", "bfloat16", 1)
    _logits(case, half, recorded, 1.0)
    _samples(case, half, recorded, _heard(half, recorded), "of frames")


def second_model(case: Case) -> None:
    """Part cloning: a KaniTTS-2 checkpoint with speakers, in one batch."""
    recorded = _references(case)
    kani = _opened(case, "kani-2", "float32", 4)
    said = _codes(case, kani, SECOND, recorded["second_codes"])
    assert kani.embedder is not None
    recording = models.numbers("recording", (2 * 16_000,)).numpy()
    own = Asked(SECOND[0].words, speaker=tuple(kani.embedder.embed(recording).tolist()))
    cloned = sequences.alone(kani.runner, own, FRAMES)[0]
    case.write("voices differ", ok=len({codes.tobytes() for codes in (*said, cloned)}) == len(said) + 1)
    _graphs(case, kani, said)
    _schedules(case, kani, SECOND, said)


def _references(case: Case) -> References:
    fingerprint = models.make_models(case.work, small=case.small)
    recorded = references.read(case.work / "references.npz" if case.small else references.FILE)
    same = str(recorded["fingerprint"]) == fingerprint
    case.write("weights are those of the references", ok=same, fingerprint=fingerprint)
    return recorded


def _opened(case: Case, name: str, precision: str, slots: int) -> KaniModel:
    begun = time.perf_counter()
    kani = references.opened(case.work, name, str(case.device), precision, slots)
    graphs = len(kani.runner._graphs)
    case.write("loaded", model=name, precision=precision, seconds=time.perf_counter() - begun, graphs=graphs)
    return kani


def _logits(case: Case, kani: KaniModel, recorded: References, near: float) -> None:
    worst, equal = references.compare_logits(kani, recorded)
    case.write(
        "logits of transformers", ok=worst <= near, precision=kani.precision, worst=worst, likeliest=equal
    )


def _codes(case: Case, kani: KaniModel, asked: Sequence[Asked], expected: np.ndarray) -> list[Codes]:
    """Codes of each sequence by itself. Rounding may turn a draw: then all that follows differs."""
    said = [sequences.alone(kani.runner, each, FRAMES)[0] for each in asked]
    same = [_same(codes, wanted) for codes, wanted in zip(said, expected, strict=True)]
    case.write("codes of the CPU", ok=min(same) == FRAMES, frames=same, of=FRAMES)
    return said


def _same(codes: Codes, wanted: np.ndarray) -> int:
    """Number of frames that are equal from the beginning on."""
    differs = (codes != wanted[: len(codes)]).any(axis=1)
    return int(differs.argmax()) if differs.any() else len(codes)


def _heard(kani: KaniModel, recorded: References) -> Samples:
    return sequences.heard(kani.runner, recorded["codes"][0, : references.AUDIBLE_FRAMES].astype(np.int64))


def _samples(case: Case, kani: KaniModel, recorded: References, found: Samples, whose: str) -> None:
    wanted = recorded["samples"].astype(np.float64)
    noise = found[: len(wanted)] - wanted
    decibels = 10 * float(np.log10(np.square(wanted).sum() / max(np.square(noise).sum(), 1e-30)))
    worst = float(np.abs(noise).max())
    ok = worst <= NEAR_SAMPLES if "float32, codec" in kani.precision else decibels >= LEAST_DB
    case.write(f"samples {whose}", ok=ok, precision=kani.precision, worst=worst, decibels=decibels)


def _graphs(case: Case, kani: KaniModel, said: Sequence[Codes]) -> None:
    """Without graphs the same work says the same."""
    graphs, kani.runner._graphs = kani.runner._graphs, Graphs()
    eager, _ = sequences.alone(kani.runner, FIRST[0], FRAMES)
    kani.runner._graphs = graphs
    case.write("graphs replay the work", ok=_same(eager, said[0]) == FRAMES, graphs=len(graphs))


def _schedules(case: Case, kani: KaniModel, asked: Sequence[Asked], said: Sequence[Codes]) -> None:
    """Sequences that join, pause, go on and leave say what they say by themselves."""
    rounds = 1 if case.small else 4
    same = made = 0
    for seed in range(rounds):
        for codes, wanted in zip(sequences.scheduled(kani.runner, asked, FRAMES, seed), said, strict=True):
            same, made = same + _same(codes, wanted), made + len(codes)
    case.write("joins, pauses and leaves", ok=same == made, frames=same, of=made)


def _waits(case: Case, kani: KaniModel) -> None:
    """Waits of the CPU, by torch's own count, which leaves out the one for a frame's end: none."""
    runner = kani.runner

    def join() -> None:
        sequences.admit(runner, 0, Asked(20, Sampling(seed=3)))

    def pause() -> None:
        saved = runner.save(0)
        runner.release(0, 1)
        runner.restore(0, saved)

    join()  # what is done once is done
    for name, work in (("a join", join), ("a frame", lambda: runner.begin_frame(1)), ("a pause", pause)):
        count = _waits_in(case, work)
        case.write(f"waits in {name}", ok=count == 0, count=count)
    runner.release(0, 1)


def _waits_in(case: Case, work: Callable[[], object]) -> int:
    if case.device.type != "cuda":
        work()
        return 0
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(each.message) for each in seen)
