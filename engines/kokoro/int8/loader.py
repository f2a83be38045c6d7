"""Loads the int8 decoder where this machine supports it, beside the other work of the process.

Importing this module is cheap: torch and Numba take seconds, may be missing, and are imported on demand.

Loading changes the whole process for good: objects alive by then are excluded from garbage collection
(``gentle_imports``), and torch computes with one thread a call on the CPU (``check_machine``).
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import logging
import os
import pickle
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from types import ModuleType

from engines.kokoro.network.build_cache import BuildFailed
from engines.kokoro.network.decoder import Decoder, DecoderUnavailable
from engines.kokoro.network.onnx_model import ModelFailed, Network

logger = logging.getLogger(__name__)

KERNEL_MODULES = tuple(f"{__package__}.{name}" for name in ("kernels", "harmonic_source"))
"""Modules whose kernels are compiled, or loaded from Numba's cache, when they are imported."""

# Two cores sustain four streams in real time without VNNI. With VNNI four times as many are expected,
# which is not measured.
_MAX_CONCURRENCY, _MAX_CONCURRENCY_VNNI = 8, 20
# Exceptions that a damaged Numba index, a pickle, may raise.
_TORN = (
    *(pickle.UnpicklingError, EOFError, RuntimeError, ValueError),
    *(LookupError, AttributeError, ImportError, TypeError, MemoryError),
)

# Shared libraries that the imports would open while holding the GIL. None of them calls Python itself.
_LIBRARIES = (
    ("torch", "lib/libc10.so"),
    ("torch", "lib/libtorch_cpu.so"),
    ("llvmlite", "binding/libllvmlite.so"),
)

_LARGE = ("torch", "numba", "llvmlite")

_SWITCH_INTERVAL_S = 0.0005
_ONE_AT_A_TIME = threading.Lock()


Pause = Callable[[], None]
"""Returns when the calling thread may continue."""


