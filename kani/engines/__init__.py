"""Engines behind ``kani.core.engine.Engine``, and the recogniser behind ``kani.core.recognizer.Recognizer``."""

import kani.no_telemetry  # noqa: F401 - before any library that reports
