"""Whisper as the recogniser: ``kani.core.recognizer.Recognizer`` on the CPU."""

import kani.no_telemetry  # noqa: F401 - before any library that reports
