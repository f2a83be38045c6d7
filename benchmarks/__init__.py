"""Measurements, each a program: ``python -m benchmarks.NAME``. They print figures and judge nothing."""

from importlib.util import find_spec

import kani.no_telemetry  # noqa: F401 - before any library that reports

if find_spec("psutil") is None:
    raise SystemExit("the benchmarks need more packages than the server: pip install -r requirements-dev.txt")
