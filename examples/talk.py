"""A conversation in the terminal: any language model with ears and a voice, on this machine.

    ollama serve                                         # or another endpoint of OpenAI's form
    python examples/talk.py http://localhost:11434/v1    # microphone and headphones; Ctrl+C ends it
    python examples/talk.py http://localhost:11434/v1 --files question.wav answer.wav
It needs no server; for other programs, `python start_websocket_server.py --llm URL` is one.
"""

import argparse
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # of a checkout, where kani is not installed
try:
    import numpy as np

    from kani import Answered, Audio, Conversation, Heard, Interrupted
except ModuleNotFoundError as missing:
    raise SystemExit(f"{__doc__}\n{missing}: pip install -r requirements.txt") from missing

RATE, PIECE = 24_000, 1200  # hertz, samples
options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
options.add_argument("url", help="base address of a chat endpoint")
options.add_argument("--files", nargs=2, metavar="WAV", help="speech (16-bit, 24 kHz), and its answer")
given = options.parse_args()
if not given.files:
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise SystemExit(
            f"no microphone ({error}): pip install sounddevice, and on Linux the package libportaudio2; "
            "or give a file: --files question.wav answer.wav"
        ) from error
waiting: deque[np.ndarray] = deque()  # pieces to be played


def microphone() -> Iterator[np.ndarray]:
    """Record and play."""
    with sounddevice.Stream(RATE, channels=1, dtype="float32") as stream:
        while True:
            yield stream.read(PIECE)[0][:, 0]
            try:
                piece = waiting.popleft()
            except IndexError:
                piece = np.zeros(PIECE, np.float32)
            stream.write(piece[:, None])


def recording(path: str) -> Iterator[np.ndarray]:
    """Read a WAV file at the pace of speech."""
    samples = np.fromfile(path, "<i2", offset=44).astype(np.float32) / 32768
    for at in range(0, len(samples), PIECE):
        yield samples[at : at + PIECE]
        time.sleep(PIECE / RATE)


with Conversation(given.url) as conversation:
    for event in conversation.talk(recording(given.files[0]) if given.files else microphone(), RATE):
        if isinstance(event, Answered):
            waiting.extend(event.samples[at : at + PIECE] for at in range(0, len(event.samples), PIECE))
        elif isinstance(event, Interrupted):
            waiting.clear()
        print(f"\n{event.text}\n→ " if isinstance(event, Heard) else event, end="", flush=True)
if given.files:
    Audio(np.concatenate([np.zeros(0, np.float32), *waiting]), RATE, "", (), "").save(given.files[1])
