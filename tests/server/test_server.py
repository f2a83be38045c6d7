"""The server as a whole: its ports, its limits, and its answers to clients of every kind."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

import websocket_config
from kani.core.engine import LightVoices
from kani.server.network.uvicorn_websocket import MAX_FRAGMENTS, WebSocketProtocol
from kani.server.page import PATHS
from tests.conftest import ServerProcess
from tests.support.patience import WITHIN_S, happens
from tests.support.servers import asgi
from tests.support.servers.asgi import closing, errors_in
from tests.support.servers.serving import InProcessServer, serving
from tests.support.tone import ToneEngine

PING = '{"type": "ping"}'
KYUTAI = "/api/tts_streaming?format=PcmMessagePack"
KYUTAI_READY = bytes.fromhex("81a474797065a55265616479")
PUBLIC = {"kyutai-api-key": "public_token"}
NETWORK = {"KANI_HOST": "0.0.0.0", "KANI_API_KEYS": "one,two"}
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
HANDSHAKE = asgi.HANDSHAKE.removeprefix(HEAD).removesuffix(b"\r\n")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[InProcessServer]:
    """A server with every setting at its default."""
    async with serving(tmp_path) as running:
        yield running


async def alive(socket: ClientConnection) -> bool:
    await socket.send(PING)
    return bool(json.loads(await socket.recv())["type"] == "pong")


async def speaks(url: str, **headers: str) -> bool:
    """Return True if a handshake is accepted, and answered as Kyutai's protocol or Kani's does."""
    async with connect(url, additional_headers=headers) as socket:
        return await socket.recv() == KYUTAI_READY if "/api/" in url else await alive(socket)


async def refusal(url: str, **headers: str) -> int:
    """The HTTP status with which a WebSocket handshake is refused."""
    listed = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, additional_headers=listed)
    assert "message" in json.loads(refused.value.response.body)["error"]
    return refused.value.response.status_code


async def request(server: InProcessServer, method: str, path: str, **headers: str) -> httpx2.Response:
    """Send one request, a POST with an empty JSON object as its body."""
    content = b"{}" if method == "POST" else None
    return await server.request(method, path, content=content, headers=headers)


async def raw(server: InProcessServer, *pieces: bytes) -> bytes:
    """All that the server answers to these bytes until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), WITHIN_S)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def test_health_has_the_fields_of_every_original_server(server: ServerProcess) -> None:
    answer = httpx2.get(f"{server.http_url}/health")
    assert answer.status_code == 200
    fields = answer.json()
    assert fields["status"] == "healthy" and fields["ready"] is True and fields["tts_initialized"] is True
    assert fields["active_sessions"] == fields["counters"]["sessions"] >= 0
    assert fields["version"] == websocket_config.VERSION
    assert {engine["name"] for engine in fields["engines"]} == {"kokoro", "espeak"}
    assert "Kokoro decoder: litert (int8)" in server.log
    assert fields["languages"]["es"] == "kokoro" and fields["languages"]["el"] == "espeak"
    assert fields["uptime"] > 0
    counters = {"requests", "waiting", "speaking", "cancellations", "refusals", "failures"}
    assert counters <= fields["counters"].keys()


async def test_health_and_voice_list_name_the_voices_with_a_light_network(tmp_path: Path) -> None:
    engine = ToneEngine()
    engine.info = replace(engine.info, light=LightVoices({"tone_es": "es"}, 4, always=True))
    async with serving(tmp_path, engine=engine) as running:
        health = await request(running, "GET", "/health")
        listed = await request(running, "GET", "/v1/audio/voices")
    assert health.json()["light"] == [{"voice": "tone_es", "language": "es", "speaks": "always"}]
    lights = {voice["id"]: voice.get("light") for voice in listed.json()["voices"]}
    assert lights == {"tone_es": "always", "tone_en": None}


