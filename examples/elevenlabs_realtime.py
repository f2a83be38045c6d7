"""ElevenLabs' own library speaks a text while it is written, by this server.

    python start_websocket_server.py                                            # in one terminal
    python examples/elevenlabs_realtime.py "Hola, ¿cómo estás?" -o hola.wav     # in another

A language model would write the text; here it is sent word by word, ``--pause`` seconds each. Nothing of the
library is changed but its address. ``pip install elevenlabs``.
"""

from __future__ import annotations

import argparse
import time
import wave
from collections.abc import Iterator
from pathlib import Path

try:
    from elevenlabs.client import ElevenLabs
except ModuleNotFoundError as missing:
    raise SystemExit(f"{__doc__}\n{missing}: pip install elevenlabs") from missing

RATE = 24_000


def words(text: str, pause_s: float) -> Iterator[str]:
    """Yield the text word by word."""
    for word in text.split(" "):
        time.sleep(pause_s)
        yield f"{word} "


def connected(server: str, key: str) -> ElevenLabs:
    """Return the library's client of this server."""
    client = ElevenLabs(api_key=key, base_url=server)
    # The library uses TLS for its WebSocket, also with an http address.
    client.text_to_speech._ws_base_url = server.replace("http", "ws", 1)
    return client


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("text")
    options.add_argument("-o", "--output", type=Path, default=Path("speech.wav"))
    options.add_argument("--server", default="http://localhost:8001")
    options.add_argument("--voice", default="ef_dora", help="a voice id of this server or of ElevenLabs")
    options.add_argument("--key", "--api-key", default="none", help="API key, if the server needs one")
    options.add_argument("--pause", type=float, default=0.05, metavar="SECONDS")
    given = options.parse_args()
    begun = time.perf_counter()
    speech = connected(given.server, given.key).text_to_speech.convert_realtime(
        given.voice, text=words(given.text, given.pause), output_format=f"pcm_{RATE}"
    )
    pcm = bytearray()
    for piece in speech:
        if not pcm:
            print(f"first audio after {time.perf_counter() - begun:.2f} s")
        pcm += piece
    with wave.open(str(given.output), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm)
    print(f"{len(pcm) / 2 / RATE:.2f} s of speech in {given.output}")


if __name__ == "__main__":
    main()
