"""Benchmarks of emotions, voice cloning and the recording check."""
