"""Benchmarks of Pocket TTS beside its makers' package."""
