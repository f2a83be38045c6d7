"""Engines behind ``speech.engine.Engine``, and the recogniser behind ``speech.recognizer.Recognizer``."""

import no_telemetry  # noqa: F401 - before any library that reports
