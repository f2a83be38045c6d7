"""Builds the int8 decoder's cached files, in a process that may be killed at any time.

    python -m engines.kokoro.int8.build FOLDER CORES [--low-priority]

Kernels are compiled and weights packed into FOLDER, with up to CORES processes at a time, and the decoder is
loaded from them once as a trial. Standard input carries the parts of the graph, as ``write_parts`` writes
them, and stays open while the result is wanted: when it is closed, this process kills its process group. Each
line of standard output names a completed step. Exit code 0: success; ``EXIT_UNAVAILABLE``: this machine
cannot run the decoder, for the reason in the last line of standard error.
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
    from engines.kokoro.int8.packing.weights import PackedWeights

EXIT_UNAVAILABLE = 3
PARTS = ("source", "curves", "decoder", "generator")

_LENGTH_BYTES = 8


def write_parts(load_part: Callable[[str], bytes], to: IO[bytes]) -> None:
    """Write the parts that the int8 decoder is built from, each prefixed with its length."""
    for name in PARTS:
        content = load_part(name)
        to.write(len(content).to_bytes(_LENGTH_BYTES, "big"))
        to.write(content)
    to.flush()


def read_parts(source: IO[bytes]) -> dict[str, bytes]:
    """Read the output of ``write_parts``. Raises EOFError where it is truncated."""
    return {name: _read(source, int.from_bytes(_read(source, _LENGTH_BYTES), "big")) for name in PARTS}


def _read(source: IO[bytes], size: int) -> bytes:
    content = source.read(size)
    if len(content) < size:
        raise EOFError
    return content


def lower_priority() -> None:
    """Lower the priority of this process and its future children to idle.

    At a niceness of 19 a process still gets 1.5 % beside each busy thread, and keeps the processor for some
    milliseconds when another thread wakes up. Linux's idle class yields it at once.
    """
    if sys.platform == "win32":
        return  # The parent starts this process in the idle class.
    os.nice(19)
    if sys.platform == "linux":
        # Some sandboxes forbid this class.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _exit_at_end_of(source: IO[bytes]) -> None:
    """Kill this process and its children once the parent closes standard input."""
    # Unbuffered: a thread may not hold the buffer's lock when the interpreter exits.
    while os.read(source.fileno(), _LENGTH_BYTES):
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
        # A failure is reported when the decoder is loaded.
        check=False,
    )


def _build(parts: Mapping[str, bytes], folder: Path, cores: int) -> None:
    """Compile, pack and load. Raises DecoderUnavailable."""
    from engines.kokoro.int8.loader import (
        KERNEL_MODULES,
        check_machine,
        kernels_folder,
        load_decoder,
    )
    from engines.kokoro.int8.packing.weights import (
        load_curve_weights,
        load_feature_weights,
        load_generator_weights,
    )
    from engines.kokoro.network.decoder import DecoderUnavailable

    pairs = check_machine()
    # Inherited by the processes that compile.
    os.environ["NUMBA_CACHE_DIR"] = os.fspath(kernels_folder(folder))

    def pack(name: str, packed: Callable[..., AbstractContextManager[PackedWeights]]) -> None:
        with packed(parts[name], folder, pairs=pairs):
            pass

    with ThreadPoolExecutor(cores) as pool:
        compiling = [pool.submit(_compile, module) for module in KERNEL_MODULES]
        packing = [
            pool.submit(pack, name, packed)
            for name, packed in (
                ("decoder", load_feature_weights),
                ("generator", load_generator_weights),
                ("curves", load_curve_weights),
            )
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
    parser = argparse.ArgumentParser(description="Build the files of the int8 decoder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("cores", type=int)
    parser.add_argument("--low-priority", action="store_true", help="use idle processor time only")
    asked = parser.parse_args()
    if asked.low_priority:
        lower_priority()
    parts = read_parts(sys.stdin.buffer)
    threading.Thread(target=_exit_at_end_of, args=(sys.stdin.buffer,), daemon=True).start()
    from engines.kokoro.network.decoder import DecoderUnavailable

    try:
        _build(parts, asked.folder, asked.cores)
    except DecoderUnavailable as unavailable:
        print(unavailable, file=sys.stderr)
        sys.exit(EXIT_UNAVAILABLE)


if __name__ == "__main__":
    main()
