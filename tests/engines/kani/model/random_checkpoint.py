"""Kani checkpoints and speaker embedders with random weights, in the makers' file formats."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import Lfm2Config, Lfm2ForCausalLM, PreTrainedTokenizerFast, WavLMConfig, WavLMModel

from kani.engines.kani.model.model_config import ModelConfig
from kani.engines.kani.model.speaker_encoder import _Head

TINY = {
    "vocab_size": 300 + 10 + 4 * 4032,
    "hidden_size": 64,
    "block_ff_dim": 96,
    "block_multiple_of": 32,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "full_attn_idxs": [1, 3],
}
"""Two attention and three convolution layers, a vocabulary of 300 text tokens."""

FULL = {
    "vocab_size": 80538,
    "hidden_size": 1024,
    "block_ff_dim": 6656,
    "num_hidden_layers": 16,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "full_attn_idxs": [2, 5, 8, 10, 12, 14],
}
"""kani-tts-370m's published sizes."""


def random_checkpoint(
    folder: Path,
    sizes: dict[str, object] = TINY,
    *,
    seed: int = 0,
    as_trained: bool = False,
    **settings: object,
) -> Path:
    """Write a checkpoint with random weights of these sizes into ``folder`` and return it.

    as_trained: leave the weights as transformers begins a training with them (normal, 0.02); settings: more
    entries for its config.json (speaker_settings, say).
    """
    config = Lfm2Config(**sizes, max_position_embeddings=4096)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Lfm2ForCausalLM(config)
        for name, weight in () if as_trained else model.named_parameters():
            if "norm" in name:
                weight.data.uniform_(0.5, 1.5)
            elif "conv.conv" in name:
                weight.data.normal_(0, 0.5)
            else:
                # Large enough that every layer has a say in the outcome.
                weight.data.normal_(0, weight.shape[-1] ** -0.5)
    model.save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings), "utf-8")
    kani_tokenizer().save_pretrained(folder)
    return folder


def random_kani_tts_2(
    folder: Path, sizes: dict[str, object] = TINY, *, seed: int = 0, **settings: object
) -> Path:
    """Write a KaniTTS-2 checkpoint as ``random_checkpoint`` does, with frames 0.3 positions apart.

    settings: entries that its config.json has otherwise.
    """
    second: dict[str, object] = {
        "architectures": ["KaniTTS2ForCausalLM"],
        "audio_tokens_start": int(str(sizes["vocab_size"])) - 4 * 4032,
        "tokens_per_frame": 4,
        "audio_step": 0.3,
        "use_learnable_rope": True,
        "alpha_min": 0.1,
        "alpha_max": 2.0,
        "speaker_emb_dim": 128,
    }
    random_checkpoint(folder, sizes, seed=seed, **(second | settings))
    config = ModelConfig.parse(json.loads((folder / "config.json").read_text("utf-8")))
    weights = load_file(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(seed)
    for key, shape in config.shapes().items():
        if key not in weights:
            # As loud as a token's row, so that who speaks has a say.
            weights[key] = torch.randn(shape, generator=generator)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def kani_tokenizer() -> PreTrainedTokenizerFast:
    """A token per byte, with start_of_text in front, as LFM2's tokenizer has it."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = ["<|pad|>", "<|startoftext|>", "<|im_end|>", *letters]
    tokenizer = Tokenizer(models.BPE({name: number for number, name in enumerate(names)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A", special_tokens=[("<|startoftext|>", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|startoftext|>")


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
