"""The Kokoro-82M network on onnxruntime: symbols and a style in, audio and durations out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from engines.kokoro.vocabulary import PAD, VOCABULARY
from speech.types import Samples

SAMPLE_RATE = 24_000
FRAME = 600
"""Samples of one frame, the unit of the model's durations: 25 ms."""

_AUDIO = "audio"
_DURATIONS = "/encoder/Clip_output_0"


@dataclass(frozen=True, slots=True, eq=False)
class Rendering:
    """What the model made of one utterance of n symbols.

    samples: at ``SAMPLE_RATE``, with the model's own silence around the speech; frames: int64
    [n + 2], how long each symbol lasts, the two pads included; their sum times ``FRAME`` is the
    length of ``samples``.
    """

    samples: Samples
    frames: npt.NDArray[np.int64]


class Stop:
    """Ends calls of the model from another thread, within one node of its graph."""

    def __init__(self) -> None:
        self.options = onnxruntime.RunOptions()
        self.options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def set(self) -> None:
        """Make every call that has it raise ``Stopped``, whether begun or not."""
        self.options.terminate = True

    @property
    def is_set(self) -> bool:
        """Whether the calls were told to end."""
        return bool(self.options.terminate)


class Stopped(Exception):
    """The call was ended by its ``Stop``."""


class ModelFailed(Exception):
    """onnxruntime could not load or run the model."""


# onnxruntime's exceptions have no common base of their own.
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


class KokoroModel:
    """One loaded network; several threads may call it at once."""

    def __init__(self, onnx: bytes, threads: int) -> None:
        """Load the int8 export from its bytes (0.8 s).

        threads: cores that one call may use. Raises ModelFailed when the bytes are no model.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Measured on two cores: as fast, and a third of the processor time is not burnt by threads
        # that wait. The arena stays on: without it, texts of ever new lengths take a fifth more
        # processor time. What it grew by is given back after each call (25 MB for each second of
        # audio, 1–2 % of the time), or it would keep the longest call's memory for good.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                onnx + _OUTPUT_FOR_DURATIONS, options, providers=["CPUExecutionProvider"]
            )
        except _FAILURES as error:
            raise ModelFailed(str(error)) from error

    def render(self, symbols: str, style: npt.NDArray[np.float32], speed: float, stop: Stop) -> Rendering:
        """Say ``symbols`` (1–510 of the vocabulary) in ``style`` [1, 256] at ``speed``.

        Blocks for a sixth to a third of the audio's length on two cores. The same input gives the
        same samples. Raises Stopped or ModelFailed.
        """
        tokens = np.array([[PAD, *(VOCABULARY[symbol] for symbol in symbols), PAD]], np.int64)
        inputs = {"tokens": tokens, "style": style, "speed": np.array([speed], np.float32)}
        try:
            samples, frames = self._session.run([_AUDIO, _DURATIONS], inputs, stop.options)
        except _FAILURES as error:
            if stop.is_set:
                raise Stopped from error
            raise ModelFailed(str(error)) from error
        return Rendering(np.asarray(samples, np.float32).ravel(), np.asarray(frames).ravel().astype(np.int64))


def _message(number: int, content: bytes) -> bytes:
    """A protocol-buffers field of length-delimited content below 128 bytes."""
    return bytes((number << 3 | 2, len(content))) + content


# The durations are inside the graph, but no output of it. Concatenated protocol-buffers messages
# are merged (https://protobuf.dev/programming-guides/encoding/#last-one-wins), so a ModelProto
# whose graph (field 7) has nothing but one output (12) of that name (1) and of type (2) float
# tensor adds it, without parsing and writing 92 MB. Field numbers: onnx.proto.
_FLOAT_TENSOR = _message(1, b"\x08\x01")
_OUTPUT_FOR_DURATIONS = _message(
    7, _message(12, _message(1, _DURATIONS.encode()) + _message(2, _FLOAT_TENSOR))
)
