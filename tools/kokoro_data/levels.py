"""Make ``levels.json``: how loud each of Kokoro's voices is, in LUFS (ITU-R BS.1770).

    python -m tools.kokoro_data.levels

Every voice speaks the last ``SAYINGS`` sentences of its language (``sentences.py``) and is measured as it is
heard. Its entry in the table, which its gain comes from, changes by what the level of all voices lacks: where
the table was right, nothing does. Takes minutes on two cores.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from kani import Speech
from kani.core.audio.pcm import LEVEL_LUFS
from kani.core.types import Voice
from kani.engines.kokoro.voices import DATA, LEVELS_FILE, Voices
from kani_text.languages import primary
from tools.kokoro_data.sentences import LATER_SENTENCES, SENTENCES
from tools.loudness import Loudness, loudness

SAYINGS = 6


def measure(speech: Speech, voice: Voice) -> Loudness:
    """Have a voice speak, and measure it."""
    language = primary(voice.language)
    sayings = (SENTENCES | LATER_SENTENCES)[language][-SAYINGS:]
    said = [speech.say(text, voice=voice.id, language=language) for text in sayings]
    return loudness(np.concatenate([one.samples for one in said]), said[0].sample_rate)


def main() -> None:
    """Run the command line."""
    argparse.ArgumentParser(prog="python -m tools.kokoro_data.levels", description=__doc__).parse_args()
    file = DATA / LEVELS_FILE
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    levels = {}
    with Speech("kokoro") as speech:
        for voice in Voices().all:
            heard = measure(speech, voice)
            levels[voice.id] = round(known.get(voice.id, LEVEL_LUFS) + heard.lufs - LEVEL_LUFS, 1)
            print(voice.id, heard, flush=True)
    lines = ",\n".join(f' "{voice}": {level}' for voice, level in levels.items())
    file.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