async def test_foreign_pages_are_refused_and_local_ones_connect(running: InProcessServer) -> None:
    assert await refusal(running.url, Origin="https://evil.example") == 403
    answer = await request(running, "GET", "/metrics", Origin="https://evil.example")
    assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers
    assert (await request(running, "GET", "/metrics", Host="evil.example")).status_code == 403
    origin = "http://localhost:3000"
    async with connect(running.url, origin=origin) as socket:  # type: ignore[arg-type]
        assert await alive(socket)
    answer = await request(running, "GET", "/health", Origin=origin)
    assert answer.headers["access-control-allow-origin"] == origin
    # The server's own page asks no leave, and gets no headers for it.
    own = {"Host": "localhost:8001", "Origin": "http://localhost:8001"}
    answer = await request(running, "GET", "/health", **own)
    assert answer.status_code == 200 and not {"access-control-allow-origin", "vary"} & set(answer.headers)
    # A page of the same host by another scheme is another page.
    answer = await request(running, "GET", "/health", **own | {"Origin": "https://localhost:8001"})
    assert answer.headers["access-control-allow-origin"] == "https://localhost:8001"
    for method, path in (("POST", "/tts"), ("PATCH", "/v1/audio/voices/custom:ana")):
        asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "content-type"}
        asked["Access-Control-Request-Private-Network"] = "true"
        assert (
            await request(running, "OPTIONS", path, Origin="https://evil.example", **asked)
        ).status_code >= 400
        answer = await request(running, "OPTIONS", path, Origin=origin, **asked)
        assert (answer.status_code, answer.headers["access-control-allow-headers"]) == (200, "content-type")
        assert answer.headers["access-control-allow-private-network"] == "true"


async def test_network_address_requires_a_key(tmp_path: Path) -> None:
    async with serving(tmp_path, **NETWORK) as server:
        assert await refusal(server.url) == 401
        assert await refusal(server.url + KYUTAI, **PUBLIC) == 401
        for token in ("three", "public_token"):
            assert await refusal(f"{server.url}/?token={token}") == 401
        assert await speaks(f"{server.url}/?token=two")
        assert await speaks(server.url, Authorization="Bearer one")
        # The page asks for the key; the socket on its path needs it.
        for path in PATHS:
            assert (await request(server, "GET", path)).status_code == 200


async def test_kyutais_paths_require_a_key_on_loopback(running: InProcessServer) -> None:
    streams = ("/api/tts_streaming", "/api/tts-streaming", "/api/asr-streaming")
    for path in (*streams, "/api/tts_streaming%0A"):
        url = running.url + path
        assert await refusal(url) == 401
        assert await refusal(url, kyutai_api_key="wrong") == 401
        assert await refusal(f"{url}?auth_id=wrong") == await refusal(f"{url}?auth_id=") == 401
        assert await refusal(f"{url}?auth_id=public_token", Origin="https://evil.example") == 403
    for path in (*streams, "/api/tts"):
        assert (await request(running, "POST", path)).status_code == 401
        assert (await request(running, "POST", path, **{"kyutai-api-key": "wrong"})).status_code == 401
    for path in ("/api/build_info", "/api/modules_info"):
        assert (await request(running, "GET", path, Host="evil.example")).status_code == 200
    for path, headers in (
        (KYUTAI, PUBLIC),
        (f"{KYUTAI}&auth_id=public_token", {}),
        (KYUTAI.replace("tts_streaming", "tts-streaming"), PUBLIC),
    ):
        assert await speaks(running.url + path, **headers)


async def test_keys_on_loopback_are_explained_and_refusals_are_no_errors(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, KANI_API_KEYS="one", KANI_MAX_CONNECTIONS="2") as server:
        assert (await request(server, "GET", "/metrics")).status_code == 200
        assert (await request(server, "GET", "/metrics", **{"X-Real-IP": "6.6.6.6"})).status_code == 401
        assert await refusal(server.url, Origin="https://evil.example") == 403
        assert await refusal(server.url, X_Forwarded_For="203.0.113.9") == 401
        assert await refusal(f"{server.url}/nowhere") == 404
        async with connect(server.url) as first:
            async with connect(server.url) as second:
                assert await refusal(server.url) == 503
                assert await alive(second)
            assert await alive(first) and await speaks(server.url)
    assert caplog.text.count("a proxy in front must send X-Forwarded-For") == 1
    assert not errors_in(caplog) and "handshake" not in caplog.text


