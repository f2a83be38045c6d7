"""Prometheus metric of engines that run in processes of their own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter


class Restarts:
    """Counts workers that were lost and reached again."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """registry: holds the counter."""
        self._restarts = Counter(
            "kani_engine_restarts",
            "Times that an engine's process was started, or its worker reached, again.",
            ["engine"],
            registry=registry,
        )

    def of(self, name: str) -> Callable[[], None]:
        """Return the function that counts a restart of the engine or recogniser ``name``."""
        return self._restarts.labels(name).inc
