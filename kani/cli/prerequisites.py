"""Ends a program with one line where it cannot start: an old Python, a missing package, an early Ctrl+C.

Every Python from 3.7 on can import this module, so it uses nothing newer.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

OLDEST_PYTHON = (3, 11)
CANNOT_START, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes: a later start may succeed; none can, with this command, settings and packages; Ctrl+C."""

REQUIREMENTS = "requirements.txt"
"""Stands for all packages of the server."""

_OWN = ("kani", "websocket_client", "websocket_config")
_before: list[signal._HANDLER] = []


@contextlib.contextmanager
def reported(module: str, program: str, install: str) -> Iterator[None]:
    """Import in the body what a program needs; what it lacks ends it with one line that names the remedy.

    The standard library's modules too: asyncio takes a tenth of a second, and Ctrl+C may come meanwhile.
    module: ``__name__`` of the caller; only ``__main__`` is a program, any other raises as usual. program:
    its name. install: the packages that pip installs for it, or REQUIREMENTS. Exit codes: 2, and 130 at
    Ctrl+C, which ends the process at once: a KeyboardInterrupt that is raised inside an import may be
    swallowed there.
    """
    if module != "__main__":
        yield
        return
    if sys.version_info < OLDEST_PYTHON:
        _end(program, _old_python())

    def interrupt(number: int, frame: FrameType | None) -> None:
        print(f"{program}: interrupted", file=sys.stderr, flush=True)
        os._exit(INTERRUPTED)

    _before.append(signal.signal(signal.SIGINT, interrupt))
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] in _OWN:
            raise  # a bug, which needs its traceback
        _end(
            program,
            f"{_missing(error)}: run {_command(install)} in the environment of {sys.executable}, "
            "or activate the environment that has it",
        )
    finally:
        imports_are_done()


def imports_are_done() -> None:
    """Let Ctrl+C do what it did before ``reported``; called in the body of that."""
    while _before:
        signal.signal(signal.SIGINT, _before.pop())


def _command(install: str) -> str:
    # Imported here: an old Python cannot.
    from kani.runtime.extras import install_command

    return install_command("", install) if install == REQUIREMENTS else f"pip install {install}"


def _old_python() -> str:
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return (
        f"this needs Python {oldest} or later, and {sys.executable} is "
        f"{'.'.join(map(str, sys.version_info[:3]))}: make the environment with a newer one, "
        f"as in python{oldest} -m venv .venv"
    )


def _missing(error: ImportError) -> str:
    package = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError):
        return f"the package {package} is missing"
    # The message of some packages fills a page.
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{package or 'a package'} cannot be imported ({reason})"


def _end(program: str, sentence: str) -> None:
    print(f"{program}: {sentence}", file=sys.stderr, flush=True)
    raise SystemExit(USAGE)
