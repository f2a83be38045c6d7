"""Kokoro's decoder on LiteRT beside the published graph on ONNX Runtime, and beside kokoro-onnx.

generator: cost of a frame by window length, just the generator, one thread and all of them.
rival: whole sentences through the socket, by Kokoro and its students, beside kokoro-onnx on the same model.
streams: number played without a late piece.

kokoro-onnx needs another environment (tests/judges/requirements-judges.txt); KANI_JUDGE_PYTHON names its
python.
"""

from __future__ import annotations

import json
import os
import subprocess

from benchmarks.kokoro_decoder import cost, streams
from benchmarks.kokoro_decoder.rival import print_table
from benchmarks.kokoro_decoder.servers import decoder_server, student_server
from benchmarks.report import JUDGE_VARIABLE, measure
from benchmarks.server_process import ROOT


def rival() -> None:
    """Print whole sentences beside kokoro-onnx, which the judges' environment has."""
    python = os.environ.get(JUDGE_VARIABLE, "")
    if not python:
        print(f"Beside kokoro-onnx: not measured ({JUDGE_VARIABLE} names no environment)\n", flush=True)
        return
    with decoder_server() as kokoro, student_server() as students:
        command = [python, "-m", "benchmarks.kokoro_decoder.rival", kokoro.url, students.url]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    print_table(json.loads(done.stdout.splitlines()[-1]))


PARTS = {"generator": cost.generator, "rival": rival, "streams": streams.streams}


if __name__ == "__main__":
    measure("kokoro_decoder", __doc__, "Kokoro's decoder on LiteRT", PARTS, "ai-edge-litert")
