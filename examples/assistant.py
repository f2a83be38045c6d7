"""An assistant's speech: a greeting streamed to a callback, and an answer that its listener interrupts.

    python start_websocket_server.py                  # in one terminal
    python examples/assistant.py --folder /tmp        # in another

Writes greeting.wav and answer.wav; replace `Loudspeaker` by a sound card to listen.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import wave
from pathlib import Path
from typing import Any

# The client is in the parent folder. In your own project, copy it there and leave this line out.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    from websocket_client import RequestFailed, SpanishAITTSIntegration
    from websocket_config import AUDIO_FORMAT, WEBSOCKET_HOST, WEBSOCKET_PORT
except ModuleNotFoundError as missing:
    raise SystemExit(f"{__doc__}\n{missing}: pip install websockets") from missing

GREETING = "¡Hola! Soy tu asistente. ¿En qué te puedo ayudar?"
ANSWER = (
    "Para hacer una tortilla de patatas, primero pela las patatas y córtalas en láminas finas. "
    "Después fríelas despacio con la cebolla, sin prisa, hasta que estén blandas. "
    "Bate los huevos, mezcla todo con una pizca de sal y déjalo reposar unos minutos. "
    "Por último cuájala a fuego lento y dale la vuelta con un plato."
)


class Loudspeaker:
    """Plays speech: here into a WAV file."""

    def __init__(self, path: Path) -> None:
        self.seconds = 0.0
        self._file = wave.open(str(path), "wb")  # noqa: SIM115
        self._file.setnchannels(AUDIO_FORMAT["channels"])
        self._file.setsampwidth(AUDIO_FORMAT["bit_depth"] // 8)
        self._file.setframerate(AUDIO_FORMAT["sample_rate"])

    def play(self, pcm: bytes, metadata: dict[str, Any]) -> None:
        """Play one chunk of speech: the signature of a callback."""
        self._file.writeframes(pcm)
        self.seconds += metadata["duration"]

    def close(self) -> None:
        """End the answer."""
        self._file.close()


async def with_a_callback(voice: SpanishAITTSIntegration, text: str, speaker: Loudspeaker) -> None:
    """Stream to a callback; returns when all is spoken. Failures are logged, and the result is False."""
    if not await voice.stream_speech(text, {"emotion": "friendly"}, on_chunk=speaker.play):
        print("the greeting failed: see the log")


async def with_a_loop(
    voice: SpanishAITTSIntegration, text: str, speaker: Loudspeaker, listener_speaks: asyncio.Event
) -> None:
    """Stream in a loop; leaving it stops the server at once, and the connection stays usable."""
    try:
        async for part in voice.tts_client.stream(text, {"language": "spanish", "emotion": "calm"}):
            if listener_speaks.is_set():
                break
            speaker.play(part.pcm, part.metadata)
            if speaker.seconds > 4:  # a real assistant sets it by its microphone
                listener_speaks.set()
    except RequestFailed as failure:
        print(f"the answer failed: {failure}")


async def main(host: str, port: int, folder: Path) -> int:
    """Greet, then answer until interrupted."""
    async with SpanishAITTSIntegration(host, port) as voice:
        if not voice.connected:
            print("start the server first: python start_websocket_server.py", file=sys.stderr)
            return 1
        greeting, answer = Loudspeaker(folder / "greeting.wav"), Loudspeaker(folder / "answer.wav")
        await with_a_callback(voice, GREETING, greeting)
        await with_a_loop(voice, ANSWER, answer, asyncio.Event())
        for speaker in (greeting, answer):
            speaker.close()
        print(f"greeting.wav: {greeting.seconds:.1f} s; answer.wav: interrupted after {answer.seconds:.1f} s")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An assistant's two ways of streaming.")
    parser.add_argument("--host", default=WEBSOCKET_HOST)
    parser.add_argument("--port", type=int, default=WEBSOCKET_PORT)
    parser.add_argument("--folder", type=Path, default=Path(), help="folder of the WAV files")
    options = parser.parse_args()
    raise SystemExit(asyncio.run(main(options.host, options.port, options.folder)))
