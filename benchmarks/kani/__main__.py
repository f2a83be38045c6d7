"""The Kani model at full size with random weights: speed, exactness, the machine's limits."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from kani.engines.kani import model as _  # noqa: F401 (says how OpenMP waits, which counts only before torch is loaded)

# isort: split
import torch

from benchmarks.kani import exactness as kani_exactness
from benchmarks.kani import parts, probes, streams, tables
from benchmarks.kani import reference as kani_reference
from benchmarks.kani.exactness import Closeness
from benchmarks.kani.streams import Listening, Together
from benchmarks.report import report_section
from kani.engines.kani.model.checkpoint import Checkpoint
from kani.engines.kani.model.codec.checkpoint import NanoCodecConfig
from kani.engines.kani.model.loader import PRECISIONS, KaniModel, load
from kani.engines.plugin import Resources
from kani.runtime.errors import DeviceError
from tests.engines.kani.model import random_checkpoint
from tests.engines.kani.model.codec import tiny_codec

P = ParamSpec("P")
R = TypeVar("R")

THREADS = os.cpu_count() or 1
COUNTS = {"cpu": (1, 2, 4, 8, 16), "cuda": (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)}
STEPS = {"cpu": (1, 4, 8, 16), "cuda": (1, 8, 64, 256, 512)}
SHAPES = {
    "cpu": ((1, 1), (1, 4), (1, 25), (8, 1)),
    "cuda": ((1, 1), (1, 4), (1, 25), (8, 1), (64, 1), (512, 1)),
}
FRAMES = 100
"""Frames of each of several streams: 8 s of audio."""
ALONE_FRAMES = 125
ALONE_ROUNDS = 3
FIRSTS = 12
CANCELS = 10
LOOSE = {"cpu": ("bfloat16", "int8"), "cuda": ("bfloat16",)}
"""Precisions that are compared with float32."""


def apart(work: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
    """Run ``work`` in a thread of its own: OpenMP's helpers end with the thread that called them."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work, *args, **named).result()


def report(line: str) -> None:
    """Print progress, apart from the figures."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Files:
    """A checkpoint's folder, a codec's archive, and a folder for built files."""

    model: Path
    codec: Path
    cache: Path

    @classmethod
    def made(cls, folder: Path) -> Files:
        """Create random ones of full size."""
        report("making weights")
        files = cls(folder / "model", folder / "codec.nemo", folder / "cache")
        random_checkpoint.random_checkpoint(files.model, random_checkpoint.FULL, as_trained=True)
        tiny_codec.write(files.codec, tiny_codec.FULL)
        return files

    def assembled(self, device: torch.device, precision: str, slots: int) -> KaniModel:
        """Load our model as the engine does."""
        report(f"ours, {precision}")
        return load(
            str(self.model),
            str(self.codec),
            resources=Resources(
                self.cache,
                device=device.type,
                precision=precision,
                max_concurrent=slots,
                threads=THREADS,
            ),
            report=report,
        )


def reference(files: Files, device: torch.device) -> tables.Reference:
    """Time the makers' code: the language model in its loading precision and in float32; the codec."""
    codec = NanoCodecConfig.parse(tiny_codec.config(tiny_codec.FULL))
    layout = Checkpoint(files.model).layout(codebooks=codec.codebooks, codebook_size=codec.codebook_size)
    prompt = streams.prompt(layout, 0)
    generated = {}
    for precision in (torch.bfloat16, torch.float32):
        report(f"transformers, {precision}")
        generated[precision] = apart(kani_reference.generated, files.model, precision, device, prompt, layout)
    report("NeMo")
    return tables.Reference(generated, kani_reference.nemo_s(files.codec, device, THREADS))


def ours(kani: KaniModel, memory: probes.Memory) -> tables.Ours:
    """Time our model: the parts first, then sequences through the scheduler."""
    device = kani.model.device

    def probe() -> None:
        apart(memory.probe)

    probe()
    report("parts")
    prefill_s = apart(parts.prefill_s, kani)
    steps_s = apart(parts.step_s, kani, STEPS[device.type])
    frames_s = apart(parts.codec_frame_s, kani, SHAPES[device.type])
    kani.scheduler.start()
    report("one stream")
    alone = []
    Listening(kani, 0, FRAMES).wait()
    for seed in range(ALONE_ROUNDS):
        probe()
        alone.append(Listening(kani, seed, ALONE_FRAMES).wait())
    report("first audio")
    firsts_s = streams.first_audio(kani, FIRSTS)
    together: dict[int, Together] = {}
    for count in COUNTS[device.type]:
        report(f"{count} streams")
        probe()
        together[count] = streams.together(kani, count, FRAMES)
    report("cancels")
    cancels = streams.cancels(kani, CANCELS)
    kani.scheduler.stop()
    probe()
    return tables.Ours(
        kani.precision,
        prefill_s,
        steps_s,
        frames_s,
        [listening.real_time_factor for listening in alone],
        firsts_s,
        together,
        cancels,
    )


def floor(kani: KaniModel, memory: probes.Memory) -> tables.Floor:
    """The least time that this machine allows, for the available precisions."""
    report("peak")
    products, convolutions = kani.precision.split(", codec ")
    return tables.Floor(
        bytes_a_step=probes.weights_a_step(kani) * getattr(torch, products).itemsize,
        bytes_a_second=memory.bytes_a_second,
        bandwidth=memory.describe(),
        operations_a_frame=probes.codec_operations(kani.codec.config),
        operations_a_second=apart(probes.peak, kani.model.device, getattr(torch, convolutions)),
    )


def exactness(files: Files, device: torch.device) -> tables.Exactness:
    """Compare every precision with transformers' float32, on the CPU; the codec's with its own float32."""
    exact = files.assembled(device, "float32", 1)
    prompt = streams.prompt(exact.layout, 0)
    said = kani_exactness.speech(exact.layout, kani_exactness.FRAMES)
    true = kani_exactness.legal(
        apart(kani_reference.logits, files.model, [*prompt, *said]), len(prompt), exact.layout
    )
    found, noise_db = {}, {}
    for name in ("float32", *LOOSE[device.type]):
        try:
            kani = exact if name == "float32" else files.assembled(device, name, 1)
        except DeviceError as error:  # int8 has no kernels here
            print(f"{error}\n")
            continue
        found[name] = Closeness.of(apart(kani_exactness.rated, kani.model, prompt, said), true)
        if name == "bfloat16":
            noise_db[name] = apart(kani_exactness.noise_db, kani.codec, exact.codec)
    return tables.Exactness(len(said), found, noise_db)


def main() -> None:
    """The command line."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.kani", description=__doc__)
    options.add_argument("--device", choices=list(COUNTS), default="cpu")
    options.add_argument("--precision", choices=PRECISIONS, default="auto", help="of what is timed of ours")
    chosen = options.parse_args()
    device = torch.device(chosen.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        options.error("torch finds no CUDA device")
    torch.set_num_threads(THREADS)
    kani_reference.quiet()
    with report_section("Kani at full size, random weights", "torch", "transformers"), ExitStack() as stack:
        files = Files.made(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        theirs = reference(files, device)
        memory = probes.Memory(device)
        kani = apart(files.assembled, device, chosen.precision, max(COUNTS[device.type]))
        measured = ours(kani, memory)
        least = floor(kani, memory)
        del kani, memory
        tables.show(device, THREADS, theirs, measured, least)
        tables.show_exactness(exactness(files, device))


if __name__ == "__main__":
    main()
