"""Advice on a recording that is to become a voice, for the person who made it.

Only a recording without speech is refused. The limits were chosen on speech with faults added to it, so that
good recordings pass (``tests/core/voices/recording_faults.py``). A voice is stored with its sentences of
advice, and ``reason_of`` reads code and numbers back from them, for programs that translate them: so voices
that were stored before there were codes have them too.
"""

import re
from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Protocol

import numpy as np
import numpy.typing as npt

from kani.core.errors import InvalidRequest, Reason
from kani.core.types import Recording, Samples
from kani.core.voices.recording_quality import (
    Background,
    DetectedSpeech,
    VoiceDetector,
    brightness_db,
    classify_background,
    detect_speech,
    snr_db,
    steepest_decay_db,
    true_runs,
)

SENTENCES: Mapping[str, str] = {
    "little_speech": "There are only {seconds:.1f} s of speech in it: say more, 10 s are good.",
    "silence": "{percent:.0f}% of it is silence: cut that out.",
    "quiet": (
        "It is very quiet, {decibels:.0f} dB below full scale: "
        "go nearer to the microphone, or raise its level."
    ),
    "clipped_once": "It is clipped in one place: record it with a lower level.",
    "clipped": "It is clipped in {places:.0f} places: record it with a lower level.",
    "offset": "Its middle is {offset:.2f} away from zero: use another microphone or sound card.",
    "echo": "The room echoes: go nearer to the microphone, or to a room with curtains and carpets.",
    "noise": "There is noise behind the voice, only {decibels:.0f} dB below it: record it in a quiet place.",
    "music": (
        "There is music or another tone behind the voice, only {decibels:.0f} dB below it: "
        "record the voice alone."
    ),
    "hum": (
        "The mains hum in it, only {decibels:.0f} dB below the voice: "
        "use another cable or socket, or record on battery."
    ),
    "narrow": ("There is nothing above 4 kHz in it, as on a telephone: record it with a better microphone."),
    "several_speakers": "Several people seem to speak in it: leave only one of them.",
}
"""Sentences by code."""


def advice(code: str, **values: float) -> str:
    return SENTENCES[code].format(**values)


def reason_of(sentence: str) -> Reason | None:
    """Return the code and the numbers of a sentence that ``advice`` made; None for any other."""
    found = ((code, pattern.fullmatch(sentence)) for code, pattern in _PATTERNS.items())
    for code, match in found:
        if match is not None:
            return Reason(code, {name: float(value) for name, value in match.groupdict().items()})
    return None


def _pattern(sentence: str) -> Iterator[str]:
    for words, name, _, _ in Formatter().parse(sentence):
        yield re.escape(words)
        if name is not None:
            yield rf"(?P<{name}>\d+(?:\.\d+)?)"


_PATTERNS = {code: re.compile("".join(_pattern(sentence))) for code, sentence in SENTENCES.items()}


Array = npt.NDArray[np.float32]
Times = npt.NDArray[np.float64]

# Windows of one speaker have cosines of 0.7 to 0.9 whatever is said, of two speakers of 0.4 to 0.75.
_MIN_WINDOWS = 4
# Percentile of the least similar pairs that is looked at, beyond those of one odd window (2 in n of all
# pairs).
_LOW_PERCENT, _ODD_PERCENT = 15, 200
_MIN_SIMILARITY = 0.67
# Speakers with long turns lie along one direction; the variation of one speaker is spread over many.
_MIN_WINDOWS_FOR_COMPONENT = 6
_MAX_COMPONENT_VARIANCE = 0.09

_INSIDE_S = 0.3
"""On either side of a pause this far inside a window there may be different speakers."""


class SpeakerWindows(Protocol):
    """Speaker embeddings of a recording's windows."""

    @property
    def embeddings(self) -> Array:
        """[n, m], each of length 1: the cosine of two is the similarity of their speakers."""

    @property
    def spans_s(self) -> Times:
        """[n, 2], begin and end in seconds of the samples given."""


class WindowEncoder(Protocol):
    """Makes speaker embeddings. Safe for use by several threads."""

    def embed_windows(self, samples: Samples) -> SpeakerWindows:
        """Embed each second or two of ``samples`` (mono, 16 kHz, speech)."""


