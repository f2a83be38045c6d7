"""CUDA graphs of work that is launched alike for the same few sizes, and copies of their results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy.typing as npt
import torch
from torch import Tensor

Work = Callable[..., None]
"""Called with its sizes; reads and writes tensors that stay where they are."""

# torch has no types for them.
_new_stream = cast("Callable[[], torch.cuda.Stream]", torch.cuda.Stream)
_new_event = cast("Callable[..., torch.cuda.Event]", torch.cuda.Event)


class Graphs:
    """Graphs by the work's name and its sizes. They share one pool of memory: one runs at a time."""

    def __init__(self) -> None:
        self._captured: dict[tuple[object, ...], torch.cuda.CUDAGraph] = {}

    def run(self, work: Work, *sizes: int) -> None:
        """Replay the graph of this work of these sizes; without one, as on a CPU, do the work."""
        graph = self._captured.get((work.__name__, *sizes))
        if graph is not None:
            graph.replay()
        else:
            work(*sizes)

    def capture(self, work: Work, *sizes: int) -> None:
        """Capture a graph of this work of these sizes, which does the work once.

        Raises torch.OutOfMemoryError.
        """
        compute = partial(work, *sizes)
        # Libraries initialise themselves at a first call, which cannot be captured.
        stream = _new_stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            compute()
        torch.cuda.current_stream().wait_stream(stream)
        pool = next(iter(self._captured.values())).pool() if self._captured else None
        graph = torch.cuda.CUDAGraph()
        # Other threads of the process may use the GPU meanwhile.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            compute()
        self._captured[(work.__name__, *sizes)] = graph

    def __len__(self) -> int:
        return len(self._captured)


@dataclass(frozen=True, slots=True)
class Frame:
    """Results that are being made, of all rows that run."""

    place: int  # of the first row in ``HostCopies.arrays``; the others follow
    count: int  # of the rows
    made: torch.cuda.Event | None  # on a GPU


class HostCopies:
    """The latest results on the CPU's side; a GPU writes the next ones while the CPU reads those before."""

    def __init__(self, results: Sequence[Tensor], kept: int) -> None:
        """results: tensors of as many rows each; kept: how many times they are kept."""
        self._device = results[0].device
        pinned = self._device.type == "cuda"
        self._tensors = [
            torch.zeros((kept, *each.shape), dtype=each.dtype, pin_memory=pinned) for each in results
        ]
        self.arrays: list[npt.NDArray[Any]] = [each.flatten(0, 1).numpy() for each in self._tensors]
        self._kept, self._rows = kept, len(results[0])
        self._next = 0

    def copy(self, results: Sequence[Tensor], count: int) -> Frame:
        """Copy the first ``count`` rows of the results, or of the first of them; nothing waits for a GPU."""
        number, self._next = self._next, (self._next + 1) % self._kept
        for kept, made in zip(self._tensors, results, strict=False):
            kept[number, :count].copy_(made[:count], non_blocking=True)
        event = None
        if self._device.type == "cuda":
            # The thread sleeps while it waits, and leaves its core to others.
            event = _new_event(blocking=True)
            event.record(torch.cuda.current_stream(self._device))
        return Frame(number * self._rows, count, event)

    def wait(self, frame: Frame) -> None:
        """Wait for a GPU to have made and copied the results: the one place of a step where the CPU waits."""
        if frame.made is not None:
            frame.made.synchronize()
