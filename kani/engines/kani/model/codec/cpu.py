"""NanoCodec's decoder on a CPU, with its own kernels between oneDNN's convolutions.

The same layers in the same order as ``kani.engines.kani.model.codec.layers.Decoder``, with the same state.
Where torch needs an operation each (sum, activation, type conversion, join with the past, keep the past), a
kernel makes one pass over memory, and the state is read and written in place. The machine's C++ compiler
makes the kernels in about a second, if it has one.
"""

import logging
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from ctypes import CDLL, Structure, addressof, c_float, c_int, c_int64, c_void_p
from math import gcd
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kani.engines.kani.model.codec.layers import LEAKY_SLOPE, Decoder, HalfSnake, ResidualBlock, Stage
from kani.engines.kani.model.native.library import find_compiler

logger = logging.getLogger(__name__)

_SOURCE = Path(__file__).with_name("kernels.cpp")
_FLAGS = "-std=c++20 -O3 -march=native -fPIC -fno-math-errno -fno-trapping-math -fno-signed-zeros".split()


class HalfSnakeParameters(Structure):
    """``HalfSnake`` of kernels.cpp: three pointers to floats and their number."""

    _fields_ = (("alpha", c_void_p), ("inverse", c_void_p), ("slope", c_void_p), ("tile", c_int64))


class Kernels:
    """The functions of kernels.cpp for one type of convolution, float32 or bfloat16.

    They accept addresses and sizes as the source names them, and check neither.
    """

    def __init__(self, library: CDLL, precision: torch.dtype) -> None:
        name = str(precision).removeprefix("torch.")
        self.activate = self._bound(library, f"activate_{name}", [c_void_p] * 7 + [c_int64] * 6)
        self.add = self._bound(library, f"add_{name}", [c_void_p] * 3 + [c_int64, c_int, c_float])
        self._use_threads = library["use_threads"]
        self.up_sample = self._bound(library, f"up_sample_{name}", [c_void_p] * 4 + [c_int64] * 4)

    def use_threads(self, threads: int) -> int:
        """Limit the calling thread's parallel loops, torch's too; returns the previous limit."""
        return int(self._use_threads(threads))

    @staticmethod
    def _bound(library: CDLL, name: str, types: list[Any]) -> Any:
        function = library[name]
        function.argtypes, function.restype = types, None
        return function


