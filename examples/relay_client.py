"""Text to a file over the relay's protocol, with the time of every character.

    python start_websocket_server.py                                       # in one terminal
    python examples/relay_client.py "مرحبا بالعالم" -o hello.wav           # in another
    python examples/relay_client.py "Hola, ¿cómo estás?" --as-written      # word by word, as a model writes

``StreamHandler`` handles messages as the relay's app does (its ``tts_stream_handler.dart``): it collects the
characters of all chunks, and returns them when the utterance is complete.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import re
import wave
from dataclasses import dataclass
from pathlib import Path

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import WebSocketException
except ModuleNotFoundError as missing:
    raise SystemExit(f"{__doc__}\n{missing}: pip install websockets") from missing

RATE = 22_050


class RelayError(Exception):
    """An error message of the server."""


@dataclass(frozen=True)
class Chunk:
    """Audio, and the characters that begin in it."""

    audio: bytes  # 16 bits, mono, little endian
    characters: list[str]
    starts_ms: list[int]  # since the utterance began
    durations_ms: list[int]
    index: int


@dataclass(frozen=True)
class Alignment:
    """The characters of a whole utterance."""

    text: str  # as requested
    characters: list[str]  # as received
    starts_ms: list[int]
    durations_ms: list[int]

    def character_at(self, time_ms: float) -> int:
        """Return the index of the last character that begins by ``time_ms``; -1 before the first."""
        return max((i for i, start in enumerate(self.starts_ms) if time_ms >= start), default=-1)

    @property
    def duration_ms(self) -> int:
        """End of the last character."""
        return self.starts_ms[-1] + self.durations_ms[-1] if self.starts_ms else 0


class StreamHandler:
    """Handles the messages of one connection."""

    def __init__(self) -> None:
        self._text = ""
        self._characters: list[str] = []
        self._starts: list[int] = []
        self._durations: list[int] = []

    def start(self, text: str) -> str:
        """Return the message that requests a text; discards collected characters."""
        self._text = text
        self._reset()
        return json.dumps({"action": "start_tts", "text": text})

    def append(self, text: str) -> str:
        """Return the message that appends to an incremental text."""
        self._text += text
        return json.dumps({"action": "append_tts", "text": text})

    def finish(self) -> str:
        """Return the message that ends an incremental text."""
        return json.dumps({"action": "finish_tts"})

    def handle(self, message: str) -> Chunk | Alignment | None:
        """Handle a message; returns its chunk, or the alignment at the end. Raises RelayError."""
        fields = json.loads(message)
        match fields.get("type"):
            case "error":
                raise RelayError(fields["message"])
            case "pong" | "stopped":
                return None
            case "complete":
                whole = Alignment(self._text, self._characters, self._starts, self._durations)
                self._text = ""
                self._reset()
                return whole
        # The app treats every other type as a chunk.
        chunk = Chunk(
            base64.b64decode(fields.get("audio") or ""),
            list(fields.get("chars") or []),
            [int(time) for time in fields.get("char_times") or []],
            [int(time) for time in fields.get("char_durations") or []],
            fields.get("chunk_index") or 0,
        )
        self._characters += chunk.characters
        self._starts += chunk.starts_ms
        self._durations += chunk.durations_ms
        return chunk

    def _reset(self) -> None:
        self._characters, self._starts, self._durations = [], [], []


async def request(websocket: ClientConnection, handler: StreamHandler, text: str, as_written: bool) -> None:
    """Request a text, whole or word by word."""
    if not as_written:
        await websocket.send(handler.start(text))
        return
    for word in re.findall(r"\s*\S+\s*", text):
        await websocket.send(handler.append(word))
        await asyncio.sleep(0.05)
    await websocket.send(handler.finish())


async def speak(url: str, text: str, as_written: bool) -> tuple[bytes, Alignment]:
    """Synthesize a text; returns its samples and its alignment. Raises RelayError."""
    handler, pcm = StreamHandler(), bytearray()
    async with connect(f"{url}/stream_tts", max_size=None) as websocket:
        requesting = asyncio.create_task(request(websocket, handler, text, as_written))
        try:
            async for message in websocket:
                received = handler.handle(str(message))
                if isinstance(received, Alignment):
                    return bytes(pcm), received
                if isinstance(received, Chunk):
                    pcm += received.audio
        finally:
            await requesting
    raise RelayError("the server closed the connection")


def write(path: Path, pcm: bytes) -> None:
    """Write a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Speak text over the relay's protocol.")
    parser.add_argument("text")
    parser.add_argument("-o", "--output", type=Path, help="a WAV file")
    parser.add_argument("--as-written", action="store_true", help="send it word by word")
    parser.add_argument("--server", default="ws://localhost:8001", help="default: ws://localhost:8001")
    chosen = parser.parse_args()
    try:
        pcm, alignment = asyncio.run(speak(chosen.server, chosen.text, chosen.as_written))
    except RelayError as error:
        raise SystemExit(f"{chosen.server}: {error}") from error
    except OSError as error:
        raise SystemExit(f"{chosen.server}: {error} (python start_websocket_server.py starts one)") from error
    except WebSocketException as error:
        raise SystemExit(f"{chosen.server}: {error}") from error
    for start, letter in zip(alignment.starts_ms, alignment.characters, strict=True):
        print(f"{start:7} ms  {letter}")
    if chosen.output:
        write(chosen.output, pcm)
        print(f"{chosen.output}: {len(pcm) / (2 * RATE):.2f} s")


if __name__ == "__main__":
    main()
