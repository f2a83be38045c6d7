"""Writes packed networks (``kani.engines.kokoro.litert.packed``): the same entries give the same bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Content = dict[str, bytes | npt.NDArray[np.generic]]
"""Entries of an archive: an array NAME becomes ``NAME.npy``."""


def write_archive(content: Mapping[str, bytes | npt.NDArray[np.generic]]) -> bytes:
    """Return the archive of some entries."""
    file = io.BytesIO()
    # Stored: weights don't compress, and the archive serves only for its checksums.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, value in content.items():
            if isinstance(value, bytes):
                archive.writestr(_entry(name), value)
            else:
                with archive.open(_entry(f"{name}.npy"), "w") as entry:
                    np.lib.format.write_array(entry, value, allow_pickle=False)
    return file.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    """Describe an entry, with the same date and system on every day and machine."""
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    return entry
