"""Kyutai's streaming speech recogniser."""
