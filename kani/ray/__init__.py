"""Servers and engine workers on a Ray cluster: ``python -m kani.ray up --engine kokoro --replicas 2``."""
