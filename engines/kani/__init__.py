"""The Kani model behind ``speech.engine.Engine``."""
