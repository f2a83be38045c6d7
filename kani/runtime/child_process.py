"""Programs in processes of their own.

Each is started by ``subprocess``, and by the server in a thread. ``asyncio.create_subprocess_exec`` would
fork the whole server with uvloop: fork runs the handlers of native libraries, and OpenBLAS' handler waits for
a thread that may be within a product of matrices: for ever, and with the interpreter's lock. ``subprocess``
calls vfork, which runs none of them.
"""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from kani.runtime.cancelling import wait_until_done
from kani.runtime.extras import FOLDER, INSTALLED


def python_command(module: str, *arguments: str, python: str = sys.executable) -> list[str]:
    """Return the command line of a module.

    The child imports the package from where this process has it. A checkout comes first in its search path:
    a version that is installed besides would be another program. An environment's packages come last, as
    ``python`` may be that of another environment, which has its own versions of them.
    """
    found = f"sys.path.append({str(FOLDER)!r})" if INSTALLED else f"sys.path.insert(0, {str(FOLDER)!r})"
    start = (
        f"import runpy, sys; {found}; del sys.argv[0]; "
        "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
    )
    # -P: no modules are loaded from the folder where the server happens to be started.
    return [python, "-P", "-c", start, module, *arguments]


async def start_process(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a program in a thread; options: those of ``subprocess.Popen``. Raises OSError.

    Where this is cancelled meanwhile, the program is killed.
    """

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, **options)  # noqa: S603 - our own programs

    starting = asyncio.ensure_future(asyncio.to_thread(start))
    try:
        await wait_until_done(starting)
    except asyncio.CancelledError:
        if starting.exception() is None:
            starting.result().kill()
            ended = asyncio.to_thread(starting.result().__exit__, None, None, None)  # with its pipes
            await wait_until_done(asyncio.ensure_future(ended))
        raise
    return starting.result()


async def run_process(command: Sequence[str], within_s: float) -> tuple[int, bytes]:
    """Run a program without input; return its exit code and what it wrote to standard error.

    The code of a program that a signal has ended is negative. Raises OSError; and TimeoutError after
    ``within_s`` seconds, with the program killed, as it is where this is cancelled.
    """
    process = await start_process(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    ending = asyncio.ensure_future(asyncio.to_thread(process.communicate))
    try:
        async with asyncio.timeout(within_s):
            _, errors = await asyncio.shield(ending)
    finally:
        process.kill()
        await wait_until_done(ending)
    return process.returncode, errors
