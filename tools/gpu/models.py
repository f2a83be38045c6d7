"""Kani checkpoints and codecs of random weights that are the same, bit for bit, on every machine.

torch's random numbers differ in their last digits between processors; here each weight is an integer of a
counter-based generator (Philox), scaled.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import yaml  # type: ignore[import-untyped]
from safetensors.torch import save_file
from torch import Tensor

from kani.engines.kani.model.model_config import ModelConfig
from kani.engines.kani.model.tokens import TokenLayout
from tests.engines.kani.model import random_checkpoint
from tests.engines.kani.model.codec import tiny_codec

CODEBOOKS, CODES = 4, 4032
SECOND: dict[str, object] = {
    "architectures": ["KaniTTS2ForCausalLM"],
    "tokens_per_frame": CODEBOOKS,
    "audio_step": 0.3,
    "use_learnable_rope": True,
    "alpha_min": 0.1,
    "alpha_max": 2.0,
    "speaker_emb_dim": 128,
}
"""Entries of a KaniTTS-2 checkpoint's config."""


def numbers(name: str, shape: tuple[int, ...]) -> Tensor:
    """Float32 numbers in [-1, 1); the same name gives the same ones."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    count = math.prod(shape)
    drawn = np.random.Philox(key=key).random_raw(-(-count // 4)).view(np.int16)[:count]
    return torch.from_numpy(drawn.astype(np.float32) / 32768).reshape(shape)


def make_models(folder: Path, *, small: bool) -> str:
    """Write ``kani``, ``kani-2``, ``codec.nemo`` and ``embedder`` into ``folder``, unless they are there.

    small: of tiny sizes, else of the published ones. Returns a fingerprint of the first three.
    """
    note = folder / "fingerprint"
    if not note.is_file():
        sizes = random_checkpoint.TINY if small else random_checkpoint.FULL
        digest = hashlib.sha256()
        for name, entries in (("kani", {}), ("kani-2", SECOND)):
            write_model(folder / name, {**sizes, **entries}, digest)
        _write_codec(folder / "codec.nemo", tiny_codec.SMALL if small else tiny_codec.FULL, digest)
        # On the CPU in any case, so not of the published size.
        random_checkpoint.random_embedder(folder / "embedder")
        note.write_text(digest.hexdigest()[:16], "utf-8")
    return note.read_text("utf-8")


def write_model(
    folder: Path, sizes: Mapping[str, object], digest: hashlib._Hash, *, ending: float = 0.0
) -> None:
    """Write a checkpoint. ending: how likely its speech ends; with 0 it never does."""
    settings = {"model_type": "lfm2", "max_position_embeddings": 4096, **sizes}
    vocabulary = int(str(settings["vocab_size"]))
    if "tokens_per_frame" in settings:
        settings["audio_tokens_start"] = vocabulary - CODEBOOKS * CODES
    config = ModelConfig.parse(settings)
    end = TokenLayout.of_vocabulary(vocabulary, codebooks=CODEBOOKS, codebook_size=CODES).end_of_speech
    weights = {}
    for key, shape in config.shapes().items():
        drawn = numbers(key, shape)
        if "norm" in key:
            drawn = 1 + drawn / 2
        elif "conv.conv" in key:
            drawn *= 0.875
        elif shape:
            # A row of length 1: every layer has a say in the outcome.
            drawn *= (3 / shape[-1]) ** 0.5
        if key == "model.embed_tokens.weight":
            drawn[end] *= ending
        weights[key] = drawn.bfloat16()
        digest.update(weights[key].view(torch.int16).numpy().tobytes())
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(settings), "utf-8")
    random_checkpoint.kani_tokenizer().save_pretrained(folder)


def _write_codec(file: Path, sizes: Mapping[str, object], digest: hashlib._Hash) -> None:
    settings = tiny_codec.config(sizes)
    state = {}
    for key, tensor in sorted(tiny_codec.weights(settings, 0).items()):
        drawn = numbers(key, tuple(tensor.shape))
        if key.endswith("bias"):
            drawn *= 0.02
        elif key.endswith("original0"):
            # The gain of its layer; its last digits are the processor's.
            drawn = (1 + drawn / 4) * round(float(tensor.mean()), 1)
        elif key.endswith("alpha"):
            drawn = 1 + drawn / 2
        state[key] = drawn
        digest.update(drawn.numpy().tobytes())
    content = io.BytesIO()
    torch.save(state, content)
    members = {
        "model_config.yaml": yaml.safe_dump(settings).encode(),
        "model_weights.ckpt": content.getvalue(),
    }
    tiny_codec.pack(file, members)


def speaker(number: int) -> tuple[float, ...]:
    """A speaker of KaniTTS-2: 128 numbers of length 1."""
    drawn = numbers(f"speaker {number}", (128,))
    return tuple((drawn / drawn.norm()).tolist())
