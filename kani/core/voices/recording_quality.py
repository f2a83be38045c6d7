"""Recording quality: noise in the pauses, mains hum, reverberation, bandwidth.

Measured on synthetic speech with faults added to it (``tests/core/voices/recording_faults.py``).
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import soxr

from kani.core.types import Recording, Samples

SAMPLE_RATE = 16_000
CHUNK = 512
CHUNK_S = CHUNK / SAMPLE_RATE

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

Background = Literal["noise", "music", "hum"]

# The detector gets speech at a common level: that of the loud chunks among those that are not silent against
# the mean.
_LEVEL, _SILENT = 0.1, 1e-5
_LOUD_PERCENT = 95
_SILENT_SHARE = 0.01
# White noise 20 dB below the speech makes the detector find telephone speech; without, it misses half of
# that. Other recordings are not affected.
_NOISE = 0.01

# A voice begins at the upper probability and ends at the lower; fewer than ``_MIN_VOICE_CHUNKS`` are a click
# or a note of music.
_ON, _OFF = 0.5, 0.2
_MIN_VOICE_CHUNKS = 3
_MIN_JOINT_CHUNKS = 3
_SILENCE = 10**-2.5
# Chunks before and after a voice that do not count as pause: breath, fading words, echo.
_CHUNKS_BEFORE, _CHUNKS_AFTER = 2, 5

_FLOOR = 1e-12
_DIGITAL_SILENCE = 1e-9
_MIN_PAUSE_CHUNKS, _MAX_PAUSE_CHUNKS = 4, 60
_QUIETEST_PERCENT = 3
_ENVELOPE_STEP = SAMPLE_RATE // 100

_TONE_WINDOW = 1024
_TONE_BINS = slice(4, 400)
_TONE_AROUND = 31
_TONE_RATIO = 10.0
_MIN_TONAL_SHARE = 0.18
_MAINS_HZ = (50, 60)
_HARMONICS = 8
_MIN_HUM_S = 0.15
_MIN_HUM_SHARE = 0.6

_DECAY_STEPS = 12
_DECAY_FROM_DB = 10.0
_DECAY_PERCENT = 97

_HIGH_HZ, _MIDDLE_HZ = (4300.0, 7500.0), (300.0, 3400.0)
_BRIGHTEST_PERCENT = 98


class VoiceDetector(Protocol):
    """Detects speech. Safe for use by several threads."""

    def probabilities(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Probability of speech in each ``CHUNK`` of ``samples`` (at ``SAMPLE_RATE``)."""


@dataclass(frozen=True, slots=True, eq=False)
class DetectedSpeech:
    """A recording and its speech and pauses.

    What is in neither mask is digital silence, or may be the end or the beginning of a word.
    """

    samples: Samples  # at ``SAMPLE_RATE``, whole chunks, without DC offset, at a common level
    gain: float  # the factor that brought the samples to that level
    speech: Mask  # by chunk
    pause: Mask  # by chunk

    @property
    def speech_s(self) -> float:
        return float(self.speech.sum()) * CHUNK_S

    @property
    def silence_share(self) -> float:
        """Share of the recording that is silent: 0–1.

        Whispered speech does not count as silence, though the detector misses half of it.
        """
        quiet = _powers(self.samples, CHUNK) < _SILENCE * self.speech_power
        return float(np.mean(quiet & ~self.speech))

    @property
    def speech_samples(self) -> Samples:
        """Only the speech, joined."""
        return self.samples.reshape(-1, CHUNK)[self.speech].reshape(-1)

    @property
    def joints_s(self) -> Values:
        """Seconds of ``speech_samples`` at which at least 0.1 s of silence was left out."""
        spans = true_runs(self.speech)
        ends = np.cumsum(spans[:, 1] - spans[:, 0])[:-1]
        return ends[spans[1:, 0] - spans[:-1, 1] >= _MIN_JOINT_CHUNKS] * CHUNK_S

    @property
    def level_db(self) -> float:
        """Root mean square of the speech in the recording itself, in decibels against full scale."""
        return decibels(self.speech_power) - 20 * float(np.log10(self.gain))

    @property
    def speech_power(self) -> float:
        """Mean power of the speech in ``samples``."""
        return float(np.mean(np.square(self.speech_samples, dtype=np.float64)))

    def pause_samples(self) -> list[Samples]:
        """Samples of each pause, of a long one only the beginning."""
        return [
            self.samples[begin * CHUNK : min(end, begin + _MAX_PAUSE_CHUNKS) * CHUNK]
            for begin, end in true_runs(self.pause)
        ]


def detect_speech(recording: Recording, detector: VoiceDetector) -> DetectedSpeech:
    """Find speech and pauses in ``recording``: takes 10 ms per second, most of it the detector's."""
    samples = recording.samples - recording.samples.mean(dtype=np.float64).astype(np.float32)
    if recording.sample_rate != SAMPLE_RATE:
        samples = soxr.resample(samples, recording.sample_rate, SAMPLE_RATE)
    samples = np.pad(samples, (0, -len(samples) % CHUNK)).astype(np.float32)
    powers = _powers(samples, CHUNK)
    loud = float(np.percentile(powers[powers >= _SILENT_SHARE * powers.mean()], _LOUD_PERCENT))
    gain = _LEVEL / max(float(np.sqrt(loud)), _SILENT)
    samples = samples * np.float32(gain)
    noise = np.random.default_rng(0).standard_normal(len(samples), np.float32)
    voice = detector.probabilities(samples + np.float32(_NOISE) * noise)
    speech = np.zeros(len(voice), bool)
    pause = (voice < _OFF) & (_powers(samples, CHUNK) > _DIGITAL_SILENCE)
    for begin, end in true_runs(voice >= _OFF):
        pause[max(begin - _CHUNKS_BEFORE, 0) : end + _CHUNKS_AFTER] = False
        speech[begin:end] = np.count_nonzero(voice[begin:end] >= _ON) >= _MIN_VOICE_CHUNKS
    return DetectedSpeech(samples, gain, speech, pause)


