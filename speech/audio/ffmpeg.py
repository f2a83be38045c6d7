"""FFmpeg as PyAV brings it, without threads of its own.

PyAV 18.1 passes every frame that it encodes or resamples through a filter graph, and a graph starts as many
threads as the machine has cores, and one more (16 at most; libavutil's ``avpriv_slicethread_create``): on 16
cores 5,000 for 330 streams, none of which has anything to do with mono audio. A graph's number of threads
can be set by those who make it themselves; PyAV's encoders and its resampler offer no way to. So libavutil
is made to count one core (``av_cpu_force_count``), for which a graph starts no thread.
"""

from __future__ import annotations

import ctypes
import functools

import av


@functools.cache
def disable_threads() -> None:
    """See that no encoder, filter or resampler that is made from now on starts threads; for this process.

    Where PyAV's libraries cannot be reached through its module (Windows), they keep their threads.
    """
    # The loader looks in the libraries that the module was linked with, too: no name of a file is needed.
    force_count = getattr(ctypes.CDLL(av._core.__file__), "av_cpu_force_count", None)
    if force_count is not None:
        force_count(1)
