"""Benchmarks of forced alignment."""
