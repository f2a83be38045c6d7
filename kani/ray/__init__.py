"""Servers and engine workers on a Ray cluster: ``python -m deploy.ray up --engine kokoro --replicas 2``."""
