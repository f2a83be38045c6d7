"""Samples the next code of each sequence, on the device, with the sequence's own settings.

The same steps in the same order as transformers' ``generate``: repetition penalty, temperature, top_k, top_p,
then one draw. Only the draw differs: a sequence brings its own uniform numbers, so that its codes depend on
its seed and not on its neighbours.
"""

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from kani.engines.kani.model.tokens import TokenLayout
from kani.runtime.device import sent

MAX_CANDIDATES = 256
"""Most likely codes that a draw chooses from: a larger top_k, or none, is limited to this."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling settings of a sequence. Raises ValueError for values out of range."""

    temperature: float = 0.6  # 0 is greedy
    top_p: float = 0.95  # in (0, 1]
    top_k: int = 50  # 0 is no limit of its own
    repetition_penalty: float = 1.1
    """1 or more; divides a positive logit of a code drawn before, multiplies a negative one"""
    seed: int = 0  # of the sequence's uniform numbers, 0 to 2⁶³ − 1

    def __post_init__(self) -> None:
        # A bad value would be noticed only in the batch, and break all of its sequences.
        if not (0 <= self.temperature < inf and 0 < self.top_p <= 1 and self.top_k >= 0):
            raise ValueError(f"nothing can be drawn by {self}")
        if not (1 <= self.repetition_penalty < inf and 0 <= self.seed < 2**63):
            raise ValueError(f"nothing can be drawn by {self}")


class SamplerState:
    """Sampling state of each slot's sequence.

    drawn [slots, codebooks, codes + 1]: codes that were drawn before, end_of_speech last; uniforms [slots,
    frames, codebooks]; frame [slots]: index of the current frame.
    """

    def __init__(self, layout: TokenLayout, *, slots: int, frames: int, device: torch.device) -> None:
        """frames: maximum of a sequence."""
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

    def reset(self, slot: int, sampling: Sampling) -> None:
        self.drawn[slot] = False
        self.frame[slot].fill_(0)  # assigned, a number would be copied from the CPU, which waits
        # Greedy is a draw with uniform numbers that are all 0: it takes the first candidate.
        greedy = sampling.temperature == 0
        # Lower temperatures draw the same, but their quotients overflow.
        self.temperature[slot] = 1.0 if greedy else max(sampling.temperature, 0.001)
        self.top_p[slot] = sampling.top_p
        self.top_k[slot] = min(sampling.top_k or MAX_CANDIDATES, MAX_CANDIDATES)
        self.penalty[slot] = sampling.repetition_penalty
        if greedy:
            self.uniforms[slot] = 0.0
        else:
            # Drawn on the CPU, so that a seed gives the same numbers on every device.
            generator = torch.Generator().manual_seed(sampling.seed)
            numbers = torch.rand(self.uniforms.shape[1:], generator=generator)
            self.uniforms[slot] = sent(numbers, self.uniforms.device)

    def views(self, slot: int) -> tuple[Tensor, ...]:
        """Everything of the sequence in ``slot``."""
        tensors = (
            *(self.drawn, self.uniforms, self.frame),
            *(self.temperature, self.top_p, self.top_k, self.penalty),
        )
        return tuple(tensor[slot] for tensor in tensors)

    def draw(self, logits: Tensor, codebook: int) -> Tensor:
        """Draw one code for each sequence in slots 0 to n − 1.

        logits: float32 [n, codes], of codebook 0 with end_of_speech last. Returns int64 [n]: codes, or the
        codebook's size for end_of_speech.
        """
        count, codes = logits.shape
        rows = self._rows[:count]
        said = self.drawn[:count, codebook, :codes]
        penalty = self.penalty[:count]
        # The smaller of the two makes the code less likely, whatever the logit's sign.
        logits = torch.where(said, torch.minimum(logits * penalty, logits / penalty), logits)
        best, which = (logits / self.temperature[:count]).topk(min(MAX_CANDIDATES, codes))
        best = best.masked_fill(self._ranks[: best.shape[1]] >= self.top_k[:count], -torch.inf)
        likelihood = best.softmax(-1)
        before = likelihood.cumsum(-1) - likelihood
        likelihood = likelihood.masked_fill(before >= self.top_p[:count], 0.0)
        passed = likelihood.cumsum(-1)
        drawn = self.uniforms[rows, self.frame[:count], codebook, None] * passed[:, -1:]
        # Rounding may leave the draw past the last candidate that is still allowed.
        allowed = (likelihood > 0).sum(-1, keepdim=True)
        chosen = torch.minimum((passed <= drawn).sum(-1, keepdim=True), allowed - 1)
        chosen = which.gather(1, chosen.clamp_min(0))[:, 0]
        # Not an assignment by index: that copies its value from the CPU, which a CUDA graph cannot hold.
        said.scatter_(1, chosen[:, None], value=True)
        return chosen
