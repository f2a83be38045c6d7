"""Sounds over an answer that are no interruption, and words that are: 16 kHz samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice, product

import numpy as np

from benchmarks.recognition.clips import JUDGING_VOICES
from benchmarks.recognition.clips import SAMPLE_RATE as RATE
from benchmarks.recognition.turn_cases import Speak
from kani.core.types import Samples

LISTENER = {
    "en": ("Uh-huh.", "Yeah.", "Okay.", "Right.", "Yes, yes."),
    "es": ("Ajá.", "Sí, sí.", "Vale.", "Claro.", "Ya, ya."),
}
"""Sounds of a listener, not an interruption. Voices spell "mhm" letter by letter: see ``hum``."""

WORDS = {
    "en": ("Wait!", "Stop.", "No, not that one.", "Hold on a moment, please.", "What about tomorrow?"),
    "es": ("¡Espera!", "Para.", "No, esa no.", "Un momento, por favor.", "¿Y qué pasa mañana?"),
}
"""Words that interrupt."""

LEVEL = 0.08  # root mean square of a voice, and of a noise where it sounds


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """Something that the microphone hears over an answer; its first sound is its first sample."""

    name: str
    language: str
    samples: Samples


def cough(random: np.random.Generator) -> Samples:
    """Return one or two coughs: a burst of breath, and the end of it with some voice."""
    coughs = []
    for _ in range(random.integers(1, 3)):
        breath = _band(random.standard_normal(round(random.uniform(0.18, 0.3) * RATE)), 400, 3500)
        time = np.arange(len(breath)) / RATE
        breath *= np.exp(-time / 0.07) + 0.2
        pitch = random.uniform(120, 260) * (1 - 0.3 * time / time[-1])
        voice = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / RATE)) * (time > 0.12)
        coughs.append(breath + 0.5 * _band(voice, 200, 2500))
        coughs.append(np.zeros(round(random.uniform(0.15, 0.35) * RATE)))
    return _at_level(np.concatenate(coughs))


def keyboard(random: np.random.Generator) -> Samples:
    """Return two seconds of typing: clicks of two strokes each."""
    typed = np.zeros(2 * RATE)
    at = 0
    while at < len(typed) - RATE // 5:
        for stroke in (0, round(random.uniform(0.03, 0.08) * RATE)):
            click = random.standard_normal(RATE // 60) * np.exp(-np.arange(RATE // 60) / (0.003 * RATE))
            typed[at + stroke :][: len(click)] += random.uniform(0.4, 1) * _band(click, 1000, 6000)
        at += round(random.uniform(0.09, 0.3) * RATE)
    return _at_level(typed)


def music(random: np.random.Generator) -> Samples:
    """Return two seconds of chords: plucked strings with their harmonics."""
    played = np.zeros(2 * RATE)
    for beat in range(0, len(played), RATE // 2):
        time = np.arange(len(played) - beat) / RATE
        root = 110 * 2 ** (random.integers(0, 12) / 12)
        for interval, harmonic in product((0, 4, 7), range(1, 7)):
            pitch = root * 2 ** (interval / 12) * harmonic
            played[beat:] += np.sin(2 * np.pi * pitch * time) * np.exp(-time * harmonic / 0.6) / harmonic
    return _at_level(played)


def hum(random: np.random.Generator) -> Samples:
    """Return a "mhm": two sounds of a voice through the nose, the second higher, and breath between them."""
    lengths_s = random.uniform(0.12, 0.2), random.uniform(0.04, 0.09), random.uniform(0.18, 0.28)
    pitch = random.uniform(95, 230)
    parts = []
    for length_s, higher in zip(lengths_s, (1.0, 0.0, random.uniform(1.1, 1.35)), strict=True):
        time = np.arange(round(length_s * RATE)) / RATE
        breath = 0.05 * _band(random.standard_normal(len(time)), 300, 2500)
        phase = 2 * np.pi * np.cumsum(np.full(len(time), pitch * higher)) / RATE
        voice = sum(np.sin(n * phase) / n**1.5 for n in range(1, 20))
        parts.append(breath + _band(np.asarray(voice), 120, 450) * np.sin(np.pi * time / length_s) ** 0.5)
    return _at_level(np.concatenate(parts))


NOISES: Mapping[str, Callable[[np.random.Generator], Samples]] = {
    "cough": cough,
    "keyboard": keyboard,
    "music": music,
    "hum": hum,
}


def noises(name: str, count: int) -> list[Sound]:
    """Return noises of one kind, languages of the answer in turns."""
    random = np.random.default_rng(len(name))
    languages = [*LISTENER]
    return [Sound(name, languages[at % len(languages)], NOISES[name](random)) for at in range(count)]


async def spoken(texts: Mapping[str, tuple[str, ...]], count: int, speak: Speak) -> list[Sound]:
    """Return texts that are said by voices that tune nothing, languages in turns."""
    said = []
    for turn, language in islice(product(range(count), texts), count):
        text = texts[language][turn % len(texts[language])]
        voices = JUDGING_VOICES[language]
        samples, _ = await speak(language, voices[turn // len(texts[language]) % len(voices)], text)
        sounding = np.flatnonzero(np.abs(samples) > 0.05 * np.abs(samples).max())
        said.append(Sound(text, language, _at_level(samples[sounding[0] : sounding[-1] + 1])))
    return said


def _band(samples: np.ndarray, low: float, high: float) -> np.ndarray:
    spectrum = np.fft.rfft(samples)
    pitch = np.fft.rfftfreq(len(samples), 1 / RATE)
    damped = 1 + (low / np.maximum(pitch, 1)) ** 4 + (pitch / high) ** 4
    return np.fft.irfft(spectrum / damped, len(samples))


def _at_level(samples: np.ndarray) -> Samples:
    loud = np.abs(samples) > 0.05 * np.abs(samples).max()
    return (samples * LEVEL / np.sqrt(np.mean(np.square(samples[loud])))).astype(np.float32)
