"""Decorators that compile kernels with Numba, ahead of time for one signature.

Compiled kernels are kept in Numba's cache: set ``numba.config.CACHE_DIR`` before a module with kernels is
imported. All kernels release the GIL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])


def compiled(signature: str, *maths: str) -> Callable[[_Kernel], _Kernel]:
    """Compile a kernel for one signature. maths: LLVM fast-math flags to allow (default: none)."""
    return cast(
        Callable[[_Kernel], _Kernel],
        njit(signature, fastmath=set(maths) or False, error_model="numpy", nogil=True, cache=True),
    )


def inlined(*maths: str) -> Callable[[_Kernel], _Kernel]:
    """Inline a function into kernels that are compiled with the same flags."""
    return cast(
        Callable[[_Kernel], _Kernel],
        njit(fastmath=set(maths) or False, error_model="numpy", nogil=True, inline="always"),
    )
