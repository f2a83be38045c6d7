"""Measurements, each a program: ``python -m benchmarks.NAME``. They print figures and judge nothing."""

from importlib.util import find_spec

import kani  # noqa: F401 - turns telemetry off before any library that reports is imported

if find_spec("psutil") is None:
    raise SystemExit("the benchmarks need psutil: pip install psutil (most need requirements/dev-all.txt)")
