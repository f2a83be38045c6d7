"""The machine's limits: memory bandwidth, matrix products, and the least time they set for Kani."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.nn import functional

from kani.engines.kani.model.codec.checkpoint import NanoCodecConfig
from kani.engines.kani.model.loader import KaniModel

_READ_BYTES = {"cpu": 1 << 30, "cuda": 4 << 30}
_SIDE = {"cpu": 2048, "cuda": 8192}
_CHANNELS, _TAPS = 512, 3
_ROUNDS = 6


def settle(device: torch.device) -> None:
    """Wait until ``device`` has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def best_s(work: Callable[[], object], device: torch.device, rounds: int = _ROUNDS) -> float:
    """Seconds of the fastest of ``rounds`` rounds, after a warm-up."""
    work()
    times = []
    for _ in range(rounds):
        settle(device)
        begun = time.perf_counter()
        work()
        settle(device)
        times.append(time.perf_counter() - begun)
    return min(times)


class Memory:
    """Measures memory bandwidth by reading much more than any cache holds."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._numbers = torch.ones(_READ_BYTES[device.type] // 4, device=device)
        self.measured: list[float] = []
        """Bytes a second, of each probe."""

    @torch.inference_mode()
    def probe(self) -> None:
        """Sum it all up with torch's number of threads; the best of six."""
        self.measured.append(self._numbers.nbytes / best_s(self._numbers.sum, self._device))

    @property
    def bytes_a_second(self) -> float:
        """Median of all probes so far."""
        return sorted(self.measured)[len(self.measured) // 2]

    def describe(self) -> str:
        """The bandwidth and its range, as text."""
        giga = [value / 1e9 for value in self.measured]
        return f"{self.bytes_a_second / 1e9:.0f} GB/s ({min(giga):.0f}–{max(giga):.0f} in {len(giga)} probes)"


@torch.inference_mode()
def peak(device: torch.device, precision: torch.dtype) -> float:
    """Floating-point operations a second: the faster of a matrix product and a convolution.

    Which library computes which, and how well, differs between processors.
    """
    side = _SIDE[device.type]
    square = torch.randn(side, side, device=device, dtype=precision)
    product = 2 * side**3 / best_s(lambda: square @ square, device)
    kernel = torch.randn(_CHANNELS, _CHANNELS, 1, _TAPS, device=device, dtype=precision)
    rows = torch.randn(1, _CHANNELS, 1, side, device=device, dtype=precision)
    rows = rows.contiguous(memory_format=torch.channels_last)
    work = 2 * _CHANNELS**2 * _TAPS * (side - _TAPS + 1)
    return max(product, work / best_s(lambda: functional.conv2d(rows, kernel), device))


def weights_a_step(kani: KaniModel) -> int:
    """Weights that one step reads: every layer's, and the rows of one codebook's head."""
    shapes = kani.checkpoint.config.shapes()
    layers = sum(
        shape[0] * shape[1] for key, shape in shapes.items() if ".layers." in key and len(shape) == 2
    )
    return layers + kani.layout.codebook_size * kani.checkpoint.config.hidden


def codec_operations(config: NanoCodecConfig) -> int:
    """Floating-point operations of one frame of the codec; a multiply-add counts as two."""
    channels, steps = config.base_channels, 1
    multiplied = channels * config.codebooks * len(config.levels) * config.first_kernel
    for rate in config.rates:
        channels, steps = channels // 2, steps * rate
        # Each channel comes from two, and each of its steps from two of theirs.
        multiplied += 4 * channels * steps
        for kernel in config.kernels:
            multiplied += 2 * len(config.dilations) * channels**2 * kernel * steps
    return 2 * (multiplied + channels * config.last_kernel * steps)
