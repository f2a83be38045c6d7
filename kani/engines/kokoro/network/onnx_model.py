"""Runs graphs of Kokoro-82M on onnxruntime."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from kani.engines.kokoro.text.vocabulary import PAD, VOCABULARY

SAMPLE_RATE = 24_000
FRAME_SAMPLES = 600
"""Samples of one frame, the unit of the model's durations: 25 ms."""

Array = npt.NDArray[np.float32]


class Stop:
    """Cancels calls of a network from another thread, within one node of its graph."""

    def __init__(self) -> None:
        self.options = onnxruntime.RunOptions()
        self.shrinking_options = onnxruntime.RunOptions()
        self.shrinking_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def set(self) -> None:
        """Make every running and future call with this object raise ``Stopped``."""
        self.options.terminate = True
        self.shrinking_options.terminate = True

    @property
    def is_set(self) -> bool:
        return bool(self.options.terminate)


class Stopped(Exception):
    """The call was cancelled by its ``Stop``."""


class ModelFailed(Exception):
    """onnxruntime could not load or run the model."""


# onnxruntime's exceptions have no common base class of their own.
_FAILURES = (
    state.EPFail,
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NoModel,
    state.NotImplemented,
    state.RuntimeException,
)


class Network:
    """A loaded graph; thread-safe."""

    def __init__(self, onnx: bytes, threads: int, *, shrink_arena: bool = False) -> None:
        """Load a graph. Raises ModelFailed when the bytes are not a model.

        threads: cores for one run; shrink_arena: free the memory that a run added to the arena, for 1–2 % of
        the time. For graphs with long inputs: without it the longest run's memory is kept for good.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Measured on two cores: equally fast, and a third of the processor time is no longer spent spinning.
        # The arena stays on: without it, texts of ever new lengths take a fifth more processor time.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._shrinks = shrink_arena
        try:
            self._session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        except _FAILURES as error:
            raise ModelFailed(str(error)) from error

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str], stop: Stop) -> list[Any]:
        """Compute the graph's ``outputs``. Raises Stopped or ModelFailed."""
        options = stop.shrinking_options if self._shrinks else stop.options
        try:
            return list(self._session.run(outputs, inputs, options))
        except _FAILURES as error:
            if stop.is_set:
                raise Stopped from error
            raise ModelFailed(str(error)) from error


def encoder_inputs(
    symbols: str, style: Array, speed: float, vocabulary: Mapping[str, int] = VOCABULARY
) -> dict[str, npt.NDArray[Any]]:
    """Inputs of the published graph and of its encoder; vocabulary: token ids of the symbols."""
    tokens = np.array([[PAD, *(vocabulary[symbol] for symbol in symbols), PAD]], np.int64)
    return {"tokens": tokens, "style": style, "speed": np.array([speed], np.float32)}


def frame_counts(durations: Array) -> npt.NDArray[np.int64]:
    """The graph's durations [n + 2], whole numbers in float32, as integers."""
    return np.asarray(durations).ravel().astype(np.int64)
