"""A training step on a GPU, recorded once and replayed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tools.student.batches import Cuts, Utterances

_WARM_UP = 3
"""Steps before the recording: libraries choose their kernels, and optimisers make their state."""


class CapturedStep:
    """A step as a CUDA graph, for batches of one shape.

    A step of these small networks is thousands of short kernels: a replay saves their launches, which take
    several times as long as they do.
    """

    def __init__(self, step: Callable[[Cuts, Utterances], dict[str, Tensor]]) -> None:
        """step: may not wait for the GPU."""
        self._step = step
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, spoken: Cuts, planned: Utterances) -> dict[str, Tensor]:
        """Take the step; the first time some, of the same batches. The losses are overwritten by the next."""
        if self._graph is None:
            self._graph = self._record(spoken, planned)
        else:
            for own, given in zip(self._given, (*spoken, *planned), strict=True):
                own.copy_(given, non_blocking=True)
        self._graph.replay()
        return self._losses

    def _record(self, spoken: Cuts, planned: Utterances) -> torch.cuda.CUDAGraph:
        spoken, planned = Cuts(*map(Tensor.clone, spoken)), Utterances(*map(Tensor.clone, planned))
        self._given = (*spoken, *planned)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                self._step(spoken, planned)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._losses = self._step(spoken, planned)
        return graph
