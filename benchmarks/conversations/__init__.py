"""Benchmarks of conversations: sounds and words over answers."""
