"""Text to a file over Kyutai's protocol: purge, then send and receive at once.

Written from the protocol's document; it is not Kyutai's own client.

python start_websocket_server.py                                                    # in one terminal
python examples/kyutai_tts_client.py "Bonjour, comment allez-vous ?" -o bonjour.wav   # in another
"""

from __future__ import annotations

import argparse
import asyncio
import wave
from pathlib import Path
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
MAX_PURGED = 10
PURGE_TIMEOUT_S = 0.5
WORD_PAUSE_S = 0.1
MAX_MESSAGES = 500


async def purge(websocket: ClientConnection) -> None:
    """Discard messages of an earlier session, up to Ready."""
    for _ in range(MAX_PURGED):
        try:
            message = await asyncio.wait_for(websocket.recv(decode=False), PURGE_TIMEOUT_S)
        except TimeoutError:
            return
        data = msgspec.msgpack.decode(message)
        if data["type"] == "Error":
            raise RuntimeError(data["message"])
        if data["type"] == "Ready":
            return


async def send_words(websocket: ClientConnection, text: str) -> None:
    """Send a word every 100 ms, as a language model writes them, then Eos."""
    for word in text.split():
        await websocket.send(msgspec.msgpack.encode({"type": "Text", "text": word}))
        await asyncio.sleep(WORD_PAUSE_S)
    await websocket.send(msgspec.msgpack.encode({"type": "Eos"}))


async def receive_audio(websocket: ClientConnection) -> npt.NDArray[np.float32]:
    """Receive samples until the server closes or sends an empty word."""
    pieces = [np.zeros(0, np.float32)]
    messages = 0
    async for message in websocket:
        assert isinstance(message, bytes)
        data = msgspec.msgpack.decode(message)
        if data["type"] == "Audio":
            pieces.append(np.array(data["pcm"], np.float32))
        elif data["type"] == "Text":
            if not data["text"]:
                break
            print(f"{data['start_s']:6.2f} s  {data['text']}")
        elif data["type"] == "Error":
            raise RuntimeError(data["message"])
        messages += 1
        if messages == MAX_MESSAGES:
            break
    return np.concatenate(pieces)


async def speak(
    server: str, text: str, voice: str, key: str, embedding: bytes | None = None
) -> npt.NDArray[np.float32]:
    """Synthesize ``text`` as mono samples at 24 kHz. embedding: answer of /api/voice to a recording."""
    query = {"format": "PcmMessagePack", "auth_id": key, "voice": voice, "cfg_alpha": "1.5"}
    if embedding is not None:
        del query["voice"]
    url = f"{server}/api/tts_streaming?{urlencode(query)}"
    async with connect(url, additional_headers={"kyutai-api-key": key}) as websocket:
        await purge(websocket)
        if embedding is not None:
            await websocket.send(embedding)
        _, samples = await asyncio.gather(send_words(websocket, text), receive_audio(websocket))
    return samples


def save(path: Path, samples: npt.NDArray[np.float32]) -> None:
    """Write a 16-bit WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Kyutai's documented speech client.")
    parser.add_argument("text")
    parser.add_argument("-o", "--output", type=Path, default=Path("speech.wav"), help="default: speech.wav")
    parser.add_argument("--server", default="ws://localhost:8001", help="default: ws://localhost:8001")
    parser.add_argument("--voice", default="unmute-prod-website/developpeuse-3.wav")
    parser.add_argument("--embedding", type=Path, help="a voice that /api/voice made, instead of --voice")
    parser.add_argument("--key", "--api-key", default="public_token", help="default: public_token")
    chosen = parser.parse_args()
    embedding = chosen.embedding.read_bytes() if chosen.embedding else None
    try:
        samples = asyncio.run(speak(chosen.server, chosen.text, chosen.voice, chosen.key, embedding))
    except OSError as error:
        raise SystemExit(f"{chosen.server}: {error} (python start_websocket_server.py starts one)") from error
    except (WebSocketException, RuntimeError) as error:
        raise SystemExit(f"{chosen.server}: {error}") from error
    save(chosen.output, samples)
    print(f"{chosen.output}: {len(samples) / RATE:.1f} s")


if __name__ == "__main__":
    main()
