"""Who speaks: one voice source a module, each behind ``speech.engine.Engine``."""

import no_telemetry  # noqa: F401 - before any library that reports
