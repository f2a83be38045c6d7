"""The int8 language model on this folder's kernels: same weights, same levels, a fraction of the calls."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from kani.engines.kani.model.checkpoint import Weights
from kani.engines.kani.model.lfm2 import LanguageModel, SpeakerRows
from kani.engines.kani.model.model_config import ModelConfig
from kani.engines.kani.model.native.decoder import NativeDecoder
from kani.engines.kani.model.native.library import Library
from kani.engines.kani.model.native.linear import NativeInt8
from kani.engines.kani.model.state import LanguageState
from kani.engines.kani.model.tokens import TokenLayout
from kani.runtime.linear import Linear


class NativeLanguageModel(LanguageModel):
    """A LanguageModel in int8 with all layers in one call; keys and values are kept in half precision.

    A sequence's result depends neither on its neighbours nor on their number, bit for bit.
    """

    def __init__(
        self, config: ModelConfig, weights: Weights, layout: TokenLayout, *, library: Library, capacity: int
    ) -> None:
        """As LanguageModel. Raises ValueError for sizes that the kernels do not support."""
        self._library = library
        super().__init__(
            config, weights, layout, precision=torch.int8, device=torch.device("cpu"), capacity=capacity
        )
        self.cache_precision = torch.float16
        self._native = NativeDecoder(library, config, self._layers, self._rotary)

    def _linear(self, weight: Tensor, groups: int) -> Linear:
        return NativeInt8(weight, self._library, groups)

    def decode(self, tokens: Tensor, state: LanguageState, span: int) -> Tensor:
        """See LanguageModel; each sequence is read up to its own length, whatever ``span``."""
        return self._native.decode(self._embedding[tokens].float(), state)

    def prefill(
        self,
        tokens: Tensor,
        lengths: Sequence[int],
        state: LanguageState,
        start: int,
        speakers: SpeakerRows = MappingProxyType({}),
    ) -> Tensor:
        """See LanguageModel; nothing is computed for padding."""
        count, length = tokens.shape
        end = start + length
        valid = [min(max(whole - start, 0), length) for whole in lengths]
        rows = self._input_rows(tokens, start, speakers)
        self._set_speech_start(state, lengths, speakers)
        hidden = torch.cat([row[:n] for row, n in zip(rows, valid, strict=True)])
        hidden = self._native.prefill(hidden, state, start, valid)
        state.position[:count] = torch.tensor([min(end, whole) for whole in lengths])
        last = torch.tensor(valid).cumsum(0) - 1
        return hidden[last.clamp_min(0)]
