"""Checkpoints of Whisper in CTranslate2's format: with random weights, and the embedded base as a folder."""

import json
import shutil
from pathlib import Path
from typing import Any, Literal

from kani.engines.whisper.checkpoint.finding import BASE, VOCABULARY

Kind = Literal["multilingual", "large-v3", "english"]
KINDS: tuple[Kind, ...] = ("multilingual", "large-v3", "english")
MELS = {"multilingual": 80, "large-v3": 128, "english": 80}
_TIMESTAMPS = 1501
# Number of the token before the special ones in the multilingual vocabulary, and of Cantonese in large-v3's.
_LAST_TEXT, _CANTONESE = 50_256, 50_358


def base_as_folder(folder: Path) -> Path:
    """Copy the embedded base; its vocabulary as JSON, as newer conversions have it."""
    folder.mkdir()
    for name in ("model.bin", "config.json", "tokenizer.json"):
        shutil.copyfile(BASE / name, folder / name)
    tokens = (BASE / VOCABULARY).read_text("utf-8").removesuffix("\n").split("\n")
    (folder / "vocabulary.json").write_text(json.dumps(tokens), "utf-8")
    return folder


def tokenizer_of(kind: Kind) -> dict[str, Any]:
    """The tokenizer of the embedded base, its special tokens numbered as those of the kind."""
    tokenizer: dict[str, Any] = json.loads((BASE / "tokenizer.json").read_bytes())
    added, vocabulary = tokenizer["added_tokens"], tokenizer["model"]["vocab"]
    if kind == "english":
        vocabulary.pop("")
        assert _LAST_TEXT not in vocabulary.values()
        for token in added:
            token["id"] -= 1
        vocabulary["<|endoftext|>"] -= 1
    if kind == "large-v3":
        for token in added:
            token["id"] += token["id"] >= _CANTONESE
        added.append({**added[-1], "id": _CANTONESE, "content": "<|yue|>"})
        added.sort(key=lambda token: token["id"])
    tokenizer["post_processor"] = None
    return tokenizer


def random_checkpoint(folder: Path, kind: Kind, quantization: str | None = None, **sizes: int) -> Path:
    """Write a checkpoint with random weights, by CTranslate2's own converter of transformers' models.

    quantization: of the file, as the converter takes it; sizes: of transformers' ``WhisperConfig``.
    """
    import torch
    from ctranslate2.converters import TransformersConverter
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    tokenizer = tokenizer_of(kind)
    number = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    end, begin = number["<|endoftext|>"], number["<|startoftranscript|>"]
    config = WhisperConfig(
        vocab_size=number["<|notimestamps|>"] + 1 + _TIMESTAMPS,
        num_mel_bins=MELS[kind],
        **{
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
        }
        | sizes,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=begin,
        suppress_tokens=None,
        begin_suppress_tokens=[220, end],
    )
    torch.manual_seed(0)
    source = folder.with_name(f"{folder.name}-transformers")
    WhisperForConditionalGeneration(config).save_pretrained(source)
    (source / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    (source / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}', "utf-8")
    TransformersConverter(str(source), copy_files=["tokenizer.json"]).convert(
        str(folder), quantization=quantization
    )
    return folder
