"""Clients' PCM audio of any rate, width and number of channels, as mono samples at one rate."""

from __future__ import annotations

import numpy as np

from kani.core.audio.pcm import mixed
from kani.core.audio.resampling import Resampler
from kani.core.types import Samples
from kani.protocols.shared.errors import BadMessage
from kani.protocols.wyoming.events import AudioFormat

MAX_RATE_CHANGES = 16
"""Changes of the rate within one audio: each takes some milliseconds."""


class AudioInput:
    """Converts chunks to samples at the rate of the first of them."""

    def __init__(self, rate: int) -> None:
        """rate: hertz of the samples that are returned."""
        self.rate = rate
        self.seconds = 0.0
        """Seconds of audio so far."""
        self._chunk_rate = rate
        self._changes = 0
        self._resampler: Resampler | None = None

    def convert(self, pcm: bytes, form: AudioFormat) -> Samples:
        """Return what is ready of the audio so far. Raises BadMessage for a part of a sample, and where
        the rate changes too often.
        """
        samples = mono(pcm, form)
        self.seconds += len(samples) / form.rate
        before = self._change_rate(form.rate)
        ready = samples if self._resampler is None else self._resampler.feed(samples)
        return np.concatenate([before, ready]) if len(before) else ready

    def finish(self) -> Samples:
        """Return the rest."""
        return self._resampler.finish() if self._resampler is not None else np.zeros(0, np.float32)

    def _change_rate(self, rate: int) -> Samples:
        """Expect chunks of another rate; return the rest of the audio before them."""
        rest: Samples = np.zeros(0, np.float32)
        if rate != self._chunk_rate:
            self._changes += 1
            if self._changes > MAX_RATE_CHANGES:
                raise BadMessage(
                    f"audio-chunk: the rate changes too often (at most {MAX_RATE_CHANGES} times)"
                )
            if self._resampler is not None:
                rest = self._resampler.finish()
            self._resampler = Resampler(rate, self.rate) if rate != self.rate else None
            self._chunk_rate = rate
        return rest


def mono(pcm: bytes, form: AudioFormat) -> Samples:
    """Return little-endian PCM as mono samples; 8-bit audio is unsigned, as in WAV files."""
    frame = form.width * form.channels
    if len(pcm) % frame:
        raise BadMessage(f"audio-chunk: the payload has to be whole frames of {frame} bytes")
    return mixed(_samples(pcm, form.width).reshape(-1, form.channels).T)


def _samples(pcm: bytes, width: int) -> Samples:
    """Return samples in [-1, 1)."""
    samples: Samples
    if width == 1:
        samples = np.frombuffer(pcm, np.uint8).astype(np.float32) - np.float32(128)
    elif width == 3:
        # The three bytes as the upper ones of 32 bits, which keeps the sign.
        padded = np.zeros((len(pcm) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(pcm, np.uint8).reshape(-1, 3)
        samples = padded.view("<i4")[:, 0].astype(np.float32) / np.float32(2**8)
    else:
        samples = np.frombuffer(pcm, f"<i{width}").astype(np.float32)
    scaled: Samples = samples / np.float32(2 ** (8 * width - 1))
    return scaled
