"""Benchmarks of the text front end: normalizer and language detection."""