def compile_kernels(precision: torch.dtype) -> Kernels | None:
    """Compile the kernels for convolutions of this type; None without a C++ compiler or if it fails.

    Looks for $CXX, c++, g++ and clang++. The threads are those of torch's own OpenMP library, so that there
    is one pool of them, and none where torch has no such library.
    """
    compiler = find_compiler()
    if compiler is None:
        logger.info("no C++ compiler: the codec runs on torch's own kernels")
        return None
    openmp = next((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"), None)
    with tempfile.TemporaryDirectory() as folder:
        compiled, library = Path(folder, "kernels.o"), Path(folder, "kernels.so")
        threads = ["-fopenmp"] if openmp else []
        # Linked explicitly: -fopenmp would add the system's library beside torch's.
        for command in (
            [compiler, *_FLAGS, *threads, "-c", str(_SOURCE), "-o", str(compiled)],
            [compiler, "-shared", str(compiled), *([str(openmp)] if openmp else []), "-o", str(library)],
        ):
            result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
            if result.returncode:
                logger.warning("the codec's kernels did not compile: %s", result.stderr[-2000:])
                return None
        return Kernels(CDLL(str(library)), precision)


class CpuDecoder:
    """Runs a Decoder's layers; holds no sequence's state.

    It splits the threads that torch has when it is created.
    """

    def __init__(self, decoder: Decoder, kernels: Kernels) -> None:
        self._kernels = kernels
        self._clamp = decoder.clamp
        # Two branches at a time with half of the threads each synchronise five times a frame; loops split
        # among the threads would synchronise some two hundred times.
        threads = torch.get_num_threads()
        self._share = max(1, threads // 2)
        self._pool = ThreadPoolExecutor(1, "codec", self._take_share) if threads > 1 else None
        self._first, self._last = decoder.first, decoder.last
        offset = decoder.first.state_size
        self._stages: list[_Stage] = []
        for stage in decoder.stages:
            self._stages.append(_Stage(stage, offset, kernels))
            offset = self._stages[-1].end
        self._act = _Activation(decoder.act, decoder.last.inputs, decoder.last.steps, offset, kernels)

    def _take_share(self) -> int:
        torch.get_num_threads()  # torch's first query in a thread sets its limit: query before ours is set
        return self._kernels.use_threads(self._share)

    def __call__(self, frames: Tensor, slots: Tensor, rows: Tensor) -> Tensor:
        """Decode frames [streams, time, inputs], slots int64 [streams], rows [slots, state size] to samples.

        Advances rows in place. Raises IndexError where a slot is out of range.
        """
        if not all(0 <= slot < len(rows) for slot in slots.tolist()):
            raise IndexError(f"slots {slots.tolist()} of a state of {len(rows)}")
        slots = slots.contiguous()  # the kernels get its address, and that of every signal
        call = _Call(slots, rows)
        size = self._first.state_size
        past = rows[:, :size].index_select(0, slots).view(len(slots), self._first.steps, -1)
        joined = torch.cat((past, frames.to(rows.dtype)), dim=1)
        rows[:, :size].index_copy_(0, slots, joined[:, frames.shape[1] :].flatten(1))
        x = self._first.convolve(joined).float()
        before = self._take_share()
        try:
            for stage in self._stages:
                x = stage(x, call, self._pool)
        finally:
            self._kernels.use_threads(before)
        samples = self._last.convolve(self._act(call, x, None, None)).squeeze(2)
        return samples.clamp_(-1.0, 1.0) if self._clamp else samples.tanh_()


class _Call:
    """Addresses of the state of one call's streams."""

    def __init__(self, slots: Tensor, rows: Tensor) -> None:
        self.slots, self.rows, self.row, self.dtype = (
            slots.data_ptr(),
            rows.data_ptr(),
            rows.shape[1],
            rows.dtype,
        )


class _Activation:
    """A HalfSnake, of a signal or of a sum, joined with the past of the convolution after it."""

    def __init__(self, act: HalfSnake, channels: int, steps: int, offset: int, kernels: Kernels) -> None:
        self._kernels, self._channels, self._steps, self._offset = kernels, channels, steps, offset
        self.end = offset + steps * channels
        leaky = act.alpha.new_zeros(channels - act.alpha.shape[0])
        repeats = 16 // gcd(channels, 16)
        self._tiles = (
            torch.cat((act.alpha, leaky)).repeat(repeats),
            torch.cat((act.inverse, leaky)).repeat(repeats),
            torch.cat((torch.ones_like(act.alpha), leaky + LEAKY_SLOPE)).repeat(repeats),
        )
        self._parameters = HalfSnakeParameters(
            *(tile.data_ptr() for tile in self._tiles), self._tiles[0].shape[0]
        )
        self._address = addressof(self._parameters)

    def __call__(self, call: _Call, x: Tensor | None, y: Tensor | None, total: Tensor | None) -> Tensor:
        """act(x + y) after its past; one of x and y may be None; where both are there, total is x + y."""
        shape = (x if x is not None else y).shape  # type: ignore[union-attr]
        joined = torch.empty(shape[0], self._steps + shape[1], self._channels, dtype=call.dtype)
        self._kernels.activate(
            self._address,
            x.data_ptr() if x is not None else None,
            y.data_ptr() if y is not None else None,
            total.data_ptr() if total is not None else None,
            joined.data_ptr(),
            call.rows,
            call.slots,
            call.row,
            self._offset,
            shape[0],
            shape[1],
            self._channels,
            self._steps,
        )
        return joined


class _Block:
    def __init__(self, block: ResidualBlock, channels: int, offset: int, kernels: Kernels) -> None:
        self.dilated, self.conv = block.dilated, block.conv
        self.act = _Activation(block.act, channels, block.dilated.steps, offset, kernels)
        self.act2 = _Activation(block.act2, channels, block.conv.steps, self.act.end, kernels)
        self.end = self.act2.end


class _Stage:
    def __init__(self, stage: Stage, offset: int, kernels: Kernels) -> None:
        self._kernels, self._up = kernels, stage.up
        self._act = _Activation(stage.act, stage.up.state_size, 1, offset, kernels)
        self.end = self._act.end
        self._channels = channels = stage.up.state_size // 2
        self._branches: list[list[_Block]] = []
        for branch in stage.branches:
            blocks: list[_Block] = []
            for block in branch:
                blocks.append(_Block(block, channels, self.end, kernels))
                self.end = blocks[-1].end
            self._branches.append(blocks)

    def __call__(self, x: Tensor, call: _Call, pool: ThreadPoolExecutor | None) -> Tensor:
        streams, time = x.shape[:2]
        up = self._up
        x_up = torch.empty(streams, time * up.rate, self._channels)
        joined = self._act(call, x, None, None)
        self._kernels.up_sample(
            joined.data_ptr(), up.taps.data_ptr(), up.bias.data_ptr(), x_up.data_ptr(),
            streams, time, up.rate, self._channels,
        )  # fmt: skip
        if pool is None:
            ends = self._run_all(self._branches, x_up, call)
        else:
            # The last kernel is about as long as the others together: 11 against 3 + 7.
            others = pool.submit(self._run_all, self._branches[:-1], x_up, call)
            last = self._run(self._branches[-1], x_up, call)
            ends = [*others.result(), last]
        total = torch.empty_like(x_up)
        for n, (x, y) in enumerate(ends):
            share = 1 / len(ends) if n == len(ends) - 1 else 1.0
            self._kernels.add(x.data_ptr(), y.data_ptr(), total.data_ptr(), total.numel(), n == 0, share)
        return total

    def _run_all(self, branches: list[list[_Block]], x: Tensor, call: _Call) -> list[tuple[Tensor, Tensor]]:
        with torch.inference_mode():  # the mode is per thread
            return [self._run(branch, x, call) for branch in branches]

    @staticmethod
    def _run(branch: list[_Block], x_up: Tensor, call: _Call) -> tuple[Tensor, Tensor]:
        """Run a branch on x_up; returns its last signal and the sum it is to be added to."""
        x, y = x_up, None
        for block in branch:
            # x_up itself is kept for the other branches.
            summed = torch.empty_like(x_up) if y is not None and x is x_up else x
            y = block.dilated.convolve(block.act(call, x, y, summed))
            x = summed
            y = block.conv.convolve(block.act2(call, None, y, None))
        assert y is not None
        return x, y
