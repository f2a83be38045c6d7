"""Checkpoints of Kyutai's recogniser with random weights, in transformers' format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models
from transformers import (
    KyutaiSpeechToTextConfig,
    KyutaiSpeechToTextFeatureExtractor,
    KyutaiSpeechToTextForConditionalGeneration,
    PreTrainedTokenizerFast,
)

TINY: dict[str, Any] = {
    "vocab_size": 40,
    "bos_token_id": 39,
    "codebook_vocab_size": 17,
    "audio_bos_token_id": 16,
    "audio_pad_token_id": 40 + 4 * 17,
    "num_codebooks": 4,
    "hidden_size": 32,
    "ffn_dim": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "sliding_window": 12,
    "codec_config": {
        "model_type": "mimi",
        "hidden_size": 32,
        "num_filters": 4,
        "num_hidden_layers": 2,
        "intermediate_size": 48,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "codebook_size": 16,
        "codebook_dim": 16,
        "vector_quantization_hidden_dimension": 16,
        "num_quantizers": 4,
        "sliding_window": 10,
        "upsample_groups": 32,
        "layer_scale_initial_scale": 0.5,
    },
}
"""Windows that are full after a second, and a vocabulary of 40 tokens."""

FULL_1B: dict[str, Any] = {
    "vocab_size": 8001,
    "bos_token_id": 8000,
    "audio_pad_token_id": 8001 + 32 * 2049,
    "hidden_size": 2048,
    "ffn_dim": 11264,
    "num_hidden_layers": 16,
    "num_attention_heads": 16,
    "sliding_window": 375,
    "codec_config": {"model_type": "mimi", "num_quantizers": 32},
}
"""stt-1b-en_fr's published sizes."""

DELAY_S = 0.5


def random_model(sizes: dict[str, Any] = TINY, *, seed: int = 0) -> Any:
    """Return transformers' model with random weights of these sizes."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = KyutaiSpeechToTextForConditionalGeneration(KyutaiSpeechToTextConfig(**sizes))
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.data.uniform_(0.5, 1.5)
            elif weight.dim() > 1 and "codec" not in name:
                # Large enough that every layer has a say in the outcome.
                weight.data.normal_(0, 1.5 * weight.shape[-1] ** -0.5)
        for name, buffer in model.named_buffers():
            # transformers begins with codebooks of zeros: every sound would have the same codes.
            if name.endswith("embed_sum"):
                buffer.normal_(0, 0.5)
            elif name.endswith("cluster_usage"):
                buffer.uniform_(0.5, 1.5)
    return model.eval()


def random_checkpoint(folder: Path, sizes: dict[str, Any] = TINY, *, seed: int = 0) -> Path:
    """Write a checkpoint with random weights of these sizes into ``folder`` and return it."""
    random_model(sizes, seed=seed).save_pretrained(folder)
    tokenizer_of(int(sizes["vocab_size"])).save_pretrained(folder)
    KyutaiSpeechToTextFeatureExtractor(
        audio_delay_seconds=DELAY_S, audio_silence_prefix_seconds=0.0
    ).save_pretrained(folder)
    return folder


def tokenizer_of(size: int) -> PreTrainedTokenizerFast:
    """Return a tokenizer of ``size`` - 1 pieces, as SentencePiece has them: the odd ones begin a word."""
    names = ["<unk>", "<s>", "</s>", "<pad>"]
    names += [("▁" if at % 2 else "") + _letters(at) for at in range(4, size - 1)]
    tokenizer = Tokenizer(models.BPE({name: at for at, name in enumerate(names)}, []))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(content=" ", left=1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def _letters(number: int) -> str:
    letters = "aeioubdfghklmnprstvz"
    return letters[number % len(letters)] + (
        _letters(number // len(letters)) if number >= len(letters) else ""
    )
