"""Draws the next code of each stream, on the device, in the way that its request asks for.

The same steps in the same order as transformers' ``generate``: repetition penalty, temperature,
top_k, top_p, then one draw. What differs is how the draw is made: a stream brings its own uniform
numbers, so that its codes depend on its seed and on nothing that happens to its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from kani.tokens import TokenLayout

MAX_CANDIDATES = 256
"""Codes that a draw chooses from, the likeliest ones: a larger top_k counts as this, so does none."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a stream draws.

    temperature: 0 takes the likeliest code; top_p: in (0, 1]; top_k: 0 is no limit of its own;
    repetition_penalty: 1 or more; divides a positive logit of a code that was said before, and multiplies a
    negative one; seed: of the stream's uniform numbers, 0 to 2⁶³ − 1. Raises ValueError for others.
    """

    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = 50
    repetition_penalty: float = 1.1
    seed: int = 0

    def __post_init__(self) -> None:
        # One that cannot be drawn by would be noticed among all streams, and by all of them.
        if not (0 <= self.temperature < inf and 0 < self.top_p <= 1 and self.top_k >= 0):
            raise ValueError(f"nothing can be drawn by {self}")
        if not (1 <= self.repetition_penalty < inf and 0 <= self.seed < 2**63):
            raise ValueError(f"nothing can be drawn by {self}")


@dataclass(frozen=True, slots=True)
class SavedDraws:
    """One stream's rows of a SamplerState."""

    tensors: tuple[Tensor, ...]


class SamplerState:
    """What drawing needs to know of each slot's stream.

    said [slots, codebooks, codes + 1]: codes that were drawn before, end_of_speech behind them;
    uniforms [slots, frames, codebooks]; frame [slots]: the one that is drawn now.
    """

    def __init__(self, layout: TokenLayout, *, slots: int, frames: int, device: torch.device) -> None:
        """frames: the most that a stream may have."""
        codes = layout.codebook_size + 1
        self.drawn = torch.zeros((slots, layout.codebooks, codes), dtype=torch.bool, device=device)
        self.uniforms = torch.zeros((slots, frames, layout.codebooks), device=device)
        self.frame = torch.zeros(slots, dtype=torch.long, device=device)
        self.temperature = torch.ones((slots, 1), device=device)
        self.top_p = torch.ones((slots, 1), device=device)
        self.top_k = torch.ones((slots, 1), dtype=torch.long, device=device)
        self.penalty = torch.ones((slots, 1), device=device)
        self._ranks = torch.arange(MAX_CANDIDATES, device=device)
        self._rows = torch.arange(slots, device=device)

    @property
    def _tensors(self) -> tuple[Tensor, ...]:
        return (
            self.drawn,
            self.uniforms,
            self.frame,
            self.temperature,
            self.top_p,
            self.top_k,
            self.penalty,
        )

    def reset(self, slot: int, sampling: Sampling) -> None:
        """A new stream is in ``slot``."""
        self.drawn[slot] = False
        self.frame[slot] = 0
        # Greedy is a draw of which every uniform number is 0: it takes the first candidate.
        greedy = sampling.temperature == 0
        # Still lower ones draw no differently, but their quotients overflow.
        self.temperature[slot] = 1.0 if greedy else max(sampling.temperature, 0.001)
        self.top_p[slot] = sampling.top_p
        self.top_k[slot] = min(sampling.top_k or MAX_CANDIDATES, MAX_CANDIDATES)
        self.penalty[slot] = sampling.repetition_penalty
        if greedy:
            self.uniforms[slot] = 0.0
        else:
            # Drawn on the CPU, so that a seed means the same numbers on every device.
            generator = torch.Generator().manual_seed(sampling.seed)
            self.uniforms[slot] = torch.rand(self.uniforms.shape[1:], generator=generator).to(
                self.uniforms.device
            )

    def save(self, slot: int) -> SavedDraws:
        """A copy of what ``slot`` holds."""
        return SavedDraws(tuple(tensor[slot].clone() for tensor in self._tensors))

    def restore(self, slot: int, saved: SavedDraws) -> None:
        """Put a stream into ``slot``, whatever was there."""
        for tensor, kept in zip(self._tensors, saved.tensors, strict=True):
            tensor[slot] = kept

    def move(self, source: int, target: int) -> None:
        """Put the stream of ``source`` into ``target``."""
        for tensor in self._tensors:
            tensor[target] = tensor[source]

    def draw(self, logits: Tensor, codebook: int) -> Tensor:
        """One code for each stream in slots 0 to n − 1.

        logits: float32 [n, codes], of codebook 0 with end_of_speech behind its codes. Returns
        int64 [n]: codes, or the codebook's size for end_of_speech.
        """
        count, codes = logits.shape
        rows = self._rows[:count]
        said = self.drawn[:count, codebook, :codes]
        penalty = self.penalty[:count]
        # The smaller of the two is the one away from being said, whatever the logit's sign.
        logits = torch.where(said, torch.minimum(logits * penalty, logits / penalty), logits)
        best, which = (logits / self.temperature[:count]).topk(min(MAX_CANDIDATES, codes))
        best = best.masked_fill(self._ranks[: best.shape[1]] >= self.top_k[:count], -torch.inf)
        likelihood = best.softmax(-1)
        before = likelihood.cumsum(-1) - likelihood
        likelihood = likelihood.masked_fill(before >= self.top_p[:count], 0.0)
        passed = likelihood.cumsum(-1)
        drawn = self.uniforms[rows, self.frame[:count], codebook, None] * passed[:, -1:]
        # Rounding may leave the draw at the very end of the candidates that are still allowed.
        allowed = (likelihood > 0).sum(-1, keepdim=True)
        chosen = torch.minimum((passed <= drawn).sum(-1, keepdim=True), allowed - 1)
        chosen = which.gather(1, chosen.clamp_min(0))[:, 0]
        self.drawn[rows, codebook, chosen] = True
        return chosen
