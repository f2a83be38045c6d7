"""Reads the table of a model.bin: the names and shapes of its weights, and whether all of them are there.

Source: PyPI ctranslate2 4.8.5, ``specs/model_spec.py``, ``ModelSpec._serialize``; numbers are little-endian.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kani.runtime.errors import CheckpointError

_VERSION, _SPEC = 6, "WhisperSpec"
_MAX_VARIABLES, _MAX_RANK = 20_000, 4

_EMBEDDINGS = "decoder/embeddings/weight"
_TEXT_POSITIONS = "decoder/position_encodings/encodings"
_FIRST_LAYER = "encoder/conv1/weight"
_AUDIO_POSITIONS = "encoder/position_encodings/encodings"
_LAYER = re.compile(r"decoder/layer_(\d+)/")
_HEADS, _DEFAULT_HEADS = "decoder/num_heads", 8
_RANKS = {_EMBEDDINGS: 2, _TEXT_POSITIONS: 2, _FIRST_LAYER: 3, _AUDIO_POSITIONS: 2}

MELS = (80, 128)
"""Mel bins that Whisper's feature extractor is made for."""
CONTEXT = 448
"""Tokens of the text context of every Whisper."""
_FRAMES = 1500

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes of a model, as the shapes of its weights tell them."""

    tokens: int  # rows of the embedding
    mels: int  # mel bins of the audio
    width: int  # of the text decoder
    layers: int  # of the text decoder
    heads: int  # of each of its layers


def read_layout(path: Path) -> Layout:
    """Read the table of a model.bin. Raises CheckpointError, naming what is wrong."""
    try:
        with path.open("rb") as file:
            shapes, heads = _read_table(_Reader(file, path.stat().st_size))
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read ({error.strerror})") from error
    for name, rank in _RANKS.items():
        if len(shapes.get(name, ())) != rank:
            raise CheckpointError(f"{path.name} has no {name} with {rank} dimensions")
    tokens, width = shapes[_EMBEDDINGS]
    found = Layout(tokens, shapes[_FIRST_LAYER][1], width, _layers(shapes), heads)
    if found.mels not in MELS:
        raise CheckpointError(f"{path.name} takes {found.mels} mel bins; Whisper has 80 or 128")
    for name, expected in ((_TEXT_POSITIONS, (CONTEXT, width)), (_AUDIO_POSITIONS, (_FRAMES,))):
        if shapes[name][: len(expected)] != expected:
            raise CheckpointError(
                f"{path.name}: {name} is {list(shapes[name])}; it has to begin with {list(expected)}"
            )
    return found


def _layers(shapes: Mapping[str, Shape]) -> int:
    return len({found[1] for name in shapes if (found := _LAYER.match(name))})


class _Reader:
    """Reads the numbers and names of a file; CheckpointError where it ends too early."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def number(self, kind: str) -> int:
        """Read one number; kind: its format for ``struct``."""
        return int(struct.unpack(f"<{kind}", self._bytes(struct.calcsize(f"<{kind}")))[0])

    def name(self) -> str:
        """Read a name with its length before it and a zero byte after it."""
        return self._bytes(self.number("H"))[:-1].decode("utf-8", "replace")

    def skip(self, count: int) -> None:
        if self._file.tell() + count > self._size:
            raise CheckpointError("model.bin is cut off: fetch it again")
        self._file.seek(count, 1)

    def _bytes(self, count: int) -> bytes:
        content = self._file.read(count)
        if len(content) != count:
            raise CheckpointError("model.bin is cut off: fetch it again")
        return content


def _read_table(reader: _Reader) -> tuple[dict[str, Shape], int]:
    """Return the shapes of all weights by their names, and the number of heads."""
    version = reader.number("I")
    if version != _VERSION:
        raise CheckpointError(
            f"model.bin has the version {version} of CTranslate2's format, not {_VERSION}: convert it again"
        )
    spec = reader.name()
    if spec != _SPEC:
        raise CheckpointError(f"model.bin is a {spec[:40]!r}, not a {_SPEC}")
    reader.number("I")
    count = reader.number("I")
    if count > _MAX_VARIABLES:
        raise CheckpointError(f"model.bin has {count} weights (at most {_MAX_VARIABLES})")
    shapes, heads = dict[str, Shape](), _DEFAULT_HEADS
    for _ in range(count):
        name, rank = reader.name(), reader.number("B")
        if rank > _MAX_RANK:
            raise CheckpointError(f"model.bin: {name[:80]} has {rank} dimensions (at most {_MAX_RANK})")
        shapes[name] = tuple(reader.number("I") for _ in range(rank))
        reader.number("B")
        size = reader.number("I")
        if name == _HEADS and size == struct.calcsize("<h"):
            heads = reader.number("h")
        else:
            reader.skip(size)
    # Other names of the same weights end the file.
    for _ in range(reader.number("I")):
        reader.name()
        reader.name()
    return shapes, heads
