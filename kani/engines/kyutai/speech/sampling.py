"""Sampling of a batch with a seed and a temperature for each stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

TEXT_TOP_K, AUDIO_TOP_K = 25, 250
"""Likeliest tokens that are drawn from: the package's own numbers."""


class Draw(NamedTuple):
    """One stream's draws in a step."""

    row: int
    generator: torch.Generator
    audio: bool
    """True if it draws audio tokens as well as a text token."""


class Sampler:
    """Stands for the package's ``sample_token``, which draws for all streams from one generator.

    A stream draws what the package would draw for it in a batch of its own, in the same order, so that equal
    seeds give equal speech, whichever streams are beside it. The noise is made on the CPU before a step: a
    seed means the same on every device, and a captured CUDA graph reads it from the same place.
    """

    def __init__(self, rows: int, codebooks: int, texts: int, codes: int, device: torch.device) -> None:
        """texts, codes: tokens of the text and of a codebook that the model chooses from."""
        self._text = torch.ones(rows, min(TEXT_TOP_K, texts), device=device)
        self._audio = torch.ones(codebooks, rows, min(AUDIO_TOP_K, codes), device=device)
        self._temperatures = torch.ones(rows, 1, 1, 1, device=device)
        self._greedy = [False] * rows
        self._drawn = 0

    def begin(self, row: int, temperature: float) -> None:
        """Let a stream begin; 0 takes the likeliest token."""
        self._greedy[row] = temperature <= 0.0
        self._temperatures[row] = 1.0 if self._greedy[row] else temperature

    def draw(self, draws: Iterable[Draw]) -> None:
        """Make the noise of the next step."""
        self._drawn = 0
        for row, generator, audio in draws:
            if self._greedy[row]:
                self._text[row] = self._audio[:, row] = 1.0
                continue
            self._text[row] = torch.empty(self._text.shape[-1]).exponential_(1, generator=generator)
            if audio:
                noise = torch.empty(len(self._audio), self._audio.shape[-1])
                for codebook in noise:
                    codebook.exponential_(1, generator=generator)
                self._audio[:, row] = noise.to(self._audio.device)

    def __call__(self, logits: Tensor, use_sampling: bool, temp: float, top_k: int) -> Tensor:
        """Choose a token for each stream; see ``moshi.utils.sampling.sample_token``.

        logits: [rows, 1, 1, tokens]; returns [rows, 1, 1]. The text's token is asked for first, then those of
        the codebooks in order.
        """
        noise = self._text if self._drawn == 0 else self._audio[self._drawn - 1]
        self._drawn += 1
        probabilities = torch.softmax(logits / self._temperatures, dim=-1)
        likeliest: Any = torch.topk(probabilities, min(top_k, logits.shape[-1]), dim=-1)
        chosen = (likeliest.values / noise.view(likeliest.values.shape)).argmax(dim=-1, keepdim=True)
        token: Tensor = likeliest.indices.gather(-1, chosen)[..., 0]
        return token
