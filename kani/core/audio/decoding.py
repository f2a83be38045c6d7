"""Thread pools for decoding clients' audio, so that no other work waits for it.

Clients choose how long decoding takes: ten minutes of MP3 need a second of a core. In asyncio's default pool
a few clients would hold up every voice look-up and every encoder.
"""

import asyncio
from collections.abc import Callable, Sized
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

THREADS_PER_POOL = 2
"""Each thread takes a core and, for a moment, 80 MB."""

RECORDING_POOL = ThreadPoolExecutor(THREADS_PER_POOL, thread_name_prefix="recordings")
"""Threads for complete recordings."""

STREAM_POOL = ThreadPoolExecutor(THREADS_PER_POOL, thread_name_prefix="streams")
"""Threads for pieces of streams, mostly a millisecond each: they do not wait for recordings."""

LONG = 2**16
"""Bytes or characters of a message that is decoded in a thread: it would block the event loop."""

_Params = ParamSpec("_Params")
_Result = TypeVar("_Result")


async def run_in_pool(
    pool: ThreadPoolExecutor, work: Callable[_Params, _Result], *args: _Params.args, **kwargs: _Params.kwargs
) -> _Result:
    """Run ``work`` in a thread of ``pool``, first come first served; raises what it raises.

    If cancelled while queued, ``work`` is not run.
    """
    return await asyncio.wrap_future(pool.submit(work, *args, **kwargs))


async def run_if_long(
    message: Sized, work: Callable[_Params, _Result], *args: _Params.args, **kwargs: _Params.kwargs
) -> _Result:
    """Run ``work`` on a client's ``message``, one longer than ``LONG`` in a thread of ``STREAM_POOL``."""
    if len(message) > LONG:
        return await run_in_pool(STREAM_POOL, work, *args, **kwargs)
    return work(*args, **kwargs)
