"""Moonshine's streaming speech recognisers, on the processor."""
