"""A speaker embedder with random weights, in the makers' file format; smaller, except for its rows."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import WavLMConfig, WavLMModel

from kani.engines.kani.model.speaker_encoder import _Head


def random_embedder(folder: Path, *, outputs: int = 128, **sizes: object) -> Path:
    """Write an embedder into ``folder`` and return it. sizes: entries of its config."""
    small: dict[str, object] = {
        # The makers' head takes rows of 1024 and no others.
        "hidden_size": 1024,
        "num_attention_heads": 16,
        "num_hidden_layers": 2,
        "intermediate_size": 128,
        "conv_dim": [32] * 7,
        "num_conv_pos_embeddings": 16,
        "do_stable_layer_norm": True,
        "feat_extract_norm": "layer",
    }
    config = WavLMConfig(**(small | sizes))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        wavlm, head = WavLMModel(config), _Head(2 * config.hidden_size, 512, outputs)
        for norm in (head.batchnorm1, head.batchnorm2):
            assert isinstance(norm, nn.BatchNorm1d)
            norm.running_mean.uniform_(0, 0.3)
            norm.running_var.uniform_(0.5, 2)
    weights = {f"wavlm.{key}": tensor for key, tensor in wavlm.state_dict().items()}
    weights |= {f"top_layers.{key}": tensor for key, tensor in head.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {key: tensor.contiguous() for key, tensor in weights.items()},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    settings = config.to_dict() | {"embd_size": outputs, "top_interm_size": 512}
    (folder / "config.json").write_text(json.dumps(settings), "utf-8")
    return folder
