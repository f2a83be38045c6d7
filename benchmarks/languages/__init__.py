"""Benchmarks of the languages beyond the first five."""
