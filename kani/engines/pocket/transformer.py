"""The transformer that the language model and the codec share, over streams of different lengths.

A call takes the new positions of several streams as rows of one matrix, so that every weight is read once for
all of them. Only attention is computed stream by stream: each has a cache of its own, no stream is padded to
the length of another, and a stream joins or leaves without a copy.

Source: PyPI pocket-tts 4.0.1, ``modules/transformer.py``, ``modules/attention.py`` and ``modules/rope.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kani.runtime.linear import Dense, Int8, Linear

HEAD_SIZE = 64
"""Elements of a head, in every published checkpoint."""

_EPSILON = 1e-5
_PERIOD = 10_000.0


class KeyValueCache:
    """Keys and values of one stream, and its position."""

    def __init__(self, layers: int, heads: int, capacity: int) -> None:
        """capacity: positions that are kept; all of them, or the last ones where attention has a window."""
        self.values = torch.empty(2, layers, heads, capacity, HEAD_SIZE)
        self.length = 0  # positions kept
        self.position = 0  # positions seen

    @property
    def capacity(self) -> int:
        """Positions that fit."""
        return self.values.shape[3]

    def copy_from(self, other: KeyValueCache) -> None:
        """Take over what another cache keeps, which has to fit."""
        self.values[:, :, :, : other.length] = other.values[:, :, :, : other.length]
        self.length, self.position = other.length, other.position


@dataclass(frozen=True, slots=True)
class _Layer:
    """Weights of one layer."""

    norm1: tuple[Tensor, Tensor]
    norm2: tuple[Tensor, Tensor]
    projection: Linear  # to queries, keys and values
    output: Linear
    up: Linear
    down: Linear
    scales: tuple[Tensor, Tensor] | None  # of attention and of the feed-forward part


class Transformer:
    """Layers of causal attention and feed-forward networks."""

    def __init__(
        self, weights: Mapping[str, Tensor], prefix: str, *, window: int | None, int8: bool = False
    ) -> None:
        """weights: of a checkpoint, float32; prefix: of this transformer's names; window: positions that
        attention reaches back, the own one included; int8: multiply by weights of 8 bits.
        """
        count = layer_count(weights, prefix)
        self.size = weights[f"{prefix}.layers.0.norm1.weight"].shape[0]
        self.heads = self.size // HEAD_SIZE
        self.layers = count
        self.window = window
        self._layers = [
            _layer(weights, f"{prefix}.layers.{index}", self.heads, int8) for index in range(count)
        ]
        pairs = torch.arange(HEAD_SIZE // 2, dtype=torch.float32)
        self._frequencies = torch.exp(pairs * (-math.log(_PERIOD) * 2 / HEAD_SIZE))

    def new_cache(self, capacity: int) -> KeyValueCache:
        """A cache of no position yet; with a window, ``capacity`` is at least the window."""
        return KeyValueCache(self.layers, self.heads, capacity)

    def __call__(self, rows: Tensor, caches: Sequence[KeyValueCache], counts: Sequence[int]) -> Tensor:
        """Compute the next positions of each stream.

        rows: [sum of counts, size], the streams one after the other; counts: new positions of each stream.
        Returns rows of the same shape, and adds the positions to the caches.
        """
        rotation = self._rotation(caches, counts)
        masks = [
            self._make_room(cache, count) if count > 1 or self.window is not None else None
            for cache, count in zip(caches, counts, strict=True)
        ]
        for index, layer in enumerate(self._layers):
            update = self._attend(index, layer, rows, caches, counts, rotation, masks)
            rows = rows + (update if layer.scales is None else update * layer.scales[0])
            normed = functional.layer_norm(rows, (self.size,), *layer.norm2, _EPSILON)
            update = layer.down(functional.gelu(layer.up(normed), approximate="tanh"))
            rows = rows + (update if layer.scales is None else update * layer.scales[1])
        for cache, count in zip(caches, counts, strict=True):
            cache.length += count
            cache.position += count
        return rows

    def _rotation(self, caches: Sequence[KeyValueCache], counts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Cosines and sines of all rows' positions: each [rows, 1, pairs]."""
        positions = torch.cat(
            [
                torch.arange(cache.position, cache.position + count, dtype=torch.float32)
                for cache, count in zip(caches, counts, strict=True)
            ]
        )
        angles = (positions[:, None] * self._frequencies)[:, None]
        return angles.cos(), angles.sin()

    def _make_room(self, cache: KeyValueCache, count: int) -> Tensor | None:
        """Drop positions beyond the window, and return the mask of the new positions: [count, positions]."""
        window = self.window
        if window is not None and cache.length + count > cache.capacity:
            kept = window - 1
            cache.values[:, :, :, :kept] = cache.values[:, :, :, cache.length - kept : cache.length].clone()
            cache.length = kept
        if count == 1 and (window is None or cache.length < window):
            return None
        keys = torch.arange(cache.length + count)
        distance = torch.arange(cache.length, cache.length + count)[:, None] - keys
        return (distance >= 0) if window is None else (distance >= 0) & (distance < window)

    def _attend(
        self,
        index: int,
        layer: _Layer,
        rows: Tensor,
        caches: Sequence[KeyValueCache],
        counts: Sequence[int],
        rotation: tuple[Tensor, Tensor],
        masks: Sequence[Tensor | None],
    ) -> Tensor:
        normed = functional.layer_norm(rows, (self.size,), *layer.norm1, _EPSILON)
        projected = layer.projection(normed).view(len(rows), 3, self.heads, HEAD_SIZE)
        # Queries and keys turn alike: as 2 × heads in one go.
        turned = _rotate(projected[:, :2].reshape(len(rows), 2 * self.heads, HEAD_SIZE), *rotation)
        queries, keys = turned.view(len(rows), 2, self.heads, HEAD_SIZE).unbind(1)
        values = projected[:, 2]
        attended = []
        start = 0
        for cache, count, mask in zip(caches, counts, masks, strict=True):
            end, length = start + count, cache.length + count
            kept = cache.values[:, index]
            kept[0, :, cache.length : length] = keys[start:end].transpose(0, 1)
            kept[1, :, cache.length : length] = values[start:end].transpose(0, 1)
            result = functional.scaled_dot_product_attention(
                queries[start:end].transpose(0, 1)[None],
                kept[None, 0, :, :length],
                kept[None, 1, :, :length],
                mask,
            )
            attended.append(result[0].transpose(0, 1).reshape(count, self.size))
            start = end
        return layer.output(torch.cat(attended) if len(attended) > 1 else attended[0])


