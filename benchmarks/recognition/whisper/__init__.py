"""Measurements of Whisper by itself."""
