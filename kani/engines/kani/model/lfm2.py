"""The LFM2 language model of Kani, with its state kept outside.

The same network as transformers' ``Lfm2ForCausalLM`` (the tests' reference), for many sequences of different
lengths that step together: ``prefill`` reads prompts, ``decode`` one token of each sequence, ``head``
computes logits of the codes that may come next and of no other token.

Rearranged against the published weights, exactly: norms are folded into the matrix after them, matrices with
the same input are joined, and the two halves of each head that RoPE rotates are interleaved, so that the
rotation is one complex product.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from kani.engines.kani.model.checkpoint import Weights
from kani.engines.kani.model.model_config import SPEAKER_PROJECTION, ModelConfig
from kani.engines.kani.model.rope import RotaryEmbedding
from kani.engines.kani.model.state import NO_POSITION, LanguageState
from kani.engines.kani.model.tokens import TokenLayout
from kani.runtime.device import sent
from kani.runtime.linear import Dense, Linear

SPEAKER_POSITION = 1
"""Position of the speaker in a prompt: after its first token, instead of a token that is not read."""

RESPONSE_TOKENS = 2
"""Tokens at a prompt's end, start_of_ai and start_of_speech, that the makers' code lets the model emit."""

SpeakerRows = Mapping[int, Tensor]
"""Speakers by prefill row: float32 [hidden], from ``LanguageModel.project_speaker``."""


@dataclass(frozen=True, slots=True)
class Attention:
    queries_keys_values: Linear
    head_norms: Tensor  # [heads + key/value heads, head size], the queries' with 1/sqrt(head size)
    out: Linear


@dataclass(frozen=True, slots=True)
class Convolution:
    """A short convolution over the last tokens, channel by channel, between two gates."""

    gates_and_input: Linear
    taps: Tensor  # [kernel, hidden], the newest token's last
    out: Linear


@dataclass(frozen=True, slots=True)
class Layer:
    """A token mixer and the gated unit after it."""

    mixer: Attention | Convolution
    index: int  # among the layers of its kind
    gate_and_up: Linear
    down: Linear


class LanguageModel:
    """Weights and arithmetic; the state of every sequence is in the LanguageState passed in."""

    def __init__(
        self,
        config: ModelConfig,
        weights: Weights,
        layout: TokenLayout,
        *,
        precision: torch.dtype,
        device: torch.device,
        capacity: int,
    ) -> None:
        """Load the weights. Raises CheckpointError for a missing key.

        precision: of products and state, float32 or bfloat16; the residual stream is float32 always;
        capacity: maximum tokens of a sequence.
        """
        self.config = config
        self.layout = layout
        self.device = device
        self.activations = self.cache_precision = precision
        self.capacity = capacity
        embedding = weights("model.embed_tokens.weight")
        self._embedding = embedding.to(device=device, dtype=precision)
        self._layers = self._read_layers(weights)
        head = embedding if config.tied_embedding else weights("lm_head.weight")
        head = head * weights("model.embedding_norm.weight")
        self._heads = []
        for codebook in range(layout.codebooks):
            start, end = layout.codebook_range(codebook)
            rows = [head[start:end]]
            if codebook == 0:
                rows.append(head[layout.end_of_speech, None])
            self._heads.append(self._linear(torch.cat(rows), 1))
        self._speaker = weights(SPEAKER_PROJECTION).to(device) if config.speaker_size else None
        self._rotary = RotaryEmbedding(
            config, weights, frame_tokens=layout.codebooks, capacity=capacity, device=device
        )
        self._positions = torch.arange(capacity, device=device)

    def _linear(self, weight: Tensor, groups: int) -> Linear:
        """The product with a weight [outputs, inputs]; the outputs are ``groups`` equal parts."""
        return Dense(weight, self.activations, self.device)

    def new_state(
        self, slots: int, capacity: int | None = None, device: torch.device | None = None
    ) -> LanguageState:
        """State for ``slots`` sequences of up to ``capacity`` tokens (default and maximum: the model's)."""
        return LanguageState(
            self.config,
            slots=slots,
            capacity=capacity or self.capacity,
            cache=self.cache_precision,
            context=self.activations,
            device=device or self.device,
        )

    def project_speaker(self, speaker: Sequence[float]) -> Tensor:
        """Project a speaker embedding of ``config.speaker_size`` numbers: float32 [hidden].

        Raises ValueError for another number of them.
        """
        if self._speaker is None or len(speaker) != self.config.speaker_size:
            raise ValueError(
                f"a speaker embedding has {self.config.speaker_size} numbers, not {len(speaker)}"
            )
        return functional.linear(sent(torch.tensor(speaker), self.device), self._speaker)

    def decode(self, tokens: Tensor, state: LanguageState, span: int) -> Tensor:
        """Read one token of each sequence in slots 0 to n − 1.

        tokens: int64 [n]; span: upper bound of the tokens that any of these sequences will then have read.
        The state includes the token afterwards; positions are advanced by the caller. Returns the hidden rows
        [n, hidden] for ``head``.
        """
        count = len(tokens)
        hidden = self._embedding[tokens].float()
        position = state.position[:count]
        rotations = self._rotary.speech(position, state.speech_start[:count])[:, :, None]
        seen = position
        if self._speaker is not None:
            seen = position - (position >= state.self_masked_from[:count]).long()
        masked = (self._positions[:span] > seen[:, None])[:, None, None]
        rows = self._positions[:count]
        for layer in self._layers:
            mixer = layer.mixer
            if isinstance(mixer, Attention):
                queries, keys, values = self._heads_of(mixer, hidden, rotations[layer.index % len(rotations)])
                cache = state.cache[layer.index, :, :count]
                cache[0][rows, :, position] = keys.to(cache.dtype)
                cache[1][rows, :, position] = values.to(cache.dtype)
                groups = (count, self.config.key_value_heads, -1, self.config.head_size)
                grouped = queries.to(cache.dtype).reshape(groups)
                scores = torch.matmul(grouped, cache[0][:, :, :span].transpose(-1, -2))
                weights = scores.float().masked_fill_(masked, -torch.inf).softmax(-1).to(cache.dtype)
                mixed = torch.matmul(weights, cache[1][:, :, :span]).flatten(1)
                hidden = hidden + mixer.out(mixed)
            else:
                context = state.context[layer.index, :count]
                before, after, value = mixer.gates_and_input.normed(hidden, self._epsilon).chunk(3, -1)
                gated = before * value
                mixed = gated * mixer.taps[-1]
                for tap, past in zip(mixer.taps, context.unbind(1), strict=False):
                    mixed = torch.addcmul(mixed, past, tap)
                if context.shape[1] > 1:
                    context[:, :-1] = context[:, 1:].clone()
                context[:, -1] = gated
                hidden = hidden + mixer.out(mixed * after)
            hidden = hidden + self._feed_forward(layer, hidden)
        return hidden

    def prefill(
        self,
        tokens: Tensor,
        lengths: Sequence[int],
        state: LanguageState,
        start: int,
        speakers: SpeakerRows = MappingProxyType({}),
    ) -> Tensor:
        """Read the next tokens of the prompts in slots 0 to n − 1 of a separate state.

        tokens: int64 [n, t], a prompt per row, from its token ``start`` on, padded at the end; lengths: of
        the complete prompts; speakers: projected, by row, to stand at ``SPEAKER_POSITION``; their prompts
        have ``RESPONSE_TOKENS`` + 1 tokens at least. The state must hold the first ``start`` tokens. Returns
        the hidden rows [n, hidden] of the prompts' last tokens, undefined for prompts that do not end here.
        """
        count, length = tokens.shape
        end = start + length
        valid = [min(max(whole - start, 0), length) for whole in lengths]
        ends = sent(torch.tensor(valid), self.device)
        rows = self._positions[:count]
        hidden = self._input_rows(tokens, start, speakers)
        self._set_speech_start(state, lengths, speakers)
        rotations = self._rotary.prompt(start, end)[:, :, None]
        # Rows past a prompt's end attend only to what lies before them, and are never used.
        place = self._positions[start:end, None]
        visible = self._positions[:end] <= place
        if speakers:
            masked_from = state.self_masked_from[:count, None, None]
            visible = (visible & ((self._positions[:end] < place) | (place < masked_from)))[:, None]
        kept = ends[:, None] + self._positions[: self.config.kernel_size - 1]
        for layer in self._layers:
            mixer = layer.mixer
            if isinstance(mixer, Attention):
                queries, keys, values = self._heads_of(mixer, hidden, rotations[layer.index % len(rotations)])
                cache = state.cache[layer.index, :, :count]
                cache[0][:, :, start:end] = keys.transpose(1, 2)
                cache[1][:, :, start:end] = values.transpose(1, 2)
                mixed = functional.scaled_dot_product_attention(
                    queries.to(cache.dtype).transpose(1, 2),
                    cache[0][:, :, :end],
                    cache[1][:, :, :end],
                    attn_mask=visible,
                    scale=1.0,
                    enable_gqa=True,
                )
                hidden = hidden + mixer.out(mixed.transpose(1, 2).flatten(2))
            else:
                context = state.context[layer.index, :count]
                before, after, value = mixer.gates_and_input.normed(hidden, self._epsilon).chunk(3, -1)
                gated = torch.cat((context, before * value), 1)
                mixed = gated[:, :length] * mixer.taps[0]
                for offset, tap in enumerate(mixer.taps[1:], 1):
                    mixed = torch.addcmul(mixed, gated[:, offset : offset + length], tap)
                context.copy_(gated[rows[:, None], kept])
                hidden = hidden + mixer.out(mixed * after)
            hidden = hidden + self._feed_forward(layer, hidden)
        state.position[:count] = sent(torch.tensor([min(end, whole) for whole in lengths]), self.device)
        return hidden[rows, (ends - 1).clamp_min(0)]

    def head(self, hidden: Tensor, codebook: int) -> Tensor:
        """Logits [n, codes], float32, of ``codebook``; for codebook 0 end_of_speech comes last."""
        return self._heads[codebook].normed(hidden, self._epsilon).float()

    def _input_rows(self, tokens: Tensor, start: int, speakers: SpeakerRows) -> Tensor:
        """Input rows of the prompts' next tokens [n, t], from ``start`` on: float32 [n, t, hidden]."""
        hidden = self._embedding[tokens].float()
        if start <= SPEAKER_POSITION < start + tokens.shape[1]:
            for row, voice in speakers.items():
                hidden[row, SPEAKER_POSITION - start] = voice
        return hidden

    def _set_speech_start(self, state: LanguageState, lengths: Sequence[int], speakers: SpeakerRows) -> None:
        """Store the position at which the speech of each prompt begins."""
        count = len(lengths)
        state.speech_start[:count] = sent(torch.tensor(lengths), self.device)
        # With a speaker the mask of the makers' ``generate`` is one token short: generated tokens, these two
        # included, attend to all before them and not to themselves (PyPI kani-tts-2 0.0.5 on transformers
        # 4.56.0). Their checkpoints sound right only with it.
        masked_from = [
            n - RESPONSE_TOKENS if row in speakers else NO_POSITION for row, n in enumerate(lengths)
        ]
        state.self_masked_from[:count] = sent(torch.tensor(masked_from), self.device)

    @property
    def _epsilon(self) -> float:
        return self.config.norm_epsilon

    def _heads_of(self, mixer: Attention, hidden: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [..., heads, head size] of rows, normed and rotated."""
        joined = mixer.queries_keys_values.normed(hidden, self._epsilon)
        joined = joined.reshape(*joined.shape[:-1], -1, self.config.head_size)
        rotated, values = joined.tensor_split((len(mixer.head_norms),), -2)
        wide = rotated.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self._epsilon)
        wide = wide * scale * mixer.head_norms
        pairs = torch.view_as_complex(wide.reshape(*wide.shape[:-1], -1, 2))
        rotated = torch.view_as_real(pairs * rotation).flatten(-2).to(joined.dtype)
        queries, keys = rotated.tensor_split((self.config.heads,), -2)
        return queries, keys, values

    def _feed_forward(self, layer: Layer, hidden: Tensor) -> Tensor:
        gate, up = layer.gate_and_up.normed(hidden, self._epsilon).chunk(2, -1)
        return layer.down(functional.silu(gate) * up)

    def _read_layers(self, weights: Weights) -> list[Layer]:
        config = self.config
        # RoPE rotates element i of a head with element i + half: side by side they are one complex number.
        half = torch.arange(config.head_size // 2)
        pairs = torch.stack((half, half + config.head_size // 2), 1).flatten()

        def paired(weight: Tensor) -> Tensor:
            return weight.view(-1, config.head_size, config.hidden)[:, pairs].flatten(0, 1)

        counts = {True: 0, False: 0}
        layers = []
        for number, attention in enumerate(config.attention):

            def read(key: str, number: int = number) -> Tensor:
                return weights(f"model.layers.{number}.{key}.weight")

            norm = read("operator_norm")
            mixer: Attention | Convolution
            if attention:
                projections = (
                    paired(read("self_attn.q_proj")),
                    paired(read("self_attn.k_proj")),
                    read("self_attn.v_proj"),
                )
                norms = (
                    (read("self_attn.q_layernorm")[pairs] * config.head_size**-0.5).expand(config.heads, -1),
                    read("self_attn.k_layernorm")[pairs].expand(config.key_value_heads, -1),
                )
                mixer = Attention(
                    self._linear(torch.cat(projections) * norm, 1),
                    torch.cat(norms).to(self.device),
                    self._linear(read("self_attn.out_proj"), 1),
                )
            else:
                taps = read("conv.conv")[:, 0].T.contiguous()
                mixer = Convolution(
                    self._linear(read("conv.in_proj") * norm, 3),
                    taps.to(device=self.device, dtype=self.activations),
                    self._linear(read("conv.out_proj"), 1),
                )
            gate_and_up = torch.cat((read("feed_forward.w1"), read("feed_forward.w3"))) * read("ffn_norm")
            layers.append(
                Layer(
                    mixer,
                    counts[attention],
                    self._linear(gate_and_up, 2),
                    self._linear(read("feed_forward.w2"), 1),
                )
            )
            counts[attention] += 1
        return layers
