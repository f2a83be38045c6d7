"""Measurements of Moonshine's recogniser."""
