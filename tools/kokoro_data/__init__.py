"""Programs that make ``kani/engines/kokoro/data``: ``python -m tools.kokoro_data.NAME``."""
