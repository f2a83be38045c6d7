"""Sends traces where ``OTEL_EXPORTER_OTLP_ENDPOINT`` names a collector; nothing is imported otherwise."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from kani.runtime.extras import install_command
from kani.server.traces.middleware import Tracer

if TYPE_CHECKING:
    from kani.server.traces.otlp import OtlpTracer

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
"""Address only for traces, which replaces the other one, but does not switch traces on."""

EXPORTER = "OTEL_TRACES_EXPORTER"
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
REQUIREMENTS = "deploy/requirements-traces.txt"

FLUSH_SECONDS = 2.0
"""Time at shutdown for the spans that were not sent yet (seconds)."""

log = logging.getLogger("server")


@asynccontextmanager
async def send_traces(environment: Mapping[str, str], version: str) -> AsyncIterator[Tracer | None]:
    """Send traces while the body runs; yields None, and imports nothing, where no collector is configured.

    version: of this server. A collector that cannot be used is a warning. The end waits ``FLUSH_SECONDS`` at
    most for spans to be sent.
    """
    tracer = _tracer(environment, version)
    try:
        yield tracer
    finally:
        if tracer is not None:
            await tracer.close(FLUSH_SECONDS)


def _tracer(environment: Mapping[str, str], version: str) -> OtlpTracer | None:
    if not environment.get(ENDPOINT) or environment.get(EXPORTER, "otlp") == "none":
        return None
    protocol = next((environment[name] for name in PROTOCOLS if environment.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        log.warning("no traces are sent: in OTLP only http/protobuf is supported, not %r", protocol)
        return None
    try:
        from kani.server.traces.otlp import OtlpTracer
    except ModuleNotFoundError as error:
        log.warning(
            "no traces are sent: %s is set, but the package %s is missing: %s",
            ENDPOINT,
            error.name,
            install_command("traces", REQUIREMENTS),
        )
        return None
    try:
        return OtlpTracer(version, environment.get(TRACES_ENDPOINT) or environment[ENDPOINT])
    except ValueError as error:
        log.warning("no traces are sent: a variable OTEL_… is invalid: %s", error)
        return None
