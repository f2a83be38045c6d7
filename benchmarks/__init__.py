"""Measurements, each a program: ``python -m benchmarks.NAME``. They print figures and judge nothing."""

import no_telemetry  # noqa: F401 - before any library that reports
