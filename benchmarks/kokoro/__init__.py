"""Benchmarks of the Kokoro engine: first audio, streaming, durations, peers."""
