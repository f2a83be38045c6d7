"""Moonshine's decoder: one step of many answers, each with the rows of its own audio.

A step takes any number of tokens of each answer. Matrix products are made for all of them at once, so that
weights are read once; attention is computed for each answer by itself, so that lengths need no padding and an
answer does not depend on its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from kani.engines.moonshine.checkpoint import DecoderSizes, Weights
from kani.engines.moonshine.encoder import Rows, attention


class Memory:
    """Keys and values of a stream's audio for all layers, as far as the encoder has come.

    Final rows are computed once; the provisional ones after them are overwritten by the next step.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._final = 0
        self._rows = 0
        self._kept = decoder.empty_memory(64)

    @property
    def rows(self) -> int:
        """Rows of the encoder, the provisional ones included."""
        return self._rows

    def add(self, rows: Rows) -> None:
        """Append the encoder's next rows. Raises RuntimeError beyond the positions of the checkpoint."""
        until = self._final + len(rows.final) + len(rows.provisional)
        if until > self._decoder.sizes.positions:
            raise RuntimeError(f"audio of {until} rows; the checkpoint has {self._decoder.sizes.positions}")
        if until > self._kept.shape[3]:
            grown = self._decoder.empty_memory(2 * until)
            grown[:, :, :, : self._final] = self._kept[:, :, :, : self._final]
            self._kept = grown
        new = self._decoder.keys_and_values(torch.cat([rows.final, rows.provisional]), self._final)
        self._kept[:, :, :, self._final : until] = new
        self._final += len(rows.final)
        self._rows = until

    def of_layer(self, layer: int) -> tuple[Tensor, Tensor]:
        """Return keys and values [heads, rows, head width]."""
        keys, values = self._kept[layer, :, :, : self._rows]
        return keys, values


@dataclass(slots=True, eq=False)
class Sequence:
    """One answer that is being written."""

    memory: Memory
    tokens: list[int]
    """Those of the next step."""
    asked: int
    """Number of them, counted from the last, after which the next token is asked for."""
    keys: Tensor
    """[layers, heads, most tokens, head width], as ``values``."""
    values: Tensor
    length: int = 0
    """Tokens so far."""
    attention: list[Tensor] = field(default_factory=list)
    """For each token so far its attention to the audio [rows], mean of all heads and layers."""

    def cut(self, length: int) -> None:
        """Forget the tokens from ``length`` on."""
        self.length = length
        del self.attention[length:]


@dataclass(frozen=True, slots=True)
class Next:
    """Likeliest next tokens after each of the tokens that were asked for."""

    tokens: list[int]
    log_probabilities: list[float]


class _Layer:
    def __init__(self, weights: Weights, key: str, sizes: DecoderSizes) -> None:
        width, inner = sizes.width, sizes.heads * sizes.head_width
        own, cross = f"{key}.self_attn", f"{key}.encoder_attn"
        self.own_in = weights.linear([f"{own}.{each}_proj" for each in "qkv"], inner, width, bias=sizes.bias)
        self.own_out = weights.linear([f"{own}.o_proj"], width, inner, bias=False)
        self.cross_in = weights.linear([f"{cross}.q_proj"], inner, width, bias=sizes.bias)
        self.cross_out = weights.linear([f"{cross}.o_proj"], width, inner, bias=False)
        self.wide = weights.linear([f"{key}.mlp.fc1"], 2 * sizes.inner, width, bias=True)
        self.narrow = weights.linear([f"{key}.mlp.fc2"], width, sizes.inner, bias=True)
        self.gains = [
            weights.take(f"{key}.{name}_layernorm.weight", width)
            for name in ("input", "post_attention", "final")
        ]


