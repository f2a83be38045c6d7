"""Adds faults to good recordings, each in several strengths."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import soxr

from kani.core.audio.encoding import AudioFormat, FileEncoder
from kani.core.audio.pcm import decode_recording
from kani.core.types import Recording, Samples

Random = np.random.Generator
Values = npt.NDArray[np.float64]

LOUD_AT_LEAST = 0.01
"""Speech is what is louder than this."""


def speech_level(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples[np.abs(samples) > LOUD_AT_LEAST], dtype=np.float64))))


def louder(recording: Recording, decibels: float) -> Recording:
    """Change the level, limited to full scale."""
    samples = recording.samples * np.float32(10 ** (decibels / 20))
    return Recording(np.clip(samples, -1, 1), recording.sample_rate)


def at_rate(recording: Recording, rate: int) -> Recording:
    samples = soxr.resample(recording.samples, recording.sample_rate, rate)
    return Recording(np.asarray(samples, np.float32), rate)


def encoded(recording: Recording, codec: str, bit_rate: int) -> Recording:
    """Encode as "mp3" or "opus" with this bit rate, and decode."""
    rate = 44_100 if codec == "mp3" else 48_000
    audio_format = AudioFormat(codec, rate, bit_rate)  # type: ignore[arg-type]
    file = FileEncoder(audio_format, recording.sample_rate)
    file.add(recording.samples)
    return decode_recording(file.finish())


def clipped(recording: Recording, decibels: float) -> Recording:
    peak = float(np.abs(recording.samples).max())
    driven = recording.samples * np.float32(10 ** (decibels / 20) / peak)
    return Recording(np.clip(driven, -1, 1) * np.float32(0.7), recording.sample_rate)


def with_offset(recording: Recording, offset: float) -> Recording:
    return Recording(np.clip(recording.samples + np.float32(offset), -1, 1), recording.sample_rate)


def over(recording: Recording, sound: Samples, decibels: float) -> Recording:
    """Add ``sound``, this far below the speech."""
    level = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))
    gain = speech_level(recording.samples) * 10 ** (-decibels / 20) / level
    mixed = recording.samples + sound[: len(recording.samples)] * np.float32(gain)
    mixed /= np.float32(max(1.0, float(np.abs(mixed).max())))
    return Recording(mixed, recording.sample_rate)


def telephone(recording: Recording) -> Recording:
    """Reduce to a telephone's band (300–3,400 Hz, 8 kHz, mu-law), at the original rate."""
    narrow = at_rate(recording, 8000)
    spectrum = np.fft.rfft(narrow.samples)
    frequencies = np.fft.rfftfreq(len(narrow.samples), 1 / 8000)
    spectrum[(frequencies < 300) | (frequencies > 3400)] = 0
    samples = np.fft.irfft(spectrum, len(narrow.samples))
    companded = np.sign(samples) * np.log1p(255 * np.minimum(np.abs(samples), 1)) / np.log(256)
    coded = np.rint(companded * 127) / 127
    samples = np.sign(coded) * np.expm1(np.abs(coded) * np.log(256)) / 255
    return at_rate(Recording(np.asarray(samples, np.float32), 8000), recording.sample_rate)


def in_room(recording: Recording, seconds: float, direct_db: float) -> Recording:
    """Add a room's echo that falls by 60 dB in ``seconds``, ``direct_db`` below the direct sound."""
    rate = recording.sample_rate
    random = np.random.default_rng(5)
    times = np.arange(int(seconds * 1.2 * rate)) / rate
    tail = random.standard_normal(len(times)) * 10 ** (-3 * times / seconds)
    tail[: int(0.004 * rate)] = 0
    tail *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(np.square(tail)))
    tail[0] = 1.0
    size = len(recording.samples) + len(tail)
    heard = np.fft.irfft(np.fft.rfft(recording.samples, size) * np.fft.rfft(tail, size), size)
    heard = heard[: len(recording.samples)]
    heard *= np.abs(recording.samples).max() / np.abs(heard).max()
    return Recording(np.asarray(heard, np.float32), rate)


def cut(recording: Recording, seconds: float) -> Recording:
    begin = int(np.argmax(np.abs(recording.samples) > LOUD_AT_LEAST))
    length = int(seconds * recording.sample_rate)
    return Recording(recording.samples[begin : begin + length], recording.sample_rate)


def with_silence(recording: Recording, share: float) -> Recording:
    missing = int(len(recording.samples) * share / (1 - share))
    return Recording(np.pad(recording.samples, (0, missing)), recording.sample_rate)


