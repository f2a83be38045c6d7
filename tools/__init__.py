"""Programs that make networks and their data: ``python -m tools.NAME``. The server needs none of them."""

import kani  # noqa: F401 - turns telemetry off before any library that reports is imported