class Decoder:
    """The network; each answer has its own state."""

    def __init__(self, weights: Weights, sizes: DecoderSizes, encoder_width: int) -> None:
        """Take the weights. Raises CheckpointError."""
        self.sizes = sizes
        self._dtype = weights.dtype
        key, width, inner = "model.decoder", sizes.width, sizes.heads * sizes.head_width
        layers = [f"{key}.layers.{at}" for at in range(sizes.layers)]
        self._embedding = weights.take(f"{key}.embed_tokens.weight", sizes.vocabulary, width)
        self._positions = weights.take(f"{key}.pos_emb.weight", sizes.positions, encoder_width)
        self._projection = None
        if encoder_width != width:
            self._projection = weights.linear([f"{key}.proj"], width, encoder_width, bias=False)
        # Keys and values of all layers in one product.
        memory = [f"{layer}.encoder_attn.{each}_proj" for layer in layers for each in "kv"]
        self._memory = weights.linear(memory, inner, width, bias=sizes.bias)
        self._layers = [_Layer(weights, layer, sizes) for layer in layers]
        self._gain = weights.take(f"{key}.norm.weight", width)
        output = f"{key}.embed_tokens" if sizes.tied else "proj_out"
        self._output = weights.linear([output], sizes.vocabulary, width, bias=False)
        # In single precision whatever the weights have, as transformers has them.
        exponents = torch.arange(0, sizes.rotated, 2, dtype=torch.float) / max(sizes.rotated, 1)
        self._frequencies = 1.0 / (sizes.rotary_base**exponents)

    def empty_memory(self, rows: int) -> Tensor:
        """Return room for keys and values of the encoder's rows: [layers, 2, heads, rows, head width]."""
        sizes = self.sizes
        return torch.empty(sizes.layers, 2, sizes.heads, rows, sizes.head_width, dtype=self._dtype)

    def keys_and_values(self, rows: Tensor, first: int) -> Tensor:
        """Return keys and values, as ``empty_memory`` has them; first: position of the first row."""
        rows = rows + self._positions[first : first + len(rows)]
        if self._projection is not None:
            rows = self._projection(rows)
        sizes = self.sizes
        shape = (len(rows), sizes.layers, 2, sizes.heads, sizes.head_width)
        return self._memory(rows).view(shape).permute(1, 2, 3, 0, 4)

    def sequence(self, memory: Memory, tokens: list[int], asked: int, most: int) -> Sequence:
        """Return an answer that begins with ``tokens``; most: tokens that it may have."""
        sizes = self.sizes
        shape = (sizes.layers, sizes.heads, most, sizes.head_width)
        keys = torch.empty(shape, dtype=self._dtype)
        return Sequence(memory, tokens, asked, keys, torch.empty_like(keys))

    def step(self, sequences: list[Sequence]) -> list[Next]:
        """Append the tokens of each answer to it, and return what follows those that are asked for."""
        counts = [len(one.tokens) for one in sequences]
        rows = self._embedding[torch.tensor([token for one in sequences for token in one.tokens])]
        places = torch.cat([torch.arange(one.length, one.length + len(one.tokens)) for one in sequences])
        angles = (places[:, None].float() * self._frequencies).repeat_interleave(2, -1)[:, None, None]
        turn = angles.cos().to(self._dtype), angles.sin().to(self._dtype)
        seen = [torch.zeros(count, one.memory.rows) for count, one in zip(counts, sequences, strict=True)]
        masks = [_causal(one.length, count) for one, count in zip(sequences, counts, strict=True)]
        for number, layer in enumerate(self._layers):
            parts = layer.own_in(_normed(rows, layer.gains[0])).view(len(rows), 3, self.sizes.heads, -1)
            split = (torch.split(each, counts) for each in (_rotated(parts[:, :2], *turn), parts[:, 2]))
            attended = [_own(number, *one) for one in zip(sequences, *split, masks, strict=True)]
            rows = rows + layer.own_out(_joined(attended))
            asking = layer.cross_in(_normed(rows, layer.gains[1])).view(len(rows), self.sizes.heads, -1)
            heard = []
            for one, question, weight in zip(sequences, torch.split(asking, counts), seen, strict=True):
                answer, looked = _cross(*one.memory.of_layer(number), question)
                heard.append(answer)
                weight += looked
            rows = rows + layer.cross_out(_joined(heard))
            wide, gate = layer.wide(_normed(rows, layer.gains[2])).chunk(2, -1)
            rows = rows + layer.narrow(functional.silu(gate) * wide)
        for one, weight in zip(sequences, seen, strict=True):
            one.length += len(one.tokens)
            one.attention += weight.div_(len(self._layers)).unbind()
        last = zip(sequences, torch.split(rows, counts), strict=True)
        asked = [part[len(part) - one.asked :] for one, part in last]
        scores = self._output(_normed(_joined(asked), self._gain)).log_softmax(-1)
        # numpy's search takes a tenth of the time of torch's.
        tokens = torch.from_numpy(scores.numpy().argmax(-1))
        best = scores.gather(-1, tokens[:, None])[:, 0]
        sizes = [one.asked for one in sequences]
        return [
            Next(token.tolist(), score.tolist())
            for token, score in zip(torch.split(tokens, sizes), torch.split(best, sizes), strict=True)
        ]


def _own(layer: int, one: Sequence, turned: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Attend to the tokens so far.

    turned: queries and keys [tokens, 2, heads, head width]; values: [tokens, heads, head width]; returns
    [tokens, width].
    """
    queries, keys = turned.permute(1, 2, 0, 3)
    until = one.length + len(values)
    one.keys[layer, :, one.length : until] = keys
    one.values[layer, :, one.length : until] = values.transpose(0, 1)
    kept = one.keys[layer, :, :until], one.values[layer, :, :until]
    return attention(queries, *kept, mask)


def _cross(keys: Tensor, values: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
    """Attend to the audio; returns [tokens, width], and the attention [tokens, rows], mean of the heads."""
    scores = queries.transpose(0, 1) @ keys.transpose(1, 2) * queries.shape[-1] ** -0.5
    weights = scores.softmax(-1)
    return (weights @ values).transpose(0, 1).flatten(1), weights.mean(0)


def _causal(length: int, count: int) -> Tensor | None:
    """Return which tokens each of ``count`` new ones attends to, after ``length``; None for all of them."""
    return torch.ones(count, length + count, dtype=torch.bool).tril(length) if count > 1 else None


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _rotated(rows: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate pairs of neighbouring channels by their position: [tokens, 2, heads, head width]."""
    width = cosine.shape[-1]
    turned, rest = rows[..., :width], rows[..., width:]
    across = torch.stack((-turned[..., 1::2], turned[..., 0::2]), -1).flatten(-2)
    return torch.cat([turned * cosine + across * sine, rest], -1)


def _normed(rows: Tensor, gain: Tensor) -> Tensor:
    return functional.layer_norm(rows, gain.shape, weight=gain)
