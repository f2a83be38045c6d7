"""The Kani model as a ``kani.core.engine.Engine``."""
