"""Whisper base, which the package brings: ``python -m tools.whisper_pack`` made it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from kani.engines.whisper.checkpoint.contents import MODEL
from kani.runtime.errors import CheckpointError

BASE = Path(__file__).parents[1] / "data"
ORIGIN, VOCABULARY = "ORIGIN.txt", "vocabulary.txt"

_LISTED = re.compile(r"^([0-9a-f]{64}) +\d+ +(\S+)$", re.MULTILINE)


def read_base() -> dict[str, bytes | Path]:
    """Return the files as ``Contents.files`` has them, if they have the checksums of ORIGIN.txt.

    Raises CheckpointError with the cure. Blocks.
    """
    files = dict[str, bytes | Path]()
    try:
        for sha256, name in _LISTED.findall((BASE / ORIGIN).read_text(encoding="utf-8")):
            with (BASE / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    raise CheckpointError(_broken(f"{name} fails its SHA-256"))
            files[name] = BASE / name if name == MODEL else (BASE / name).read_bytes()
    except OSError as error:
        raise CheckpointError(_broken(str(error.strerror))) from error
    return files


def _broken(reason: str) -> str:
    where = "kani/engines/whisper/data/ from the repository"
    return f"Whisper base is missing or broken ({reason}): restore {where}"
