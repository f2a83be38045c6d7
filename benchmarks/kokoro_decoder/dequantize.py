"""Writes Kokoro's int8 graph in float32 (``kani.engines.kokoro.network.float_graph``).

python -m benchmarks.kokoro_decoder.dequantize OUT.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kani.engines.kokoro.network.float_graph import dequantize
from kani.runtime import weights


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kokoro_decoder.dequantize", description="Write Kokoro's graph in float32."
    )
    parser.add_argument("out", type=Path, help="the file to write, 330 MB")
    parser.add_argument(
        "--cache-dir",
        type=Path,
        default=Path("kokoro-cache"),
        help="where a fetched model is kept",
    )
    given = parser.parse_args()
    model = weights.load(weights.KOKORO, models_dir=None, cache_dir=given.cache_dir)
    given.out.write_bytes(dequantize(model))


if __name__ == "__main__":
    main()