def has_several_speakers(windows: SpeakerWindows, pauses_s: Times) -> bool:
    """Check if more than one person speaks in ``windows``.

    pauses_s: times in the same seconds at which pauses were cut out; people take turns there. A speaker with
    less than a seventh of the recording, or who only speaks together with another, is not found.
    """
    embeddings = windows.embeddings
    if len(embeddings) < _MIN_WINDOWS:
        return False
    begins, ends = windows.spans_s[:, :1] + _INSIDE_S, windows.spans_s[:, 1:] - _INSIDE_S
    unmixed = embeddings[~((pauses_s > begins) & (pauses_s < ends)).any(axis=1)]
    if len(unmixed) < _MIN_WINDOWS:
        unmixed = embeddings
    similarities = (unmixed @ unmixed.T)[np.triu_indices(len(unmixed), 1)]
    percent = max(_LOW_PERCENT, _ODD_PERCENT / len(unmixed))
    if np.percentile(similarities, percent) < _MIN_SIMILARITY:
        return True
    return _first_component_variance(embeddings) > _MAX_COMPONENT_VARIANCE


def _first_component_variance(embeddings: Array) -> float:
    """Share of the variance of ``embeddings`` along their first principal component; 0 for a few of them."""
    if len(embeddings) < _MIN_WINDOWS_FOR_COMPONENT:
        return 0.0
    deviations = embeddings - embeddings.mean(axis=0)
    return float(np.linalg.svd(deviations, compute_uv=False)[0] ** 2) / len(embeddings)


# Flat tops: at least ``_MIN_TOP_SAMPLES`` consecutive samples within a thousandth of the recording's peak.
# Slow waves have one or two such tops by nature.
_FLAT_LEVEL = 0.999
_MIN_TOP_SAMPLES, _MIN_TOP_S = 3, 1e-4
_MIN_TOPS = 4
_PLACE_GAP_S = 0.05

# A codec or a resampler makes flat tops wavy, but many peaks stay about as high as the highest. Ratios of two
# percentiles of the peaks (low, high, ratio) that speech never exceeds.
_PEAK_BLOCK_S = 0.012
_LOUD_SHARE = 0.1
_MIN_PEAKS = 200
_MAX_EVENNESS = ((97, 99, 0.97), (95, 99, 0.93), (90, 99, 0.82), (80, 97, 0.81))


def count_clipped_places(recording: Recording) -> int:
    """Number of clipped places in ``recording``, 50 ms or more apart; 0 if it is hardly clipped.

    Finds clipping by 3 dB in samples as they were recorded, and by 12 dB also after a lossy codec, where the
    peaks near the limit are counted.
    """
    samples = recording.samples - recording.samples.mean(dtype=np.float64).astype(np.float32)
    sides = (samples, -samples)
    shortest = max(round(_MIN_TOP_S * recording.sample_rate), _MIN_TOP_SAMPLES)
    tops = [_flat_tops(side, shortest) for side in sides]
    if sum(len(side) for side in tops) >= _MIN_TOPS:
        return _places(np.concatenate(tops) / recording.sample_rate)
    length = round(_PEAK_BLOCK_S * recording.sample_rate)
    high = [_even_peaks(side, length) for side in sides]
    return _places(np.concatenate(high) * _PEAK_BLOCK_S)


def _flat_tops(side: Samples, shortest: int) -> npt.NDArray[np.int64]:
    """Indices of the samples at which flat tops of positive ``side`` begin, ``shortest`` samples at least."""
    near = true_runs(side >= _FLAT_LEVEL * side.max(initial=0.0))
    begins: npt.NDArray[np.int64] = near[near[:, 1] - near[:, 0] >= shortest, 0]
    return begins


