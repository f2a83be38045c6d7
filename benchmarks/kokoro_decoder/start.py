"""Time until the server is ready, at the first start and later ones; and its memory with each decoder."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from benchmarks.kokoro_decoder.sockets import decoder_server, wait_until_loaded
from benchmarks.kokoro_decoder.windows import LITERT, ONNX
from benchmarks.playback_client import connected, request_speech
from benchmarks.report import median, mib, table
from benchmarks.sentences import ABOUT_7_S
from benchmarks.server.load import SENTENCES_PER_START, sample_memory, speak_sentences
from benchmarks.server_process import Server

_LATER = 3
_TOGETHER = 4


def start() -> None:
    """Start the server with an empty cache folder, then with the filled one."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1 + _LATER):
            with decoder_server(LITERT, settled=False, KANI_CACHE_DIR=folder) as running:
                rows.append((running.start_s, running.memory_bytes()))
            if not number:
                size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    first, later = rows[:1], rows[1:]
    shown = []
    for name, own in (("the first, empty cache", first), (f"later, median of {_LATER}", later)):
        ready_s, ready_bytes = (median(values) for values in zip(*own, strict=True))
        shown.append([name, f"{ready_s:.2f} s", mib(ready_bytes), mib(size)])
    head = ("start", "to ready", "memory when ready", "files in the cache")
    print(f"Start of the server (--kokoro-decoder {LITERT}):\n")
    print(table(head, shown) + "\n", flush=True)


async def _together(server: Server) -> int:
    """Run several streams at once; returns the server's peak memory."""

    async def one(text: str) -> None:
        async with connected(server.url) as socket:
            await request_speech(socket, "es", text)

    async with sample_memory(server, 0.05) as memory, asyncio.TaskGroup() as group:
        for text in ABOUT_7_S["es"][:_TOGETHER]:
            group.create_task(one(text))
    return max(memory)


def memory() -> None:
    """Print the resident memory of a server with each decoder."""
    rows, after = [], {}
    for decoder in (ONNX, LITERT):
        with decoder_server(decoder) as server:
            wait_until_loaded(server, decoder)
            loaded = server.memory_bytes()
            most = max(asyncio.run(speak_sentences(server)), asyncio.run(_together(server)))
            after[decoder] = server.memory_bytes()
        rows.append([decoder, mib(loaded), mib(after[decoder]), mib(most)])
    rows.append([f"{LITERT} − {ONNX}", "", mib(after[LITERT] - after[ONNX]), ""])
    spoken = f"after {SENTENCES_PER_START} sentences and {_TOGETHER} streams together"
    print("Resident memory of the server and what it started:\n")
    print(table(("decoder", "loaded", spoken, "most seen meanwhile"), rows) + "\n", flush=True)
