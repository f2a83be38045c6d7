"""Programs that make ``kani/engines/kokoro/data``: ``python -m kani.engines.kokoro.offline.NAME``."""
