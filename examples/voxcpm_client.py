"""Text to a file over VoxCPM's protocol, streamed or in one piece.

    python start_websocket_server.py                                    # in one terminal
    python examples/voxcpm_client.py "Hola, ¿cómo estás?" -o hola.wav   # in another
    python examples/voxcpm_client.py --ping

``--stop-after 2`` cancels after two seconds: the server stops at once, and the audio so far is written.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import struct
import time
import uuid
import wave
from contextlib import suppress
from pathlib import Path
from typing import Any

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import WebSocketException
except ModuleNotFoundError as missing:
    raise SystemExit(f"{__doc__}\n{missing}: pip install websockets") from missing

MAGIC = 0xAA55


def read_frame(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Parse a binary frame: metadata and audio (16 bits, mono, little endian)."""
    magic, _, _, length = struct.unpack_from(">HBBI", data)
    if magic != MAGIC:
        raise ValueError("not a frame of VoxCPM's protocol")
    metadata = json.loads(data[8 : 8 + length])
    return metadata, data[12 + length :]


async def ping(websocket: ClientConnection) -> None:
    """Print the round-trip time of a message."""
    sent = time.time()
    await websocket.send(json.dumps({"type": "ping", "timestamp": sent}))
    answer = json.loads(await websocket.recv())
    print(f"{answer['type']}: {1000 * (time.time() - answer['timestamp']):.1f} ms")


async def speak(
    websocket: ClientConnection, params: dict[str, Any], stop_after: float | None
) -> tuple[int, bytes]:
    """Request speech and wait for its end; returns hertz and samples."""
    request_id = str(uuid.uuid4())
    await websocket.send(json.dumps({"type": "tts_request", "request_id": request_id, "params": params}))

    async def cancel() -> None:
        if stop_after is not None:
            await asyncio.sleep(stop_after)
            await websocket.send(json.dumps({"type": "cancel", "request_id": request_id}))

    rate, pcm = 0, bytearray()
    stopping = asyncio.create_task(cancel())
    try:
        async for message in websocket:
            if isinstance(message, bytes):
                metadata, audio = read_frame(message)
                rate = metadata["sample_rate"]
                pcm += audio
                continue
            answer = json.loads(message)
            if answer["type"] == "progress":
                print(f"{answer['progress']:4.0%}  {answer['message']}")
            elif answer["type"] == "error":
                raise SystemExit(f"{answer['error']['code']}: {answer['error']['message']}")
            elif answer["type"] == "complete":
                print(" ".join(f"{name}={value}" for name, value in answer["result"].items()))
                break
    finally:
        stopping.cancel()
        with suppress(asyncio.CancelledError):
            await stopping
    return rate, bytes(pcm)


def write(path: Path, rate: int, pcm: bytes) -> None:
    """Write a WAV file, or raw samples if its name does not end with .wav."""
    if path.suffix != ".wav":
        path.write_bytes(pcm)
        return
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)


async def run(chosen: argparse.Namespace) -> None:
    """Execute the command line."""
    async with connect(f"{chosen.server}/tts", max_size=None) as websocket:
        if chosen.ping:
            await ping(websocket)
        if chosen.text:
            params = {"text": chosen.text, "mode": chosen.mode}
            if chosen.voice:
                params["voice_id"] = chosen.voice
            rate, pcm = await speak(websocket, params, chosen.stop_after)
            if chosen.output and pcm:
                write(chosen.output, rate, pcm)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Speak text over VoxCPM's protocol.")
    parser.add_argument("text", nargs="?")
    parser.add_argument("-o", "--output", type=Path, help="a WAV file, or raw samples")
    parser.add_argument("--mode", choices=("streaming", "non_streaming"), default="streaming")
    parser.add_argument("--voice", help="for example ef_dora; GET /api/voices lists them")
    parser.add_argument("--ping", action="store_true", help="print the round-trip time of a message")
    parser.add_argument("--stop-after", type=float, metavar="SECONDS", help="cancel after this time")
    parser.add_argument("--server", default="ws://localhost:8001", help="default: ws://localhost:8001")
    chosen = parser.parse_args()
    try:
        asyncio.run(run(chosen))
    except OSError as error:
        raise SystemExit(f"{chosen.server}: {error} (python start_websocket_server.py starts one)") from error
    except WebSocketException as error:
        raise SystemExit(f"{chosen.server}: {error}") from error


if __name__ == "__main__":
    main()
