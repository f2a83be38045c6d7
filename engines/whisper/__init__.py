"""Whisper as the recogniser: ``speech.recognizer.Recognizer`` on the CPU."""

import no_telemetry  # noqa: F401 - before any library that reports
