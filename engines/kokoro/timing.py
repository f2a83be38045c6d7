"""When each word of an utterance is said, and where its speech begins and ends.

The model's durations tell both almost: they lag the sound by a constant, and pauses in the audio
itself are exact. The constants were measured on es, en and fr speech of six voices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.kokoro.model import FRAME, SAMPLE_RATE, Rendering
from engines.kokoro.phonemes import Utterance
from speech.types import Samples

MARGIN_S = 0.03
"""How much of the model's silence stays before and after the speech."""

_LAG = round(0.060 * SAMPLE_RATE)
_NEAR = round(0.200 * SAMPLE_RATE)
_SHORTEST_SILENCE = round(0.050 * SAMPLE_RATE)
_FADE = round(0.005 * SAMPLE_RATE)
_MARGIN = round(MARGIN_S * SAMPLE_RATE)
_HOP = 120
# The model is silent to below -90 dB where nothing is said; what is quieter than this next to the
# loud parts of speech is a breath or a decay.
_SILENCE_DB = -45.0
_LEAD = 5 * FRAME


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """An utterance without the silence around it.

    samples: at ``SAMPLE_RATE``; times: when each word of the utterance is said, as (start, end)
    in seconds from the first sample; starts never fall, and no word ends after the next starts.
    """

    samples: Samples
    times: tuple[tuple[float, float], ...]


def speech_of(rendering: Rendering, utterance: Utterance, *, keep_after_s: float = MARGIN_S) -> Speech:
    """The speech in ``rendering`` of ``utterance``, and its words' times.

    keep_after_s: how much of the model's own silence may stay behind the last sound.
    """
    samples = rendering.samples
    edges = np.concatenate([[0], np.cumsum(rendering.frames)]) * FRAME
    loud = _loud(samples)
    first, last = _speech(loud, int(edges[1]), len(samples))
    starts, ends = _word_times(utterance, edges, _silences(loud, first, last), first, last)
    begin = max(first - _MARGIN, 0)
    end = min(last + round(keep_after_s * SAMPLE_RATE), len(samples))
    cut = samples[begin:end].copy()
    fade = min(_FADE, len(cut) // 2)
    ramp = np.linspace(0.0, 1.0, fade, endpoint=False, dtype=np.float32)
    cut[:fade] *= ramp
    cut[len(cut) - fade :] *= ramp[::-1]
    np.clip(cut, -1.0, 1.0, out=cut)
    times = tuple(
        ((start - begin) / SAMPLE_RATE, (stop - begin) / SAMPLE_RATE)
        for start, stop in zip(starts, ends, strict=True)
    )
    return Speech(cut, times)


def _loud(samples: Samples) -> npt.NDArray[np.bool_]:
    """For each 5 ms whether anything is heard, relative to the utterance's loud parts."""
    hops = len(samples) // _HOP
    power = np.square(samples[: hops * _HOP].reshape(hops, _HOP)).mean(axis=1)
    threshold = np.percentile(power, 95) * 10 ** (_SILENCE_DB / 10)
    return np.asarray(power > threshold)


def _speech(loud: npt.NDArray[np.bool_], pad_end: int, length: int) -> tuple[int, int]:
    """First and last heard sample; what sounds long before the first symbol is not speech."""
    skip = max(pad_end - _LEAD, 0) // _HOP
    heard = np.flatnonzero(loud[skip:])
    if not len(heard):
        return 0, length
    return int(skip + heard[0]) * _HOP, int(skip + heard[-1] + 1) * _HOP


def _silences(loud: npt.NDArray[np.bool_], first: int, last: int) -> list[tuple[int, int]]:
    """Pauses of at least 50 ms between two samples, as (start, end) in samples."""
    inside = loud[first // _HOP : last // _HOP].astype(np.int8)
    steps = np.flatnonzero(np.diff(inside)) + 1 + first // _HOP
    pauses = zip(steps[0::2] * _HOP, steps[1::2] * _HOP, strict=False)
    return [(int(a), int(b)) for a, b in pauses if b - a >= _SHORTEST_SILENCE]


def _word_times(
    utterance: Utterance,
    edges: npt.NDArray[np.int64],
    silences: Sequence[tuple[int, int]],
    first: int,
    last: int,
) -> tuple[list[int], list[int]]:
    expected = [
        _boundary(utterance.symbols, word.stop, following.first, edges) - _LAG
        for word, following in zip(utterance.words, utterance.words[1:], strict=False)
    ]
    gaps = [(at, at) for at in expected]
    for pause in silences if expected else ():
        # A pause is before one word only: the one that is expected nearest to its end.
        distance, index = min((abs(pause[1] - at), index) for index, at in enumerate(expected))
        if distance <= _NEAR and distance < _distance(gaps[index], expected[index]):
            gaps[index] = pause
    starts, ends = [first], []
    for stop, start in gaps:
        start = min(max(start, starts[-1]), last)
        ends.append(max(starts[-1], min(stop, start)))
        starts.append(start)
    return starts, [*ends, last]


def _distance(gap: tuple[int, int], expected: int) -> float:
    """How far a pause taken before ends from where the word is expected."""
    return abs(gap[1] - expected) if gap[0] < gap[1] else float("inf")


def _boundary(symbols: str, stop: int, first: int, edges: npt.NDArray[np.int64]) -> int:
    """The middle of the last space between two words, in samples, as the durations have it."""
    space = symbols.rfind(" ", stop, first)
    if space < 0:
        # Joined by espeak-ng: no space of their own.
        return int(edges[first + 1])
    return int(edges[space + 1] + edges[space + 2]) // 2
