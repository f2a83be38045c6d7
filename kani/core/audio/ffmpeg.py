"""Settings of PyAV's FFmpeg libraries: no threads, and no allocation that only a forged file asks for.

PyAV 18.1 passes every frame that it encodes or resamples through a filter graph, and a graph starts one
thread more than the machine has cores (16 at most; libavutil's ``avpriv_slicethread_create``): on 16 cores
5,000 threads for 330 streams, none of any use for mono audio. A graph's thread count can be set only
by the code that creates it, and PyAV's encoders and resampler do not. So libavutil is made to count one core
(``av_cpu_force_count``), for which a graph starts no thread.

A demuxer allocates what the head of a file claims: an MP4 of 900 bytes may claim 30,000,000 samples, and the
index of them takes 1 GB. PyAV has no option against it, libavutil has (``av_max_alloc``).
"""

from __future__ import annotations

import ctypes
import functools
import logging
import sys
from pathlib import Path

import av

log = logging.getLogger(__name__)

MAX_ALLOCATION_BYTES = 64 << 20
"""Longest single allocation of FFmpeg in this process: the index of an MP4 with 16 hours of AAC at 48 kHz has
62 MiB, and nothing else that this server reads or writes takes as much.
"""


@functools.cache
def disable_threads() -> None:
    """Keep encoders, filters and resamplers created from now on in this process from starting threads.

    Where PyAV's libraries cannot be reached, they keep their threads.
    """
    force_count = _libavutil("av_cpu_force_count")
    if force_count is not None:
        force_count(1)


@functools.cache
def limit_allocations() -> bool:
    """Refuse allocations of more than ``MAX_ALLOCATION_BYTES`` from now on, in this process.

    Returns False, and logs it, where PyAV's libraries cannot be reached.
    """
    max_alloc = _libavutil("av_max_alloc")
    if max_alloc is None:
        log.warning("FFmpeg's memory cannot be limited here: recordings in MP4 and MOV files are refused")
        return False
    max_alloc.argtypes, max_alloc.restype = [ctypes.c_size_t], None
    max_alloc(MAX_ALLOCATION_BYTES)
    return True


def _libavutil(function: str) -> ctypes._NamedFuncPointer | None:
    """Return a function of the libavutil that PyAV uses, None where it cannot be found."""
    # The loader also searches the libraries that the module was linked with, so no file name is needed.
    # Windows does not, where the wheel has them in a folder beside the package.
    names = [str(av._core.__file__)]
    if sys.platform == "win32":
        names += map(str, (Path(av.__file__).parents[1] / "av.libs").glob("avutil-*.dll"))
    for name in names:
        found: ctypes._NamedFuncPointer | None = getattr(ctypes.CDLL(name), function, None)
        if found is not None:
            return found
    return None
