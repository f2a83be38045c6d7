"""How kernels are compiled: by Numba, for just the types they are called with, once.

What was compiled is found in Numba's cache after that: ``numba.config.CACHE_DIR`` has to be set before a
module with kernels is imported. All kernels release the GIL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])


def compiled(signature: str, *maths: str) -> Callable[[_Kernel], _Kernel]:
    """A kernel that takes these types. maths: which of LLVM's fast-math flags it may use; none, if none."""
    return cast(
        Callable[[_Kernel], _Kernel],
        njit(signature, fastmath=set(maths) or False, error_model="numpy", nogil=True, cache=True),
    )


def inlined(*maths: str) -> Callable[[_Kernel], _Kernel]:
    """A part of kernels that are compiled with the same flags."""
    return cast(
        Callable[[_Kernel], _Kernel],
        njit(fastmath=set(maths) or False, error_model="numpy", nogil=True, inline="always"),
    )
