"""CUDA's driver, asked without torch, which takes seconds to import."""

from __future__ import annotations

import ctypes

_DRIVERS = ("libcuda.so.1", "nvcuda.dll")
"""Its library, by platform."""


def cuda_device_count() -> int:
    """Count the CUDA devices of this machine, as its driver reports them; 0 without a driver."""
    for name in _DRIVERS:
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        count = ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value
    return 0
