"""CUDA graphs of work whose launches depend only on a few sizes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import torch

Work = Callable[..., None]
"""Called with its sizes; reads and writes tensors that stay where they are."""

# torch has no type for it.
_new_stream = cast("Callable[[], torch.cuda.Stream]", torch.cuda.Stream)


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
