"""Brings torch and Numba into a process that has others to serve meanwhile."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

# What the imports would open while no other thread can run Python. None of them calls Python itself.
_LIBRARIES = (
    ("torch", "lib/libc10.so"),
    ("torch", "lib/libtorch_cpu.so"),
    ("llvmlite", "binding/libllvmlite.so"),
)

_LARGE = ("torch", "numba", "llvmlite")

_SWITCH_INTERVAL_S = 0.0005
_ONE_AT_A_TIME = threading.Lock()


Pause = Callable[[], None]
"""Returns when the thread that calls it may go on."""


class _Pauses(MetaPathFinder):
    """Finds no module: makes its thread pause before each module of the large packages.

    The locks that an import holds meanwhile are those of these packages and of what imports them, which
    nothing else imports.
    """

    def __init__(self, pause: Pause) -> None:
        self._pause = pause
        self._thread = threading.get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Pause; the finders behind this one know where the module is."""
        if threading.get_ident() == self._thread and fullname.partition(".")[0] in _LARGE:
            self._pause()
        return None


@contextmanager
def gentle_imports(pause: Pause | None = None) -> Iterator[None]:
    """While the body runs, in a thread, what it imports does not hold up the other threads.

    pause: called before each module of torch and Numba, so that other threads' work can come first.

    Measured on two cores: while torch, Numba and the kernels are imported, a timer in another thread that is
    due every 5 ms is up to 340 ms late once, and up to 130 ms several times. The first is a library that is
    opened (here it is opened before, without Python's lock), the others are garbage collections among ever
    more objects (here there are none meanwhile). Without both, and with threads that take turns ten times as
    often, it is up to 20-45 ms late, on average 1 ms instead of 5, and the imports take 2 s instead of 3.

    What is there afterwards is left out of collections for good: they would take 250 ms each.
    """
    with _ONE_AT_A_TIME:
        interval, collects = sys.getswitchinterval(), gc.isenabled()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        # What is garbage by now is not to stay with the rest.
        gc.collect()
        gc.disable()
        pauses = [_Pauses(pause)] if pause is not None else []
        try:
            _open_libraries()
            sys.meta_path[:0] = pauses
            yield
        finally:
            sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in pauses]
            gc.freeze()
            if collects:
                gc.enable()
            sys.setswitchinterval(interval)


def _open_libraries() -> None:
    """Open the libraries as the imports will; others run Python while a foreign function is called."""
    if sys.platform != "linux":
        return
    opened = ctypes.CDLL(None).dlopen
    opened.restype = ctypes.c_void_p
    opened.argtypes = (ctypes.c_char_p, ctypes.c_int)
    for package, path in _LIBRARIES:
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            # As an import does it: their MKL is not for the recogniser's library, which has its own.
            # What cannot be opened is left to the import, which knows what to say of it.
            opened(os.fsencode(Path(spec.origin).parent / path), os.RTLD_LAZY | os.RTLD_LOCAL)