async def test_unknown_paths_are_not_found_and_health_names_no_software(running: InProcessServer) -> None:
    assert await refusal(f"{running.url}/nothing/here") == 404
    answer = await request(running, "GET", "/nothing")
    assert answer.status_code == 404 and '"GET /nothing is not served here"' in answer.text
    # Calls of ElevenLabs that are not served are named in its way.
    for path in ("/v1/speech-to-speech", "/v1/voice-isolation", "/v2/anything"):
        answer = await request(running, "POST", path)
        detail = answer.json()["detail"]
        named = ("not_found", f"POST {path} is not served here.")
        assert (answer.status_code, detail["status"], detail["message"]) == (404, *named)
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{running.url}{path}/stream-input")
        answered = json.loads(refused.value.response.body)["detail"]
        assert answered["message"] == f"WebSocket {path}/stream-input is not served here; try /."
    ours = await request(running, "GET", "/v1/audio/voices/nobody")
    assert ours.status_code == 404 and ours.json()["error"]["param"] == "voice"
    wrong_method = await request(running, "POST", "/v1/audio/voices/nobody")
    methods, call = "DELETE, GET, HEAD, PATCH", "POST /v1/audio/voices/nobody"
    assert wrong_method.json() == {"error": {"message": f"{call} is not served here, only {methods}"}}
    assert wrong_method.headers["allow"] == methods
    answer = await request(running, "GET", "/health")
    assert "server" not in answer.headers
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


