"""Benchmarks of single protocols: latency and timing at their sockets."""
