"""Builds LiteRT models of layers on rows [1, 1, T, C].

T may change between calls: no operation contains it. LiteRT's file format is described in the TensorFlow Lite
schema; its wheel brings the classes.

A convolution's input is quantised by its own extremes to 256 levels, which always include zero (XNNPACK's
``qd8_f32_qc8w``). ``Graph.fixed_levels`` gives it a known range, so that its levels do not depend on what
else a window contains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from kani.engines.kokoro.network.onnx_model import Array

Tensor = int
"""A tensor's place in its graph."""

Operator = schema.BuiltinOperator
_NONE = schema.ActivationFunctionType.NONE
_ROWS, _CHANNELS = 2, 3
"""Axes of a tensor [1, 1, T, C]."""

_FORMAT = 3
_DYNAMIC_CONVOLUTION = 5
"""Version of CONV_2D that takes float inputs and int8 weights with a scale for each output."""

LEVEL = np.float32(6 / 255)
"""Value of one of the 256 levels of ``Graph.fixed_levels``: RELU6 clips to [0, 6]."""


class Graph:
    """A model while it is built. Each method appends an operation and returns its output."""

    def __init__(self) -> None:
        self._tensors: list[schema.TensorT] = []
        self._channels: list[int] = []
        self._operators: list[schema.OperatorT] = []
        self._codes: dict[tuple[int, int], int] = {}
        self._buffers: list[npt.NDArray[np.uint8] | None] = [None]
        self._inputs: list[Tensor] = []
        self._shared: dict[tuple[int, ...], Tensor] = {}

    def channels(self, tensor: Tensor) -> int:
        return self._channels[tensor]

    def input(self, name: str, channels: int, *, rows: int = -1) -> Tensor:
        """Declare an input; rows: -1 where their number changes between calls."""
        tensor = self._tensor(channels, rows)
        self._tensors[tensor].name = name
        self._inputs.append(tensor)
        return tensor

    def constant(self, values: npt.NDArray[np.floating]) -> Tensor:
        """Add constant rows [T, C], or one row [C]."""
        rows = np.atleast_2d(np.asarray(values, np.float32))
        return self._constant(rows[np.newaxis, np.newaxis], rows.shape[1])

    def add(self, one: Tensor, other: Tensor) -> Tensor:
        """Add; one of both may have a single row or channel."""
        return self._binary(Operator.ADD, schema.AddOptionsT, one, other)

    def subtract(self, one: Tensor, other: Tensor) -> Tensor:
        return self._binary(Operator.SUB, schema.SubOptionsT, one, other)

    def multiply(self, one: Tensor, other: Tensor) -> Tensor:
        """Multiply; one of both may have a single row or channel."""
        return self._binary(Operator.MUL, schema.MulOptionsT, one, other)

    def add_clipped(self, one: Tensor, other: Tensor) -> Tensor:
        """Add and clip to [0, 6], the range of ``fixed_levels``."""
        return self._binary(Operator.ADD, schema.AddOptionsT, one, other, schema.ActivationFunctionType.RELU6)

    def cosine(self, tensor: Tensor) -> Tensor:
        return self._operation(Operator.COS, [tensor], schema.CosOptionsT())

    def sine(self, tensor: Tensor) -> Tensor:
        return self._operation(Operator.SIN, [tensor])

    def exponential(self, tensor: Tensor) -> Tensor:
        return self._operation(Operator.EXP, [tensor], schema.ExpOptionsT())

    def inverse_root(self, tensor: Tensor) -> Tensor:
        """Compute 1 / √x."""
        return self._operation(Operator.RSQRT, [tensor])

    def leaky(self, tensor: Tensor, slope: float) -> Tensor:
        return self._operation(Operator.LEAKY_RELU, [tensor], schema.LeakyReluOptionsT(alpha=slope))

    def mean_of_rows(self, tensor: Tensor) -> Tensor:
        """Average the rows [1, 1, 1, C]."""
        options = schema.ReducerOptionsT(keepDims=True)
        return self._operation(Operator.MEAN, [tensor, self._integers([_ROWS])], options)

    def stack(self, *parts: Tensor) -> Tensor:
        """Concatenate rows."""
        return self._concatenate(parts, _ROWS, self.channels(parts[0]))

    def beside(self, *parts: Tensor) -> Tensor:
        """Concatenate channels."""
        return self._concatenate(parts, _CHANNELS, sum(self.channels(part) for part in parts))

    def rows(self, tensor: Tensor, skipped: int = 0, *, dropped: int = 0) -> Tensor:
        """Select all rows but ``skipped`` at the start and ``dropped`` at the end."""
        if not skipped and not dropped:
            return tensor
        return self._slice(tensor, _ROWS, skipped, -dropped, self.channels(tensor), to_end=not dropped)

    def select(self, tensor: Tensor, first: int, count: int) -> Tensor:
        """Select channels [first, first + count)."""
        return self._slice(tensor, _CHANNELS, first, first + count, count, to_end=False)

    def split_rows(self, tensor: Tensor, parts: int) -> Tensor:
        """Divide each row into ``parts`` successive rows [1, 1, parts · T, C / parts]."""
        channels = self.channels(tensor) // parts
        shape = np.array([1, 1, -1, channels], np.int32)
        options = schema.ReshapeOptionsT(newShape=shape)
        return self._operation(Operator.RESHAPE, [tensor, self._integers(shape)], options, channels)

    def fixed_levels(self, clipped: Tensor) -> Tensor:
        """Append a row that makes a convolution's range [0, 6]; ``clipped`` is within it.

        The convolution's last output row depends on it and must be dropped.
        """
        row = np.zeros(self.channels(clipped), np.float32)
        row[0] = 6
        return self.stack(clipped, self.constant(row))

    def convolve(
        self,
        tensor: Tensor,
        levels: npt.NDArray[np.int8],
        scale: Array,
        bias: Array | None = None,
        dilation: int = 1,
    ) -> Tensor:
        """Convolve in int8, without padding.

        levels: the weight's, [outputs, inputs, taps]; scale: value of one [outputs]; bias [outputs].
        """
        quantisation = schema.QuantizationParametersT(
            scale=np.asarray(scale, np.float32), zeroPoint=np.zeros(len(scale), np.int64)
        )
        bias = np.zeros_like(scale) if bias is None else bias
        return self._convolution(
            tensor, levels, bias, 1, dilation, quantisation=quantisation, version=_DYNAMIC_CONVOLUTION
        )

    def convolve_exactly(self, tensor: Tensor, weight: Array, bias: Array, stride: int = 1) -> Tensor:
        """Convolve in float32, without padding; weight [outputs, inputs, taps], bias [outputs]."""
        return self._convolution(tensor, weight.astype(np.float32), bias, stride)

    def finish(self, **outputs: Tensor) -> bytes:
        for name, tensor in outputs.items():
            self._tensors[tensor].name = name
        main = schema.SubGraphT(
            name="main",
            tensors=self._tensors,
            operators=self._operators,
            inputs=self._inputs,
            outputs=list(outputs.values()),
        )
        codes = [
            schema.OperatorCodeT(
                builtinCode=code,
                deprecatedBuiltinCode=min(code, Operator.PLACEHOLDER_FOR_GREATER_OP_CODES),
                version=version,
            )
            for code, version in self._codes
        ]
        buffers = [schema.BufferT(data=content) for content in self._buffers]
        model = schema.ModelT(version=_FORMAT, subgraphs=[main], operatorCodes=codes, buffers=buffers)
        builder = flatbuffers.Builder(1 << 22)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _tensor(self, channels: int, rows: int = -1) -> Tensor:
        tensor = schema.TensorT(
            name=f"t{len(self._tensors)}",
            type=schema.TensorType.FLOAT32,
            hasRank=True,
            shape=np.array([1, 1, max(rows, 1), channels], np.int32),
            shapeSignature=np.array([1, 1, rows, channels], np.int32),
        )
        self._tensors.append(tensor)
        self._channels.append(channels)
        return len(self._tensors) - 1

    def _constant(
        self,
        values: npt.NDArray[np.generic],
        channels: int,
        quantisation: schema.QuantizationParametersT | None = None,
    ) -> Tensor:
        constant = self._tensor(channels)
        tensor = self._tensors[constant]
        types = {"f": schema.TensorType.FLOAT32, "i": schema.TensorType.INT32}
        tensor.type = schema.TensorType.INT8 if values.dtype == np.int8 else types[values.dtype.kind]
        tensor.shape = np.array(values.shape, np.int32)
        tensor.shapeSignature = None
        tensor.quantization = quantisation
        self._buffers.append(np.frombuffer(values.tobytes(), np.uint8))
        tensor.buffer = len(self._buffers) - 1
        return constant

    def _integers(self, values: Sequence[int] | npt.NDArray[np.int32]) -> Tensor:
        """A constant; equal ones are the same tensor."""
        key = tuple(int(value) for value in values)
        if key not in self._shared:
            self._shared[key] = self._constant(np.array(key, np.int32), len(key))
        return self._shared[key]

    def _operation(
        self,
        code: int,
        inputs: Sequence[Tensor],
        options: object = None,
        channels: int | None = None,
        version: int = 1,
    ) -> Tensor:
        """Append an operation; channels: of its output, if not those of its first input."""
        output = self._tensor(self.channels(inputs[0]) if channels is None else channels)
        operator = schema.OperatorT(
            opcodeIndex=self._codes.setdefault((code, version), len(self._codes)),
            inputs=list(inputs),
            outputs=[output],
        )
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self._operators.append(operator)
        return output

    def _binary(self, code: int, options: Any, one: Tensor, other: Tensor, activation: int = _NONE) -> Tensor:
        channels = max(self.channels(one), self.channels(other))
        return self._operation(code, [one, other], options(fusedActivationFunction=activation), channels)

    def _concatenate(self, parts: Sequence[Tensor], axis: int, channels: int) -> Tensor:
        return self._operation(
            Operator.CONCATENATION, parts, schema.ConcatenationOptionsT(axis=axis), channels
        )

    def _slice(
        self, tensor: Tensor, axis: int, first: int, end: int, channels: int, *, to_end: bool
    ) -> Tensor:
        begin, until = [0] * 4, [0] * 4
        begin[axis], until[axis] = first, end
        all_but_axis = sum(1 << other for other in range(4) if other != axis)
        options = schema.StridedSliceOptionsT(
            beginMask=all_but_axis, endMask=all_but_axis | (1 << axis if to_end else 0)
        )
        places = [self._integers(each) for each in (begin, until, [1] * 4)]
        return self._operation(Operator.STRIDED_SLICE, [tensor, *places], options, channels)

    def _convolution(
        self,
        tensor: Tensor,
        weight: npt.NDArray[np.generic],
        bias: Array,
        stride: int,
        dilation: int = 1,
        *,
        quantisation: schema.QuantizationParametersT | None = None,
        version: int = 1,
    ) -> Tensor:
        stored = np.ascontiguousarray(weight.transpose(0, 2, 1)[:, np.newaxis])
        kernel, offset = self._constant(stored, weight.shape[1], quantisation), self.constant(bias)
        self._tensors[offset].shape = np.array([len(bias)], np.int32)
        options = schema.Conv2DOptionsT(
            padding=schema.Padding.VALID, strideW=stride, strideH=1, dilationWFactor=dilation
        )
        inputs = [tensor, kernel, offset]
        return self._operation(Operator.CONV_2D, inputs, options, len(bias), version)
