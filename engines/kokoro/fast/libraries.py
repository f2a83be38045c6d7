"""Brings torch's and Numba's libraries into a process that has others to serve meanwhile."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

# What an import would load while nobody else can run Python. None of them calls Python itself.
_LIBRARIES = (
    ("torch", "lib/libc10.so"),
    ("torch", "lib/libtorch_cpu.so"),
    ("llvmlite", "binding/libllvmlite.so"),
)

_SWITCH_INTERVAL_S = 0.0005


@contextmanager
def loading_gently() -> Iterator[None]:
    """While the body runs, in a thread, imports hold up the other threads for less long.

    Measured ...
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        _open_libraries()
        yield
    finally:
        sys.setswitchinterval(interval)


def _open_libraries() -> None:
    """Load the libraries without holding Python's lock: a call of a foreign function lets go of it."""
    loader = ctypes.CDLL(None).dlopen
    loader.restype = ctypes.c_void_p
    loader.argtypes = (ctypes.c_char_p, ctypes.c_int)
    for package, path in _LIBRARIES:
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            # One that is not there is left to the import, which knows what else there may be.
            loader(os.fsencode(Path(spec.origin).parent / path), os.RTLD_LAZY | os.RTLD_GLOBAL)
