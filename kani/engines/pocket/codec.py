"""The codec of Pocket TTS: latents of 80 ms to audio, streamed, and a recording to latents.

It is Mimi's architecture with continuous latents. Audio runs as rows [streams, time, channels], so that the
inputs of a convolution at one time lie side by side and every convolution is a matrix product.

Source: PyPI pocket-tts 4.0.1, ``models/mimi.py``, ``modules/seanet.py`` and ``modules/conv.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from kani.engines.pocket.transformer import KeyValueCache, Transformer

WINDOW = 250
"""Positions that the codec's attention reaches back: 1.25 s."""

_ROOM = 64
"""Positions beyond the window after which a cache is moved, rather than with every frame."""


@dataclass(slots=True)
class DecoderState:
    """The decoder's state of one stream."""

    cache: KeyValueCache
    upsampled: Tensor  # [1, stride, size], what the last latent adds to the next one
    pending: list[Tensor] = field(default_factory=list)  # of each convolution, [1, times, channels]


class Convolution:
    """A causal convolution of stride 1."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """weight: [outputs, inputs, kernel]; bias: [outputs]."""
        self.inputs, self.kernel = weight.shape[1:]
        self._weight = weight.permute(0, 2, 1).reshape(len(weight), -1).contiguous()
        self._bias = bias

    @property
    def start(self) -> Tensor:
        """Inputs pending before the first sample: [1, kernel - 1, inputs], silence."""
        return torch.zeros(1, self.kernel - 1, self.inputs)

    def __call__(self, rows: Tensor, pending: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve rows [streams, times, inputs]; returns the output and what is pending then."""
        if self.kernel == 1:
            return functional.linear(rows, self._weight, self._bias), pending
        joined = torch.cat((pending, rows), 1)
        streams, times, inputs = len(rows), rows.shape[1], self.inputs
        windows = joined.as_strided(
            (streams, times, self.kernel * inputs), (joined.shape[1] * inputs, inputs, 1)
        )
        return functional.linear(windows, self._weight, self._bias), joined[:, times:]


class TransposedConvolution:
    """A causal transposed convolution with a kernel twice its stride."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """weight: [inputs, outputs, 2 × stride]; bias: [outputs]."""
        self.outputs, self.stride = weight.shape[1], weight.shape[2] // 2
        self._weight = weight.permute(2, 1, 0).reshape(-1, len(weight)).contiguous()
        self._bias = bias

    @property
    def start(self) -> Tensor:
        """Outputs pending before the first sample: [1, stride, outputs], silence."""
        return torch.zeros(1, self.stride, self.outputs)

    def __call__(self, rows: Tensor, pending: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve rows [streams, times, inputs]; returns the output and what is pending then."""
        streams, times = rows.shape[:2]
        spread = functional.linear(rows, self._weight).view(streams, times, 2, self.stride, self.outputs)
        now, later = spread.unbind(2)
        before = torch.cat((pending[:, None], later[:, :-1]), 1)
        output = (now + before).view(streams, times * self.stride, self.outputs) + self._bias
        return output, later[:, -1]


Stage = Convolution | TransposedConvolution


class Codec:
    """Decoder and encoder."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        """weights: of a checkpoint, float32."""
        self.transformer = Transformer(weights, "mimi.decoder_transformer.transformer", window=WINDOW)
        self._projection = weights["mimi.quantizer.output_proj.weight"][..., 0]
        upsample = weights["mimi.upsample.convtr.convtr.weight"][:, 0]  # [size, 2 × stride]
        self._now, self._later = (part.t().contiguous() for part in upsample.chunk(2, 1))
        self._stages = _decoder_stages(weights)
        self._encoder = Encoder(weights)
        strides = [stage.stride for _, stage in self._stages if isinstance(stage, TransposedConvolution)]
        self.samples = len(self._now) * math.prod(strides)
        """Samples of a frame."""

    def new_state(self) -> DecoderState:
        """The state before a stream's first frame."""
        cache = self.transformer.new_cache(WINDOW - 1 + len(self._now) + _ROOM)
        return DecoderState(
            cache, torch.zeros_like(self._now)[None], [stage.start for _, stage in self._stages]
        )

    @torch.inference_mode()
    def decode(self, latents: Tensor, states: Sequence[DecoderState]) -> Tensor:
        """Decode the next frames of several streams: [streams, frames, latent size] → [streams, samples]."""
        streams, frames = latents.shape[:2]
        rows = self._upsample(functional.linear(latents, self._projection), states)
        caches = [state.cache for state in states]
        pieces = []
        # A frame at a time: a cache holds the window, however long a call is.
        stride = len(self._now)
        for start in range(0, frames * stride, stride):
            piece = rows[:, start : start + stride].reshape(streams * stride, -1)
            pieces.append(self.transformer(piece, caches, [stride] * streams).view(streams, stride, -1))
        rows = torch.cat(pieces, 1) if len(pieces) > 1 else pieces[0]
        return self._synthesize(rows, states)[..., 0]

    @torch.inference_mode()
    def encode(self, samples: Tensor, stopped: Callable[[], bool]) -> Tensor | None:
        """Encode a recording [samples]: latents [frames, latent size]; None once ``stopped()`` is true."""
        missing = -len(samples) % self.samples
        return self._encoder(functional.pad(samples, (0, missing)), stopped)

    def _upsample(self, rows: Tensor, states: Sequence[DecoderState]) -> Tensor:
        """Spread each latent over the positions of its frame: [streams, frames × stride, size]."""
        streams, frames, size = rows.shape
        later = rows[:, :, None] * self._later
        before = torch.cat((torch.stack([state.upsampled for state in states]), later[:, :-1]), 1)
        for index, state in enumerate(states):
            state.upsampled = later[index, -1:]
        return (rows[:, :, None] * self._now + before).view(streams, frames * len(self._now), size)

    def _synthesize(self, rows: Tensor, states: Sequence[DecoderState]) -> Tensor:
        residual = rows
        for index, (kind, stage) in enumerate(self._stages):
            if kind == "block":
                residual = rows
            pending = [state.pending[index] for state in states]
            inputs = rows if kind == "first" else functional.elu(rows)
            rows, after = stage(inputs, torch.cat(pending) if len(pending) > 1 else pending[0])
            for number, state in enumerate(states):
                state.pending[index] = after[number : number + 1]
            if kind == "end of block":
                rows = rows + residual
        return rows


