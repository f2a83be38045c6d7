"""State of the language model: what it remembers of each sequence.

A slot is one row of every tensor. Running sequences are in slots 0 to n − 1 without a gap, so that a step
works on slices and copies nothing; a sequence that leaves is replaced by the last one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kani.engines.kani.model.model_config import ModelConfig

NO_POSITION = 2**31
"""A position beyond every sequence."""


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

    def views(self, slot: int, tokens: int) -> tuple[Tensor, ...]:
        """Everything of the sequence in ``slot``, which has read ``tokens`` tokens, but its position."""
        return (
            self.cache[:, :, slot, :, :tokens],
            self.context[:, slot],
            self.speech_start[slot],
            self.self_masked_from[slot],
        )

    def put(self, slot: int, saved: Sequence[Tensor], tokens: int) -> None:
        """Put into ``slot`` a sequence that has read ``tokens`` tokens: its views, or copies of them."""
        for view, kept in zip(self.views(slot, tokens), saved, strict=True):
            view.copy_(kept, non_blocking=True)
        self.position[slot].fill_(tokens)
