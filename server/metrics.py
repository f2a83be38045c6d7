"""What is counted and timed, by its Prometheus name."""

from __future__ import annotations

import threading
from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from server.network.tcp_connections import CLOSE_REASONS
from speech.observer import Observer

FIRST_AUDIO_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10)
SYNTHESIS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32)
SESSION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600)
QUEUE_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
BEHIND_BUCKETS = (0.08, 0.16, 0.24, 0.4, 0.8, 1.6, 4, 8, 16, 60)
REFUSALS = ("sessions", "queue", "rate", "draining")
LOOP_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

# A line more for each series, which tells when it began; no query here asks that.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics(Observer):
    """The observer of one server, kept in a registry of its own.

    ``protocol`` labels are the dialects' names, ``engine`` labels the engines': both are few.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, version: str) -> None:
        registry = self.registry = CollectorRegistry()
        self._engines: list[str] = []
        self._protocols: set[str] = set()

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(name, about, labels, registry=registry)

        def gauge(name: str, about: str, *labels: str) -> Gauge:
            return Gauge(name, about, labels, registry=registry)

        def histogram(name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(name, about, labels, buckets=buckets, registry=registry)

        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        gauge("kani_threads", "Threads of the server that run Python.").set_function(threading.active_count)
        Info("kani_build", "The version that runs.", registry=registry).info({"version": version})
        self._ready = gauge("kani_ready", "1 while speech sessions are let in, else 0.")
        self._fast = gauge("kani_fast_decoder", "1 while Kokoro speaks by its fast decoder, else 0.")
        self._requests = counter("kani_requests", "Speech sessions that were admitted.", "protocol")
        self._sessions = gauge("kani_sessions", "Speech sessions open now.", "protocol")
        self._session = histogram(
            "kani_session_seconds",
            "From a speaking session's opening to its end, by how it ended.",
            SESSION_BUCKETS,
            "protocol",
            "outcome",
        )
        self._characters = counter(
            "kani_text_characters", "Characters of text of sessions that ended.", "protocol"
        )
        self._queue = histogram(
            "kani_queue_seconds",
            "Time a segment waited for its engine place.",
            QUEUE_BUCKETS,
            "protocol",
            "engine",
        )
        self._first_audio = histogram(
            "kani_first_audio_seconds",
            "From a session's first text to its first audio.",
            FIRST_AUDIO_BUCKETS,
            "protocol",
            "engine",
        )
        self._synthesis = histogram(
            "kani_synthesis_seconds",
            "Time an engine took for one segment.",
            SYNTHESIS_BUCKETS,
            "protocol",
            "engine",
        )
        self._speech = counter("kani_speech_seconds", "Audio that engines produced.", "protocol", "engine")
        self._cancellations = counter(
            "kani_cancellations", "Sessions ended by their client early.", "protocol"
        )
        self._refusals = counter("kani_refusals", "Sessions that were not admitted.", "protocol", "reason")
        self._estimated = counter(
            "kani_estimated_times",
            "Segments whose words could not be found in it.",
            "protocol",
            "engine",
        )
        self._failures = counter("kani_engine_failures", "Engines that broke.", "protocol", "engine")
        self._waiting = gauge("kani_waiting", "Syntheses that wait for an engine now.")
        self._waiting_limit = gauge("kani_waiting_limit", "Syntheses that may wait for an engine.")
        self._speaking = gauge("kani_speaking", "Engine places taken now.")
        self._places = gauge("kani_engine_places", "Segments that an engine speaks at once.", "engine")
        self._connections = gauge("kani_connections", "WebSocket connections open now.")
        self._connections_limit = gauge("kani_connections_limit", "WebSocket connections that may be open.")
        self._cut = counter(
            "kani_connections_cut", "TCP connections that the server ended, by reason.", "reason"
        )
        # Begun at 0: of a counter that begins at 1 nobody sees that it rose.
        for reason in CLOSE_REASONS:
            self._cut.labels(reason)
        self._listening = gauge("kani_listening", "Sessions that listen now.", "protocol")
        self._heard = counter("kani_heard_seconds", "Audio that was listened to.", "protocol")
        self._behind = histogram(
            "kani_hearing_behind_seconds",
            "How late audio was heard, each time some more was.",
            BEHIND_BUCKETS,
            "protocol",
        )
        self._loop_lag = histogram(
            "kani_event_loop_lag_seconds", "How late the event loop ran what was due.", LOOP_LAG_BUCKETS
        )

    def watch_ready(self, ready: Callable[[], bool]) -> None:
        """Ask ``ready`` at each scrape whether sessions are let in."""
        self._ready.set_function(lambda: float(ready()))

    def watch_fast_decoder(self, speaks: Callable[[], bool]) -> None:
        """Ask ``speaks`` at each scrape whether Kokoro's fast decoder does."""
        self._fast.set_function(lambda: float(speaks()))

    def set_limits(self, *, connections: int, waiting: int) -> None:
        """How many connections and waiting syntheses this server takes on."""
        self._connections_limit.set(connections)
        self._waiting_limit.set(waiting)

    def engine_ready(self, engine: str, slots: Callable[[], int]) -> None:
        """See ``Observer.engine_ready``; ``places`` is asked at each scrape."""
        self._places.labels(engine).set_function(lambda: float(slots()))
        self._engines.append(engine)

    def session_opened(self, protocol: str) -> None:
        """A session was admitted."""
        if protocol not in self._protocols:
            self._introduce(protocol)
        self._requests.labels(protocol).inc()
        self._sessions.labels(protocol).inc()

    def _introduce(self, protocol: str) -> None:
        """Begin its counters at 0: of one that begins with its first event nobody sees that it rose."""
        self._protocols.add(protocol)
        for reason in REFUSALS:
            self._refusals.labels(protocol, reason)
        for engine in self._engines:
            self._failures.labels(protocol, engine)
            self._speech.labels(protocol, engine)

    def session_closed(self, protocol: str) -> None:
        """A session ended, however it ended."""
        self._sessions.labels(protocol).dec()

    def synthesis_ended(self, protocol: str, outcome: str, seconds: float, characters: int) -> None:
        """How a session that spoke ended, ``seconds`` after it was opened, given so many characters.

        outcome: "completed", "cancelled", "failed", "timeout", "refused" or "invalid".
        """
        self._session.labels(protocol, outcome).observe(seconds)
        self._characters.labels(protocol).inc(characters)

    def slot_acquired(self, protocol: str, engine: str, seconds: float) -> None:
        """A segment got its engine place after so long in the queue."""
        self._queue.labels(protocol, engine).observe(seconds)

    def first_audio(self, protocol: str, engine: str, seconds: float) -> None:
        """A session's first audio was ready, ``seconds`` after its first text."""
        self._first_audio.labels(protocol, engine).observe(seconds)

    def segment_synthesized(self, protocol: str, engine: str, wall_s: float, audio_s: float) -> None:
        """An engine spoke a segment of ``audio_s`` seconds in ``wall_s`` seconds."""
        self._synthesis.labels(protocol, engine).observe(wall_s)
        self._speech.labels(protocol, engine).inc(audio_s)

    def timing_estimated(self, protocol: str, engine: str) -> None:
        """The words of a segment were not found in its audio: their times are estimates."""
        self._estimated.labels(protocol, engine).inc()

    def session_cancelled(self, protocol: str) -> None:
        """A session was ended by its client before its speech was complete."""
        self._cancellations.labels(protocol).inc()

    def session_refused(self, protocol: str, reason: str) -> None:
        """A session was not admitted: "sessions", "queue", "rate" or "draining"."""
        self._refusals.labels(protocol, reason).inc()

    def engine_failed(self, protocol: str, engine: str) -> None:
        """An engine broke."""
        self._failures.labels(protocol, engine).inc()

    def waiting_changed(self, count: int) -> None:
        """So many syntheses wait for an engine place now."""
        self._waiting.set(count)

    def slots_in_use_changed(self, count: int) -> None:
        """So many engine places are taken now."""
        self._speaking.set(count)

    def set_connections(self, count: int) -> None:
        """So many WebSocket connections are open now."""
        self._connections.set(count)

    def tcp_connection_closed(self, reason: str) -> None:
        """The server ended a TCP connection, for one of ``tcp_connections.REASONS``."""
        self._cut.labels(reason).inc()

    def recognition_opened(self, protocol: str) -> None:
        """A session that listens was admitted."""
        self._listening.labels(protocol).inc()

    def recognition_closed(self, protocol: str) -> None:
        """It ended, however it ended."""
        self._listening.labels(protocol).dec()

    def audio_recognized(self, protocol: str, audio_s: float, lag_s: float) -> None:
        """``audio_s`` seconds more were heard, ``behind_s`` seconds after they could have been."""
        self._heard.labels(protocol).inc(audio_s)
        self._behind.labels(protocol).observe(lag_s)

    def observe_loop_lag(self, seconds: float) -> None:
        """The event loop ran what was due so late."""
        self._loop_lag.observe(seconds)

    def totals(self) -> dict[str, int]:
        """The counters, each summed over its labels, since the server started."""
        counters = {
            "requests": self._requests,
            "cancellations": self._cancellations,
            "refusals": self._refusals,
            "failures": self._failures,
        }
        return {name: _total(counter) for name, counter in counters.items()}

    def text(self) -> bytes:
        """Everything in Prometheus' text format (``content_type``). Reads files: call it in a thread."""
        return generate_latest(self.registry)


def _total(counter: Counter) -> int:
    samples = (sample for family in counter.collect() for sample in family.samples)
    return round(sum(sample.value for sample in samples if sample.name.endswith("_total")))
