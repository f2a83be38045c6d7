"""The language model of Pocket TTS: a latent of the codec for each frame of 80 ms.

A transformer reads the voice, the text and the latents so far. Its output of the last position says whether
speech has ended, and conditions the flow head, which turns noise into the next latent.

Source: PyPI pocket-tts 4.0.1, ``models/flow_lm.py`` and ``modules/mlp.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from kani.engines.pocket.transformer import KeyValueCache, Transformer, halves_first

_HEAD_EPSILON = 1e-6
_TIME_EPSILON = 1e-5


class Frames(NamedTuple):
    """One step of several streams."""

    latents: Tensor  # [streams, latent size], of the model's own scale
    end_logits: Tensor  # [streams]; the higher, the more likely speech has ended


class LanguageModel:
    """Transformer, end-of-speech head and flow head of one language."""

    def __init__(self, weights: Mapping[str, Tensor], *, int8: bool = False, flow_steps: int = 1) -> None:
        """weights: of a checkpoint, float32; int8: multiply by weights of 8 bits in the transformer;
        flow_steps: Euler steps of the flow head.
        """
        self.transformer = Transformer(weights, "flow_lm.transformer", window=None, int8=int8)
        self._text = weights["flow_lm.conditioner.embed.weight"]
        self._voice = weights["flow_lm.speaker_proj_weight"]
        self._voice_start = weights["flow_lm.bos_before_voice"].flatten()
        self._latent = weights["flow_lm.input_linear.weight"]
        self._speech_start = functional.linear(weights["flow_lm.bos_emb"], self._latent)
        self._norm = weights["flow_lm.out_norm.weight"], weights["flow_lm.out_norm.bias"]
        self._end = weights["flow_lm.out_eos.weight"], weights["flow_lm.out_eos.bias"]
        self._head = FlowHead(weights, flow_steps)
        self._scale = weights["flow_lm.emb_std"], weights["flow_lm.emb_mean"]

    @property
    def latent_size(self) -> int:
        """Numbers of a latent."""
        return self._latent.shape[1]

    @torch.inference_mode()
    def read_voice(self, latents: Tensor) -> KeyValueCache:
        """Read a voice from the codec's latents of its recording: [frames, latent size]."""
        rows = torch.cat((self._voice_start[None], functional.linear(latents, self._voice)))
        cache = self.transformer.new_cache(len(rows))
        self.transformer(rows, [cache], [len(rows)])
        return cache

    @torch.inference_mode()
    def read_text(
        self, voice: KeyValueCache, tokens: Sequence[int], max_frames: int
    ) -> tuple[KeyValueCache, Tensor]:
        """Read a text after a voice; returns the stream's cache and the condition of its first frame.

        The start of speech is read with the text, so that the weights are read once for both.
        """
        cache = self.transformer.new_cache(voice.length + len(tokens) + 1 + max_frames)
        cache.copy_from(voice)
        rows = torch.cat((self._text[torch.tensor(tokens, dtype=torch.long)], self._speech_start[None]))
        last = self.transformer(rows, [cache], [len(rows)])[-1:]
        return cache, self._normed(last)

    @torch.inference_mode()
    def advance(self, caches: Sequence[KeyValueCache], latents: Tensor) -> Tensor:
        """Read the last latents of several streams; returns the conditions of their next frames.

        latents: [streams, latent size]. The result is [streams, size].
        """
        rows = functional.linear(latents, self._latent)
        return self._normed(self.transformer(rows, caches, [1] * len(caches)))

    @torch.inference_mode()
    def sample(self, conditions: Tensor, noise: Tensor) -> Frames:
        """Sample a frame of each stream: conditions [streams, size], noise [streams, latent size]."""
        end_logits = functional.linear(conditions, *self._end)[:, 0]
        return Frames(self._head(noise, conditions), end_logits)

    def to_codec(self, latents: Tensor) -> Tensor:
        """Latents in the codec's scale."""
        std, mean = self._scale
        return latents * std + mean

    def voice_of(self, layers: Sequence[Tensor], length: int) -> KeyValueCache:
        """The voice of published keys and values: a [2, 1, positions, heads, head size] for each layer."""
        cache = self.transformer.new_cache(length)
        for index, layer in enumerate(layers):
            keys, values = layer[:, 0, :length].float()
            heads = keys.shape[1]
            ordered = halves_first(keys.permute(1, 2, 0).reshape(-1, length), heads)
            cache.values[0, index] = ordered.view(heads, -1, length).transpose(1, 2)
            cache.values[1, index] = values.transpose(0, 1)
        cache.length = cache.position = length
        return cache

    def _normed(self, rows: Tensor) -> Tensor:
        return functional.layer_norm(rows, (self.transformer.size,), *self._norm, _TIME_EPSILON)


