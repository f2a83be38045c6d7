"""What an operator chooses for VoxCPM's protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class VoxCPMSettings:
    """max_text: characters of one request; voice_dir: the folder of recorded voices, None is none;
    recording_hosts: private hosts, ``name`` or ``name:port``, that prompt_wav_url may name.
    """

    max_text: int
    voice_dir: Path | None
    recording_hosts: frozenset[str]
