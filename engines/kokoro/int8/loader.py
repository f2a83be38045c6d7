"""Loads the fast decoder, if this machine is fit for it.

Nothing heavy is imported before it is asked for: torch and Numba take seconds, and may not be there.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from types import ModuleType

from engines.kokoro.network.build_cache import BuildFailed
from engines.kokoro.network.decoder import Decoder
from engines.kokoro.network.onnx_model import ModelFailed, Network

logger = logging.getLogger(__name__)

KERNEL_MODULES = tuple(f"{__package__}.{name}" for name in ("kernels", "features_kernels", "harmonic_source"))
"""The modules that are compiled as they are imported."""

# Two cores have enough for four streams in real time without VNNI. With it they should for four times as
# many, which nobody has measured.
_PLACES, _PLACES_VNNI = 8, 20
# What Numba's index of compiled kernels, a pickle, may raise when a byte of it is missing or another.
_TORN = (
    *(pickle.UnpicklingError, EOFError, RuntimeError, ValueError),
    *(LookupError, AttributeError, ImportError, TypeError, MemoryError),
)


class DecoderUnavailable(Exception):
    """Why the fast decoder cannot speak here, in a few words."""


def check_machine() -> bool:
    """Import torch and try its operators; whether neighbouring products are added in 16 bits. Raises Unfit.

    From then on whatever this process computes with torch on the CPU is computed with one thread a call.
    """
    try:
        import torch
    except (ImportError, OSError) as error:
        raise _not_imported(error) from error
    from engines.kokoro.int8 import compatibility

    # A window is shared between threads by its branches, which wait for each other less often than the
    # threads of one convolution would.
    torch.set_num_threads(1)
    compatibility.check_processor()
    pairs = compatibility.saturates_pairs()
    compatibility.check_operators(pairs)
    return pairs


def import_libraries(cache_dir: Path) -> bool:
    """Import torch, Numba and the kernels, which are compiled if ``cache_dir`` has not got them.

    Checks the machine, and returns, as ``check_machine``. Raises Unfit.
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


def load_decoder(part: Callable[[str], bytes], cache_dir: Path, cores: int) -> Decoder:
    """The fast decoder, checked and warm. Blocks for 2–4 s; with an empty cache folder for 15 to 20.

    part: gives a part of the graph by its name (``graph_surgery``); cache_dir: where packed weights and
    compiled kernels are kept; cores: that all windows together may use. Uses torch as ``check_machine`` says.
    Raises Unfit.
    """
    pairs = import_libraries(cache_dir)
    from engines.kokoro.int8 import compatibility
    from engines.kokoro.int8.cores import CorePool
    from engines.kokoro.int8.features import Int8Features
    from engines.kokoro.int8.front import Int8FeatureDecoder
    from engines.kokoro.int8.generator import build_generator
    from engines.kokoro.int8.harmonic_source import HarmonicSource
    from engines.kokoro.int8.packed import load_feature_weights, load_generator_weights

    try:
        shared, harmonics = CorePool(cores), HarmonicSource()
        compatibility.check_source(harmonics, Network(part("source"), 1))
        with load_feature_weights(part("decoder"), cache_dir, pairs=pairs) as packed:
            front = Int8FeatureDecoder(Int8Features(packed, shared), harmonics)
        with load_generator_weights(part("generator"), cache_dir, pairs=pairs) as packed:
            generator = build_generator(packed, shared)
        agreement = compatibility.check_speech(generator)
    except ModelFailed as error:
        raise DecoderUnavailable(f"it failed when it was tried ({error})") from error
    except BuildFailed as error:
        raise DecoderUnavailable(f"its weights could not be packed ({error})") from error
    _give_back()
    logger.debug("Kokoro's fast decoder: %.0f dB from float32's sound of the probe", agreement)
    return Decoder("fast", front, generator, _PLACES if pairs else _PLACES_VNNI)


def _not_imported(error: ImportError | OSError) -> DecoderUnavailable:
    return DecoderUnavailable(f"{getattr(error, 'name', None) or error} cannot be imported")


def kernels_folder(cache_dir: Path) -> Path:
    """The folder of compiled kernels inside the cache folder.

    Numba looks whether a kernel's own file has changed, not at the one that says how it is compiled.
    """
    how = Path(__file__).with_name("numba_jit.py").read_bytes()
    return cache_dir / f"numba-{hashlib.sha256(how).hexdigest()[:8]}"


def _import_kernels(folder: Path, numba: ModuleType) -> None:
    """Compile the kernels, or find them in ``folder``: either is done as their modules are imported.

    Where the folder cannot be written they are compiled each time; where it is broken, anew.
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
        logger.warning("the kernels in the cache are broken and are compiled anew")
        shutil.rmtree(folder, ignore_errors=True)
        _import_modules()


def _import_modules() -> None:
    for module in KERNEL_MODULES:
        import_module(module)


def _give_back() -> None:
    """What loading took from the system and needs no more: glibc would keep it."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
