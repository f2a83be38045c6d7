"""Kokoro voices for recordings: speaker embedding and F0, weights over voices, refinement."""
