"""A checkpoint's weights in the parts of Kokoro's network."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Collection, Mapping
from functools import partial

import onnx

from kani.engines.kokoro.network.onnx_model import Array
from tools.kokoro_pack.checkpoints.graph_weights import fill, weight_names
from tools.kokoro_pack.checkpoints.onnx_weights import read_onnx_weights
from tools.kokoro_pack.checkpoints.pytorch_weights import read_weights
from tools.kokoro_pack.float_graph import to_float
from tools.kokoro_pack.graph_surgery import OtherExport, Surgery


def filled(published: bytes, checkpoint: bytes) -> Surgery:
    """Cut an export like the published one as it is; else fill the published graph in float32.

    Raises NoTensors and UnknownGraph.
    """
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
