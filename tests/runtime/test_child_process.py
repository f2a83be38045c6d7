"""Processes: how they are started, everywhere in the package, and that none is left."""

import ast
import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kani.runtime.child_process import run_process
from tests.running.sources import ROOT
from tests.support.patience import happens

FORBIDDEN = {
    *("create_subprocess_exec", "create_subprocess_shell", "subprocess_exec", "subprocess_shell"),
    *("fork", "forkpty", "posix_spawn", "posix_spawnp", "popen", "ProcessPoolExecutor", "multiprocessing"),
    "preexec_fn",
}
"""Names of what forks this process, or of what may; with ``preexec_fn``, ``subprocess`` calls no vfork."""

BLOCKING = {f"subprocess.{name}" for name in ("Popen", "run", "call", "check_call", "check_output")}

FORKS_BY_DESIGN = {
    *("kani/engines/espeak/worker.py", "kani/engines/worker/child.py", "kani/server/fronts/parent.py"),
}
"""A program of its own, without threads and without OpenBLAS, which forks for its texts; the worker, which
ends what a maker's package has started by multiprocessing; and the parent of the fronts, without a loop."""


def faults(tree: ast.AST) -> Iterator[str]:
    """Starts of processes that fork the server, or block its event loop."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [part for alias in node.names for part in alias.name.split(".")]
            names += (getattr(node, "module", None) or "").split(".")
        else:
            names = [str(getattr(node, field, "")) for field in ("attr", "arg")]
        yield from (f"line {node.lineno}: {name}" for name in FORBIDDEN.intersection(names))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "os.system":
            yield f"line {node.lineno}: os.system"
        if isinstance(node, ast.AsyncFunctionDef):
            yield from (f"line {line}: blocks the event loop" for line in _blocking(node))


def _blocking(function: ast.AsyncFunctionDef) -> Iterator[int]:
    """Lines of calls in the coroutine itself, not in a function that it hands to a thread."""
    left: list[ast.AST] = [*function.body]
    while left:
        node = left.pop()
        if isinstance(node, ast.Call) and ast.unparse(node.func) in BLOCKING:
            yield node.lineno
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            left += ast.iter_child_nodes(node)


def test_processes_are_started_in_one_way() -> None:
    """With another way, a book that is opened while a recording is recognised stops the server for good."""
    found = {
        str(path.relative_to(ROOT)): [*faults(ast.parse(path.read_text(encoding="utf-8")))]
        for path in sorted((ROOT / "kani").rglob("*.py"))
    }
    assert {path: lines for path, lines in found.items() if lines}.keys() == FORKS_BY_DESIGN


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


async def test_exit_code_and_errors_come_back() -> None:
    assert await run_process(python("import sys; sys.exit('no')"), 60) == (1, b"no\n")
    assert await run_process(python("import os; os.kill(os.getpid(), 9)"), 60) == (-9, b"")
    with pytest.raises(FileNotFoundError):
        await run_process(["/no such program"], 60)


SAYS_ITS_NUMBER = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"


@pytest.mark.parametrize(
    ("limit_s", "begun", "error"),
    [(3, True, TimeoutError), (600, True, asyncio.CancelledError), (600, False, asyncio.CancelledError)],
)
async def test_process_is_killed_where_it_takes_too_long_or_is_no_longer_awaited(
    tmp_path: Path, limit_s: float, begun: bool, error: type[BaseException]
) -> None:
    """Also where it was cancelled before it had begun."""
    written = tmp_path / "number"
    running = asyncio.create_task(run_process([*python(SAYS_ITS_NUMBER), str(written)], limit_s))

    def number() -> int:
        return int((written.read_text() if written.exists() else "") or 0)

    await (happens(number) if begun else asyncio.sleep(0))
    if error is asyncio.CancelledError:
        running.cancel()
    with pytest.raises(error):
        await running
    if begun or number():
        with pytest.raises(ProcessLookupError):
            os.kill(number(), 0)
