"""Packs the published graph as the LiteRT decoder needs it: weights only, the same on every machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

from kani.engines.kokoro.litert.packed import GENERATOR_FILE, PROSODY_FILE
from tools.kokoro_pack.archive import write_archive
from tools.kokoro_pack.graph_surgery import Surgery
from tools.kokoro_pack.packing.features import curve_content, feature_content
from tools.kokoro_pack.packing.generator import load_scales
from tools.kokoro_pack.packing.generator_graph import GeneratorGraph, norm_coefficients
from tools.kokoro_pack.packing.graph_layers import read_layers
from tools.kokoro_pack.published import KOKORO

ORIGIN_FILE = "ORIGIN.txt"

_ORIGIN = """\
Kokoro-82M 1.0, packed for this server's decoder.

Licence   Apache-2.0 (LICENSE in this folder)
Authors   hexgrad: huggingface.co/hexgrad/Kokoro-82M
Export    {url}
          SHA-256 {sha256}
Changed   cut into parts; the convolutions of the generator have 8-bit inputs with calibrated levels
          (tools/kokoro_pack/data/scales.json says how these were found), those of the curves and the
          features are models of LiteRT; durations below speed 1 are spread
Made by   python -m tools.kokoro_pack

SHA-256 and bytes of the files:
"""


def pack_published(model: bytes, folder: Path) -> None:
    """Write both archives and their origin into a folder. Raises UnknownGraph."""
    surgery, scales = Surgery(model), load_scales()
    layers = read_layers(surgery.generator())
    prosody = write_archive(
        {
            "encoder.onnx": surgery.encoder(),
            **curve_content(surgery.curves()),
            **feature_content(surgery.decoder()),
        }
    )
    graph = GeneratorGraph(layers, scales).build()
    generator = write_archive({"generator.tflite": graph, **norm_coefficients(layers, scales)})
    folder.mkdir(parents=True, exist_ok=True)
    origin = _ORIGIN.format(url=KOKORO.url, sha256=KOKORO.sha256)
    for name, content in ((PROSODY_FILE, prosody), (GENERATOR_FILE, generator)):
        (folder / name).write_bytes(content)
        origin += f"{hashlib.sha256(content).hexdigest()}  {len(content):>10}  {name}\n"
    (folder / ORIGIN_FILE).write_text(origin, encoding="utf-8")
