"""Programs that turn published files into files of ``kani/``: ``python -m tools.published.NAME FILE``."""