class _Pauses(MetaPathFinder):
    """Finds no module: calls ``pause`` in its thread before each module of the large packages.

    Meanwhile the thread holds import locks, but only of these packages and their importers, which no other
    thread imports.
    """

    def __init__(self, pause: Pause) -> None:
        self._pause = pause
        self._thread = threading.get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Pause, then leave the module to the finders behind this one."""
        if threading.get_ident() == self._thread and fullname.partition(".")[0] in _LARGE:
            self._pause()
        return None


@contextmanager
def gentle_imports(pause: Pause | None = None) -> Iterator[None]:
    """Let the body import torch and Numba in a background thread without blocking other threads.

    pause: called before each module of torch and Numba; returns when the import may continue.

    Measured on two cores: while torch, Numba and the kernels are imported, a timer in another thread that is
    due every 5 ms is up to 340 ms late once, and up to 130 ms several times. The first is the opening of a
    shared library (here they are opened in advance, without the GIL), the others are garbage collections over
    ever more objects (here disabled meanwhile). Without both, and with a tenth of the switch interval, it is
    up to 20-45 ms late, on average 1 ms instead of 5, and the imports take 2 s instead of 3.

    Changes the process for good: all objects alive afterwards are frozen (``gc.freeze``), since collections
    over them would take 250 ms each.
    """
    with _ONE_AT_A_TIME:
        interval, collects = sys.getswitchinterval(), gc.isenabled()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        # Garbage of before must not be frozen with the rest.
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
    """Open the shared libraries in advance; ctypes releases the GIL during a foreign call, imports do not."""
    if sys.platform != "linux":
        return
    opened = ctypes.CDLL(None).dlopen
    opened.restype = ctypes.c_void_p
    opened.argtypes = (ctypes.c_char_p, ctypes.c_int)
    for package, path in _LIBRARIES:
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            # Same flags as an import: their MKL must not become visible to the recogniser's library, which
            # has its own. Errors are left to the import, which reports them.
            opened(os.fsencode(Path(spec.origin).parent / path), os.RTLD_LAZY | os.RTLD_LOCAL)


def check_machine() -> bool:
    """Import torch and check its operators; returns whether products are added in pairs in 16 bits.

    Sets torch to one thread a call on the CPU, for the whole process. Raises DecoderUnavailable.
    """
    try:
        import torch
    except (ImportError, OSError) as error:
        raise _not_imported(error) from error
    from engines.kokoro.int8 import compatibility

    # A window is divided between threads by branches, which synchronise less often than the threads of one
    # convolution would.
    torch.set_num_threads(1)
    compatibility.check_processor()
    pairs = compatibility.saturates_pairs()
    compatibility.check_operators(pairs)
    return pairs


def import_libraries(cache_dir: Path) -> bool:
    """Check the machine and import torch, Numba and the kernels; compile those missing in ``cache_dir``.

    Returns the result of ``check_machine``. Raises DecoderUnavailable.
    """
    try:
        import numba
    except (ImportError, OSError) as error:
        raise _not_imported(error) from error
    pairs = check_machine()
    try:
        _import_kernels(kernels_folder(cache_dir), numba)
    except (OSError, *_TORN) as error:
        raise DecoderUnavailable(f"its kernels could not be compiled ({error})") from error
    return pairs


def load_decoder(load_part: Callable[[str], bytes], cache_dir: Path, cores: int) -> Decoder:
    """Load, check and warm up the int8 decoder. Blocks for 2–4 s, with an empty cache folder for 15 to 20.

    cache_dir: where packed weights and compiled kernels are kept; cores: for all windows together. Raises
    DecoderUnavailable, and what ``load_part`` raises.
    """
    pairs = import_libraries(cache_dir)
    from engines.kokoro.int8.convolution import use_one_core
    from engines.kokoro.int8.curves import Int8Curves
    from engines.kokoro.int8.features import Int8FeatureDecoder, Int8Features
    from engines.kokoro.int8.generator import build_generator
    from engines.kokoro.int8.harmonic_source import HarmonicSource
    from engines.kokoro.int8.packing.weights import (
        load_curve_weights,
        load_feature_weights,
        load_generator_weights,
    )
    from engines.kokoro.network.cores import CorePool
    from engines.kokoro.network.decoder_checks import check_source, check_speech

    try:
        pool, harmonics = CorePool(cores, use_one_core), HarmonicSource()
        check_source(harmonics, Network(load_part("source"), 1))
        with load_curve_weights(load_part("curves"), cache_dir, pairs=pairs) as packed:
            curves = Int8Curves(packed, pool)
        with load_feature_weights(load_part("decoder"), cache_dir, pairs=pairs) as packed:
            feature_decoder = Int8FeatureDecoder(curves, Int8Features(packed, pool), harmonics)
        with load_generator_weights(load_part("generator"), cache_dir, pairs=pairs) as packed:
            generator = build_generator(packed, pool)
        agreement = check_speech(generator)
    except ModelFailed as error:
        raise DecoderUnavailable(f"it failed its check ({error})") from error
    except BuildFailed as error:
        raise DecoderUnavailable(f"its weights could not be packed ({error})") from error
    _trim_memory()
    logger.debug("Kokoro's fast decoder: %.0f dB signal-to-error ratio against float32", agreement)
    return Decoder("fast", feature_decoder, generator, _MAX_CONCURRENCY if pairs else _MAX_CONCURRENCY_VNNI)


def _not_imported(error: ImportError | OSError) -> DecoderUnavailable:
    return DecoderUnavailable(f"{getattr(error, 'name', None) or error} cannot be imported")


def kernels_folder(cache_dir: Path) -> Path:
    """Folder of compiled kernels inside the cache folder.

    Its name depends on the compile options: Numba only checks whether the kernel's own file has changed.
    """
    how = Path(__file__).with_name("numba_jit.py").read_bytes()
    return cache_dir / f"numba-{hashlib.sha256(how).hexdigest()[:8]}"


def _import_kernels(folder: Path, numba: ModuleType) -> None:
    """Import the kernels' modules, which compiles the kernels or loads them from ``folder``.

    If the folder cannot be written, they are compiled each time; a damaged folder is deleted first.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError:
        with TemporaryDirectory() as room:
            numba.config.CACHE_DIR = room
            _import_modules()
        return
    numba.config.CACHE_DIR = os.fspath(folder)
    try:
        _import_modules()
    except _TORN:
        logger.warning("the compiled kernels in the cache are broken and are compiled again")
        shutil.rmtree(folder, ignore_errors=True)
        _import_modules()


def _import_modules() -> None:
    for module in KERNEL_MODULES:
        import_module(module)


def _trim_memory() -> None:
    """Return memory freed since loading to the system, which glibc would keep."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