def _sentences(samples: Samples, rate: int) -> list[Samples]:
    frame = rate // 100
    quiet = np.abs(samples[: len(samples) // frame * frame].reshape(-1, frame)).max(axis=1) < 1e-3
    edges = np.flatnonzero(np.diff(np.concatenate([[True], quiet, [True]]).astype(int)))
    pieces = [samples[a * frame : b * frame] for a, b in edges.reshape(-1, 2)]
    return [piece for piece in pieces if len(piece) > 0.3 * rate]


def _level(samples: Samples, like: Samples) -> Samples:
    return np.asarray(samples * np.float32(speech_level(like) / speech_level(samples)), np.float32)


def alternating(one: Recording, other: Recording) -> Recording:
    """Two speakers alternating by sentence; at one rate."""
    rate = one.sample_rate
    pause = np.zeros(rate // 4, np.float32)
    own, others = _sentences(one.samples, rate), _sentences(_level(other.samples, one.samples), rate)
    pairs = zip(own, others, strict=False)
    turns = [part for pair in pairs for turn in pair for part in (turn, pause)]
    return Recording(np.concatenate(turns), rate)


def halves(one: Recording, other: Recording, overlap: float) -> Recording:
    """One speaker, then another, overlapping by ``overlap`` of the whole."""
    rate = one.sample_rate
    length = min(len(one.samples), len(other.samples), int(6 * rate))
    first, second = one.samples[:length], _level(other.samples, one.samples)[:length]
    both = int(2 * length * overlap / (1 + overlap))
    mixed = np.zeros(2 * length - both, np.float32)
    mixed[:length] += first
    mixed[length - both :] += second
    return Recording(np.clip(mixed, -1, 1), rate)


Sound = Callable[[int, int, Random], Samples]
"""Makes a number of samples at a rate in hertz."""


def white(count: int, rate: int, random: Random) -> Samples:
    return np.asarray(random.standard_normal(count), np.float32)


def pink(count: int, rate: int, random: Random) -> Samples:
    """Noise with equal power in every octave."""
    return _shaped(count, random, lambda frequencies: 1 / np.sqrt(np.maximum(frequencies, 1e-3)))


def hum(count: int, rate: int, random: Random) -> Samples:
    times = np.arange(count) / rate
    return np.asarray(sum(np.sin(2 * np.pi * 50 * k * times + k) / k for k in range(1, 8)), np.float32)


def chords(count: int, rate: int, random: Random) -> Samples:
    """Chords of four notes with seven harmonics, one per second."""
    roots = (48, 45, 41, 43)
    song = np.zeros(count)
    for number, begin in enumerate(range(0, count, rate)):
        times = np.arange(min(rate, count - begin)) / rate
        for note in (0, 4 if number % 2 == 0 else 3, 7, 12):
            song[begin : begin + len(times)] += _note(roots[number % 4] + note, times, 0.9)
    return np.asarray(song, np.float32)


def melody(count: int, rate: int, random: Random) -> Samples:
    """A plucked tune, four notes per second."""
    scale = (60, 62, 64, 67, 69, 72, 74, 76)
    song = np.zeros(count)
    for begin in range(0, count, rate // 4):
        times = np.arange(min(rate // 2, count - begin)) / rate
        song[begin : begin + len(times)] += _note(int(random.choice(scale)), times, 0.25)
    return np.asarray(song, np.float32)


def tone(count: int, rate: int, random: Random) -> Samples:
    return np.asarray(np.sin(2 * np.pi * 440 * np.arange(count) / rate), np.float32)


def clicks(count: int, rate: int, random: Random) -> Samples:
    samples = np.zeros(count, np.float32)
    for begin in range(rate // 3, count - 30, rate // 2):
        samples[begin : begin + 20] = random.standard_normal(20)
    return samples


def _note(number: int, times: Values, fades_s: float) -> Values:
    """A MIDI note with harmonics that begins in 5 ms and fades."""
    pitch = 440 * 2 ** ((number - 69) / 12)
    harmonics = sum(np.sin(2 * np.pi * pitch * k * times) / k**1.3 for k in range(1, 8))
    return np.asarray(harmonics * np.minimum(times / 0.005, 1) * np.exp(-times / fades_s))


def _shaped(count: int, random: Random, gain: Callable[[Values], Values]) -> Samples:
    spectrum = np.fft.rfft(random.standard_normal(count)) * gain(np.fft.rfftfreq(count))
    spectrum[0] = 0
    return np.asarray(np.fft.irfft(spectrum, count), np.float32)
