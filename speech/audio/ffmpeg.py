"""Keeps PyAV's FFmpeg libraries from starting threads.

PyAV 18.1 passes every frame that it encodes or resamples through a filter graph, and a graph starts one
thread more than the machine has cores (16 at most; libavutil's ``avpriv_slicethread_create``): on 16 cores
5,000 threads for 330 streams, none of which is of use for mono audio. A graph's thread count can be set only
by the code that creates it, and PyAV's encoders and resampler do not. So libavutil is made to count one core
(``av_cpu_force_count``), for which a graph starts no thread.
"""

from __future__ import annotations

import ctypes
import functools

import av


@functools.cache
def disable_threads() -> None:
    """Keep encoders, filters and resamplers created from now on in this process from starting threads.

    Where PyAV's libraries cannot be reached through its module (Windows), they keep their threads.
    """
    # The loader also searches the libraries that the module was linked with, so no file name is needed.
    force_count = getattr(ctypes.CDLL(av._core.__file__), "av_cpu_force_count", None)
    if force_count is not None:
        force_count(1)
