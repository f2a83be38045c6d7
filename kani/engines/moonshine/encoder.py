"""Moonshine's streaming encoder, computed row by row as audio comes in.

A layer's row attends to some rows before it and a few ahead. Once those are there it never changes: its
keys and values are kept, as far as later rows attend to them. Rows at the end, which would attend to audio
that is not there yet, are provisional: they are computed anew by the next step. So a step costs what is new,
and about a dozen rows more, however long the audio is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kani.engines.moonshine.checkpoint import FRAME_SAMPLES, EncoderSizes, Weights

_KERNEL, _STRIDE = 5, 2
_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Rows:
    """Output of a step."""

    final: Tensor  # [n, width], after those of the steps before
    provisional: Tensor  # [m, width], after the final ones


class Encoder:
    """The network; each stream has its own state."""

    def __init__(self, weights: Weights, sizes: EncoderSizes) -> None:
        """Take the weights. Raises CheckpointError."""
        front = "model.encoder.embedder"
        width = sizes.width
        self.width = width
        self.dtype = weights.dtype
        # The front end keeps its precision: it is small, and its input has a wide range.
        self._compression = weights.take(f"{front}.comp.log_k").exp()
        self._frames = weights.take(f"{front}.linear.weight", width, FRAME_SAMPLES)
        self._first = _Convolution(weights, f"{front}.conv1", width, 2 * width)
        self._second = _Convolution(weights, f"{front}.conv2", 2 * width, width)
        self._layers = [
            _Layer(weights, f"model.encoder.layers.{at}", sizes, window)
            for at, window in enumerate(sizes.windows)
        ]
        self._gain = _gain(weights, "model.encoder.final_norm.gamma", width)

    def stream(self) -> EncoderStream:
        """Return the state of a new stream."""
        return EncoderStream(self)


class EncoderStream:
    """State of one stream."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        # Left padding of the convolutions.
        self._frames = torch.zeros(_KERNEL - 1, encoder.width, dtype=encoder.dtype)
        self._halves = torch.zeros(_KERNEL - 1, 2 * encoder.width, dtype=encoder.dtype)
        self._states = [layer.state() for layer in encoder._layers]

    def feed(self, samples: Tensor) -> Rows:
        """Encode more audio: a whole number of ``FRAME_SAMPLES`` at 16 kHz.

        Final and provisional rows together are the encoder's output for all audio so far.
        """
        network = self._encoder
        frames = samples.view(-1, FRAME_SAMPLES).to(network.dtype)
        frames = frames - frames.mean(-1, keepdim=True)
        frames = frames / (frames.square().mean(-1, keepdim=True) + _EPSILON).sqrt()
        frames = torch.asinh(network._compression * frames)
        frames = functional.silu(functional.linear(frames, network._frames))
        halves, self._frames = network._first(torch.cat([self._frames, frames]))
        final, self._halves = network._second(torch.cat([self._halves, functional.silu(halves)]))
        provisional = final[:0]
        for layer, state in zip(network._layers, self._states, strict=True):
            final, provisional = layer(state, final, provisional)
        return Rows(_normed(final, network._gain), _normed(provisional, network._gain))


class _Convolution:
    """A causal convolution of rows, with a stride."""

    def __init__(self, weights: Weights, key: str, inputs: int, outputs: int) -> None:
        self._weight = weights.take(f"{key}.weight", outputs, inputs, _KERNEL).flatten(1)
        self._bias = weights.take(f"{key}.bias", outputs)

    def __call__(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs of ``rows`` [n, inputs], and those rows that the next call begins with."""
        if len(rows) < _KERNEL:
            return rows.new_zeros(0, len(self._bias)), rows
        windows = rows.unfold(0, _KERNEL, _STRIDE).flatten(1)
        return functional.linear(windows, self._weight, self._bias), rows[_STRIDE * len(windows) :]


@dataclass(slots=True)
class _LayerState:
    """Of one stream: keys and values [heads, rows, head width] of rows with an output, and rows without."""

    keys: Tensor
    values: Tensor
    pending: Tensor  # [n, width], final inputs


class _Layer:
    def __init__(self, weights: Weights, key: str, sizes: EncoderSizes, window: tuple[int, int]) -> None:
        width, inner = sizes.width, sizes.heads * sizes.head_width
        self._shape = (sizes.heads, sizes.head_width)
        self._width = width
        self._dtype = weights.dtype
        self._left, self._ahead = window
        attention = [f"{key}.self_attn.{each}_proj" for each in "qkvo"]
        self._in = weights.linear(attention[:3], inner, width, bias=sizes.bias)
        self._out = weights.linear(attention[3:], width, inner, bias=sizes.bias)
        self._wide = weights.linear([f"{key}.mlp.fc1"], sizes.inner, width, bias=True)
        self._narrow = weights.linear([f"{key}.mlp.fc2"], width, sizes.inner, bias=True)
        self._gains = [
            _gain(weights, f"{key}.{name}_layernorm.gamma", width) for name in ("input", "post_attention")
        ]

    def state(self) -> _LayerState:
        heads, head_width = self._shape
        none = torch.zeros(heads, 0, head_width, dtype=self._dtype)
        return _LayerState(none, none, torch.zeros(0, self._width, dtype=self._dtype))

    def __call__(self, state: _LayerState, final: Tensor, provisional: Tensor) -> tuple[Tensor, Tensor]:
        """Take new final rows and the provisional ones after them; returns the outputs, likewise."""
        known = len(state.pending) + len(final)
        rows = torch.cat([state.pending, final, provisional])
        if not len(rows):
            return final, provisional
        parts = self._in(_normed(rows, self._gains[0])).view(len(rows), 3, *self._shape).permute(1, 2, 0, 3)
        past = state.keys.shape[1]
        keys, values = torch.cat([state.keys, parts[1]], 1), torch.cat([state.values, parts[2]], 1)
        places = torch.arange(past + len(rows))
        distance = places[past:, None] - places
        seen = (distance < self._left) & (distance >= -self._ahead)
        rows_out = rows + self._out(attention(parts[0], keys, values, seen))
        wide = functional.gelu(self._wide(_normed(rows_out, self._gains[1])))
        rows_out = rows_out + self._narrow(wide)
        done = max(known - self._ahead, 0)
        state.pending = rows[done:known]
        # Copies: a view would keep all rows of this step in memory.
        first, last = max(past + done - self._left + 1, 0), past + done
        state.keys, state.values = keys[:, first:last].clone(), values[:, first:last].clone()
        return rows_out[:done], rows_out[done:]


def attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Attend to what ``mask`` has True for: [heads, rows, head width] each → [rows, width]."""
    # torch's quick kernel takes batches only.
    attended = functional.scaled_dot_product_attention(queries[None], keys[None], values[None], mask)
    return attended[0].transpose(0, 1).flatten(1)


def _gain(weights: Weights, key: str, width: int) -> Tensor:
    """Return the gain of a norm, which a checkpoint stores less one."""
    return weights.take(key, width) + 1.0


def _normed(rows: Tensor, gain: Tensor) -> Tensor:
    return functional.layer_norm(rows, gain.shape, weight=gain)
