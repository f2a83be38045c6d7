"""Checkpoints of makers' packages with next to nothing in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

CONFIG = "config.json"
CONFIGS: dict[str, dict[str, Any]] = {
    "kyutai": {
        "moshi_name": "dsm_tts.safetensors",
        "mimi_name": "mimi.safetensors",
        "tokenizer_name": "tokenizer.model",
        "conditioners": {"speaker_wavs": {}},
        "tts_config": {"audio_delay": 1.28},
        "model_id": {"sig": "1e68beda", "epoch": 240},
    },
    "voxcpm": {
        "architecture": "voxcpm2",
        "lm_config": {},
        "encoder_config": {},
        "dit_config": {},
        "audio_vae_config": {"sample_rate": 16_000},
    },
}
CONFIGS["kyutai-ears"] = CONFIGS["kyutai"] | {
    "stt_config": {"audio_silence_prefix_seconds": 0.0, "audio_delay_seconds": 0.5}
}
FILES = {
    "kyutai-ears": ("dsm_tts.safetensors", "mimi.safetensors", "tokenizer.model"),
    "kyutai": ("dsm_tts.safetensors", "mimi.safetensors", "tokenizer.model"),
    "voxcpm": ("model.safetensors", "audiovae.pth", "tokenizer.json"),
}


def written(tmp_path: Path, family: str) -> Path:
    """Write the files of a checkpoint; its weights are one tensor."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / CONFIG).write_text(json.dumps(CONFIGS[family]), "utf-8")
    for name in FILES[family]:
        if name.endswith(".safetensors"):
            save_file({"a": np.zeros(100, np.float32)}, folder / name)
        else:
            (folder / name).write_bytes(b"content")
    return folder