class FlowHead:
    """A small network that moves noise to a latent in one step or a few (Lagrangian self-distillation)."""

    def __init__(self, weights: Mapping[str, Tensor], steps: int) -> None:
        prefix = "flow_lm.flow_net"

        def linear(name: str) -> tuple[Tensor, Tensor]:
            return weights[f"{prefix}.{name}.weight"], weights[f"{prefix}.{name}.bias"]

        self._input, self._condition = linear("input_proj"), linear("cond_embed")
        self._width = len(self._input[1])
        count = 0
        while f"{prefix}.res_blocks.{count}.in_ln.weight" in weights:
            count += 1
        self._blocks = [
            tuple(linear(f"res_blocks.{index}.{part}") for part in ("in_ln", "mlp.0", "mlp.2"))
            for index in range(count)
        ]
        # All blocks are modulated by the same vector: their products are one.
        names = [f"res_blocks.{index}" for index in range(count)] + ["final_layer"]
        pairs = [linear(f"{name}.adaLN_modulation.1") for name in names]
        self._modulation = torch.cat([weight for weight, _ in pairs]), torch.cat([bias for _, bias in pairs])
        self._final = linear("final_layer.linear")
        # The times of the steps never change, so their embeddings are computed once.
        self._times = [
            _embed_times(weights, prefix, step / steps, (step + 1) / steps) for step in range(steps)
        ]

    def __call__(self, noise: Tensor, conditions: Tensor) -> Tensor:
        """Sample latents: noise [streams, latent size], conditions [streams, size]."""
        projected = functional.linear(conditions, *self._condition)
        latents = noise
        for times in self._times:
            latents = latents + self._velocity(latents, projected + times) / len(self._times)
        return latents

    def _velocity(self, latents: Tensor, condition: Tensor) -> Tensor:
        width = (self._width,)
        modulation = functional.linear(functional.silu(condition), *self._modulation)
        parts = iter(torch.split(modulation, self._width, -1))
        rows = functional.linear(latents, *self._input)
        for norm, first, second in self._blocks:
            shift, scale, gate = next(parts), next(parts), next(parts)
            normed = functional.layer_norm(rows, width, *norm, _HEAD_EPSILON)
            inner = functional.silu(functional.linear(torch.addcmul(shift, normed, scale + 1), *first))
            rows = torch.addcmul(rows, gate, functional.linear(inner, *second))
        shift, scale = next(parts), next(parts)
        normed = functional.layer_norm(rows, width, eps=_HEAD_EPSILON)
        return functional.linear(torch.addcmul(shift, normed, scale + 1), *self._final)


def _embed_times(weights: Mapping[str, Tensor], prefix: str, start: float, end: float) -> Tensor:
    """Embed a step's start and end, each in [0, 1]: the mean of the two vectors."""
    total = torch.zeros(())
    for index, time in enumerate((start, end)):
        name = f"{prefix}.time_embed.{index}"
        angles = time * weights[f"{name}.freqs"]
        hidden = torch.cat((angles.cos(), angles.sin()))
        hidden = functional.linear(hidden, weights[f"{name}.mlp.0.weight"], weights[f"{name}.mlp.0.bias"])
        hidden = functional.linear(
            functional.silu(hidden), weights[f"{name}.mlp.2.weight"], weights[f"{name}.mlp.2.bias"]
        )
        # Divided by the standard deviation, without centring.
        deviation = torch.rsqrt(hidden.var() + _TIME_EPSILON)
        total = total + hidden * weights[f"{name}.mlp.3.alpha"] * deviation
    return total / 2
