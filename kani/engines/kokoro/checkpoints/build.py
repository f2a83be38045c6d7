"""Cuts a checkpoint's network into its parts, in a process of its own: onnx takes memory that stays.

The published graph and the checkpoint come on standard input, as ``parts.joined`` writes them; a zip archive
of the parts goes to standard output.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable, Collection, Mapping
from functools import partial

import onnx

from kani.engines.kokoro.checkpoints.graph_weights import fill, weight_names
from kani.engines.kokoro.checkpoints.onnx_weights import read_onnx_weights
from kani.engines.kokoro.checkpoints.parts import divided
from kani.engines.kokoro.checkpoints.pytorch_weights import read_weights
from kani.engines.kokoro.checkpoints.tensor_file import NoTensors
from kani.engines.kokoro.network.float_graph import to_float
from kani.engines.kokoro.network.graph_surgery import PARTS, OtherExport, Surgery, UnknownGraph
from kani.engines.kokoro.network.onnx_model import Array


def build(published: bytes, checkpoint: bytes) -> bytes:
    """Return the archive of the parts, the recorder among them. Raises NoTensors and UnknownGraph."""
    return _surgery(published, checkpoint).archive((*PARTS, "recorder"))


def _surgery(published: bytes, checkpoint: bytes) -> Surgery:
    """Cut an export like the published one as it is; else fill the published graph in float32."""
    if zipfile.is_zipfile(io.BytesIO(checkpoint)):
        return _filled(published, lambda _: read_weights(checkpoint))
    try:
        return Surgery(checkpoint)
    except OtherExport:
        model = onnx.load_model_from_string(checkpoint)
        return _filled(published, partial(read_onnx_weights, model))


def _filled(published: bytes, read: Callable[[Collection[str]], Mapping[str, Array]]) -> Surgery:
    graph = to_float(onnx.load_model_from_string(published))
    fill(graph, read(weight_names(graph)))
    return Surgery(bytes(graph.SerializeToString()))


def main() -> None:
    """Run as a process; a checkpoint that cannot be used ends it with only the reason."""
    try:
        archive = build(*divided(sys.stdin.buffer.read()))
    except (NoTensors, UnknownGraph) as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(archive)


if __name__ == "__main__":
    main()
