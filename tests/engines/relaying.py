"""A server for the engines that relay to a service."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry

from kani.engines.plugin import Resources


def relaying(fallback: Any = None, registry: Any = None, **resources: Any) -> Resources:
    """Resources of a server that has this engine to fall back to."""
    host: Any = SimpleNamespace(metrics=registry or CollectorRegistry(), engine=lambda _: fallback)
    named = "none" if fallback is None else "tone"
    return Resources(Path("no-such-folder"), fallback=named, host=host, **resources)
