"""Speech recognition of a recording over Kyutai's protocol: paced frames, a marker, silence.

Written from the protocol's document; it is not Kyutai's own client.

python start_websocket_server.py                         # in one terminal
python examples/kyutai_stt_client.py recording.wav       # in another
"""

from __future__ import annotations

import argparse
import asyncio
import wave
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

try:
    import msgspec
    import numpy as np
    import numpy.typing as npt
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import WebSocketException
except ModuleNotFoundError as missing:
    raise SystemExit(f"{__doc__}\n{missing}: pip install msgspec numpy websockets") from missing

RATE = 24_000  # hertz
FRAME = 1920  # samples of a message: 80 ms
MARKER = 999
SILENT_FRAMES = 25
MAX_MESSAGES = 10_000


class Word(NamedTuple):
    """A recognized word."""

    text: str
    start_s: float
    stop_s: float | None  # None until the server has sent it


def read_wav(path: Path) -> npt.NDArray[np.float32]:
    """Read a 16-bit WAV file as mono samples at 24 kHz."""
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2:
            raise SystemExit(f"{path}: has to be a WAV file of 16 bits")
        rate, channels = file.getframerate(), file.getnchannels()
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    mono = pcm.reshape(-1, channels).mean(axis=1) / 32768
    # Linear interpolation is good enough for speech recognition.
    at = np.arange(round(len(mono) * RATE / rate)) * rate / RATE
    samples: npt.NDArray[np.float32] = np.interp(at, np.arange(len(mono)), mono).astype(np.float32)
    return samples


async def send_audio(websocket: ClientConnection, samples: npt.NDArray[np.float32]) -> None:
    """Send a frame every 80 ms, as a microphone does, then the marker and two seconds of silence."""
    for start in range(0, len(samples), FRAME):
        frame = samples[start : start + FRAME]
        message = {"type": "Audio", "pcm": np.pad(frame, (0, FRAME - len(frame))).tolist()}
        await websocket.send(msgspec.msgpack.encode(message))
        await asyncio.sleep(FRAME / RATE)
    await websocket.send(msgspec.msgpack.encode({"type": "Marker", "id": MARKER}))
    silence = msgspec.msgpack.encode({"type": "Audio", "pcm": [0.0] * FRAME})
    for _ in range(SILENT_FRAMES):
        await websocket.send(silence)


async def receive_words(websocket: ClientConnection) -> list[Word]:
    """Return the words before the marker, or before the server closes."""
    words: list[Word] = []
    messages = 0
    async for message in websocket:
        assert isinstance(message, bytes)
        data = msgspec.msgpack.decode(message)
        if data["type"] == "Word":
            words.append(Word(data["text"], data["start_time"], None))
        elif data["type"] == "EndWord" and words:
            words[-1] = words[-1]._replace(stop_s=data["stop_time"])
        elif data["type"] == "Error":
            raise RuntimeError(data["message"])
        messages += 1
        if messages == MAX_MESSAGES or (data["type"] == "Marker" and data["id"] == MARKER):
            break
    return words


async def transcribe(
    server: str, samples: npt.NDArray[np.float32], key: str, language: str | None = None
) -> list[Word]:
    """Recognize the words of ``samples`` (mono, 24 kHz); language: a name or a tag, None to detect it."""
    url, headers = f"{server}/api/asr-streaming", {"kyutai-api-key": key}
    if language is not None:
        url += f"?{urlencode({'language': language})}"
    # With a bounded queue, unread messages delay the closing handshake by ten seconds.
    async with connect(url, additional_headers=headers, max_queue=None) as websocket:
        _, words = await asyncio.gather(send_audio(websocket, samples), receive_words(websocket))
    return words


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Kyutai's documented recognition client.")
    parser.add_argument("recording", type=Path, help="a WAV file of 16 bits")
    parser.add_argument("-o", "--output", type=Path, help="text file for the words")
    parser.add_argument("--server", default="ws://localhost:8001", help="default: ws://localhost:8001")
    parser.add_argument("--key", "--api-key", default="public_token", help="default: public_token")
    parser.add_argument("--language", help="spoken language, such as es; default: it is detected")
    chosen = parser.parse_args()
    samples = read_wav(chosen.recording)
    try:
        words = asyncio.run(transcribe(chosen.server, samples, chosen.key, chosen.language))
    except OSError as error:
        raise SystemExit(f"{chosen.server}: {error} (python start_websocket_server.py starts one)") from error
    except (WebSocketException, RuntimeError) as error:
        raise SystemExit(f"{chosen.server}: {error}") from error
    for word in words:
        end = "" if word.stop_s is None else f"{word.stop_s:.2f}"
        print(f"{word.start_s:6.2f}–{end:5} s  {word.text}")
    if chosen.output:
        chosen.output.write_text(" ".join(word.text for word in words) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