async def test_message_over_the_limit_of_its_protocol_closes_with_1009(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kani.server.lifecycle.MAX_MESSAGE_BYTES", 2000)
    async with serving(tmp_path) as server:
        async with connect(server.url) as other, connect(server.url) as socket:
            await socket.send("x" * 2001)
            assert (await closing(socket))[0] == 1009
            assert await alive(other)
        async with connect(server.url + KYUTAI, additional_headers=PUBLIC, max_size=None) as socket:
            await socket.send("Hola." + " " * 2000)
            await socket.send(b"\0")
            assert (await closing(socket))[0] in (1000, 1005)
        for path, size in ((KYUTAI, 64 * 1024**2), ("/api/asr-streaming", 64 * 1024**2), ("/", 2000)):
            async with connect(server.url + path, additional_headers=PUBLIC, max_size=None) as socket:
                # The head of a message, and none of its bytes.
                socket.transport.write(b"\x82\xff" + struct.pack("!Q", size + 1) + b"mask")
                assert (await closing(socket))[0] == 1009


def fragments(content: bytes) -> bytes:
    tail = bytes([0x80 | len(content)]) + b"mask" + content
    return b"\x02" + tail + (b"\x00" + tail) * MAX_FRAGMENTS


@pytest.mark.parametrize(
    ("frames", "code"), [(fragments(b""), 1008), (fragments(b"x"), 1009)], ids=["empty", "one byte"]
)
async def test_message_of_too_many_fragments_closes_its_connection_alone(
    running: InProcessServer, frames: bytes, code: int
) -> None:
    async with connect(running.url) as other, connect(running.url) as socket:
        await socket.send([*PING[:-1], *" " * (MAX_FRAGMENTS - len(PING) - 1), PING[-1]])
        assert json.loads(await socket.recv())["type"] == "pong"
        socket.transport.write(frames)
        assert (await closing(socket))[0] == code
        assert await alive(other)


async def test_unfinished_message_of_a_client_that_has_gone_is_dropped(
    running: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be 64 MiB, and the connection is part of cycles, which an idle server does not look for."""
    made: list[WebSocketProtocol] = []
    make = WebSocketProtocol.connection_made

    def connection_made(self: WebSocketProtocol, transport: asyncio.BaseTransport) -> None:
        made.append(self)
        make(self, transport)

    monkeypatch.setattr(WebSocketProtocol, "connection_made", connection_made)
    async with connect(running.url) as socket:
        socket.transport.write(b"\x01\x81mask?" + b"\x00\x81mask?" * 5000)
        await happens(lambda: len(made[0].frames) > 5000)
        socket.transport.abort()
    await happens(lambda: made[0].disconnected)
    assert not made[0].frames


async def test_invalid_utf8_closes_with_1007(espeak_server: ServerProcess) -> None:
    async with connect(espeak_server.url) as other, connect(espeak_server.url) as socket:
        await socket.send(b"\xff\xfe", text=True)
        assert (await closing(socket))[0] == 1007
        assert await alive(other)
    # uvicorn logs it with its traceback, which the server keeps out of its log.
    assert "Traceback" not in espeak_server.log + espeak_server.terminal


async def test_body_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kani.server.app.MAX_MESSAGE_BYTES", 2000)
    async with serving(tmp_path) as server, httpx2.AsyncClient(base_url=server.http_url) as client:

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(2):
                yield b"x" * 1500

        for content in (b"x" * 2001, pieces()):
            answer = await client.post("/tts", content=content)
            assert answer.status_code == 413
            assert answer.json() == {"error": {"message": "the body is too large (at most 2000 bytes)"}}


async def test_client_that_answers_no_ping_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PING_INTERVAL_S", "UNREAD_S"):
        monkeypatch.setattr(f"kani.server.lifecycle.{name}", 0.2)
    async with serving(tmp_path) as server:
        received = await raw(server, asgi.HANDSHAKE)
    assert b"101 Switching Protocols" in received
    assert received.endswith(b"\x03\xf3keepalive ping timeout")


LONG, MANY = b"X-Long: " + b"x" * 2**20, b"X-Many: x\r\n" * 2**17
UNREADABLE = (LONG[:10_000] + b"\r\n", MANY[: 11 * 200], b"Content-Length: 1\r\n")
HOSTS = (b"", b"Host:\r\n", b"Host: localhost\r\nHost: evil.example\r\n")


@pytest.mark.parametrize(
    ("pieces", "statuses"),
    [
        *(((HEAD + up, header), b" 400 431") for up in (b"", HANDSHAKE) for header in (LONG, MANY)),
        *(((HEAD + HANDSHAKE + header, b"\r\n"), b"400") for header in UNREADABLE),
        *(
            ((b"GET /metrics HTTP/" + version, b"\r\n", host, b"Connection: close\r\n\r\n"), b"400 403")
            for version in (b"1.0", b"1.1")
            for host in HOSTS
        ),
    ],
)
async def test_long_headers_and_unreadable_heads_are_refused(
    running: InProcessServer, pieces: tuple[bytes, ...], statuses: bytes
) -> None:
    """The connection may be reset before a long header's answer is read."""
    async with connect(running.url) as other:
        answer = await raw(running, *pieces)
        assert answer[9:12] in statuses.split(b" ") and answer[:9] in (b"HTTP/1.1 ", b"")
        assert await alive(other)


@pytest.mark.parametrize(("method", "status"), [("GET", b"405"), ("POST", b"400")])
@pytest.mark.parametrize("pieces", [0, 1, 300])
async def test_body_that_is_no_http_is_no_error_of_the_server(
    running: InProcessServer, method: str, status: bytes, pieces: int, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    head = f"{method} /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode() + b"1\r\na\r\n" * pieces)
    # 405 is the answer to the head; all of the body is awaited before any other.
    received = await reader.readexactly(12) if status == b"405" else b""
    writer.write(b"no size\r\n")
    received += await asyncio.wait_for(reader.read(), WITHIN_S)
    assert received[9:12] == status
    writer.close()
    assert not errors_in(caplog)


@pytest.mark.parametrize("path", ["/tts", "/stream-tts", "/v1/audio/voices"])
async def test_client_that_leaves_during_a_body_is_no_error(
    running: InProcessServer, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        "Content-Length: 1000\r\n\r\n--b\r\ncontent-disposition: form-data; "
        'name="audio"; filename="a.wav"\r\n\r\nx'.encode()
    )
    await writer.drain()
    # The answer to another client shows that the bytes before it were read.
    assert (await request(running, "GET", "/health")).status_code == 200
    writer.close()
    await writer.wait_closed()
    assert (await request(running, "GET", "/health")).status_code == 200
    assert not errors_in(caplog)


async def test_unhandled_error_is_internal(running: InProcessServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, voice: str) -> None:
        raise LookupError("secret")

    monkeypatch.setattr("kani.protocols.voices_api.protocol._describe_one", fail)
    answer = await request(running, "GET", "/v1/audio/voices/ef_dora")
    assert (answer.status_code, answer.json()) == (500, {"error": {"message": "internal error"}})
    assert answer.headers["x-request-id"]
    metrics = await request(running, "GET", "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=")
    assert 'kani_http_responses_total{code="500"} 1.0' in metrics.text