def true_runs(mask: Mask) -> npt.NDArray[np.int64]:
    """Runs of true values in ``mask``: [n, 2], begin and end (exclusive)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return np.asarray(edges.reshape(-1, 2), np.int64)


def decibels(power: float) -> float:
    """Convert a power to decibels against 1."""
    return 10 * float(np.log10(power + _FLOOR))


def snr_db(detected: DetectedSpeech) -> float:
    """Distance of the background below the speech, in decibels.

    The background's power is the median over the pauses; in speech without pauses that of the quietest
    moments.
    """
    powers = _powers(detected.samples, CHUNK)[detected.pause]
    if len(powers) >= _MIN_PAUSE_CHUNKS:
        between = float(np.median(powers))
    else:
        levels = _envelope(detected.samples)
        between = float(np.percentile(levels[levels > _DIGITAL_SILENCE], _QUIETEST_PERCENT))
    return decibels(detected.speech_power) - decibels(between)


def classify_background(detected: DetectedSpeech) -> Background:
    """Classify the sound in the pauses: mains hum, tones (music), or noise."""
    pauses = detected.pause_samples()
    if _hum_share(pauses) > _MIN_HUM_SHARE:
        return "hum"
    return "music" if _tonal_share(pauses) > _MIN_TONAL_SHARE else "noise"


def steepest_decay_db(detected: DetectedSpeech) -> float:
    """Fall of loud speech within 120 ms where it falls fast, in decibels.

    An echo that takes a second to fall by 60 dB allows 7 dB, plus the distance of the echo below the
    voice. Infinite where nothing loud is followed by anything.
    """
    levels = 10 * np.log10(_envelope(detected.samples) + _DIGITAL_SILENCE)
    loud = decibels(detected.speech_power) - _DECAY_FROM_DB
    drops = (levels[:-_DECAY_STEPS] - levels[_DECAY_STEPS:])[levels[:-_DECAY_STEPS] > loud]
    return float(np.percentile(drops, _DECAY_PERCENT)) if len(drops) else float("inf")


def brightness_db(detected: DetectedSpeech) -> float:
    """Power density at 4.3 to 7.5 kHz in the sharpest sounds against a telephone's band, in decibels."""
    spectra = _spectra(detected.speech_samples.reshape(-1, CHUNK))
    frequencies = np.fft.rfftfreq(CHUNK, 1 / SAMPLE_RATE)
    high, middle = (
        spectra[:, (frequencies > lowest) & (frequencies < highest)].mean(axis=1)
        for lowest, highest in (_HIGH_HZ, _MIDDLE_HZ)
    )
    return decibels(float(np.percentile(high, _BRIGHTEST_PERCENT))) - decibels(float(middle.mean()))


def _powers(samples: Samples, length: int) -> Values:
    frames = samples[: len(samples) // length * length].reshape(-1, length)
    return np.asarray(np.mean(np.square(frames, dtype=np.float64), axis=1))


def _envelope(samples: Samples) -> Values:
    """Power over 20 ms, every 10 ms."""
    return np.convolve(_powers(samples, _ENVELOPE_STEP), (0.5, 0.5), "valid")


def _spectra(frames: Samples) -> Values:
    return np.square(np.abs(np.fft.rfft(frames * np.hanning(frames.shape[1]), axis=1)))


def _tonal_share(pauses: list[Samples]) -> float:
    """Share of the pauses' power in narrow spectral peaks: 0–1."""
    step = _TONE_WINDOW // 2
    frames = [
        pause[begin : begin + _TONE_WINDOW]
        for pause in pauses
        for begin in range(0, len(pause) - _TONE_WINDOW + 1, step)
    ]
    if not frames:
        return 0.0
    spectra = _spectra(np.stack(frames))[:, _TONE_BINS]
    beside = _TONE_AROUND // 2
    padded = np.pad(spectra, ((0, 0), (beside, beside)), mode="reflect")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, _TONE_AROUND, axis=1), axis=2)
    standing_out = np.where(spectra > _TONE_RATIO * around, spectra, 0.0)
    return float(standing_out.sum() / (spectra.sum() + _FLOOR))


def _hum_share(pauses: list[Samples]) -> float:
    """Share of the pauses' power in the first harmonics of the mains: 0–1."""
    long_ones = [pause for pause in pauses if len(pause) >= _MIN_HUM_S * SAMPLE_RATE]
    whole = sum(float(np.sum(np.square(pause, dtype=np.float64))) for pause in long_ones)
    return max(sum(_harmonic_energy(pause, mains) for pause in long_ones) for mains in _MAINS_HZ) / (
        whole + _FLOOR
    )


def _harmonic_energy(pause: Samples, mains_hz: int) -> float:
    """Energy of ``pause`` explained by harmonics of the mains, fitted by least squares."""
    cycles = np.outer(np.arange(len(pause)), np.arange(1, _HARMONICS + 1)) * mains_hz / SAMPLE_RATE
    phases = 2 * np.pi * cycles
    waves = np.concatenate([np.sin(phases), np.cos(phases)], axis=1)
    weights = np.linalg.lstsq(waves, pause.astype(np.float64), rcond=None)[0]
    return float(np.sum(np.square(waves @ weights)))
