"""Reads packed networks: graphs for onnxruntime, models for LiteRT and small arrays, in two archives.

``data/network`` is Kokoro's own; ``tools/kokoro_pack`` makes it, and those of other checkpoints.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kani.engines.kokoro.network.onnx_model import Array
from kani.engines.kokoro.network.parts import Window
from kani.engines.kokoro.voices import DATA

NETWORK = DATA / "network"
"""Folder of Kokoro's own network."""

PROSODY_FILE, GENERATOR_FILE = "prosody.zip", "generator.zip"

CURVES = ("F0", "N")
"""Branches of the curves part (pitch, energy) by their names in the original network."""

CONTEXT_FRAMES = 6
"""Frames of context of a window on either side. The receptive field is four frames for the features, and five
and a half for the source with its block."""

WINDOW_ARRAYS = ("features", "spectra", "scale", "shift")

BROKEN = (OSError, EOFError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile, zipfile.LargeZipFile)
"""Errors of an archive that is missing, lacks an entry or is damaged: each entry has a checksum."""


class PackedArchive:
    """Graphs, models and arrays by name; read on access. Thread-safe. Its methods raise ``BROKEN``."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)

    def content(self, name: str) -> bytes:
        return self._archive.read(name)

    def array(self, name: str) -> Array:
        """An array in float32."""
        with self._archive.open(f"{name}.npy") as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False), np.float32)

    def window(self, name: str) -> Window:
        """Read a window that has its context on either side."""
        features, spectra, scale, shift = (self.array(f"{name}.{kind}") for kind in WINDOW_ARRAYS)
        return Window(features, spectra, scale, shift, CONTEXT_FRAMES, CONTEXT_FRAMES)


@dataclass(frozen=True, slots=True, eq=False)
class PackedNetwork:
    """Everything before the generator, and the generator."""

    prosody: PackedArchive
    generator: PackedArchive

    @classmethod
    def open(cls, folder: Path) -> PackedNetwork:
        """Open the archives of a folder. Raises ``BROKEN``."""
        return cls(PackedArchive(folder / PROSODY_FILE), PackedArchive(folder / GENERATOR_FILE))
