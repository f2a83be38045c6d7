"""Make ``pitches.json``: how high each of Kokoro's voices speaks, and how far its pitch moves.

    python -m benchmarks.kokoro_data.pitches

Every voice speaks the first ``SAYINGS`` sentences of its language (``sentences.py``). Its entry is the median
of its F0 in hertz, and half the distance from the 16th to the 84th percentile in semitones. Takes minutes on
two cores.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import soxr

from benchmarks.kokoro_data.later_sentences import LATER_SENTENCES
from benchmarks.kokoro_data.sentences import SENTENCES
from kani import Speech
from kani.engines.kokoro.cloning.pitch import SAMPLE_RATE, measure_pitch
from kani.engines.kokoro.litert.packing.weights import DATA
from kani.engines.kokoro.voices import PITCHES_FILE, Voices
from kani.text.languages import primary

SAYINGS = 3


def main() -> None:
    """Run the command line."""
    argparse.ArgumentParser(prog="python -m benchmarks.kokoro_data.pitches", description=__doc__).parse_args()
    measured = {}
    with Speech("kokoro") as speech:
        for voice in Voices().all:
            language = primary(voice.language)
            sayings = (SENTENCES | LATER_SENTENCES)[language][:SAYINGS]
            said = [speech.say(text, voice=voice.id, language=language) for text in sayings]
            samples = np.concatenate(
                [soxr.resample(one.samples, one.sample_rate, SAMPLE_RATE) for one in said]
            )
            pitch = measure_pitch(samples)
            if pitch is None:
                raise SystemExit(f"{voice.id} has no pitch")
            measured[voice.id] = [round(float(np.exp(pitch.log_f0)), 1), round(pitch.spread_semitones, 2)]
            print(voice.id, *measured[voice.id], flush=True)
    lines = ",\n".join(f" {json.dumps(voice)}: {json.dumps(entry)}" for voice, entry in measured.items())
    (DATA / PITCHES_FILE).write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
