"""The published checkpoints of VoxCPM, and the files that are read of one.

Source: PyPI voxcpm 2.0.3, ``core.py`` and ``model/``. Weights and package are under the Apache License 2.0.
"""

DEFAULT_MODEL = "openbmb/VoxCPM2@32279effe8c19989596f05d353d1447f51d9e915"
"""The pinned checkpoint: 2 billion parameters, 30 languages, 48 kHz; 5 GB."""

DEFAULT_FILES = (
    "config.json",
    "model.safetensors",
    "audiovae.pth",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
"""Files of the pinned checkpoint that are read; its Python file is not."""

FILES = ("*.json", "*.safetensors", "*.pth", "*.bin")
"""Files of another checkpoint."""

LANGUAGES = {
    "voxcpm": ("zh", "en"),
    "voxcpm2": tuple(
        "en zh ar da de el es fi fr he hi id it ja ko ms my nb nl pl pt ru sv sw th tr vi".split()
    ),
}
"""Primary language subtags by the ``architecture`` of a checkpoint: the 27 of VoxCPM2's 30 that this server
knows by name (Khmer, Lao and Tagalog are missing)."""

ENCODE_RATE = 16_000
"""Sample rate of recordings, in hertz, where ``config.json`` names no other."""
