"""Voices: the catalogue, stored voices, cloning, the check of recordings."""
