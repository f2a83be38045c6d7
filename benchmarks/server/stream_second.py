"""Processor time of the server for a second of a stream, beside an engine that makes noise at once.

100 clients at once get some 20 s of speech each and take it as it is played; the server's processor time from
the first request to the last piece is divided by the seconds of speech. With ``--beside FOLDER``, another
checkout is measured in turn with this one, so that both have the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from websockets.asyncio.client import connect

from benchmarks.report import median, report_section, table
from benchmarks.sentences import one_minute_text
from benchmarks.server_process import HOST, ROOT, Server

CLIENTS = 100
TEXT_CHARACTERS = 330  # some 20 s
ROUNDS = 2
WARM = 8

Say = Callable[[int, str], AsyncGenerator[float, None]]
"""Ask the server on a port for a text; yields the seconds of each piece."""


async def kani(port: int, text: str) -> AsyncGenerator[float, None]:
    """Kani's WebSocket."""
    async with _connected(port, "/") as socket:
        data = {"text": text, "config": {"language": "spanish"}}
        await socket.send(json.dumps({"type": "tts_stream_request", "data": data}))
        async for message in socket:
            data = json.loads(message)
            if data["type"] != "tts_stream_chunk":
                return
            yield data["data"]["metadata"]["duration"]


async def elevenlabs(port: int, text: str) -> AsyncGenerator[float, None]:
    """ElevenLabs' WebSocket."""
    path = (
        "/v1/text-to-speech/noise/stream-input?output_format=pcm_24000&language_code=es&sync_alignment=true"
    )
    async with _connected(port, path) as socket:
        for part in (" ", text + " ", ""):
            await socket.send(json.dumps({"text": part}))
        async for message in socket:
            audio = json.loads(message).get("audio")
            if audio:
                yield len(base64.b64decode(audio)) / 48_000


async def openai(port: int, text: str) -> AsyncGenerator[float, None]:
    """OpenAI's speech, as a stream of samples."""
    body = json.dumps({"model": "tts-1", "input": text, "voice": "noise", "response_format": "pcm"})
    reader, writer = await asyncio.open_connection(HOST, port, limit=2**16)
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body.encode())}\r\nConnection: close\r\n\r\n{body}".encode())
    try:
        await reader.readuntil(b"\r\n\r\n")
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
            yield size / 48_000
    finally:
        writer.close()


async def realtime(port: int, text: str) -> AsyncGenerator[float, None]:
    """OpenAI's Realtime, which reads a text aloud."""
    async with _connected(port, "/v1/realtime?model=gpt-realtime") as socket:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        asked = {"conversation": "none", "input": [item], "audio": {"output": {"voice": "noise"}}}
        await socket.send(json.dumps({"type": "response.create", "response": asked}))
        async for message in socket:
            event = json.loads(message)
            if event["type"] in ("response.done", "error"):
                assert event["type"] != "error", event
                return
            if event["type"].endswith("audio.delta"):
                yield len(base64.b64decode(event["delta"])) / 48_000


PROTOCOLS: dict[str, Say] = {
    "kani": kani,
    "elevenlabs": elevenlabs,
    "openai": openai,
    "realtime": realtime,
}
RUNS = {
    "with word times": {"NOISE_TIMED": "1"},
    "without": {},
    "with, by a worker": {"NOISE_TIMED": "1", "KANI_ENGINE_PROCESS": "1"},
}


def _connected(port: int, path: str) -> connect:
    return connect(
        f"ws://{HOST}:{port}{path}", max_size=None, max_queue=4, compression=None, ping_interval=None
    )


async def _listen(say: Say, port: int, number: int) -> float:
    """Take the speech as it is played; returns its seconds."""
    text = one_minute_text(number)[:TEXT_CHARACTERS]
    began, played = time.perf_counter(), 0.0
    async for seconds in say(port, text):
        # The next one is due when this one begins to play.
        await asyncio.sleep(began + played - time.perf_counter())
        played += seconds
    return played


async def _all(say: Say, port: int, clients: int) -> float:
    return sum(await asyncio.gather(*(_listen(say, port, number) for number in range(clients))))


def _used(server: Server) -> list[float]:
    """Processor seconds of the server and of all its children so far."""
    process = psutil.Process(server.process_id)
    own, *others = (each.cpu_times() for each in (process, *process.children(recursive=True)))
    return [own.user + own.system, sum(times.user + times.system for times in others)]


def _measure(root: Path, folder: str, say: Say, settings: Mapping[str, str]) -> list[float]:
    """Milliseconds of the server's process and of its children for a second of a stream."""
    arguments: dict[str, Any] = {"root": root, "PYTHONPATH": f"{folder}:{root}", **settings}
    arguments |= {"KANI_MAX_CONCURRENT": "1024", "KANI_RECOGNIZER": "none"}
    with Server("--engine", "noise", **arguments) as server:
        asyncio.run(_all(say, server.port, WARM))
        before = _used(server)
        seconds = asyncio.run(_all(say, server.port, CLIENTS))
        return [1000 * (after - then) / seconds for after, then in zip(_used(server), before, strict=True)]


def install_noise(folder: str) -> None:
    """Make the engine that makes noise a plug-in of servers with the folder in their path."""
    plugin = Path(folder) / "noise-0.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: noise\nVersion: 0\n", "utf-8")
    (plugin / "entry_points.txt").write_text("[kani.engines]\nnoise = noise:ENGINE\n", "utf-8")
    shutil.copy(Path(__file__).with_name("noise.py"), folder)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server.stream_second", description=__doc__)
    parser.add_argument("--beside", type=Path, help="another checkout")
    parser.add_argument("--only", nargs="*", default=[*PROTOCOLS], help="protocols")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    rows = []
    with report_section("The server's processor time of a stream"), tempfile.TemporaryDirectory() as folder:
        install_noise(folder)
        roots = [*([asked.beside.resolve()] if asked.beside else []), ROOT]
        for name in asked.only:
            for kind, settings in RUNS.items():
                if name != "kani" and kind == "with, by a worker":
                    continue
                measure = partial(_measure, folder=folder, say=PROTOCOLS[name], settings=settings)
                found = [[measure(root) for root in roots] for _ in range(asked.rounds)]
                cells = [
                    " + ".join(
                        f"{median(part):.2f}" for part in zip(*column, strict=True) if max(part) > 0.01
                    )
                    for column in zip(*found, strict=True)
                ]
                print(name, kind, *cells, flush=True)
                rows.append([name, kind, *cells])
        print(table(("protocol", "engine", *(["beside"] if asked.beside else []), "ms for a second"), rows))


if __name__ == "__main__":
    main()
