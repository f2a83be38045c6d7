"""The published Kokoro-82M graph: a whole utterance in one run. What the parts are compared with."""

import numpy as np

from kani.engines.kokoro.network.onnx_model import (
    Array,
    Network,
    RenderedUtterance,
    Stop,
    encoder_inputs,
    frame_counts,
)

_AUDIO = "audio"
_DURATIONS = "/encoder/Clip_output_0"


class WholeModel:
    """The published graph, loaded."""

    def __init__(self, onnx: bytes, threads: int) -> None:
        """Load the int8 export from its bytes (0.8 s). threads: as in ``Network``. Raises ModelFailed."""
        # An utterance needs 25 MB for each of its seconds.
        self._network = Network(onnx + _OUTPUT_FOR_DURATIONS, threads, shrink_arena=True)

    def render(self, symbols: str, style: Array, speed: float, stop: Stop) -> RenderedUtterance:
        """Synthesise ``symbols`` (1–510 of the vocabulary) in ``style`` [1, 256] at ``speed``.

        Blocks for a sixth to a third of the audio's length on two cores. Deterministic. Raises Stopped or
        ModelFailed.
        """
        samples, frames = self._network.run(encoder_inputs(symbols, style, speed), (_AUDIO, _DURATIONS), stop)
        return RenderedUtterance(np.asarray(samples, np.float32).ravel(), frame_counts(frames))


def _message(number: int, content: bytes) -> bytes:
    """Encode a protocol-buffers field of length-delimited content below 128 bytes."""
    return bytes((number << 3 | 2, len(content))) + content


# The durations are a tensor inside the graph, but not one of its outputs. Concatenated protocol-buffers
# messages are merged (https://protobuf.dev/programming-guides/encoding/#last-one-wins), so a ModelProto is
# appended. Its graph (field 7) has nothing but one output (12) of that name (1) and of type (2) float tensor.
# This adds it without parsing and writing 92 MB. Field numbers: onnx.proto.
_FLOAT_TENSOR = _message(1, b"\x08\x01")
_OUTPUT_FOR_DURATIONS = _message(
    7, _message(12, _message(1, _DURATIONS.encode()) + _message(2, _FLOAT_TENSOR))
)