def layer_count(weights: Mapping[str, Tensor] | Mapping[str, tuple[int, ...]], prefix: str) -> int:
    """Number of layers that the names of a checkpoint's tensors have."""
    count = 0
    while f"{prefix}.layers.{count}.norm1.weight" in weights:
        count += 1
    return count


def halves_first(rows: Tensor, heads: int) -> Tensor:
    """Reorder the elements of each head from pairs side by side to one half after the other.

    rows: [heads × ``HEAD_SIZE``, …]. Rotations of halves need no strided access; the products of queries and
    keys are the same in either order.
    """
    pairs = rows.view(heads, HEAD_SIZE // 2, 2, *rows.shape[1:])
    return pairs.transpose(1, 2).reshape(rows.shape)


def _rotate(rows: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    real, imaginary = rows.chunk(2, -1)
    return torch.cat(
        (real * cosines - imaginary * sines, real * sines + imaginary * cosines),
        -1,
    )


def _layer(weights: Mapping[str, Tensor], prefix: str, heads: int, int8: bool) -> _Layer:
    def linear(weight: Tensor) -> Linear:
        return Int8(weight) if int8 else Dense(weight, torch.float32, torch.device("cpu"))

    def norm(name: str) -> tuple[Tensor, Tensor]:
        return weights[f"{prefix}.{name}.weight"], weights[f"{prefix}.{name}.bias"]

    queries, keys, values = weights[f"{prefix}.self_attn.in_proj.weight"].chunk(3)
    scale = f"{prefix}.layer_scale_1.scale"
    return _Layer(
        norm1=norm("norm1"),
        norm2=norm("norm2"),
        projection=linear(torch.cat((halves_first(queries, heads), halves_first(keys, heads), values))),
        output=linear(weights[f"{prefix}.self_attn.out_proj.weight"]),
        up=linear(weights[f"{prefix}.linear1.weight"]),
        down=linear(weights[f"{prefix}.linear2.weight"]),
        scales=(weights[scale], weights[f"{prefix}.layer_scale_2.scale"]) if scale in weights else None,
    )
