"""The sizes of a Kani checkpoint's language model, read from its config.json.

The file is untrusted: every entry that counts is checked for its type and range here, so that a misfit is
refused by name before anything of its size is allocated.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from huggingface_hub.errors import StrictDataclassError
from transformers import Lfm2Config

from kani.runtime.errors import CheckpointError

_MAX_COUNT = 2**24
_MAX_LAYERS = 1024
_COUNTS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "block_ff_dim",
    "block_multiple_of",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "conv_L_cache",
    "max_position_embeddings",
)
_SWITCHES = ("block_auto_adjust_ff_dim", "conv_bias", "tie_embedding", "tie_word_embeddings")
_ROPE_BASE = 1_000_000.0

# Defaults of PyPI kani-tts-2 0.0.5 for entries missing in a config of its architecture.
_ARCHITECTURE = "KaniTTS2ForCausalLM"
_SPEAKER_SIZE = 128
_FRAME_STEP = 1.0
_ROPE_SCALE_RANGE = (0.1, 2.0)
_MAX_SPEAKER_SIZE = 4096

SPEAKER_PROJECTION = "model.speaker_emb_projection.weight"


def rope_scale_key(layer: int) -> str:
    """Key of an attention layer's learnt scale of RoPE's frequencies."""
    return f"model.learnable_rope_layers.{layer}.alpha_weight"


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes of the language model of a checkpoint.

    The last three are of KaniTTS-2.
    """

    vocabulary: int
    hidden: int  # width of the residual stream
    feed_forward: int  # width inside a layer's gated unit
    heads: int
    key_value_heads: int
    head_size: int
    attention: tuple[bool, ...]  # by layer: attention, else a short convolution
    kernel_size: int  # taps of a convolution
    norm_epsilon: float
    rope_base: float
    positions: int  # maximum tokens of a sequence
    tied_embedding: bool
    speaker_size: int = 0  # numbers of the speaker embedding, 0 for none
    frame_step: float | None = None
    """RoPE distance of two frames, the tokens of a frame sharing a position; None: every token has its own"""
    rope_scale_range: tuple[float, float] | None = None
    """Range of each attention layer's learnt scale; None: no scale"""

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> ModelConfig:
        """Read a config.json's entries as transformers' Lfm2Config does.

        Raises CheckpointError, naming the entry, for a misfit and for anything this code does not compute.
        """
        try:
            config = Lfm2Config(**_checked(settings))
        except StrictDataclassError as error:
            raise CheckpointError(f"the config's entries do not fit together: {error}") from error
        if config.conv_bias:
            raise CheckpointError("conv_bias is true: convolutions with a bias are not supported")
        if config.conv_L_cache < 2:
            raise CheckpointError("conv_L_cache is 1: a convolution needs two taps at least")
        if config.num_attention_heads % config.num_key_value_heads:
            raise CheckpointError(
                f"num_attention_heads is {config.num_attention_heads}, "
                f"no multiple of num_key_value_heads, {config.num_key_value_heads}"
            )
        head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        if not head_size or head_size % 2:
            raise CheckpointError(f"head_dim, or hidden_size / num_attention_heads, is {head_size}: not even")
        feed_forward = config.intermediate_size
        if config.block_auto_adjust_ff_dim:
            # As in transformers' Lfm2MLP: two thirds, scaled, rounded up.
            feed_forward = int(config.block_ffn_dim_multiplier * int(2 * feed_forward / 3))
            step = config.block_multiple_of
            feed_forward = step * ((feed_forward + step - 1) // step)
        return cls(
            vocabulary=config.vocab_size,
            hidden=config.hidden_size,
            feed_forward=feed_forward,
            heads=config.num_attention_heads,
            key_value_heads=config.num_key_value_heads,
            head_size=head_size,
            attention=tuple(layer != "conv" for layer in cast("list[str]", config.layer_types)),
            kernel_size=config.conv_L_cache,
            norm_epsilon=config.norm_eps,
            rope_base=_rope_base(settings),
            positions=config.max_position_embeddings,
            tied_embedding=config.tie_word_embeddings,
            speaker_size=_speaker_size(settings),
            frame_step=_frame_step(settings),
            rope_scale_range=_rope_scale_range(settings),
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every key that a checkpoint has to hold, with its shape."""
        width, keys = self.hidden, self.key_value_heads * self.head_size
        queries = self.heads * self.head_size
        shapes: dict[str, tuple[int, ...]] = {
            "model.embed_tokens.weight": (self.vocabulary, width),
            "model.embedding_norm.weight": (width,),
        }
        if not self.tied_embedding:
            shapes["lm_head.weight"] = (self.vocabulary, width)
        if self.speaker_size:
            shapes[SPEAKER_PROJECTION] = (width, self.speaker_size)
        for index, attention in enumerate(self.attention):
            layer: dict[str, tuple[int, ...]] = {
                "operator_norm.weight": (width,),
                "ffn_norm.weight": (width,),
                "feed_forward.w1.weight": (self.feed_forward, width),
                "feed_forward.w3.weight": (self.feed_forward, width),
                "feed_forward.w2.weight": (width, self.feed_forward),
            }
            if attention and self.rope_scale_range is not None:
                shapes[rope_scale_key(index)] = ()
            if attention:
                layer |= {
                    "self_attn.q_proj.weight": (queries, width),
                    "self_attn.k_proj.weight": (keys, width),
                    "self_attn.v_proj.weight": (keys, width),
                    "self_attn.out_proj.weight": (width, queries),
                    "self_attn.q_layernorm.weight": (self.head_size,),
                    "self_attn.k_layernorm.weight": (self.head_size,),
                }
            else:
                layer |= {
                    "conv.in_proj.weight": (3 * width, width),
                    "conv.conv.weight": (width, 1, self.kernel_size),
                    "conv.out_proj.weight": (width, width),
                }
            shapes |= {f"model.layers.{index}.{key}": shape for key, shape in layer.items()}
        return shapes


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that Lfm2Config reads, checked one by one."""
    known: dict[str, Any] = {}
    for key in _COUNTS:
        most = _MAX_LAYERS if key == "num_hidden_layers" else _MAX_COUNT
        if (value := settings.get(key)) is not None:
            if type(value) is not int or not 0 < value <= most:
                raise _misfit(key, value, f"a whole number from 1 to {most}")
            known[key] = value
    for key in _SWITCHES:
        if (value := settings.get(key)) is not None:
            if type(value) is not bool:
                raise _misfit(key, value, "true or false")
            known[key] = value
    for key in ("norm_eps", "block_ffn_dim_multiplier"):
        if settings.get(key) is not None:
            known[key] = _number(settings, key)
    indices, kinds = settings.get("full_attn_idxs"), settings.get("layer_types")
    if indices is not None:
        if not isinstance(indices, list) or not all(type(index) is int for index in indices):
            raise _misfit("full_attn_idxs", indices, "a list of whole numbers")
        known["full_attn_idxs"] = indices
    if kinds is not None:
        # transformers has other kinds of attention, LFM2 has not.
        if not isinstance(kinds, list) or not all(kind in ("conv", "full_attention") for kind in kinds):
            raise _misfit("layer_types", kinds, "a list of 'conv' and 'full_attention'")
        if len(kinds) != known.get("num_hidden_layers", Lfm2Config().num_hidden_layers):
            raise CheckpointError(f"layer_types has {len(kinds)} entries: not as many as num_hidden_layers")
        known["layer_types"] = kinds
    return known


def _rope_base(settings: Mapping[str, Any]) -> float:
    """Base of RoPE's frequencies, from the entries where transformers looks for it, in that order."""
    for key in ("rope_scaling", "rope_parameters"):
        rope = settings.get(key) or {}
        if not isinstance(rope, dict):
            raise _misfit(key, rope, "an object")
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind != "default":
            raise CheckpointError(f"rope_type is {reprlib.repr(kind)}: only 'default' is supported")
        if rope.get("rope_theta") is not None:
            return _number(rope, "rope_theta")
    return _ROPE_BASE if settings.get("rope_theta") is None else _number(settings, "rope_theta")


def _speaker_size(settings: Mapping[str, Any]) -> int:
    width = settings.get("speaker_emb_dim")
    if width is None:
        names = settings.get("architectures")
        return _SPEAKER_SIZE if isinstance(names, list) and _ARCHITECTURE in names else 0
    if type(width) is not int or not 0 < width <= _MAX_SPEAKER_SIZE:
        raise _misfit("speaker_emb_dim", width, f"a whole number from 1 to {_MAX_SPEAKER_SIZE}")
    return width


def _frame_step(settings: Mapping[str, Any]) -> float | None:
    if settings.get("audio_step") is not None:
        return _number(settings, "audio_step")
    return _FRAME_STEP if _speaker_size(settings) or _rope_scale_range(settings) else None


def _rope_scale_range(settings: Mapping[str, Any]) -> tuple[float, float] | None:
    learnt = settings.get("use_learnable_rope")
    if learnt not in (None, False, True):
        raise _misfit("use_learnable_rope", learnt, "true or false")
    if not learnt:
        return None
    least, most = (
        default if settings.get(key) is None else _number(settings, key)
        for key, default in zip(("alpha_min", "alpha_max"), _ROPE_SCALE_RANGE, strict=True)
    )
    return least, most


def _number(settings: Mapping[str, Any], key: str) -> float:
    value = settings[key]
    if type(value) not in (int, float) or not 0 < value < 1e12:
        raise _misfit(key, value, "a positive number")
    return float(value)


def _misfit(key: str, value: object, wanted: str) -> CheckpointError:
    return CheckpointError(f"{key} is {reprlib.repr(value)}: it has to be {wanted}")
