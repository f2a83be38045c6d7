"""Makes what the fast decoder is loaded from, in a process that may be ended at any time.

    python -m engines.kokoro.int8.build FOLDER CORES [--yielding]

Kernels are compiled and weights packed into FOLDER, with up to CORES processes at a time, and the decoder is
loaded from them once, as a trial. Standard input has the parts of the graph, as ``write_parts`` writes them,
and stays open for as long as the result is wanted: at its end this process ends, with all of its process
group. Each line of standard output names a step that is done. Exit code 0: all is there; ``EXIT_UNAVAILABLE``: this
machine is not fit for it, and the last line of standard error says why.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from engines.kokoro.network.build_cache import PROJECT_ROOT, BuildFailed

if TYPE_CHECKING:
    from engines.kokoro.int8.packed import PackedWeights

EXIT_UNAVAILABLE = 3
PARTS = ("source", "decoder", "generator")

_LENGTH_BYTES = 8


def write_parts(part: Callable[[str], bytes], to: IO[bytes]) -> None:
    """Write the parts that the fast decoder is made of, each behind its length."""
    for name in PARTS:
        content = part(name)
        to.write(len(content).to_bytes(_LENGTH_BYTES, "big"))
        to.write(content)
    to.flush()


def read_parts(given: IO[bytes]) -> dict[str, bytes]:
    """Read what ``write_parts`` writes. Raises EOFError where it is cut short."""
    return {name: _read(given, int.from_bytes(_read(given, _LENGTH_BYTES), "big")) for name in PARTS}


def _read(given: IO[bytes], size: int) -> bytes:
    content = given.read(size)
    if len(content) < size:
        raise EOFError
    return content


def lower_priority() -> None:
    """Take only the processor time that no other process asks for; child processes inherit it.

    A niceness of 19 still has a share of 1.5 % beside each busy thread, and keeps the processor for some
    milliseconds when another thread wakes up. Linux's idle class leaves it at once.
    """
    if sys.platform == "win32":
        return  # The process that starts this one says so in its call.
    os.nice(19)
    if sys.platform == "linux":
        # Some sandboxes have no such class.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _end_with(given: IO[bytes]) -> None:
    """End this process and those it started once nothing wants the result any more."""
    # Not through the buffer, whose lock a thread may not hold when the interpreter ends.
    while os.read(given.fileno(), _LENGTH_BYTES):
        pass
    if sys.platform != "win32":
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _compile(module: str) -> None:
    """Compile the kernels of a module into the folder that the environment names."""
    subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-c", f"import {module}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=PROJECT_ROOT,
        # What fails here is found, and told, when the decoder is loaded.
        check=False,
    )


def _prepare(parts: Mapping[str, bytes], folder: Path, cores: int) -> None:
    """Raises Unfit."""
    from engines.kokoro.int8.loader import (
        KERNEL_MODULES,
        DecoderUnavailable,
        check_machine,
        kernels_folder,
        load_decoder,
    )
    from engines.kokoro.int8.packed import load_feature_weights, load_generator_weights

    pairs = check_machine()
    os.environ["NUMBA_CACHE_DIR"] = os.fspath(kernels_folder(folder))

    def pack(name: str, packed: Callable[..., AbstractContextManager[PackedWeights]]) -> None:
        with packed(parts[name], folder, pairs=pairs):
            pass

    with ThreadPoolExecutor(cores) as pool:
        compiling = [pool.submit(_compile, module) for module in KERNEL_MODULES]
        packing = [
            pool.submit(pack, name, packed)
            for name, packed in (("decoder", load_feature_weights), ("generator", load_generator_weights))
        ]
        wait(compiling)
        print("kernels are compiled", flush=True)
        try:
            for job in packing:
                job.result()
        except BuildFailed as error:
            raise DecoderUnavailable(f"its weights could not be packed ({error})") from error
        print("weights are packed", flush=True)
    load_decoder(parts.__getitem__, folder, cores)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Prepare the fast decoder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("cores", type=int)
    parser.add_argument("--yielding", action="store_true", help="only with time that nothing else asks for")
    asked = parser.parse_args()
    if asked.yielding:
        lower_priority()
    parts = read_parts(sys.stdin.buffer)
    threading.Thread(target=_end_with, args=(sys.stdin.buffer,), daemon=True).start()
    from engines.kokoro.int8.loader import DecoderUnavailable

    try:
        _prepare(parts, asked.folder, asked.cores)
    except DecoderUnavailable as unfit:
        print(unfit, file=sys.stderr)
        sys.exit(EXIT_UNAVAILABLE)


if __name__ == "__main__":
    main()
