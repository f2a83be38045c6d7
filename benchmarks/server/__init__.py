"""Benchmarks of the whole server: load, memory, first minute, outgoing traffic."""
