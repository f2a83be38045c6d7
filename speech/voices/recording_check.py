"""Advice on a recording that is to become a voice, for the person who made it.

Only a recording without speech is refused. The limits were chosen on speech with faults added to it, so that
good recordings pass (``benchmarks/voices/recording_judge.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from speech.errors import InvalidRequest
from speech.types import Recording
from speech.voices.clipping import count_clipped_places
from speech.voices.recording_quality import (
    Background,
    DetectedSpeech,
    VoiceDetector,
    brightness_db,
    classify_background,
    detect_speech,
    snr_db,
    steepest_decay_db,
)
from speech.voices.speaker_count import WindowEncoder, has_several_speakers

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

_BACKGROUND_ADVICE: Mapping[Background, str] = {
    "noise": "There is noise behind the voice, only {distance:.0f} dB below it: record it in a quiet place.",
    "music": (
        "There is music or another tone behind the voice, only {distance:.0f} dB below it: "
        "record the voice alone."
    ),
    "hum": (
        "The mains hum in it, only {distance:.0f} dB below the voice: "
        "use another cable or socket, or record on battery."
    ),
}


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
            raise InvalidRequest("reference", "there is no speech in it: record some sentences of the voice")
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
            yield "Several people seem to speak in it: leave only one of them."


def _check_amount(detected: DetectedSpeech) -> Iterator[str]:
    if detected.speech_s < MIN_SPEECH_S:
        yield f"There are only {detected.speech_s:.1f} s of speech in it: say more, 10 s are good."
    if detected.silence_share > MAX_SILENCE:
        yield f"{detected.silence_share:.0%} of it is silence: cut that out."


def _check_level(detected: DetectedSpeech, recording: Recording) -> Iterator[str]:
    if detected.level_db < MIN_LEVEL_DB:
        yield (
            f"It is very quiet, {-detected.level_db:.0f} dB below full scale: "
            "go nearer to the microphone, or raise its level."
        )
    places = count_clipped_places(recording)
    if places:
        where = "one place" if places == 1 else f"{places} places"
        yield f"It is clipped in {where}: record it with a lower level."
    offset = abs(float(recording.samples.mean(dtype=np.float64)))
    if offset > MAX_DC_OFFSET:
        yield f"Its middle is {offset:.2f} away from zero: use another microphone or sound card."


def _check_background(detected: DetectedSpeech) -> Iterator[str]:
    distance = snr_db(detected)
    if _has_echo(detected):
        yield "The room echoes: go nearer to the microphone, or to a room with curtains and carpets."
    elif distance < max(MIN_SNR_DB.values()):
        what = classify_background(detected)
        if distance < MIN_SNR_DB[what]:
            yield _BACKGROUND_ADVICE[what].format(distance=max(distance, 0.0))


def _has_echo(detected: DetectedSpeech) -> bool:
    drop = steepest_decay_db(detected)
    return drop < MIN_DECAY_DB and snr_db(detected) - drop > _ECHO_ABOVE_NOISE_DB


def _check_bandwidth(detected: DetectedSpeech) -> Iterator[str]:
    if brightness_db(detected) < MIN_BRIGHTNESS_DB:
        yield "There is nothing above 4 kHz in it, as on a telephone: record it with a better microphone."
