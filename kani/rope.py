"""RoPE: where the tokens of a stream are, and how queries and keys are turned there.

Two things are not the same in KaniTTS-2: the place of a token in its stream's memory, and its position. A
prompt's tokens have their places as positions. The tokens of a spoken frame all have the same one, and
a frame's is ``frame_step`` behind that of the frame before; the step may be a fraction. So frames that are
far apart in a long text still are near each other. Before KaniTTS-2 positions are places.

Source: PyPI kani-tts-2 0.0.5, ``model.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kani.checkpoint import Weights
from kani.model_config import ModelConfig, rope_scale_key


class RotaryEmbedding:
    """RoPE's turns as complex numbers, one for each pair of a head's elements.

    Where a checkpoint has learnt to scale the frequencies, each attention layer has turns of its own, and
    else all have the same: the first dimension of what the methods return has as many entries.
    """

    def __init__(
        self, config: ModelConfig, weights: Weights, *, frame_tokens: int, capacity: int, device: torch.device
    ) -> None:
        """frame_tokens: tokens of a frame; capacity: tokens that a stream may have.

        Raises CheckpointError for a learnt scale that is missing.
        """
        self.capacity = capacity
        self._frame_step = config.frame_step
        self._frame_tokens = frame_tokens
        steps = torch.arange(0, config.head_size, 2, dtype=torch.float32) / config.head_size
        # Inverse first: so transformers rounds it, and far from the start it is heard in the last digits.
        frequencies = (1.0 / config.rope_base**steps)[None]
        if config.rope_scale_range is not None:
            least, most = config.rope_scale_range
            layers = [index for index, attention in enumerate(config.attention) if attention]
            scales = [least + (most - least) * weights(rope_scale_key(layer)).sigmoid() for layer in layers]
            frequencies = torch.stack(scales)[:, None] * frequencies if scales else frequencies
        angles = torch.arange(capacity, dtype=torch.float32)[:, None] * frequencies[:, None]
        self._table = torch.polar(torch.ones_like(angles), angles).to(device)
        self._frequencies = frequencies.to(device)

    def prompt(self, start: int, end: int) -> Tensor:
        """Of the tokens in places start to end − 1 of a prompt: complex64 [layers or 1, tokens, pairs]."""
        return self._table[:, start:end]

    def speech(self, places: Tensor, speech: Tensor) -> Tensor:
        """Of one spoken token of each stream: complex64 [layers or 1, streams, pairs].

        places: int64 [streams]; speech: the place of the stream's first spoken token.
        """
        if self._frame_step is None:
            return self._table[:, places]
        frames = (places - speech).div(self._frame_tokens, rounding_mode="floor")
        positions = (frames.double() * self._frame_step + speech).float()
        # In float64, whose last digit differs with a token's place in a vector, and is rounded away.
        angles = (positions[:, None] * self._frequencies[:, None]).double()
        return torch.polar(torch.ones_like(angles), angles).to(torch.complex64)
