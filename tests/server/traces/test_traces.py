"""Traces of real requests, read by a collector on a socket; and a server without one."""

import asyncio
import gzip
import json
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import httpx2
import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from websockets.asyncio.client import connect
from wyoming.client import AsyncTcpClient
from wyoming.event import Event

from kani.core.audio.pcm import wav
from kani.core.tracing import UNRECORDED, current
from tests.protocols.languages import speakers
from tests.protocols.wyoming.exchange import chunk, read_until, steps
from tests.runtime.conftest import Answering, served
from tests.support.loudness import RATE, LoudnessRecognizer
from tests.support.patience import WITHIN_S, happens
from tests.support.servers.serving import InProcessServer, serving


@dataclass
class TraceCollector:
    """``answers``: requests are not answered while it is cleared."""

    port: int = 0
    spans: list[SimpleNamespace] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    resource: dict[str, Any] = field(default_factory=dict)
    asked: threading.Event = field(default_factory=threading.Event)
    answers: threading.Event = field(default_factory=threading.Event)

    def named(self, name: str, trace_id: str = "") -> list[SimpleNamespace]:
        return [span for span in self.spans if span.name == name and span.trace_id.startswith(trace_id)]

    def only(self, name: str, trace_id: str = "") -> SimpleNamespace:
        (span,) = self.named(name, trace_id)
        return span

    def add(self, headers: dict[str, str], body: bytes) -> None:
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        message = ExportTraceServiceRequest.FromString(body)
        self.headers.append(headers)
        self.bodies.append(body)
        for resource in message.resource_spans:
            self.resource = _attributes(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += map(_span, scope.spans)


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def _span(span: Any) -> SimpleNamespace:
    """A span's ids in hexadecimal, ``parent`` empty for a root, and what else is looked at."""
    return SimpleNamespace(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes=_attributes(span.attributes),
        events=[event.name for event in span.events],
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
    )


TEXT = "zanahorias moradas"
KEY = "zq7-good-key"
PARENT = "00f067aa0ba902b7"
STEPS = ["encode", "engine", "normalize", "wait"]


def trace_id(number: int = 0) -> str:
    return f"{number:x}".rjust(32, "a")


def traced(number: int = 0) -> dict[str, str]:
    """Headers of a client's own trace, and its key."""
    return {"traceparent": f"00-{trace_id(number)}-{PARENT}-01", "Authorization": f"Bearer {KEY}"}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[TraceCollector]:
    """A collector on a free port, to which every server of the test sends."""
    collector = TraceCollector()
    collector.answers.set()

    class Handler(Answering):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.asked.set()
            collector.answers.wait()
            if self.path == "/v1/traces":
                collector.add({name.lower(): value for name, value in self.headers.items()}, body)
            self.answer(200 if self.path == "/v1/traces" else 404)

    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    with served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        collector.port = server.server_port
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.port}")
        yield collector
        collector.answers.set()


@asynccontextmanager
async def traced_server(folder: Path, **environment: str) -> AsyncIterator[InProcessServer]:
    with patch.dict(os.environ, environment):
        async with asyncio.timeout(WITHIN_S):
            async with serving(folder, LoudnessRecognizer(), KANI_WYOMING="true", **environment) as server:
                yield server


async def post(server: InProcessServer, path: str, **body: Any) -> httpx2.Response:
    return await server.post(path, headers=traced(), **body)


async def openai_speech(server: InProcessServer) -> None:
    body = {"model": "tts-1", "voice": "tone_es", "input": TEXT, "response_format": "mp3"}
    answer = await post(server, "/v1/audio/speech", json=body, params={"token": KEY})
    assert answer.status_code == 200


async def transcription(server: InProcessServer) -> None:
    file = ("a.wav", wav(np.full(RATE, 0.5, np.float32), RATE))
    answer = await post(server, "/v1/audio/transcriptions", files={"file": file}, data={"model": "whisper-1"})
    assert answer.json()["text"]


async def wyoming_recognition(server: InProcessServer) -> None:
    async with AsyncTcpClient("127.0.0.1", server.streams["Wyoming"]) as client:
        for event in (Event("transcribe"), chunk(steps(True)[0]), Event("audio-stop")):
            await client.write_event(event)
        await read_until(client, "transcript-stop")


Use = Callable[[InProcessServer], Awaitable[Any]]


async def kani(server: InProcessServer, number: int = 0, text: str = TEXT) -> dict[str, object]:
    async with connect(server.url, additional_headers=traced(number)) as websocket:
        return await speakers.request(websocket, text)


def spoken_by(protocol: speakers.Speak) -> Use:
    def use(server: InProcessServer) -> Awaitable[speakers.Speech]:
        place = speakers.Place(server.url, server.http_url, server.streams["Wyoming"], headers=traced())
        return protocol(place, [TEXT])

    return use


