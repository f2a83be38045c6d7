"""Checkpoints of makers' packages with next to nothing in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CONFIG = "config.json"
_KYUTAI: dict[str, Any] = {
    "moshi_name": "dsm_tts.safetensors",
    "mimi_name": "mimi.safetensors",
    "tokenizer_name": "tokenizer.model",
    "conditioners": {"speaker_wavs": {}},
    "tts_config": {"audio_delay": 1.28},
    "model_id": {"sig": "1e68beda", "epoch": 240},
}
_VOXCPM = {
    "architecture": "voxcpm2",
    "lm_config": {},
    "encoder_config": {},
    "dit_config": {},
    "audio_vae_config": {"sample_rate": 16_000},
}
CONFIGS = {
    "kyutai": _KYUTAI,
    "kyutai-prefix": _KYUTAI | {"conditioners": {}},
    "kyutai-ears": _KYUTAI
    | {"stt_config": {"audio_silence_prefix_seconds": 0.0, "audio_delay_seconds": 0.5}},
    "voxcpm": _VOXCPM,
    "voxcpm-old": _VOXCPM | {"architecture": "voxcpm"},
}
FILES = {
    "kyutai": ("dsm_tts.safetensors", "mimi.safetensors", "tokenizer.model"),
    "voxcpm": ("model.safetensors", "audiovae.pth", "tokenizer.json"),
}
VOICE = "ana.wav.1e68beda@240.safetensors"
"""File of a voice of "kyutai"."""


def tensor_file(name: str = "a", numbers: int = 100) -> bytes:
    table = {name: {"dtype": "F32", "shape": [numbers], "data_offsets": [0, 4 * numbers]}}
    header = json.dumps(table).encode()
    return len(header).to_bytes(8, "little") + header + bytes(4 * numbers)


def written(tmp_path: Path, family: str) -> Path:
    """Write the files of a checkpoint; its weights are one tensor."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    if family == "pocket":
        for language, voice in (("german", "juergen"), ("dutch", "daan")):
            own = folder / "languages" / language
            (own / "embeddings").mkdir(parents=True)
            for name in ("model.safetensors", f"embeddings/{voice}.safetensors"):
                (own / name).write_bytes(tensor_file())
            (own / "tokenizer.json").write_text("{}")
        return folder
    (folder / CONFIG).write_text(json.dumps(CONFIGS[family]), "utf-8")
    for name in FILES[family.partition("-")[0]]:
        (folder / name).write_bytes(tensor_file() if name.endswith(".safetensors") else b"content")
    return folder
