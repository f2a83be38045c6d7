"""Settings of VoxCPM's protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class VoxCPMSettings:
    max_text: int  # characters of one request
    voice_dir: Path | None  # folder of recorded voices
    recording_hosts: frozenset[str]  # private hosts, "name" or "name:port", that prompt_wav_url may name
