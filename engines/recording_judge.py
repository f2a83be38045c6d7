"""What is said of recordings before they are kept: the judge, with the two networks that it listens with."""

from __future__ import annotations

import functools

from engines.speaker_encoder.encoder import SpeakerEncoder
from engines.whisper.vad import VoiceDetector
from speech.types import Recording
from speech.voices.recording_check import RecordingCheck


def check_recording(recording: Recording) -> tuple[str, ...]:
    """Advice on a recording, as ``RecordingCheck`` gives it; the networks are loaded for the first one.

    Blocks. Raises InvalidRequest where nobody speaks in it, and EngineUnavailable where a network's file is
    missing.
    """
    return _judge()(recording)


@functools.cache
def _judge() -> RecordingCheck:
    return RecordingCheck(VoiceDetector(), SpeakerEncoder())
