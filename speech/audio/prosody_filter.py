"""How it is said, beyond what an engine does by itself: pauses, speed past its own range, manner."""

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np

from speech.audio import ffmpeg
from speech.types import NEUTRAL, Boundary, Prosody, Samples

PAUSES_S = {
    Boundary.PARAGRAPH: 0.6,
    Boundary.SENTENCE: 0.35,
    Boundary.CLAUSE: 0.16,
    Boundary.WORD: 0.0,
}
"""Silence between a segment that ends so and the next one, in seconds at speed 1."""

FILTERABLE = frozenset({"pitch", "loudness", "brightness"})
"""Which fields of a ``Manner`` a filter can give to speech that is there. A wider range is not among them."""

# FFmpeg's atempo takes no factor below this; slower speech goes through several.
_SLOWEST_TEMPO = 0.5
# It gives as much at a time as it is given, and waits until it has it all: with small blocks the first
# sound leaves it as soon as it can be known (after 2,300 samples at a factor of 3.3, instead of 12,000).
# Given less than would be one sample, it never returns.
_BLOCK = 256
_BRIGHT_HZ, _BRIGHT_Q = 2000.0, 0.7
_PEAK = 0.95
_NOTHING = np.zeros(0, np.float32)


def split_speed(speed: float, native: tuple[float, float]) -> tuple[float, float]:
    """The share of ``speed`` that an engine renders itself, and the factor left for a filter."""
    own = min(max(speed, native[0]), native[1])
    return own, speed / own


def split_prosody(manner: Prosody, native: frozenset[str]) -> tuple[Prosody, Prosody]:
    """What of ``manner`` an engine renders itself, and what is left for a filter.

    native: as ``EngineInfo.manner``. Rate and pauses are neutral in both: they are not the sound's. A
    pitch range that the engine does not render is in neither.
    """
    own = {name: getattr(manner, name) for name in native}
    left = {name: getattr(manner, name) for name in FILTERABLE - native}
    return replace(NEUTRAL, **own), replace(NEUTRAL, **left)


class ProsodyFilter:
    """Changes how a stream of samples is spoken: tempo, pitch, brightness and loudness (FFmpeg's filters).

    factor: 0.05–20, 2 is twice as fast; manner: of it pitch (−12 to 12 semitones, which takes the timbre
    with it, as a tape does), brightness and loudness. Peaks that would be too loud are limited to 0.95.
    What comes out lags what goes in by some 0.1 s at most until ``finish``; the whole is ``length / factor``
    to the sample. The tempo blurs: a sharp onset is heard up to 25 ms early, and below a factor of 0.5,
    where it takes two, up to 0.1 s. Not thread-safe, may be used from any thread.
    """

    def __init__(self, sample_rate: int, factor: float, prosody: Prosody = NEUTRAL) -> None:
        if not factor > 0:
            raise ValueError("a tempo is more than nothing")
        self._sample_rate = sample_rate
        self._factor = factor
        self._fed = self._given = 0
        self._waiting = _NOTHING
        ffmpeg.disable_threads()
        self._graph = av.filter.Graph()
        self._source = self._graph.add_abuffer(format="flt", sample_rate=sample_rate, layout="mono")
        self._last = self._source
        # Played at another rate it is higher and as much faster; the tempo makes up for that beforehand.
        played = round(sample_rate * 2 ** (prosody.pitch / 12))
        tempo = factor * sample_rate / played
        self._least = 1 if tempo == 1.0 else _BLOCK
        self._set_tempo(tempo)
        if played != sample_rate:
            self._append("asetrate", str(played))
            self._append("aresample", str(sample_rate))
        if prosody.brightness:
            self._append("treble", f"gain={prosody.brightness!r}:frequency={_BRIGHT_HZ}:t=q:w={_BRIGHT_Q}")
        if prosody.loudness:
            self._append("volume", f"{prosody.loudness!r}dB")
        if prosody.loudness > 0 or prosody.brightness > 0:
            self._append("alimiter", f"limit={_PEAK}:level=false:attack=5:release=50:latency=true")
        self._append("abuffersink")
        self._graph.configure()

    def feed(self, samples: Samples) -> Samples:
        """Take samples; those that are ready."""
        self._fed += len(samples)
        waiting = np.concatenate([self._waiting, samples])
        pieces = []
        taken = len(waiting) - len(waiting) % self._least
        for at in range(0, taken, _BLOCK):
            pieces += self._pushed(waiting[at : min(at + _BLOCK, taken)])
        self._waiting = waiting[taken:]
        return self._joined(pieces)

    def finish(self) -> Samples:
        """The rest; nothing can be fed any more."""
        pieces = []
        if len(self._waiting):
            pieces += self._pushed(np.pad(self._waiting, (0, self._least - len(self._waiting))))
        self._source.push(None)
        rest = np.concatenate([*pieces, *self._ready(), _NOTHING])
        missing = max(round(self._fed / self._factor) - self._given, 0)
        return self._joined([np.pad(rest, (0, max(missing - len(rest), 0)))[:missing]])

    def _set_tempo(self, factor: float) -> None:
        while factor < _SLOWEST_TEMPO:
            self._append("atempo", repr(_SLOWEST_TEMPO))
            factor /= _SLOWEST_TEMPO
        if factor != 1.0:
            self._append("atempo", repr(factor))

    def _append(self, name: str, arguments: str | None = None) -> None:
        node = self._graph.add(name, arguments)
        self._last.link_to(node)
        self._last = node

    def _pushed(self, samples: Samples) -> list[Samples]:
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, np.float32)[np.newaxis], format="flt", layout="mono"
        )
        frame.sample_rate = self._sample_rate
        self._source.push(frame)
        return self._ready()

    def _ready(self) -> list[Samples]:
        pieces = []
        while True:
            try:
                # The limiter computes in float64.
                pieces.append(np.asarray(self._graph.pull().to_ndarray()[0], np.float32))
            except (av.error.BlockingIOError, av.error.EOFError):
                return pieces

    def _joined(self, pieces: list[Samples]) -> Samples:
        samples = np.concatenate(pieces) if pieces else _NOTHING
        self._given += len(samples)
        return samples
