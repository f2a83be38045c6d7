"""Who listens: recognisers behind ``speech.recognizer.Recognizer``."""

import no_telemetry  # noqa: F401 - before any library that reports