def _even_peaks(side: Samples, length: int) -> npt.NDArray[np.int64]:
    """Indices of the blocks of ``length`` samples that peak at the limit, if too even for speech."""
    peaks = side[: len(side) // length * length].reshape(-1, length).max(axis=1)
    loud = peaks[peaks >= _LOUD_SHARE * peaks.max(initial=0.0)]
    if len(loud) < _MIN_PEAKS:
        return np.zeros(0, np.int64)
    percentiles = {percent: float(np.percentile(loud, percent)) for percent in (80, 90, 95, 97, 99)}
    even = [least for low, high, least in _MAX_EVENNESS if percentiles[low] > least * percentiles[high]]
    limit = min(even) * percentiles[99] if even else np.inf
    return np.flatnonzero(peaks > limit)


def _places(times_s: npt.NDArray[np.floating]) -> int:
    """Number of groups of times separated by at least ``_PLACE_GAP_S``."""
    return int(np.count_nonzero(np.diff(np.sort(times_s), prepend=-np.inf) >= _PLACE_GAP_S))


MIN_DETECTED_SPEECH_S = 0.5
"""Less is no speech: the detector takes a note or a bark for it now and then."""

MIN_SPEECH_S = 2.7
"""Least speech as the detector measures it, without fading ends: about 3 s for a listener."""

MAX_SILENCE = 0.5
MIN_LEVEL_DB = -45.0
MAX_DC_OFFSET = 0.02

MIN_SNR_DB: Mapping[Background, float] = {"noise": 20.0, "music": 24.0, "hum": 24.0}
"""Smallest distance of the background below the speech: tones are more audible than noise."""

MIN_DECAY_DB = 14.0
MIN_BRIGHTNESS_DB = -40.0

# Noise that limits the decay is about as far below the speech as the decay reaches.
_ECHO_ABOVE_NOISE_DB = 8.0


class RecordingCheck:
    """Checks recordings; several threads may use it at once.

    encoder: distinguishes speakers; None skips the check for several speakers.
    """

    def __init__(self, detector: VoiceDetector, encoder: WindowEncoder | None = None) -> None:
        self._detector = detector
        self._encoder = encoder

    def __call__(self, recording: Recording) -> tuple[str, ...]:
        """Sentences with a fault and its cure each; none if all is well.

        Blocks: 0.3 s for 10 s of a recording, 2 s for 60 s. Raises InvalidRequest for ``reference`` where
        there is no speech: silence, noise, music.
        """
        detected = detect_speech(recording, self._detector)
        if detected.speech_s < MIN_DETECTED_SPEECH_S:
            raise InvalidRequest(
                "reference",
                "there is no speech in it: record some sentences of the voice",
                Reason("no_speech"),
            )
        return (
            *_check_amount(detected),
            *_check_level(detected, recording),
            *_check_background(detected),
            *_check_bandwidth(detected),
            *self._speakers(detected),
        )

    def _speakers(self, detected: DetectedSpeech) -> Iterator[str]:
        # An echo makes one speaker sound like several.
        if self._encoder is None or _has_echo(detected):
            return
        if has_several_speakers(self._encoder.embed_windows(detected.speech_samples), detected.joints_s):
            yield advice("several_speakers")


def _check_amount(detected: DetectedSpeech) -> Iterator[str]:
    if detected.speech_s < MIN_SPEECH_S:
        yield advice("little_speech", seconds=detected.speech_s)
    if detected.silence_share > MAX_SILENCE:
        yield advice("silence", percent=100 * detected.silence_share)


def _check_level(detected: DetectedSpeech, recording: Recording) -> Iterator[str]:
    if detected.level_db < MIN_LEVEL_DB:
        yield advice("quiet", decibels=-detected.level_db)
    places = count_clipped_places(recording)
    if places:
        yield advice("clipped_once") if places == 1 else advice("clipped", places=places)
    offset = abs(float(recording.samples.mean(dtype=np.float64)))
    if offset > MAX_DC_OFFSET:
        yield advice("offset", offset=offset)


def _check_background(detected: DetectedSpeech) -> Iterator[str]:
    distance = snr_db(detected)
    if _has_echo(detected):
        yield advice("echo")
    elif distance < max(MIN_SNR_DB.values()):
        what = classify_background(detected)
        if distance < MIN_SNR_DB[what]:
            yield advice(what, decibels=max(distance, 0.0))


def _has_echo(detected: DetectedSpeech) -> bool:
    drop = steepest_decay_db(detected)
    return drop < MIN_DECAY_DB and snr_db(detected) - drop > _ECHO_ABOVE_NOISE_DB


def _check_bandwidth(detected: DetectedSpeech) -> Iterator[str]:
    if brightness_db(detected) < MIN_BRIGHTNESS_DB:
        yield advice("narrow")
