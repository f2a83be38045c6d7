"""The codec's own CPU kernels, compiled in about a second by the machine's C++ compiler, if it has one."""

from __future__ import annotations

import logging
import subprocess
import tempfile
from ctypes import CDLL, Structure, c_float, c_int, c_int64, c_void_p
from pathlib import Path
from typing import Any

import torch

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
