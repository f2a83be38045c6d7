"""State of the language model: what it remembers of each sequence.

A slot is one row of every tensor. Running sequences are in slots 0 to n − 1 without a gap, so that a step
works on slices and copies nothing; a sequence that leaves is replaced by the last one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kani.engines.kani.model.model_config import ModelConfig
from kani.runtime.device import host_copy

NO_POSITION = 2**31
"""A position beyond every sequence."""


@dataclass(frozen=True, slots=True)
class SavedSequence:
    """One sequence's state outside a LanguageState, on the CPU (see ``host_copy``)."""

    cache: Tensor  # Keys and values [layers, 2, heads, tokens, head size].
    context: Tensor  # convolution context [layers, kernel − 1, hidden]
    tokens: int  # number of tokens read
    speech_start: Tensor  # as in ``LanguageState``, a single number
    self_masked_from: Tensor  # as in ``LanguageState``, a single number


class LanguageState:
    """Slots of keys, values and convolution contexts.

    cache: [attention layers, 2, slots, key/value heads, capacity, head size]; context: [convolution layers,
    slots, kernel − 1, hidden], zero before the first token; position [slots]: tokens read by a slot's
    sequence, which is the place of its next one; speech_start [slots]: place of the first speech token;
    self_masked_from [slots]: place from which on a token attends to those before it and not to itself, or
    ``NO_POSITION``.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        slots: int,
        capacity: int,
        cache: torch.dtype,
        context: torch.dtype,
        device: torch.device,
    ) -> None:
        """capacity: maximum tokens of a sequence, prompt and speech; cache, context: their precision."""
        attention = sum(config.attention)
        self.capacity = capacity
        self.cache = torch.zeros(
            (attention, 2, slots, config.key_value_heads, capacity, config.head_size),
            dtype=cache,
            device=device,
        )
        self.context = torch.zeros(
            (len(config.attention) - attention, slots, config.kernel_size - 1, config.hidden),
            dtype=context,
            device=device,
        )
        self.position = torch.zeros(slots, dtype=torch.long, device=device)
        self.speech_start = torch.zeros(slots, dtype=torch.long, device=device)
        self.self_masked_from = torch.full((slots,), NO_POSITION, device=device)

    @staticmethod
    def nbytes(config: ModelConfig, *, capacity: int, cache: torch.dtype, context: torch.dtype) -> int:
        attention = sum(config.attention)
        keys = attention * 2 * config.key_value_heads * capacity * config.head_size
        contexts = (len(config.attention) - attention) * (config.kernel_size - 1) * config.hidden
        return keys * cache.itemsize + contexts * context.itemsize

    def save(self, slot: int, tokens: int) -> SavedSequence:
        """Copy the state of the sequence in ``slot``, which has read ``tokens`` tokens."""
        return SavedSequence(
            host_copy(self.cache[:, :, slot, :, :tokens]),
            host_copy(self.context[:, slot]),
            tokens,
            host_copy(self.speech_start[slot]),
            host_copy(self.self_masked_from[slot]),
        )

    def restore(self, slot: int, saved: SavedSequence) -> None:
        self.cache[:, :, slot, :, : saved.tokens].copy_(saved.cache, non_blocking=True)
        self.context[:, slot].copy_(saved.context, non_blocking=True)
        self.position[slot].fill_(saved.tokens)
        self.speech_start[slot].copy_(saved.speech_start, non_blocking=True)
        self.self_masked_from[slot].copy_(saved.self_masked_from, non_blocking=True)

    def copy_from(self, slot: int, state: LanguageState, source: int, tokens: int) -> None:
        """Put into ``slot`` the sequence in ``source`` of a state, which has read ``tokens`` tokens."""
        self.cache[:, :, slot, :, :tokens] = state.cache[:, :, source, :, :tokens]
        self.context[:, slot] = state.context[:, source]
        self.position[slot].fill_(tokens)
        self.speech_start[slot] = state.speech_start[source]
        self.self_masked_from[slot] = state.self_masked_from[source]
