"""Noise suppression before recognition and before a voice is made of a recording."""
