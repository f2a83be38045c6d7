"""Samples: formats, resampling, encoding, filters."""
