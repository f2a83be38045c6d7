"""Runs LiteRT models of layers on rows [1, 1, T, C] (``tools.kokoro_pack.packing.graph``)."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from kani.engines.kokoro.network.onnx_model import Array, ModelFailed

LINE = b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"
"""Written once a process, when its first tensors are allocated."""

_STANDARD_ERROR = 2
_FLUSHED_S = 1.0
"""Most seconds of the wait until what was written meanwhile has gone through."""

_lock = threading.Lock()
_written = False


@contextmanager
def without_line() -> Iterator[None]:
    """Filter standard error while the body runs, the first time; what else is written goes through.

    A process that is started meanwhile keeps its way through the filter.
    """
    global _written
    with _lock:
        first, _written = not _written, True
    filtering = _filter() if first else None
    try:
        yield
    finally:
        if filtering is not None:
            before, copier = filtering
            with suppress(OSError):
                os.dup2(before, _STANDARD_ERROR)
            copier.join(_FLUSHED_S)


def _filter() -> tuple[int, threading.Thread] | None:
    """Begin; return the file number of standard error, and the thread that writes to it. None if it fails."""
    try:
        before = os.dup(_STANDARD_ERROR)
    except OSError:  # it is closed
        return None
    try:
        read, write = os.pipe()
    except OSError:
        os.close(before)
        return None
    copier = threading.Thread(target=_copy, args=(read, before), name="stderr", daemon=True)
    copier.start()
    os.dup2(write, _STANDARD_ERROR)
    os.close(write)
    return before, copier


def _copy(read: int, write: int) -> None:
    """Copy everything except the line, until all writers have closed their ends."""
    with os.fdopen(read, "rb") as lines, os.fdopen(write, "wb", buffering=0) as written:
        for line in lines:
            with suppress(OSError):
                written.write(line.replace(LINE, b""))


class Model:
    """A finished graph and its interpreters, one for each call under way: 20 to 80 MB each."""

    def __init__(self, content: bytes, threads: int = 1) -> None:
        """threads: that compute one call."""
        self._content, self._threads = content, threads
        self._idle: list[_Runner] = []
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Compute the outputs [T, C] from inputs [T, C]; several threads may call at once.

        Python's lock is released meanwhile. Raises ModelFailed.
        """
        try:
            with self._runner() as runner:
                return runner.run(inputs)
        except (RuntimeError, ValueError, MemoryError) as error:
            raise ModelFailed(str(error)) from error

    @contextmanager
    def _runner(self) -> Iterator[_Runner]:
        with self._lock:
            runner = self._idle.pop() if self._idle else None
        runner = runner or _Runner(self._content, self._threads)
        yield runner
        # After an error the interpreter's state is unknown: it is not used again.
        with self._lock:
            self._idle.append(runner)


class _Runner:
    """An interpreter, used by one thread at a time."""

    def __init__(self, content: bytes, threads: int) -> None:
        self._interpreter = Interpreter(model_content=content, num_threads=threads)
        self._inputs = {each["name"]: each["index"] for each in self._interpreter.get_input_details()}
        self._outputs = {each["name"]: each["index"] for each in self._interpreter.get_output_details()}
        self._shapes: dict[str, tuple[int, ...]] = {}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        shapes = {name: (1, 1, *values.shape) for name, values in inputs.items()}
        if shapes != self._shapes:
            for name, shape in shapes.items():
                self._interpreter.resize_tensor_input(self._inputs[name], shape)
            with without_line():
                self._interpreter.allocate_tensors()
            self._shapes = shapes
        for name, values in inputs.items():
            self._interpreter.set_tensor(
                self._inputs[name], np.ascontiguousarray(values, np.float32)[np.newaxis, np.newaxis]
            )
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(place)[0, 0] for name, place in self._outputs.items()}
