"""Kokoro's decoder on LiteRT beside the one on ONNX Runtime, and beside PyPI's kokoro-onnx.

generator: cost of a frame by window length, just the generator, one thread and all of them.
rival: whole sentences through the socket, beside kokoro-onnx on the same model file.
first: first audio of one stream, two servers in turn.
streams: number played without a late piece.
likeness: beside float32, on the same features and on the same prosody, 60 sentences, all voices.
curves: pitch and energy beside onnxruntime's and float32's, 36 sentences es, en, ja.
words: word errors by whisper-base of either, and of float32, 180 sentences.
windows: beside one window over everything, by the same generator.
start: time until the server is ready; first and later starts.
memory: of a server with either decoder.

DNSMOS, kokoro-onnx and the picture need another environment (tests/judges/requirements-judges.txt);
KANI_JUDGE_PYTHON names its python.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.kokoro_decoder import cost, curves, similarity, sockets, start, streams
from benchmarks.kokoro_decoder.windows import LITERT, ONNX
from benchmarks.report import JUDGE_VARIABLE, median, report_section

PARTS: dict[str, Callable[[], None]] = {
    "generator": cost.generator,
    "rival": sockets.rival,
    "first": sockets.first,
    "streams": streams.streams,
    "likeness": similarity.likeness,
    "curves": curves.curves,
    "words": similarity.words,
    "windows": similarity.windows,
    "start": start.start,
    "memory": start.memory,
}


def draw(out: Path) -> None:
    """Draw the cost of a frame by window length and by streams. Needs the judges' environment."""
    python = os.environ.get(JUDGE_VARIABLE, "")
    if not python:
        raise SystemExit(
            f"no picture: {JUDGE_VARIABLE} names no environment with tests/judges/requirements-judges.txt"
        )
    lines = {}
    by_length = cost.costs(1)
    for name in (ONNX, LITERT):
        lines[f"generator_{name}"] = np.array([(n, median(found[name])) for n, found in by_length.items()])
        lines[f"streams_{name}"] = np.array(
            [
                (one.streams, one.cost, len(one.played.lateness))
                for one in streams.rounds()
                if (one.decoder, one.begun) == (name, streams.SPREAD)
            ]
        )
    with tempfile.TemporaryDirectory() as folder:
        costs = Path(folder) / "costs.npz"
        np.savez(costs, cores=os.cpu_count() or 1, **lines)
        program = Path(__file__).with_name("picture.py")
        # -P: or this folder's names would stand before the libraries'.
        subprocess.run([python, "-P", str(program), str(costs), str(out)], check=True)
    print(f"{out} is written.")


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.kokoro_decoder",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("part", nargs="*", help=f"which of {', '.join(PARTS)}; all, if none is named")
    options.add_argument(
        "--picture", type=Path, metavar="OUT.png", help="draw what generator and streams found, too"
    )
    chosen = options.parse_args()
    if unknown := set(chosen.part) - set(PARTS):
        options.error(f"there is no part {', '.join(sorted(unknown))}")
    with report_section("Kokoro's decoder on LiteRT", "ai-edge-litert", "faster-whisper"):
        for part in chosen.part or PARTS:
            PARTS[part]()
        if chosen.picture is not None:
            draw(chosen.picture)


if __name__ == "__main__":
    main()
