"""Who speaks: one voice source a module, each behind ``speech.engine.Engine``."""