ELEVENLABS = "WebSocket /v1/text-to-speech/{voice_id}/stream-input"
WAYS: dict[str, tuple[Use, str, str, str]] = {
    "openai speech": (openai_speech, "POST /v1/audio/speech", "speech", "openai"),
    "openai transcription": (transcription, "POST /v1/audio/transcriptions", "transcription", "openai"),
    "kani": (kani, "WebSocket /", "speech", "kani"),
    "kyutai": (spoken_by(speakers.kyutai), "WebSocket /api/tts_streaming", "speech", "kyutai"),
    "voxcpm": (spoken_by(speakers.voxcpm), "WebSocket /tts", "speech", "voxcpm"),
    "elevenlabs": (spoken_by(speakers.elevenlabs_websocket), ELEVENLABS, "speech", "elevenlabs"),
    "wyoming speech": (spoken_by(speakers.wyoming), "Wyoming", "speech", "wyoming"),
    "wyoming recognition": (wyoming_recognition, "Wyoming", "recognition", "wyoming-asr"),
}


@pytest.mark.parametrize(("use", "name", "kind", "protocol"), WAYS.values(), ids=WAYS)
async def test_request_is_traced_from_its_connection_to_its_engine(
    collector: TraceCollector, tmp_path: Path, use: Use, name: str, kind: str, protocol: str
) -> None:
    async with traced_server(tmp_path) as server:
        await use(server)
    connection, request = collector.only(name), collector.only(kind)
    if name != "Wyoming":  # which has no headers
        assert (connection.trace_id, connection.parent) == (trace_id(), PARENT)
    assert request.parent == connection.span_id and request.attributes["speech.protocol"] == protocol
    # The ids of the log: the connection's, and the request's own after it.
    assert request.attributes["request.id"].startswith(connection.attributes["request.id"])
    inner = [span for span in collector.spans if span.parent == request.span_id]
    assert sorted({span.name for span in inner}) == (STEPS if kind == "speech" else ["engine", "wait"])
    assert {span.trace_id for span in collector.spans} == {connection.trace_id}
    assert all(connection.start_ns <= span.start_ns <= span.end_ns for span in inner)
    assert not any(span.failed for span in collector.spans)
    if kind == "speech":
        engine = next(span for span in inner if span.name == "engine")
        assert "first audio" in engine.events and engine.attributes["speech.engine"] == "tone"
        assert request.attributes["speech.outcome"] == "completed"
        assert request.attributes["speech.characters"] in (len(TEXT), len(TEXT) + 1)
    exported = b"".join(collector.bodies)
    assert not any(word.encode() in exported for word in (*TEXT.split(), KEY, "127.0.0.1"))


async def test_response_is_described(collector: TraceCollector, tmp_path: Path) -> None:
    async with traced_server(tmp_path) as server:
        answer = await post(server, "/v1/audio/speech", json={"input": TEXT, "voice": "tone_es"})
        missing = await post(server, f"/v1/{TEXT}")
        for path in ("/health", "/livez", "/metrics"):
            await server.get(path)
    assert missing.status_code == 404
    spoken = collector.only("POST /v1/audio/speech")
    assert spoken.attributes["request.id"] == answer.headers["x-request-id"]
    assert spoken.attributes["http.response.status_code"] == 200 and spoken.events == ["first bytes"]
    assert spoken.attributes["http.route"] == "/v1/audio/speech"
    roots = [span for span in collector.spans if span.parent == PARENT]
    assert len(roots) == 2 and TEXT.split()[0].encode() not in b"".join(collector.bodies)
    assert collector.resource["service.name"] == "kani-tts" and collector.resource["service.version"]


async def test_failed_engine_fails_its_spans(collector: TraceCollector, tmp_path: Path) -> None:
    async with traced_server(tmp_path) as server:
        answer = await post(server, "/v1/audio/speech", json={"input": "kaputt", "voice": "tone_es"})
        refused = await kani(server, text="uno kaputt")
    assert answer.status_code >= 500 and refused["status"] == "error"
    root = collector.only("POST /v1/audio/speech")
    assert root.failed and root.attributes["error.type"] == str(answer.status_code)
    assert [span.failed for span in collector.named("engine")] == [True, True]
    assert {span.attributes["error.type"] for span in collector.named("engine")} == {"EngineFailed"}
    assert [span.attributes["error.type"] for span in collector.named("speech")] == ["failed", "failed"]
    assert b"kaputt" not in b"".join(collector.bodies)


