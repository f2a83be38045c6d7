"""Recordings of several sentences with silence, noise and music around them, and the words' true times."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import kani
from kani.core.audio.resampling import Resampler
from kani.core.types import Samples

RATE = 16_000
CHORDS = ((220.0, 277.2, 329.6), (196.0, 246.9, 293.7), (174.6, 220.0, 261.6))
HELD_S = 0.4

_NO_LETTERS = re.compile(r"\W+")


@dataclass(frozen=True, slots=True)
class RecordedText:
    """Samples at ``RATE``, the text, and the second at which each word begins."""

    samples: Samples
    text: str
    starts: list[tuple[str, float]]


def music(seconds: float, loudness: float = 0.1) -> Samples:
    """Return chords with a beat, as loud as speech."""
    times = np.arange(round(seconds * RATE)) / RATE
    chord = (times / HELD_S).astype(int) % len(CHORDS)
    pitches = np.array(CHORDS)[chord]
    beat = np.exp(-4 * (times % HELD_S) / HELD_S)
    tones = sum(
        np.sin(2 * np.pi * np.cumsum(pitches[:, at] * part) / RATE) / part
        for at in range(3)
        for part in (1, 2, 3)
    )
    return (loudness * beat * tones).astype(np.float32)


def recorded(spoken: Sequence[kani.Audio], seed: int) -> RecordedText:
    """Join speech, with a gap before each and after the last: silence, noise or music."""
    chance = np.random.default_rng(seed)

    def gap(at: int) -> Samples:
        seconds = chance.uniform(0.5, 6.0)
        noise = chance.standard_normal(round(seconds * RATE)).astype(np.float32)
        return (noise * 0.0005, music(seconds), noise * 0.02)[at % 3]

    pieces, text, starts, at_s = [gap(0)], "", [], 0.0
    for number, audio in enumerate(spoken, 1):
        at_s += len(pieces[-1]) / RATE
        starts += [(word.text, at_s + word.start_s) for word in audio.words]
        resampler = Resampler(audio.sample_rate, RATE)
        pieces.append(np.concatenate([resampler.feed(audio.samples), resampler.finish()]))
        at_s += len(pieces[-1]) / RATE
        pieces.append(gap(number))
        text += f"{audio.text} "
    return RecordedText(np.concatenate(pieces), text, starts)


def errors_ms(found: Sequence[kani.Word], recording: RecordedText) -> list[float]:
    """Return how far the starts of the words are off, in milliseconds."""
    # French marks stand apart from their words.
    assert [_NO_LETTERS.sub("", word.text) for word in found] == [
        _NO_LETTERS.sub("", word) for word, _ in recording.starts
    ]
    return [
        abs(word.start_s - start_s) * 1000 for word, (_, start_s) in zip(found, recording.starts, strict=True)
    ]
