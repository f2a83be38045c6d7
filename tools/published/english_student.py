"""Make the files of the English student from the wheel of PyPI's hibari-tts 0.2.1.

    pip download hibari-tts==0.2.1 --no-deps
    python -m tools.published.english_student hibari_tts-0.2.1-py3-none-any.whl

The published graph is one function from symbols to spectra. It is cut into ``PROSODY`` and ``DECODER`` where
pitch and energy are plain tensors, so that they can be changed between the two. Its last transposition and
split are left out, so that a frame's spectra lie side by side. No weight is changed, and the same input gives
the same bytes. Needs the model of Kokoro as well: the pitch and the level of its voice are the student's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import zipfile
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto, helper
from onnx.utils import Extractor

from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.student.files import (
    DECODER,
    ENGLISH,
    LICENCE_FILE,
    NOTICE_FILE,
    ORIGIN_FILE,
    PROSODY,
)
from kani.engines.kokoro.voices import Voices

ORIGIN = "https://pypi.org/project/hibari-tts/0.2.1/ (hibari/assets/hibari.onnx), by Maureese Williams"
LICENCE = "Apache-2.0"
MODEL = "hibari/assets/hibari.onnx"
MODEL_SHA256 = "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"
TEXTS = {"LICENSE": LICENCE_FILE, "NOTICE": NOTICE_FILE}
"""The wheel's licence and notice, and their names here."""

VOICE, LANGUAGE = "af_heart", "en"

GAIN = 1.49
"""Kokoro's RMS level divided by the student's: the median over the English ``SENTENCES`` (0.07 around it), of
which no judge hears any. Without it the voice would be 3.5 dB quieter where the student speaks."""

_NAMES = {
    "/Reshape_42_output_0": "text",
    "f0": "pitch",
    "/Mul_62_output_0": "energy",
    "/Clip_output_0": "durations",
    "/head/Add_output_0": "spectra",
}
_FLOAT = TensorProto.FLOAT
_TYPES = {
    "text": (_FLOAT, (1, 128, "halves")),
    "pitch": (_FLOAT, (1, "halves")),
    "energy": (_FLOAT, (1, "halves")),
    "durations": (_FLOAT, ("n",)),
    "spectra": (_FLOAT, (1, "halves", 3005)),
}


def build(wheel: Path, folder: Path) -> None:
    """Write all files into ``folder``.

    Raises zipfile.BadZipFile when ``wheel`` is no archive, KeyError when it lacks a file, ValueError when its
    model is another one.
    """
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(MODEL)
        texts = {
            name: next(path for path in archive.namelist() if path.endswith(f"/licenses/{name}"))
            for name in TEXTS
        }
        for name, path in texts.items():
            (folder / TEXTS[name]).write_bytes(archive.read(path))
    if hashlib.sha256(content).hexdigest() != MODEL_SHA256:
        raise ValueError(f"{MODEL} is not the file that the cuts were made for")
    parts = {
        PROSODY: cut(content, ("ids", "speed"), ("text", "pitch", "energy", "durations")),
        DECODER: cut(content, ("text", "pitch", "energy"), ("spectra",)),
    }
    for name, part in parts.items():
        (folder / name).write_bytes(part)
    statistics = StatisticsTable.shipped([voice.id for voice in Voices().all])
    origin = {
        "made_by": "python -m tools.published.english_student",
        "origin": ORIGIN,
        "licence": LICENCE,
        "source_sha256": MODEL_SHA256,
        "voice": VOICE,
        "language": LANGUAGE,
        "log_f0": round(statistics.log_f0(VOICE), 4),
        "level": round(statistics.level(VOICE), 6),
        "gain": GAIN,
        "sha256": {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()},
    }
    (folder / ORIGIN_FILE).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")


def cut(content: bytes, given: tuple[str, ...], wanted: tuple[str, ...]) -> bytes:
    """Return the part of the published graph between two sets of tensors, by the names of ``_NAMES``."""
    model = _renamed(onnx.load_model_from_string(content))
    inputs = {value.name: value for value in model.graph.input}
    del model.graph.value_info[:]
    for name in (*given, *wanted):
        if name not in inputs:
            model.graph.value_info.append(helper.make_tensor_value_info(name, *_TYPES[name]))
    part = Extractor(model).extract_model(list(given), list(wanted))
    part.producer_name = ""
    return bytes(part.SerializeToString(deterministic=True))


def _renamed(model: ModelProto) -> ModelProto:
    """Name the tensors that the cuts are at."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            for at, name in enumerate(names):
                names[at] = _NAMES.get(name, name)
    del model.graph.output[:]
    return model


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.published.english_student")
    parser.add_argument("wheel", type=Path, help="hibari_tts-0.2.1-py3-none-any.whl")
    build(parser.parse_args().wheel, ENGLISH)


if __name__ == "__main__":
    main()
