"""File permissions that bind root, too: for tests of what may not be read, which CI runs as root."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_VERSION_3 = 0x20080522
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root reads and writes what its permissions forbid.
_OVERRIDING = 1 << 1 | 1 << 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("thread", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


@contextmanager
def binding() -> Iterator[None]:
    """Inside, the calling thread may read and write only what a file's permissions allow its owner.

    For root two capabilities(7) are given up meanwhile. Skips the test where that is not possible.
    """
    if os.name == "nt":
        pytest.skip("Windows has no such permissions")
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root cannot give up its rights here: run the test as another user")
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(_VERSION_3, 0), (_Sets * 2)()

    def call(function: object) -> None:
        assert callable(function)
        if function(ctypes.byref(header), sets):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    call(libc.capget)
    before = sets[0].effective
    sets[0].effective = before & ~_OVERRIDING
    call(libc.capset)
    try:
        yield
    finally:
        sets[0].effective = before
        call(libc.capset)
