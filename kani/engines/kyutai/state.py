"""State of many streams, outside the network's modules: windows of attention, contexts of convolutions.

Each stream owns one row of every tensor here. A row needs no clearing: what an earlier stream left in it is
masked, or replaced at the first frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one batch, in the order of its streams."""

    numbers: Sequence[int]
    device: torch.device

    def of(self, tensor: Tensor) -> Tensor:
        """Return the batch's rows of ``tensor``: a view where they are the first ones."""
        count = len(self.numbers)
        return tensor[:count] if list(self.numbers) == list(range(count)) else tensor[self.index]

    @property
    def index(self) -> Tensor:
        """The numbers as a tensor."""
        return torch.tensor(self.numbers, device=self.device)


class AttentionWindow:
    """Keys and values of a transformer's last positions, in rings of fixed size."""

    def __init__(
        self,
        *,
        rows: int,
        layers: int,
        heads: int,
        head_size: int,
        window: int,
        step: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """window: positions that each one attends to, its own included; step: positions of one call."""
        # The first position of a call still attends to what its last one no longer does.
        self._capacity = window + step - 1
        self._window, self._step, self._device = window, step, device
        shape = (layers, rows, heads, self._capacity, head_size)
        self._keys = torch.zeros(shape, device=device, dtype=dtype)
        self._values = torch.zeros(shape, device=device, dtype=dtype)

    @property
    def bytes_per_row(self) -> int:
        """Memory of one stream."""
        return 2 * self._keys.nbytes // self._keys.shape[1]

    def call(self, rows: Rows, positions: Sequence[int]) -> AttentionCall:
        """Return the cache of one call. positions: first new position of each stream."""
        new = torch.tensor(positions, device=self._device)[:, None] + torch.arange(
            self._step, device=self._device
        )
        columns = torch.arange(self._capacity, device=self._device)
        last = new[:, -1:]
        held = last - (last - columns) % self._capacity
        filled = min(self._capacity, max(positions) + self._step)
        held = held[:, None, :filled]
        asked = new[..., None]
        mask = (held >= 0) & (held <= asked) & (held > asked - self._window)
        return AttentionCall(self._keys, self._values, rows, new, mask[:, None], new % self._capacity, filled)


@dataclass(frozen=True, slots=True)
class AttentionCall:
    """The part of transformers' ``Cache`` that the attention layers use, for one batch and one call."""

    keys: Tensor  # [layers, rows, heads, capacity, head size]
    values: Tensor
    rows: Rows
    position_ids: Tensor  # [streams, step]
    mask: Tensor  # [streams, 1, step, filled]; True where attended
    columns: Tensor  # [streams, step]: where the new positions go
    filled: int

    def update(self, key: Tensor, value: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        """Store the new [streams, heads, step, head size]; returns those of the window, in any order."""
        at = self.rows.index[:, None]
        held = []
        for ring, new in ((self.keys[layer_idx], key), (self.values[layer_idx], value)):
            ring[at, :, self.columns] = new.transpose(1, 2)
            held.append(self.rows.of(ring)[:, :, : self.filled])
        return held[0], held[1]


class ConvolutionContext:
    """Left context of causal convolutions."""

    def __init__(
        self,
        *,
        rows: int,
        channels: Sequence[int],
        lengths: Sequence[int],
        repeats_first: Sequence[bool],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """rows: streams. Per convolution: channels, lengths of its context, and repeats_first: whether that
        starts as copies of the first sample, or as zeros.
        """
        self._contexts = [
            torch.zeros((rows, width, length), device=device, dtype=dtype)
            for width, length in zip(channels, lengths, strict=True)
        ]
        self._repeats_first = tuple(repeats_first)
        self._device = device

    @property
    def bytes_per_row(self) -> int:
        """Memory of one stream."""
        return sum(context.nbytes // context.shape[0] for context in self._contexts)

    def call(self, rows: Rows, fresh: Sequence[bool]) -> ConvolutionCall:
        """Return the cache of one call. fresh: of each stream, whether this is its first frame."""
        begins = torch.tensor(fresh, device=self._device)[:, None, None] if any(fresh) else None
        return ConvolutionCall(self._contexts, self._repeats_first, rows, begins)


@dataclass(frozen=True, slots=True)
class ConvolutionCall:
    """The part of transformers' ``MimiConv1dPaddingCache`` that the convolutions use, for one batch."""

    contexts: Sequence[Tensor]  # [rows, channels, length] for each convolution
    repeats_first: Sequence[bool]
    rows: Rows
    begins: Tensor | None  # [streams, 1, 1]; None if no stream begins

    def update(self, hidden_states: Tensor, layer_idx: int) -> Tensor:
        """Return the context before ``hidden_states`` [streams, channels, samples], and store the next."""
        stored = self.contexts[layer_idx]
        context = self.rows.of(stored)
        if self.begins is not None:
            first = hidden_states[..., :1] if self.repeats_first[layer_idx] else 0.0
            context = torch.where(self.begins, first, context)
        length = stored.shape[-1]
        whole = torch.cat([context, hidden_states], dim=-1)
        stored[self.rows.index] = whole[..., whole.shape[-1] - length :]
        return whole[..., :length]
