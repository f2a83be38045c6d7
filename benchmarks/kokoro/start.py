"""Time and memory of starts: the first one, which splits the graph, and later ones."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from benchmarks import single_engine
from benchmarks.report import median, mib, table
from benchmarks.server.load import SENTENCES_PER_START, speak_sentences
from benchmarks.server_process import Server

_STARTS = 3


def start() -> None:
    """Start the server with an empty cache folder, then with the filled one."""
    with tempfile.TemporaryDirectory() as folder:

        def server() -> Server:
            return Server(KANI_THREADS=str(single_engine.THREADS), KANI_CACHE_DIR=folder)

        with server() as running:
            first_s = running.start_s
            first_ready = running.memory_bytes()
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        starts, ready, spoken, most = [], [], [], []
        for _ in range(_STARTS):
            with server() as running:
                starts.append(running.start_s)
                ready.append(running.memory_bytes())
                most.append(asyncio.run(speak_sentences(running)))
                spoken.append(running.memory_bytes())
        with Server(KANI_THREADS=str(single_engine.THREADS), KANI_KOKORO_DECODER="onnx") as running:
            onnx = [f"{running.start_s:.2f} s", "–", mib(running.memory_bytes())]
            onnx_most = asyncio.run(speak_sentences(running))
            onnx += [mib(running.memory_bytes()), mib(onnx_most), "–"]
    head = (
        *("--engine auto", "start to ready", "all", "memory when ready"),
        *(f"after {SENTENCES_PER_START} sentences", "most seen meanwhile", "files in the cache"),
    )
    times = ", ".join(f"{seconds:.2f}" for seconds in starts)
    rows = [
        ["first start, empty cache", f"{first_s:.2f} s", "–", mib(first_ready), "–", "–", mib(size)],
        [
            *("later starts, median", f"{median(starts):.2f} s", times, mib(median(ready))),
            *(mib(median(spoken)), mib(max(most)), mib(size)),
        ],
        ["KANI_KOKORO_DECODER=onnx", *onnx],
    ]
    print("Start-up and resident memory:\n")
    print(table(head, rows) + "\n", flush=True)
