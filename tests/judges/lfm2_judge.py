"""Reference of the language model's tests: a checkpoint in transformers' own network."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import Lfm2ForCausalLM, RepetitionPenaltyLogitsProcessor

from kani.engines.kani.model.tokens import TokenLayout


class Judge:
    """transformers' Lfm2ForCausalLM in float32."""

    def __init__(self, folder: Path, layout: TokenLayout) -> None:
        self._network = Lfm2ForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self._layout = layout

    @torch.inference_mode()
    def logits(self, tokens: Sequence[int]) -> Tensor:
        """Logits [tokens, vocabulary]."""
        return self._network(torch.tensor([list(tokens)]), use_cache=False).logits[0]

    def agrees(self, prompt: Sequence[int], codes: Sequence[Sequence[int]], penalty: float = 1.0) -> bool:
        """Return True for each frame with the likeliest legal codes [frames, codebooks].

        A frame with the codebook's size as its first code stands for the end.
        """
        layout, processor = self._layout, RepetitionPenaltyLogitsProcessor(penalty)
        tokens = list(prompt)
        for frame in codes:
            tokens += [layout.codebook_range(codebook)[0] + code for codebook, code in enumerate(frame)]
        # Whatever follows the end is not looked at, but has to be a token.
        logits = self.logits([min(token, layout.size - 1) for token in tokens])
        for number, frame in enumerate(codes):
            for codebook, code in enumerate(frame):
                at = len(prompt) + number * layout.codebooks + codebook
                scores = processor(torch.tensor([tokens[:at]]), logits[at - 1 : at].clone())[0]
                start, end = layout.codebook_range(codebook)
                legal = scores[start:end]
                if codebook == 0:
                    legal = torch.cat((legal, scores[layout.end_of_speech, None]))
                if int(legal.argmax()) != code:
                    return False
                if code == layout.codebook_size:
                    return True
        return True
