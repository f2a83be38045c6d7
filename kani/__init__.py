"""The Kani model: an LFM2 language model that speaks in NanoCodec's frames; nothing of the server."""

import os

import no_telemetry  # noqa: F401 - before any library that reports

# Read by OpenMP's runtime when torch loads it. A thread that waits spins no longer than a step's gap
# lasts: where others want the cores too, spinning for longer makes everything ten times slower.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
