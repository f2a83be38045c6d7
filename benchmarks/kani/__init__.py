"""Benchmarks of the Kani model: speed, streams, exactness and quality."""
