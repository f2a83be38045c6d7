"""Make ``pitches.json``: how each of Kokoro's voices sounds.

    python -m tools.kokoro_data.pitches

Every voice speaks the first ``SAYINGS`` sentences of its language (``sentences.py``). Its entry has four
numbers:

- the median of its F0 in hertz;
- half the distance from the 16th to the 84th percentile of F0, in semitones;
- how fast it speaks, beside the median of its language's voices (1);
- its level from ``BRIGHT_HZ`` on, in decibels below all of its sound.

Takes minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from statistics import median

import numpy as np
import soxr

from kani import Speech
from kani.core.types import Voice
from kani.engines.kokoro.cloning.pitch import SAMPLE_RATE, measure_pitch
from kani.engines.kokoro.voices import DATA, PITCHES_FILE, Voices
from kani_text.languages import primary
from tools.kokoro_data.sentences import LATER_SENTENCES, SENTENCES

SAYINGS = 3
BRIGHT_HZ = 2000


@dataclass(frozen=True, slots=True)
class Sound:
    """Measured sound of a voice."""

    pitch_hz: float
    pitch_range: float
    seconds: float
    brightness_db: float


def measure(speech: Speech, voice: Voice) -> Sound:
    """Have a voice speak, and measure it."""
    language = primary(voice.language)
    sayings = (SENTENCES | LATER_SENTENCES)[language][:SAYINGS]
    said = [speech.say(text, voice=voice.id, language=language) for text in sayings]
    samples = np.concatenate([soxr.resample(one.samples, one.sample_rate, SAMPLE_RATE) for one in said])
    pitch = measure_pitch(samples)
    if pitch is None:
        raise SystemExit(f"{voice.id} has no pitch")
    power = np.abs(np.fft.rfft(samples)) ** 2
    bright = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE) >= BRIGHT_HZ
    return Sound(
        float(np.exp(pitch.log_f0)),
        pitch.spread_semitones,
        len(samples) / SAMPLE_RATE,
        float(10 * np.log10(power[bright].sum() / power.sum())),
    )


def entries(sounds: dict[Voice, Sound]) -> dict[str, list[float]]:
    """Return the numbers of each voice by its id."""
    lengths: dict[str, list[float]] = {}
    for voice, sound in sounds.items():
        lengths.setdefault(primary(voice.language), []).append(sound.seconds)
    usual = {language: median(some) for language, some in lengths.items()}
    return {
        voice.id: [
            round(sound.pitch_hz, 1),
            round(sound.pitch_range, 2),
            round(usual[primary(voice.language)] / sound.seconds, 2),
            round(sound.brightness_db, 1),
        ]
        for voice, sound in sounds.items()
    }


def main() -> None:
    """Run the command line."""
    argparse.ArgumentParser(prog="python -m tools.kokoro_data.pitches", description=__doc__).parse_args()
    sounds = {}
    with Speech("kokoro") as speech:
        for voice in Voices().all:
            sounds[voice] = measure(speech, voice)
            print(voice.id, sounds[voice], flush=True)
    lines = ",\n".join(
        f" {json.dumps(voice)}: {json.dumps(entry)}" for voice, entry in entries(sounds).items()
    )
    (DATA / PITCHES_FILE).write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
