"""Engines (``kani.core.engine.Engine``) and recognisers (``kani.core.recognizer.Recognizer``)."""
