"""Checkpoints of Moonshine's streaming recognisers with random weights, in transformers' format."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models
from transformers import MoonshineStreamingConfig, MoonshineStreamingForConditionalGeneration

VOCABULARY = 60

TINY: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 40,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 1000,
    # An odd number of channels, five of ten.
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.5},
    # So many that answers end after some words.
    "eos_token_id": list(range(4, VOCABULARY, 4)),
    "encoder_config": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "sliding_windows": [[5, 3], [6, 0], [4, 1], [5, 4]],
    },
}
"""Windows that are full after a tenth of a second, and widths of encoder and decoder that differ."""

FULL_SMALL: dict[str, Any] = {
    "vocab_size": 32_768,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 10,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "encoder_config": {
        "hidden_size": 620,
        "intermediate_size": 2480,
        "num_hidden_layers": 10,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "sliding_windows": [[16, 4], [16, 4], *[[16, 0]] * 6, [16, 4], [16, 4]],
    },
}
"""About the size of moonshine-streaming-small, 110 million parameters."""


def random_model(sizes: dict[str, Any] = TINY, *, seed: int = 2) -> Any:
    """Return transformers' model with random weights of these sizes."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = MoonshineStreamingConfig(**copy.deepcopy(sizes))
        # The one in which single and double precision are computed alike.
        config._attn_implementation = "sdpa"
        model = MoonshineStreamingForConditionalGeneration(config)
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.data.uniform_(-0.5, 0.5) if name.endswith("gamma") else weight.data.uniform_(0.5, 1.5)
            elif weight.dim() > 1:
                # Large enough that every layer has a say in the outcome.
                weight.data.normal_(0, 1.5 * weight[0].numel() ** -0.5)
            elif name.endswith("bias"):
                weight.data.normal_(0, 0.3)
        model.model.decoder.embed_tokens.weight.data.normal_()
        model.model.decoder.pos_emb.weight.data.normal_(0, 0.5)
    return model.eval()


def random_checkpoint(folder: Path, sizes: dict[str, Any] = TINY, *, seed: int = 2) -> Path:
    """Write a checkpoint with random weights of these sizes into ``folder`` and return it."""
    random_model(sizes, seed=seed).save_pretrained(folder)
    tokenizer_of(int(sizes["vocab_size"])).save(str(folder / "tokenizer.json"))
    return folder


def tokenizer_of(size: int) -> Tokenizer:
    """Return a tokenizer of ``size`` pieces, as SentencePiece has them: the even ones begin a word."""
    names = ["<unk>", "<s>", "</s>"]
    names += [("▁" if at % 2 == 0 else "") + _letters(at) for at in range(3, size)]
    tokenizer = Tokenizer(models.BPE({name: at for at, name in enumerate(names)}, []))
    tokenizer.add_special_tokens(names[:3])
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1),
        ]
    )
    return tokenizer


def _letters(number: int) -> str:
    letters = "aeioubdfghklmnprstvz"
    return letters[number % len(letters)] + (
        _letters(number // len(letters)) if number >= len(letters) else ""
    )
