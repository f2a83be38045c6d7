"""The Kani model behind ``kani.core.engine.Engine``."""
