"""Text to a file by ElevenLabs' own SDK with this server's address.

pip install elevenlabs
python start_websocket_server.py                                        # in one terminal
python examples/elevenlabs_client.py "Hola, ¿cómo estás?" -o hola.mp3   # in another
python examples/elevenlabs_client.py "Hola, ¿cómo estás?" --times
python examples/elevenlabs_client.py --voices spanish
"""

from __future__ import annotations

import argparse
import base64
from pathlib import Path

try:
    import httpx
    from elevenlabs.client import ElevenLabs
    from elevenlabs.core.api_error import ApiError
except ModuleNotFoundError as missing:
    raise SystemExit(f"{__doc__}\n{missing}: pip install elevenlabs") from missing

GEORGE = "JBFqnCBsd6RMkjVDRZzb"
"""One of ElevenLabs' premade voices: here the default voice of the text's language."""


def speak(client: ElevenLabs, chosen: argparse.Namespace) -> None:
    """Write the speech while it is received."""
    pieces = client.text_to_speech.stream(chosen.voice, text=chosen.text, output_format=chosen.format)
    with chosen.output.open("wb") as file:
        size = sum(map(file.write, pieces))
    print(f"{chosen.output}: {size} bytes of {chosen.format}")


def times(client: ElevenLabs, chosen: argparse.Namespace) -> None:
    """Write the speech, and print the start of each character while it is received."""
    lines = client.text_to_speech.stream_with_timestamps(
        chosen.voice, text=chosen.text, output_format=chosen.format
    )
    with chosen.output.open("wb") as file:
        for line in lines:
            file.write(base64.b64decode(line.audio_base_64))
            if line.alignment is not None:
                starts = line.alignment.character_start_times_seconds
                for character, start in zip(line.alignment.characters, starts, strict=True):
                    print(f"{start:8.3f} s  {character}")


def voices(client: ElevenLabs, words: str) -> None:
    """List the voices that match ``words``."""
    token = None
    while True:
        page = client.voices.search(search=words, page_size=100, next_page_token=token)
        for voice in page.voices:
            print(f"{voice.voice_id:24} {voice.category:8} {voice.description}")
        token = page.next_page_token
        if not page.has_more:
            return


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Speak text by ElevenLabs' SDK.")
    parser.add_argument("text", nargs="?")
    parser.add_argument("-o", "--output", type=Path, default=Path("speech.mp3"))
    parser.add_argument("--format", default="mp3_44100_128", help="for example pcm_24000, opus_48000_64")
    parser.add_argument("--voice", default=GEORGE, help="for example ef_dora; --voices lists them")
    parser.add_argument("--times", action="store_true", help="print the start of each character")
    parser.add_argument("--voices", metavar="WORDS", help="list the voices that match these words")
    parser.add_argument("--server", default="http://localhost:8001", help="default: http://localhost:8001")
    parser.add_argument("--key", "--api-key", default="none", help="API key, if the server needs one")
    chosen = parser.parse_args()
    with httpx.Client(timeout=240) as connection:
        client = ElevenLabs(api_key=chosen.key, base_url=chosen.server, httpx_client=connection)
        try:
            if chosen.voices is not None:
                voices(client, chosen.voices)
            if chosen.text:
                (times if chosen.times else speak)(client, chosen)
        except ApiError as error:
            raise SystemExit(f"{error.status_code}: {error.body}") from error
        except httpx.TransportError as error:
            raise SystemExit(f"{chosen.server}: {error} (is it python start_websocket_server.py?)") from error


if __name__ == "__main__":
    main()
