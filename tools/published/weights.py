"""Finds a published file in installed packages or in a folder, or fetches it; verified by its SHA-256."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import httpx2

_TIMEOUT_S = 60.0


class NotFound(Exception):
    """The file is not here, and its publisher gives none or another."""


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file by its checksum, and where it may be."""

    name: str
    sha256: str  # in hexadecimal
    size: int  # in bytes
    parts: tuple[tuple[str, str], ...]  # (package, path inside it) of the pieces, in their order
    url: str  # at its publisher


def load(weight: WeightFile, folder: Path) -> bytes:
    """Return the verified content of ``weight``. folder: where it is kept if it has to be fetched.

    Raises NotFound.
    """
    for paths in (_installed(weight), [folder / weight.name]):
        if paths and all(path.is_file() for path in paths):
            content = b"".join(path.read_bytes() for path in paths)
            if hashlib.sha256(content).hexdigest() == weight.sha256:
                return content
    content = _fetched(weight)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / weight.name).write_bytes(content)
    return content


def _installed(weight: WeightFile) -> list[Path]:
    """Return the parts' paths; none if any package is not installed."""
    specs = [importlib.util.find_spec(package) for package, _ in weight.parts]
    return [
        Path(spec.submodule_search_locations[0], path)
        for spec, (_, path) in zip(specs, weight.parts, strict=True)
        if spec is not None and spec.submodule_search_locations and all(specs)
    ]


def _fetched(weight: WeightFile) -> bytes:
    content = bytearray()
    try:
        with httpx2.stream("GET", weight.url, timeout=_TIMEOUT_S, follow_redirects=True) as response:
            response.raise_for_status()
            for piece in response.iter_bytes():
                content += piece
                if len(content) > weight.size:
                    break
    except httpx2.HTTPError as error:
        raise NotFound(f"{weight.url}: {error or type(error).__name__}") from error
    if hashlib.sha256(content).hexdigest() != weight.sha256:
        raise NotFound(f"{weight.url} fails its SHA-256")
    return bytes(content)