async def test_spans_of_two_clients_do_not_mix(collector: TraceCollector, tmp_path: Path) -> None:
    async with traced_server(tmp_path) as server:
        server.engine.allow = 0
        clients = [asyncio.create_task(kani(server, number, f"{TEXT}. Dos.")) for number in (1, 2)]
        while await server.figure("kani_sessions", protocol="kani") != 2:
            pass
        await happens(lambda: server.engine.under_way)
        assert server.engine.under_way == 1
        await server.engine.permit(None)
        await asyncio.gather(*clients)
    for number in (1, 2):
        connection = collector.only("WebSocket /", trace_id(number))
        request = collector.only("speech", trace_id(number))
        assert request.parent == connection.span_id
        inner = [span.name for span in collector.spans if span.parent == request.span_id]
        assert sorted(inner) == ["encode", *["engine"] * 2, *["normalize"] * 2, *["wait"] * 2]
    ids = {span.attributes["request.id"] for span in collector.named("speech")}
    assert len(ids) == 2
    # The second client waited while the first had the only slot.
    first, *_ = sorted(collector.named("engine"), key=lambda span: span.start_ns)
    waits = [span for span in collector.named("wait") if span.trace_id != first.trace_id]
    assert min(span.end_ns for span in waits) >= first.end_ns


async def test_cancelled_or_refused_request_is_no_failure(collector: TraceCollector, tmp_path: Path) -> None:
    async with traced_server(tmp_path, KANI_RATE_PER_MINUTE="1") as server:
        server.engine.allow = 0
        async with connect(server.url, additional_headers=traced()) as connection:
            await connection.send(json.dumps({"type": "tts_request", "data": {"text": TEXT}}))
            await happens(lambda: server.engine.under_way)
        await happens(lambda: not server.engine.under_way)
        assert (await kani(server, 1))["status"] == "error"
    request, engine = collector.only("speech"), collector.only("engine")
    assert request.attributes["speech.outcome"] == "cancelled" and engine.events == ["cancelled"]
    assert not any(span.failed for span in collector.spans)
    assert collector.only("WebSocket /", trace_id()).attributes["websocket.close_code"] == 1000
    assert collector.only("WebSocket /", trace_id(1)).events[0] == "refused"


async def test_variables_of_the_sdk_are_read(
    collector: TraceCollector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = {"OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={KEY}", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
    other = {"OTEL_SERVICE_NAME": "voices", "OTEL_TRACES_SAMPLER": "parentbased_always_off"}
    async with traced_server(tmp_path, **exporter, **other) as server:
        await spoken_by(speakers.wyoming)(server)
        await kani(server)
    assert collector.resource["service.name"] == "voices"
    assert [headers["x-api-key"] for headers in collector.headers] == [KEY] * len(collector.headers)
    # The client that asks for a trace gets one; others are not sampled.
    assert {span.trace_id for span in collector.spans} == {trace_id()} and collector.named("engine")
    assert KEY not in caplog.text


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Messages about traces that ask for attention."""
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    return [line for record in records if "trace" in (line := record.getMessage())]


async def test_silent_collector_delays_no_request_and_no_stop(
    collector: TraceCollector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It accepts connections and never answers: each attempt would last ten minutes."""
    collector.answers.clear()
    sizes = {"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"}
    often = {"OTEL_BSP_SCHEDULE_DELAY": "1", "OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
    async with traced_server(tmp_path, **sizes, **often) as server:
        for _ in range(8):
            assert (await kani(server))["status"] == "success"
        assert await asyncio.to_thread(collector.asked.wait, WITHIN_S)
    (line,) = lines(caplog)
    assert line.endswith("did not take the last spans within 2 s")


async def test_absent_collector_is_one_line(
    collector: TraceCollector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"http://user:{KEY}@127.0.0.1:{collector.port}/nothing"
    absent = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "1"}
    async with traced_server(tmp_path, **absent) as server:
        for _ in range(4):
            await kani(server)
    failed = f"traces: 127.0.0.1:{collector.port} does not take spans; they are dropped until it does"
    assert lines(caplog) == [failed]
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("variables", "missing", "warning"),
    [
        ({}, "opentelemetry", "opentelemetry is missing: pip install -r deploy/requirements-traces.txt"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, None, "only http/protobuf is supported, not 'grpc'"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, None, "a variable OTEL_… is invalid"),
        ({"OTEL_TRACES_EXPORTER": "none"}, None, None),
    ],
    ids=["extra missing", "grpc", "invalid variable", "switched off"],
)
async def test_server_without_traces_says_why_once(
    collector: TraceCollector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variables: dict[str, str],
    missing: str | None,
    warning: str | None,
) -> None:
    monkeypatch.delitem(sys.modules, "kani.server.traces.otlp", raising=False)
    if missing is not None:
        monkeypatch.setitem(sys.modules, missing, None)
    async with traced_server(tmp_path, **variables) as server:
        assert (await kani(server))["status"] == "success"
    assert not collector.spans and current() is UNRECORDED
    found = lines(caplog)
    assert len(found) == (warning is not None) and (warning or "") in "".join(found)
