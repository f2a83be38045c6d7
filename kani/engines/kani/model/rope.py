"""RoPE: rotations of queries and keys by their positions.

In KaniTTS-2 the place of a token in its sequence's memory differs from its position. A prompt's tokens have
their places as positions. The tokens of a speech frame all share one position, ``frame_step`` after that of
the frame before; the step may be a fraction. So frames that are far apart in a long text still are near each
other. Before KaniTTS-2 positions are places.

Source: PyPI kani-tts-2 0.0.5, ``model.py``.
"""

import torch
from torch import Tensor

from kani.engines.kani.model.checkpoint import Weights
from kani.engines.kani.model.model_config import ModelConfig, rope_scale_key


class RotaryEmbedding:
    """RoPE's rotations as complex numbers, one for each pair of a head's elements.

    Where a checkpoint has learnt scales of the frequencies, each attention layer has rotations of its own,
    else all share one: the first dimension of the results has that length.
    """

    def __init__(
        self, config: ModelConfig, weights: Weights, *, frame_tokens: int, capacity: int, device: torch.device
    ) -> None:
        """Raises CheckpointError for a missing learnt scale.

        frame_tokens: tokens of a frame; capacity: maximum tokens of a sequence.
        """
        self.capacity = capacity
        self._frame_step = config.frame_step
        self._frame_tokens = frame_tokens
        steps = torch.arange(0, config.head_size, 2, dtype=torch.float32) / config.head_size
        # Inverse first, as transformers rounds it: far from the start the last digits are audible.
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
        """Rotations of a prompt's tokens start to end − 1: complex64 [layers or 1, tokens, pairs]."""
        return self._table[:, start:end]

    def speech(self, places: Tensor, speech: Tensor) -> Tensor:
        """Rotations of one speech token of each sequence: complex64 [layers or 1, sequences, pairs].

        places: int64 [sequences]; speech_start: place of each sequence's first speech token.
        """
        if self._frame_step is None:
            return self._table[:, places]
        frames = (places - speech).div(self._frame_tokens, rounding_mode="floor")
        positions = (frames.double() * self._frame_step + speech).float()
        # In float64: its last digit differs with a token's place in a vector, and is rounded away.
        angles = (positions[:, None] * self._frequencies[:, None]).double()
        return torch.polar(torch.ones_like(angles), angles).to(torch.complex64)
