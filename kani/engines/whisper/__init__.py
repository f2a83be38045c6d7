"""Whisper as the recogniser: ``kani.core.recognizer.Recognizer`` on the CPU."""
