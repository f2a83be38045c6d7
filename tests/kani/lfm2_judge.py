"""What a checkpoint says by transformers' own network: the judge of the language model's tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import Lfm2ForCausalLM, RepetitionPenaltyLogitsProcessor

from kani.tokens import TokenLayout


class Judge:
    """transformers' Lfm2ForCausalLM in float32, which reads the whole sequence anew for every token."""

    def __init__(self, folder: Path, layout: TokenLayout) -> None:
        self._network = Lfm2ForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self._layout = layout
        self._said: dict[tuple[tuple[int, ...], int, float], list[list[int]]] = {}

    @torch.inference_mode()
    def logits(self, tokens: Sequence[int]) -> Tensor:
        """Logits [tokens, vocabulary]."""
        logits: Tensor = self._network(torch.tensor([list(tokens)])).logits[0]
        return logits

    def say(self, prompt: Sequence[int], frames: int, penalty: float = 1.0) -> list[list[int]]:
        """The codes of up to so many frames, the likeliest legal one each time."""
        known = (tuple(prompt), frames, penalty)
        if known not in self._said:
            self._said[known] = self._say(list(prompt), frames, penalty)
        return self._said[known]

    def _say(self, tokens: list[int], frames: int, penalty: float) -> list[list[int]]:
        layout, processor = self._layout, RepetitionPenaltyLogitsProcessor(penalty)
        codes: list[int] = []
        while len(codes) < frames * layout.codebooks:
            codebook = len(codes) % layout.codebooks
            scores = processor(torch.tensor([tokens]), self.logits(tokens)[-1:])[0]
            legal = torch.full_like(scores, -torch.inf)
            start, end = layout.block(codebook)
            legal[start:end] = scores[start:end]
            if codebook == 0:
                legal[layout.end_of_speech] = scores[layout.end_of_speech]
            token = int(legal.argmax())
            if token == layout.end_of_speech:
                break
            tokens.append(token)
            codes.append(token - start)
        return [codes[n : n + layout.codebooks] for n in range(0, len(codes), layout.codebooks)]
