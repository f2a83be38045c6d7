"""Differences of the faster precisions from float32, on the same weights."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from kani.engines.kani.model.codec.nanocodec import NanoCodec
from kani.engines.kani.model.lfm2 import LanguageModel
from kani.engines.kani.model.tokens import TokenLayout

FRAMES = 52
"""Frames that are read in: 208 positions at which the next code is rated."""


@dataclass(frozen=True, slots=True)
class Closeness:
    """Logits against a reference's."""

    cosine: float  # mean over all positions
    least: float  # lowest cosine
    equal: float  # share of positions with the same most likely code

    @classmethod
    def of(cls, found: Sequence[torch.Tensor], reference: Sequence[torch.Tensor]) -> Closeness:
        """Compare logits [codes] position by position."""
        pairs = list(zip(found, reference, strict=True))
        cosines = [float(functional.cosine_similarity(a.double(), b.double(), dim=0)) for a, b in pairs]
        equal = [bool(a.argmax() == b.argmax()) for a, b in pairs]
        return cls(sum(cosines) / len(cosines), min(cosines), sum(equal) / len(equal))


def speech(layout: TokenLayout, frames: int) -> list[int]:
    """Tokens of random frames."""
    chance = random.Random(0)
    blocks = [layout.codebook_range(codebook) for codebook in range(layout.codebooks)]
    return [chance.randrange(start, end) for _ in range(frames) for start, end in blocks]


def legal(logits: torch.Tensor, prompt: int, layout: TokenLayout) -> list[torch.Tensor]:
    """Legal logits after the prompt, of a complete vocabulary's [tokens, vocabulary], as ``rated``."""
    found = []
    for number, row in enumerate(logits[prompt - 1 : -1]):
        start, end = layout.codebook_range(number % layout.codebooks)
        codes = row[start:end]
        if number % layout.codebooks == 0:
            codes = torch.cat((codes, row[layout.end_of_speech, None]))
        found.append(codes.clone())
    return found


@torch.inference_mode()
def rated(model: LanguageModel, prompt: Sequence[int], said: Sequence[int]) -> list[torch.Tensor]:
    """Logits of the legal codes at each token of ``said``, decoded one by one after the prompt."""
    state = model.new_state(1)
    tokens = torch.tensor([prompt], device=model.device)
    hidden = model.prefill(tokens, [len(prompt)], state, 0)
    found = []
    for number, token in enumerate(said):
        found.append(model.head(hidden, number % model.layout.codebooks)[0].float().cpu().clone())
        following = torch.tensor([token], device=model.device)
        hidden = model.decode(following, state, len(prompt) + number + 1)
        state.position[0] += 1
    return found


@torch.inference_mode()
def noise_db(codec: NanoCodec, reference: NanoCodec) -> float:
    """Signal-to-noise ratio of one codec's samples against another's, in decibels."""
    frames = torch.randint(0, reference.config.codebook_size, (1, FRAMES, reference.config.codebooks))
    slots = torch.zeros(1, dtype=torch.long)
    samples = []
    for one in (codec, reference):
        state = one.new_state(1)
        device = state.device
        samples.append(one.decode(frames.to(device), slots.to(device), state).double().cpu())
    found, true = samples
    return float(10 * torch.log10(true.square().sum() / (found - true).square().sum()))
