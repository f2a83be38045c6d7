"""A conversation in the terminal: any language model with ears and a voice, on this machine.

    ollama serve                                         # or another endpoint of OpenAI's form
    python examples/talk.py http://localhost:11434/v1    # microphone and headphones; Ctrl+C ends it
    python examples/talk.py http://localhost:11434/v1 --files question.wav answer.wav

It needs no server; `python start_websocket_server.py --llm URL` is one for other programs.
A microphone needs: pip install sounddevice
"""

import argparse
import sys
import time
import wave
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # of a checkout, where kani is not installed
try:
    import numpy as np

    from kani import Answered, Conversation, Heard, Interrupted, NoAnswer
except ModuleNotFoundError as missing:
    raise SystemExit(f"{__doc__}\n{missing}: pip install -r requirements.txt") from missing

RATE, ANSWER_RATE = 16_000, 24_000
options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
options.add_argument("url", help="base address of a chat endpoint")
options.add_argument("--model", help="name of its model, if it has several")
options.add_argument(
    "--files", nargs=2, metavar="WAV", help="16-bit mono at 16 kHz, and where the answer goes"
)
given = options.parse_args()
to_play = [np.zeros(0, np.float32)]


def microphone():
    import sounddevice

    def play(block, count, *_):
        samples = np.concatenate(to_play)
        block[:, 0] = np.pad(samples[:count], (0, max(0, count - len(samples))))
        to_play[:] = [samples[count:]]

    with sounddevice.OutputStream(ANSWER_RATE, channels=1, dtype="float32", callback=play):
        with sounddevice.InputStream(RATE, channels=1, dtype="float32") as stream:
            while True:
                yield stream.read(RATE // 20)[0][:, 0]


def recording(path):
    samples = np.fromfile(path, "<i2", offset=44).astype(np.float32) / 32768
    for at in range(0, len(samples), RATE // 20):
        yield samples[at : at + RATE // 20]
        time.sleep(0.05)  # at the pace of speech


with Conversation(given.url, llm_model=given.model) as conversation:
    for event in conversation.talk(recording(given.files[0]) if given.files else microphone(), RATE):
        if isinstance(event, Heard):
            print(f"you: {event.text}\nit:  ", end="", flush=True)
        elif isinstance(event, Answered):
            print(event.text, end="", flush=True)
            to_play.append(event.samples)
        elif isinstance(event, Interrupted):
            del to_play[1:]
        elif isinstance(event, NoAnswer):
            print(event.reason)
if given.files:
    with wave.open(given.files[1], "wb") as file:
        file.setparams((1, 2, ANSWER_RATE, 0, "NONE", ""))
        file.writeframes((np.concatenate(to_play) * 32767).astype("<i2").tobytes())
