"""Reads the voices of a checkpoint: a style table each, as the packages of Kokoro's family write them.

    NAME.pt    one tensor of PyTorch
    NAME.bin   float32 without a header
    NAME.npy   one array
    *.npz      an array a voice, by name; also ``voices-v1.0.bin``, which is such a file

A table has a style for each length of an utterance. Nothing of a file is run.
"""

from __future__ import annotations

import io
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from kani.engines.kokoro.network.onnx_model import Array
from kani.engines.kokoro.voices import STYLES_SHAPE
from kani_text.foreign.files import open_regular, read_regular
from tools.kokoro_pack.checkpoints.tensor_file import read_array

MAX_VOICES = 512
MAX_TABLE_BYTES, MAX_FILE_BYTES = 4 << 20, 512 << 20
"""Limits of one table and of one file; a table is 0.5 MB."""

_BROKEN = (ValueError, EOFError, KeyError, RuntimeError, MemoryError, zlib.error, zipfile.BadZipFile)
"""Errors of damaged files; zipfile raises RuntimeError for an encrypted one and an unknown compression."""

_ZIP = b"PK\x03\x04"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MOST_ROWS = STYLES_SHAPE[0] + 2
"""Some tables have a row more: for an utterance of no symbols, or of 511."""

Tables = Mapping[str, Array]
"""Style tables [510, 256] by voice."""


def find_voice_files(folder: Path) -> list[Path]:
    """List the files with voices: those in ``voices``, and those beside the network."""
    found = (path for place in (folder / "voices", folder) for path in place.glob("*"))
    return sorted(path for path in found if path.suffix in _READERS)


def read_voices(folder: Path) -> Tables:
    """Read all voices of a folder. Raises ValueError with the file and the reason, and OSError."""
    tables: dict[str, Array] = {}
    for path in find_voice_files(folder):
        try:
            for written, table in _READERS[path.suffix](path):
                name = _plain(written)
                if not _NAME.fullmatch(name):
                    raise ValueError(f"{written!r} is no name of a voice (1 to 64 letters, digits, _ and -)")
                if name in tables:
                    raise ValueError(f"the voice {name} is there twice")
                if len(tables) == MAX_VOICES:
                    raise ValueError(f"the voices are more than {MAX_VOICES}")
                tables[name] = _checked(table)
        except _BROKEN as error:
            raise ValueError(f"{path.name}: {error}") from error
    return tables


def _plain(name: str) -> str:
    """Return a name without its letters' marks, as it is an id in addresses and headers: "Bjorn"."""
    letters = unicodedata.normalize("NFKD", name)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _checked(table: np.ndarray) -> Array:
    """Return a table as float32 [510, 256]. Raises ValueError for another shape."""
    symbols, size = STYLES_SHAPE
    shape = table.shape
    rows = shape[:1] + shape[2:] if len(shape) == 3 and shape[1] == 1 else shape
    if len(rows) != 2 or not symbols <= rows[0] <= _MOST_ROWS or rows[1] != size or table.dtype.kind != "f":
        raise ValueError(
            f"a voice is {table.dtype} {list(shape)}, where Kokoro's are float32 [{symbols}, 1, {size}]"
        )
    styles = np.ascontiguousarray(table.reshape(rows)[:symbols], np.float32)
    if not np.isfinite(styles).all():
        raise ValueError("a voice has values that are not finite")
    return styles


def _raw(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    with open_regular(path) as file:
        if file.read(len(_ZIP)) == _ZIP:
            yield from _archive(path)
            return
    content = read_regular(path, MAX_TABLE_BYTES)
    row = STYLES_SHAPE[1] * np.dtype(np.float32).itemsize
    if len(content) % row:
        raise ValueError(f"{len(content)} bytes are not rows of {STYLES_SHAPE[1]} float32 values")
    yield path.stem, np.frombuffer(content, "<f4").reshape(-1, STYLES_SHAPE[1])


def _array(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    yield path.stem, _loaded(read_regular(path, MAX_TABLE_BYTES))


def _archive(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    with zipfile.ZipFile(io.BytesIO(read_regular(path, MAX_FILE_BYTES))) as archive:
        for entry in archive.infolist():
            if entry.file_size > MAX_TABLE_BYTES:
                raise ValueError(f"{entry.filename} is longer than {MAX_TABLE_BYTES} bytes")
            yield Path(entry.filename).stem, _loaded(archive.read(entry))


def _loaded(content: bytes) -> np.ndarray:
    """Return the one array of a file. Raises ValueError, also for an archive, which numpy would open."""
    if content.startswith(_ZIP):
        raise ValueError("it is an archive, not one array")
    array: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    return array


def _tensor(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    yield path.stem, read_array(read_regular(path, MAX_TABLE_BYTES))


_READERS: Mapping[str, Callable[[Path], Iterator[tuple[str, np.ndarray]]]] = {
    ".pt": _tensor,
    ".bin": _raw,
    ".npy": _array,
    ".npz": _archive,
}
