"""Compiles int8.cpp with the machine's C++ compiler, and binds its functions and structures."""

import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from ctypes import CDLL, Structure, c_float, c_int64, c_void_p, cast
from pathlib import Path
from typing import Any

import torch

logger = logging.getLogger(__name__)

_FOLDER = Path(__file__).parent
_VNNI = {"avx512_vnni", "avx_vnni"}
_SOURCES = ("int8.cpp", "attention.h", "product.h", "vectors.h")
# Contraction would let the compiler round one kernel's sums differently from another's.
_FLAGS = "-std=c++20 -O2 -march=native -ffp-contract=off -fPIC -shared -w".split()


def _fields(pointers: str, numbers: str) -> list[tuple[str, type]]:
    """Return the fields of a structure that has its pointers first, then its 64-bit numbers."""
    return [
        *((name, c_void_p) for name in pointers.split()),
        *((name, c_int64) for name in numbers.split()),
    ]


# Structures of int8.cpp and product.h; ``NativeLayer`` is ``Layer`` there.


class Threads(Structure):
    _fields_ = _fields("parallel number count", "wanted")


class Matrix(Structure):
    _fields_ = _fields("levels scales", "inputs outputs groups vectors panels")


class NativeLayer(Structure):
    _fields_ = (
        *((name, Matrix) for name in ("first", "out", "gate_and_up", "down")),
        *_fields("small", "attention index"),
    )


class Model(Structure):
    _fields_ = (
        *_fields("layers", "count hidden feed_forward heads key_value_heads head_size kernel"),
        ("epsilon", c_float),
    )


class State(Structure):
    _fields_ = _fields("cache context", "half slots capacity")


class Streams(Structure):
    _fields_ = _fields("slots starts begin averted turns", "layer_turns count")


class Buffers(Structure):
    _fields_ = _fields("joined mixed gated own levels offsets scales", "own_floats shared")


class Library:
    """The functions of int8.cpp, on the threads of torch's own OpenMP library."""

    def __init__(self, path: Path) -> None:
        """Load a compiled library. Raises OSError if it is not one, AttributeError if torch lacks OpenMP."""
        library = CDLL(str(path))
        self.product = _bound(library.product, c_void_p, c_void_p, c_int64, c_int64, c_float, *[c_void_p] * 5)
        self.step = _bound(library.step, *[c_void_p] * 6)
        library.lanes_of_a_vector.restype = c_int64
        self.lanes = int(library.lanes_of_a_vector())
        # The OpenMP library that torch itself is linked with, whatever else has loaded another one.
        openmp = CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        self._functions = [
            cast(openmp[name], c_void_p).value
            for name in ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
        ]

    def threads(self, count: int) -> Threads:
        """A team of ``count`` threads of torch's pool."""
        return Threads(*self._functions, count)


def load(cache: Path | None) -> Library | None:
    """The library for this processor, from ``cache`` or compiled into it; None if unavailable.

    None on anything but x86-64 Linux with VNNI, without a C++ compiler ($CXX, c++, g++, clang++), or if torch
    lacks OpenMP. A cache that cannot be used is ignored.
    """
    if (
        platform.system() != "Linux"
        or platform.machine() != "x86_64"
        or not _VNNI & set(_processor().split())
    ):
        return None
    compiler = find_compiler()
    if compiler is None:
        logger.info("no C++ compiler: the language model runs on torch's own kernels")
        return None
    command = [compiler, *_FLAGS, str(_FOLDER / "int8.cpp"), "-o"]
    try:
        if cache is not None and (found := _cached(cache, command)):
            return Library(found)
        with tempfile.TemporaryDirectory() as folder:
            return Library(_compiled(command, Path(folder, "int8.so")))
    except (subprocess.CalledProcessError, OSError, AttributeError) as error:
        logger.warning(
            "the language model's kernels cannot be used: %s", getattr(error, "stderr", "") or error
        )
        return None


def _cached(cache: Path, command: list[str]) -> Path | None:
    """The library in ``cache``, compiled into it if missing; None if the folder is unusable."""
    version = subprocess.run([command[0], "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S603
    sources = [(_FOLDER / name).read_text("utf-8") for name in _SOURCES]
    # Not the path of the sources: checkouts that share a cache share the library.
    parts = (command[0], *_FLAGS, version, _processor(), *sources)
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    library, digest = cache / f"{key}.so", cache / f"{key}.sha256"
    try:
        # A truncated file can kill the process that loads it.
        if library.exists() and digest.exists() and digest.read_text("ascii") == _digest(library):
            return library
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            compiled = _compiled(command, Path(folder, "int8.so"))
            content = Path(folder, "int8.sha256")
            content.write_text(_digest(compiled), "ascii")
            compiled.replace(library)
            content.replace(digest)
    except (OSError, ValueError) as error:
        logger.info("%s cannot keep compiled kernels: %s", cache, error)
        return None
    return library


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line for line in lines if line.startswith("flags")), "")


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _compiled(command: list[str], library: Path) -> Path:
    subprocess.run([*command, str(library)], capture_output=True, text=True, check=True)  # noqa: S603
    return library


def _bound(function: Any, *types: Any) -> Any:
    function.argtypes, function.restype = types, None
    return function


def find_compiler() -> str | None:
    """The first of $CXX, c++, g++ and clang++ that exists."""
    names = (os.environ.get("CXX", ""), "c++", "g++", "clang++")
    return next(filter(None, map(shutil.which, names)), None)
