"""Advice on a recording that is to become a voice, for the person who made it.

Only a recording without speech is refused. The limits were chosen on speech with faults added to it, so that
good recordings pass (``tests/core/voices/recording_faults.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from kani.core.errors import InvalidRequest, Reason
from kani.core.types import Recording
from kani.core.voices.clipping import count_clipped_places
from kani.core.voices.recording_advice import advice
from kani.core.voices.recording_quality import (
    Background,
    DetectedSpeech,
    VoiceDetector,
    brightness_db,
    classify_background,
    detect_speech,
    snr_db,
    steepest_decay_db,
)
from kani.core.voices.speaker_count import WindowEncoder, has_several_speakers

MIN_DETECTED_SPEECH_S = 0.5
"""Less is no speech: the detector takes a note or a bark for it now and then."""

MIN_SPEECH_S = 2.7
"""As the detector measures it, without fading ends: about 3 s for a listener."""

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
