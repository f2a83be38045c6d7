"""Spans by OpenTelemetry, sent in the background by OTLP over HTTP."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode
from typing_extensions import override

from kani.core.errors import SpeechCancelled
from kani.core.tracing import UNRECORDED, Attribute, Attributes, Span
from kani.server.traces.middleware import RawHeaders

SERVICE = "kani-tts"
"""Name of the service where neither OTEL_SERVICE_NAME nor OTEL_RESOURCE_ATTRIBUTES gives one."""

CANCELLATIONS = (asyncio.CancelledError, GeneratorExit, SpeechCancelled)

log = logging.getLogger("server")


class RecordedSpan(Span):
    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer = tracer
        self._span = span

    @override
    def child(self, name: str, attributes: Attributes | None = None) -> Span:
        context = trace.set_span_in_context(self._span)
        return RecordedSpan(
            self._tracer, self._tracer.start_span(name, context, attributes=_known(attributes))
        )

    @override
    def rename(self, name: str) -> None:
        self._span.update_name(name)

    @override
    def set(self, attributes: Attributes) -> None:
        self._span.set_attributes(_known(attributes))

    @override
    def event(self, name: str, attributes: Attributes | None = None) -> None:
        self._span.add_event(name, _known(attributes))

    @override
    def fail(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR, kind))

    @override
    def end(self, error: BaseException | None = None) -> None:
        if not self._span.is_recording():
            return
        if isinstance(error, CANCELLATIONS):
            self._span.add_event("cancelled")
        elif error is not None:
            # Its message may quote a text.
            self.fail(type(error).__name__)
        self._span.end()


def _known(attributes: Attributes | None) -> dict[str, Attribute]:
    return {name: value for name, value in (attributes or {}).items() if value is not None}


class OtlpTracer:
    """Records spans and sends them, as the SDK's variables (OTEL_…) say.

    Spans wait in a queue of bounded length (OTEL_BSP_MAX_QUEUE_SIZE) for a thread that sends them. While the
    collector does not answer, those beyond it are dropped.
    """

    def __init__(self, version: str, endpoint: str) -> None:
        """version: of this server; endpoint: the collector's address. ValueError for an invalid variable."""
        # It would log the headers, which hold the collector's key.
        logging.getLogger("opentelemetry.util.re").setLevel(logging.CRITICAL)
        self._exporter = _QuietExporter(OTLPSpanExporter(), _host(endpoint))
        self._provider = TracerProvider(resource=_resource(version), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer(SERVICE, version)
        # A line for each attempt; ``_QuietExporter`` logs the first of them.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        log.info("traces are sent to %s", self._exporter.host)

    def connection(self, name: str, headers: RawHeaders = ()) -> Span:
        """Begin a span; see ``Tracer``."""
        # Repeated lines of one header are one list (RFC 9110, 5.2).
        carrier: dict[str, str] = {}
        for key, value in headers:
            field, text = key.decode("latin-1"), value.decode("latin-1")
            carrier[field] = f"{carrier[field]},{text}" if field in carrier else text
        context = propagate.extract(carrier)
        span = self._tracer.start_span(name, context, SpanKind.SERVER)
        # If a request is not sampled, none of its steps is.
        return RecordedSpan(self._tracer, span) if span.is_recording() else UNRECORDED

    async def close(self, timeout_s: float) -> None:
        """Send what waits, for ``timeout_s`` seconds at most."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def send() -> None:
            self._provider.shutdown()
            # The loop may have ended meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(sent.set)

        # Not a thread of the loop's executor: the loop would await its end.
        threading.Thread(target=send, name="traces' last flush", daemon=True).start()
        try:
            async with asyncio.timeout(timeout_s):
                await sent.wait()
        except TimeoutError:
            log.warning("traces: %s did not take the last spans within %g s", self._exporter.host, timeout_s)
            # Ends the pauses between its attempts, and refuses the batches that are left.
            self._exporter.shutdown()


class _QuietExporter(SpanExporter):
    """Logs that spans cannot be sent once, and that they can be again."""

    def __init__(self, exporter: OTLPSpanExporter, host: str) -> None:
        self.host = host
        self._exporter = exporter
        self._failed = False
        self._closed = threading.Lock()

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._failed:
            log.warning("traces: %s does not take spans; they are dropped until it does", self.host)
        elif self._failed and not failed:
            log.warning("traces: %s takes spans again", self.host)
        self._failed = failed
        return result

    @override
    def shutdown(self) -> None:
        if self._closed.acquire(blocking=False):
            self._exporter.shutdown()  # type: ignore[no-untyped-call]

    @override
    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _resource(version: str) -> Resource:
    """Describe this process; Resource.create prefers what it is given to the variables."""
    named = SERVICE_NAME in OTELResourceDetector().detect().attributes
    own: dict[str, Attribute] = {SERVICE_VERSION: version}
    return Resource.create(own if named else {**own, SERVICE_NAME: SERVICE})


def _host(endpoint: str) -> str:
    """Return an endpoint's host and port, without the password that may be in it."""
    parts = urlsplit(endpoint)
    port = f":{parts.port}" if parts.port is not None else ""
    return f"{parts.hostname or 'the collector'}{port}"
