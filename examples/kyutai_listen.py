"""Speech recognition of the microphone over Kyutai's protocol; prints words, and ``|`` at pauses.

    python start_websocket_server.py                      # in one terminal
    python examples/kyutai_listen.py                      # in another; Ctrl+C ends it
    python examples/kyutai_listen.py recording.wav
    python examples/kyutai_listen.py --language es        # instead of detecting it

The microphone needs ``pip install sounddevice``; a file does not.
"""

from __future__ import annotations

import argparse
import asyncio
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
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
PAUSE = 2  # of a Step's four probabilities: that of a pause of two seconds
END = 1  # the number of the marker after a file


async def microphone(sounddevice: Any) -> AsyncIterator[npt.NDArray[np.float32]]:
    """Yield frames of the microphone, by the module ``sounddevice``, without end."""
    loop = asyncio.get_running_loop()
    frames: asyncio.Queue[npt.NDArray[np.float32]] = asyncio.Queue()

    def take(samples: npt.NDArray[np.float32], *_: Any) -> None:
        loop.call_soon_threadsafe(frames.put_nowait, samples[:, 0].copy())

    with sounddevice.InputStream(
        samplerate=RATE, channels=1, dtype="float32", blocksize=FRAME, callback=take
    ):
        while True:
            yield await frames.get()


async def recording(samples: npt.NDArray[np.float32]) -> AsyncIterator[npt.NDArray[np.float32]]:
    """Yield the frames of a recording, as fast as the server reads them."""
    for start in range(0, len(samples), FRAME):
        yield samples[start : start + FRAME]


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


def audio(samples: npt.NDArray[np.float32]) -> bytes:
    """Encode an audio message."""
    return msgspec.msgpack.encode({"type": "Audio", "pcm": samples.tolist()})


async def send(websocket: ClientConnection, frames: AsyncIterator[npt.NDArray[np.float32]]) -> None:
    """Send frames, then a marker and the silence that the recogniser needs to finish the last words."""
    async for frame in frames:
        await websocket.send(audio(frame))
    await websocket.send(msgspec.msgpack.encode({"type": "Marker", "id": END}))
    for _ in range(3 * RATE // FRAME):
        await websocket.send(audio(np.zeros(FRAME, np.float32)))


async def listen(
    server: str, key: str, frames: AsyncIterator[npt.NDArray[np.float32]], language: str | None = None
) -> None:
    """Print words until the server returns the marker; language: a name or a tag, None to detect it."""
    url, headers = f"{server}/api/asr-streaming", {"kyutai-api-key": key}
    if language is not None:
        url += f"?{urlencode({'language': language})}"
    # With a bounded queue, unread messages delay the closing handshake by ten seconds.
    async with connect(url, additional_headers=headers, max_queue=None) as websocket:
        sending = asyncio.create_task(send(websocket, frames))
        speaking = False
        async for message in websocket:
            assert isinstance(message, bytes)
            data = msgspec.msgpack.decode(message)
            if data["type"] == "Word":
                print(data["text"], end=" ", flush=True)
                speaking = True
            elif data["type"] == "Step" and speaking and data["prs"][PAUSE] > 0.5:
                print("|", end=" ", flush=True)
                speaking = False
            elif data["type"] == "Error":
                raise SystemExit(f"server error: {data['message']}")
            elif data["type"] == "Marker":
                break
        print()
        if not sending.cancel():
            await sending


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Recognize speech over Kyutai's protocol.")
    parser.add_argument("recording", type=Path, nargs="?", help="a WAV file instead of the microphone")
    parser.add_argument("--server", default="ws://localhost:8001", help="default: ws://localhost:8001")
    parser.add_argument("--key", "--api-key", default="public_token", help="default: public_token")
    parser.add_argument("--language", help="spoken language, such as es; default: it is detected")
    chosen = parser.parse_args()
    if chosen.recording:
        frames = recording(read_wav(chosen.recording))
    else:
        try:
            import sounddevice
        except (ImportError, OSError) as error:
            raise SystemExit(
                f"no microphone ({error}): pip install sounddevice, and on Linux the package libportaudio2; "
                "or name a WAV file"
            ) from error
        frames = microphone(sounddevice)
    try:
        asyncio.run(listen(chosen.server, chosen.key, frames, chosen.language))
    except OSError as error:
        raise SystemExit(f"{chosen.server}: {error} (python start_websocket_server.py starts one)") from error
    except WebSocketException as error:
        raise SystemExit(f"{chosen.server}: {error}") from error
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
