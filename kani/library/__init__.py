"""The library: speech and recognition in a Python program, without a server. ``kani`` exports it."""
