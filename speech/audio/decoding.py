"""Decodes clients' audio in threads of its own, so that no other work waits behind it.

What decoding takes is for the client to choose: a second of a core for ten minutes of MP3. In asyncio's
default pool, a few clients would hold up every voice that is looked up and every chunk that is encoded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

THREADS_PER_POOL = 2
"""Threads of each pool: each takes a core and, for a moment, 80 MB."""

RECORDING_POOL = ThreadPoolExecutor(THREADS_PER_POOL, thread_name_prefix="recordings")
"""For whole recordings."""

STREAM_POOL = ThreadPoolExecutor(THREADS_PER_POOL, thread_name_prefix="streams")
"""For the pieces of streams, a millisecond each as a rule: they do not wait for recordings."""

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


async def run_in_pool(
    pool: ThreadPoolExecutor, work: Callable[_Given, _Result], *args: _Given.args, **kwargs: _Given.kwargs
) -> _Result:
    """Do ``work`` in a thread of ``pool``, first come first served; raises what it raises.

    Cancelled while it waits for its turn, it is never done.
    """
    return await asyncio.wrap_future(pool.submit(work, *args, **kwargs))
