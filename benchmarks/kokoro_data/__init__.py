"""Programs that make ``kani/engines/kokoro/data``: ``python -m benchmarks.kokoro_data.NAME``."""
