"""Programs that make ``engines/kokoro/data``: ``python -m engines.kokoro.offline.NAME``."""