class Encoder:
    """The codec's encoder, over a whole recording."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._transformer = Transformer(weights, "mimi.encoder_transformer.transformer", window=WINDOW)
        self._weights = {name: weights[name] for name in weights if name.startswith("mimi.encoder.model.")}
        self._down = weights["mimi.downsample.conv.conv.weight"]

    def __call__(self, samples: Tensor, stopped: Callable[[], bool]) -> Tensor | None:
        """See ``Codec.encode``; the length is a multiple of a frame."""
        rows = samples[None, None]
        for index in _layer_numbers(self._weights, "mimi.encoder.model"):
            if stopped():
                return None
            rows = self._layer(f"mimi.encoder.model.{index}", rows, first=index == 0)
        inputs = rows[0].t()
        size = 2 * WINDOW
        cache = self._transformer.new_cache(WINDOW - 1 + size)
        pieces = []
        for piece in torch.split(inputs, size):
            if stopped():
                return None
            pieces.append(self._transformer(piece, [cache], [len(piece)]))
        outputs = torch.cat(pieces).t()[None]
        stride = self._down.shape[2] // 2
        outputs = functional.pad(outputs, (stride, 0), mode="replicate")
        return functional.conv1d(outputs, self._down, stride=stride)[0].t().contiguous()

    def _layer(self, name: str, rows: Tensor, *, first: bool) -> Tensor:
        if f"{name}.block.1.conv.weight" in self._weights:
            inner = self._convolve(f"{name}.block.1", functional.elu(rows), 1)
            return rows + self._convolve(f"{name}.block.3", functional.elu(inner), 1)
        kernel = self._weights[f"{name}.conv.weight"].shape[2]
        # A layer that shortens has a kernel of twice its stride; others have an odd kernel.
        stride = 1 if kernel % 2 else kernel // 2
        return self._convolve(name, rows if first else functional.elu(rows), stride)

    def _convolve(self, name: str, rows: Tensor, stride: int) -> Tensor:
        weight, bias = self._weights[f"{name}.conv.weight"], self._weights[f"{name}.conv.bias"]
        return functional.conv1d(functional.pad(rows, (weight.shape[2] - stride, 0)), weight, bias, stride)


def _layer_numbers(weights: Mapping[str, Tensor], prefix: str) -> list[int]:
    """Numbers of the layers that have weights; activations have none."""
    start = prefix.count(".") + 1
    return sorted({int(name.split(".")[start]) for name in weights if name.startswith(f"{prefix}.")})


def _decoder_stages(weights: Mapping[str, Tensor]) -> list[tuple[str, Stage]]:
    """The decoder's convolutions in their order, each with its place: first, layer, block, end of block."""
    stages: list[tuple[str, Stage]] = []
    for index in _layer_numbers(weights, "mimi.decoder.model"):
        name = f"mimi.decoder.model.{index}"
        if f"{name}.convtr.weight" in weights:
            stages.append(("layer", TransposedConvolution(*_pair(weights, f"{name}.convtr"))))
        elif f"{name}.block.1.conv.weight" in weights:
            stages.append(("block", Convolution(*_pair(weights, f"{name}.block.1.conv"))))
            stages.append(("end of block", Convolution(*_pair(weights, f"{name}.block.3.conv"))))
        else:
            stages.append(("layer" if stages else "first", Convolution(*_pair(weights, f"{name}.conv"))))
    return stages


def _pair(weights: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    return weights[f"{name}.weight"], weights[f"{name}.bias"]
