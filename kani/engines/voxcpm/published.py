"""The published checkpoints of VoxCPM, the files that are read of one, and its description as an engine.

Source: PyPI voxcpm 2.0.3, ``core.py`` and ``model/``. Weights and package are under the Apache License 2.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kani.core.engine import EngineInfo

ENGINE = "voxcpm"
NO_RECORDING = "is the transcript of a recording: there is none"
NEEDS_WORDS = "this VoxCPM model needs the words that are spoken in the recording"

MAX_VOICES = 256
"""Sessions that keep their first segment, at most 24 s each: far more than speak at once."""

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


def describe(
    folder: Path, architecture: str, sample_rate: int, *, used: set[str], streams: int = 1
) -> EngineInfo:
    """Describe a checkpoint's engine. used: fields of requests; streams: segments at once."""
    from kani.core.engine import EngineInfo
    from kani.core.types import Voice

    languages, denoised = LANGUAGES[architecture], ", denoised" if "denoise" in used else ""
    version = f"{'VoxCPM2' if architecture == 'voxcpm2' else 'VoxCPM'} {folder.name[:12]}"
    return EngineInfo(
        name=ENGINE,
        version=version,
        sample_rate=sample_rate,
        voices=tuple(Voice(f"{ENGINE}:{tag}", f"VoxCPM ({tag})", tag, ENGINE) for tag in languages),
        default_voices={tag: f"{ENGINE}:{tag}" for tag in languages},
        max_concurrency=streams,
        speed_range=(1.0, 1.0),
        supported_fields=frozenset(used),
        streams_inside_segment=True,
        times_words=False,
        cloning="embedding",
        embedding_model=f"{version}{denoised}, 1",
        keeps_voices=True,
    )
