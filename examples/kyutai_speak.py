"""Text to the loudspeaker, word by word, over Kyutai's protocol.

    python start_websocket_server.py                            # in one terminal
    python examples/kyutai_speak.py "Hola, ¿cómo estás?"        # in another

Playback begins while the text is synthesized. The loudspeaker needs ``pip install sounddevice``; a file,
``-o hola.wav``, does not.
"""

from __future__ import annotations

import argparse
import asyncio
import wave
from pathlib import Path
from typing import Any, Protocol
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


class Output(Protocol):
    """Plays or stores speech."""

    def play(self, samples: npt.NDArray[np.float32]) -> None:
        """Play samples; may block until the device has room."""

    def close(self) -> None:
        """Play or write the rest, then return."""


class Loudspeaker:
    """The default audio device."""

    def __init__(self) -> None:
        try:
            import sounddevice
        except (ImportError, OSError) as error:
            raise SystemExit(
                f"no loudspeaker ({error}): pip install sounddevice, and on Linux the package libportaudio2; "
                "or write a file: -o speech.wav"
            ) from error
        self._stream: Any = sounddevice.OutputStream(samplerate=RATE, channels=1, dtype="float32")
        self._stream.start()

    def play(self, samples: npt.NDArray[np.float32]) -> None:
        """Block until the sound card has room."""
        self._stream.write(samples.reshape(-1, 1))

    def close(self) -> None:
        """Play the rest."""
        self._stream.stop()
        self._stream.close()


class WavFile:
    """A 16-bit WAV file."""

    def __init__(self, path: Path) -> None:
        self._file = wave.open(str(path), "wb")  # noqa: SIM115
        self._file.setnchannels(1)
        self._file.setsampwidth(2)
        self._file.setframerate(RATE)

    def play(self, samples: npt.NDArray[np.float32]) -> None:
        """Write samples."""
        self._file.writeframes((samples * 32767).astype("<i2").tobytes())

    def close(self) -> None:
        """Update the header, which contains the length."""
        self._file.close()


async def write(websocket: ClientConnection, text: str) -> None:
    """Send one message for each word, as for the words of a language model."""
    for word in text.split():
        await websocket.send(msgspec.msgpack.encode({"type": "Text", "text": word}))
    await websocket.send(msgspec.msgpack.encode({"type": "Eos"}))


async def speak(server: str, key: str, voice: str | None, text: str, output: Output) -> None:
    """Speak ``text`` to ``output``; returns when the server has closed the connection."""
    query = {"format": "PcmMessagePack"} | ({"voice": voice} if voice else {})
    url = f"{server}/api/tts_streaming?{urlencode(query)}"
    async with connect(url, additional_headers={"kyutai-api-key": key}) as websocket:
        writing = asyncio.create_task(write(websocket, text))
        async for message in websocket:
            assert isinstance(message, bytes)
            data = msgspec.msgpack.decode(message)
            if data["type"] == "Audio":
                # In a thread, because the event loop has to answer the server's pings.
                await asyncio.to_thread(output.play, np.array(data["pcm"], np.float32))
            elif data["type"] == "Error":
                raise SystemExit(f"server error: {data['message']}")
        await writing


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Speak text over Kyutai's protocol.")
    parser.add_argument("text")
    parser.add_argument("-o", "--output", type=Path, help="a WAV file instead of the loudspeaker")
    parser.add_argument("--voice", help="for example ef_dora or unmute-prod-website/p329_022.wav")
    parser.add_argument("--server", default="ws://localhost:8001", help="default: ws://localhost:8001")
    parser.add_argument("--key", "--api-key", default="public_token", help="default: public_token")
    chosen = parser.parse_args()
    output = WavFile(chosen.output) if chosen.output else Loudspeaker()
    try:
        asyncio.run(speak(chosen.server, chosen.key, chosen.voice, chosen.text, output))
    except OSError as error:
        raise SystemExit(f"{chosen.server}: {error} (python start_websocket_server.py starts one)") from error
    except WebSocketException as error:
        raise SystemExit(f"{chosen.server}: {error}") from error
    finally:
        output.close()


if __name__ == "__main__":
    main()
