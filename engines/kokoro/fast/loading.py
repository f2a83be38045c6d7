"""Loads the fast decoder, if this machine is fit for it.

Nothing heavy is imported before it is asked for: torch and Numba take seconds, and may not be there.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from engines.kokoro.generator import Generator
from engines.kokoro.made_once import NotMade
from engines.kokoro.model import ModelFailed

logger = logging.getLogger(__name__)

_CACHE_FOLDER = "numba"


class Unfit(Exception):
    """Why the fast decoder cannot speak here, in a few words."""


def load(part: Callable[[str], bytes], cache_dir: Path, cores: int) -> Generator:
    """The fast decoder, checked and warm. Blocks for 2–4 s; at the first start for some 15.

    part: gives a part of the graph by its name (``graph_surgery``); cache_dir: where packed weights and
    compiled kernels are kept; cores: that all windows together may use. From then on whatever this process
    computes with torch on the CPU is computed with one thread a call. Raises Unfit.
    """
    try:
        import numba
        import torch
    except ImportError as error:
        raise Unfit(f"{error.name or error} cannot be imported") from error
    # Kernels are compiled when their module is imported, or found there.
    numba.config.CACHE_DIR = os.fspath(cache_dir / _CACHE_FOLDER)  # type: ignore[attr-defined]
    from engines.kokoro.fast import fitness
    from engines.kokoro.fast.cores import Cores
    from engines.kokoro.fast.front import load_front
    from engines.kokoro.fast.network import assembled
    from engines.kokoro.fast.packed import packed

    # A window is shared between threads by its branches, which wait for each other less often than the
    # threads of one convolution would.
    torch.set_num_threads(1)
    fitness.check_processor()
    pairs = fitness.adds_in_pairs()
    fitness.check_operators(pairs)
    try:
        shared = Cores(cores)
        weights = packed(part("generator"), cache_dir, pairs=pairs)
        fast = assembled(weights, shared, load_front(part, cache_dir, shared, pairs=pairs))
    except NotMade as error:
        raise Unfit(f"its weights could not be packed ({error})") from error
    except ModelFailed as error:
        raise Unfit(f"the published graph's source cannot be run ({error})") from error
    del weights
    agreement = fitness.check_speech(fast)
    _give_back()
    logger.debug(
        "Kokoro's fast decoder: torch %s, %s%s, %.0f dB from float32's sound of the probe",
        torch.__version__,
        torch.backends.cpu.get_cpu_capability(),
        "" if pairs else " with VNNI",
        agreement,
    )
    return fast


def _give_back() -> None:
    """What loading took from the system and needs no more: glibc would keep it."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
