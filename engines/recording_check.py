"""Checks recordings before they are stored, with the voice detector and the speaker encoder."""

from __future__ import annotations

import functools

from engines.speaker_encoder.encoder import SpeakerEncoder
from engines.whisper.vad import VoiceDetector
from speech.types import Recording
from speech.voices.recording_check import RecordingCheck


def check_recording(recording: Recording) -> tuple[str, ...]:
    """Return advice on a recording, as ``RecordingCheck`` gives it.

    Blocks; the first call loads both networks. Raises InvalidRequest where the recording holds no speech, and
    EngineUnavailable where a network's file is missing.
    """
    return _check()(recording)


@functools.cache
def _check() -> RecordingCheck:
    return RecordingCheck(VoiceDetector(), SpeakerEncoder())
