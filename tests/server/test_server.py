"""The server as a whole: its doors, its limits and what it tells those who run it."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import websocket_config
from server.connections import Connections, Phase
from server.metrics import Metrics
from server.network.upload_budget import UploadBudget
from server.network.uvicorn_websocket import MAX_FRAGMENTS
from server.settings import load
from websocket_server import build_service, create_app

if TYPE_CHECKING:
    from tests.conftest import ServerProcess, StartServer

PING = '{"type": "ping"}'
KYUTAI = "/api/tts_streaming?format=PcmMessagePack"
KYUTAI_READY = bytes.fromhex("81a474797065a55265616479")
PUBLIC = {"kyutai-api-key": "public_token"}


async def pong(socket: ClientConnection) -> dict[str, Any]:
    """The answer to a ping."""
    await socket.send(PING)
    answer: dict[str, Any] = json.loads(await socket.recv())
    return answer


async def refusal(url: str, **headers: str) -> int:
    """The HTTP status with which a WebSocket handshake is refused."""
    listed = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, additional_headers=listed)
    assert "message" in json.loads(refused.value.response.body)["error"]
    return refused.value.response.status_code


async def get(server: ServerProcess, path: str, **headers: str) -> httpx.Response:
    """GET a path of the server."""
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{server.port}{path}", headers=headers)


async def post(server: ServerProcess, path: str, **headers: str) -> httpx.Response:
    """POST something to a path of the server."""
    async with httpx.AsyncClient() as client:
        return await client.post(f"http://127.0.0.1:{server.port}{path}", content=b"{}", headers=headers)


async def raw(server: ServerProcess, *pieces: bytes) -> bytes:
    """All that the server answers to these bytes until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 300)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def leave(server: ServerProcess, request: bytes) -> None:
    """Send the beginning of a request, and go away once the server has begun to handle it."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    await writer.drain()
    # Another's answer tells that the bytes before it were read.
    assert (await get(server, "/health")).status_code == 200
    writer.close()
    await writer.wait_closed()
    assert (await get(server, "/health")).status_code == 200


async def closing_code(socket: ClientConnection) -> int | None:
    """The code with which the server closes the connection."""
    with pytest.raises(ConnectionClosed):
        while True:
            await asyncio.wait_for(socket.recv(), 300)
    return socket.close_code


def announce(socket: ClientConnection, size: int) -> None:
    """Send the beginning of a message of so many bytes, and none of them."""
    socket.transport.write(b"\x82\xff" + struct.pack("!Q", size) + b"mask")


def test_health_has_the_fields_of_every_original(server: ServerProcess) -> None:
    """/health answers 200 when ready, with what the original servers' clients read, and ours."""
    answer = httpx.get(f"{server.http_url}/health")
    assert answer.status_code == 200
    facts = answer.json()
    assert facts["status"] == "healthy" and facts["ready"] is True and facts["tts_initialized"] is True
    assert facts["active_sessions"] == facts["counters"]["sessions"] >= 0
    assert facts["version"] == websocket_config.VERSION
    assert {engine["name"] for engine in facts["engines"]} == {"kokoro", "espeak"}
    fit = "Kokoro decoder: fast (int8)" in server.log
    assert facts["decoder"] == ("fast" if fit else "onnx")
    assert facts["languages"]["es"] == "kokoro" and facts["languages"]["de"] == "espeak"
    assert facts["uptime"] > 0
    assert {"requests", "waiting", "speaking", "cancellations", "refusals", "failures"} <= facts[
        "counters"
    ].keys()


def test_health_names_no_decoder_where_there_is_no_choice(espeak_server: ServerProcess) -> None:
    """Where Kokoro does not speak, ``decoder`` is null."""
    assert httpx.get(f"{espeak_server.http_url}/health").json()["decoder"] is None


async def test_metrics_count_what_happens(espeak_server: ServerProcess) -> None:
    """A spoken request shows up in the counters and histograms of /metrics, by protocol and engine."""

    def requests(text: str) -> float:
        families = {family.name: family for family in text_string_to_metric_families(text)}
        assert {
            "kani_first_audio_seconds",
            "kani_sessions",
            "kani_connections",
            "kani_build_info",
        } <= families.keys()
        return sum(
            sample.value
            for sample in families["kani_requests"].samples
            if sample.name == "kani_requests_total" and sample.labels == {"protocol": "kani"}
        )

    async with httpx.AsyncClient(base_url=espeak_server.http_url) as client:
        before = await client.get("/metrics")
        assert before.headers["content-type"].startswith("text/plain; version=")
        async with connect(espeak_server.url, max_size=None) as socket:
            await socket.send(json.dumps({"type": "tts_request", "data": {"text": "Hola."}}))
            assert json.loads(await socket.recv())["data"]["status"] == "success"
        after = await client.get("/metrics")
    assert requests(after.text) == requests(before.text) + 1
    assert 'kani_first_audio_seconds_count{engine="espeak",protocol="kani"}' in after.text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
async def test_localhost_is_both_loopback_addresses(espeak_server: ServerProcess, host: str) -> None:
    """Clients that resolve localhost to either family are served."""
    async with connect(f"ws://{host}:{espeak_server.port}") as socket:
        assert (await pong(socket))["type"] == "pong"


async def test_foreign_pages_are_refused_before_the_upgrade(espeak_server: ServerProcess) -> None:
    """A web page from elsewhere gets HTTP 403 to its handshake and to its requests."""
    assert await refusal(espeak_server.url, Origin="https://evil.example") == 403
    answer = await get(espeak_server, "/metrics", Origin="https://evil.example")
    assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers


async def test_a_rebound_name_is_refused(espeak_server: ServerProcess) -> None:
    """A page that made its own name point here gets HTTP 403."""
    answer = await get(espeak_server, "/metrics", Host="evil.example")
    assert answer.status_code == 403


async def test_local_pages_may_come_in_and_read_answers(espeak_server: ServerProcess) -> None:
    """A page served by this machine on another port connects, and its browser lets it read answers."""
    origin = "http://localhost:3000"
    async with connect(espeak_server.url, origin=origin) as socket:  # type: ignore[arg-type]
        assert (await pong(socket))["type"] == "pong"
    answer = await get(espeak_server, "/health", Origin=origin)
    assert answer.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize(("method", "path"), [("POST", "/tts"), ("PATCH", "/v1/audio/voices/custom:ana")])
def test_a_local_pages_browser_may_ask_first(espeak_server: ServerProcess, method: str, path: str) -> None:
    """A browser's question before a request with headers of its own (preflight) is answered."""
    asked = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type",
    }
    answer = httpx.options(f"{espeak_server.http_url}{path}", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-headers"] == "content-type"


async def test_on_the_network_a_key_is_needed(start_server: StartServer) -> None:
    """On an address that others can reach, a key opens every door and /health needs none."""
    server = start_server("--engine", "espeak", "--host", "0.0.0.0", KANI_API_KEYS="one,two")
    url = f"ws://127.0.0.1:{server.port}"
    assert await refusal(url) == 401
    assert await refusal(f"{url}/?token=three") == 401
    async with connect(f"{url}/?token=two") as socket:
        assert (await pong(socket))["type"] == "pong"
    async with connect(url, additional_headers={"Authorization": "Bearer one"}) as socket:
        assert (await pong(socket))["type"] == "pong"
    assert (await get(server, "/metrics")).status_code == 401
    assert (await get(server, "/metrics", authorization="Bearer one")).status_code == 200
    assert (await get(server, "/health")).status_code == 200


@pytest.mark.parametrize(
    "path", ["/api/tts_streaming", "/api/tts-streaming", "/api/asr-streaming", "/api/tts_streaming%0A"]
)
async def test_kyutais_paths_want_a_key_on_this_machine_too(espeak_server: ServerProcess, path: str) -> None:
    """Kyutai's clients send a key everywhere, and are refused with 401 without a right one."""
    url = espeak_server.url + path
    assert await refusal(url) == 401
    assert await refusal(url, kyutai_api_key="wrong") == 401
    assert await refusal(f"{url}?auth_id=wrong") == 401
    assert await refusal(f"{url}?auth_id=public_token", Origin="https://evil.example") == 403


async def test_kyutais_requests_want_a_key_on_this_machine_too(espeak_server: ServerProcess) -> None:
    """What is asked by POST is guarded as the WebSockets are; what tells of the server is not."""
    for path in ("/api/tts_streaming", "/api/tts-streaming", "/api/tts", "/api/asr-streaming"):
        assert (await post(espeak_server, path)).status_code == 401
    for path in ("/api/build_info", "/api/modules_info"):
        assert (await get(espeak_server, path, Host="evil.example")).status_code == 200


async def test_kyutais_clients_come_in_with_the_key_that_all_have(espeak_server: ServerProcess) -> None:
    """public_token is right on a loopback address, in the header and in the query."""
    async with connect(espeak_server.url + KYUTAI, additional_headers=PUBLIC) as socket:
        assert await socket.recv() == KYUTAI_READY
    async with connect(f"{espeak_server.url}{KYUTAI}&auth_id=public_token") as socket:
        assert await socket.recv() == KYUTAI_READY
    hyphened = KYUTAI.replace("tts_streaming", "tts-streaming")
    async with connect(espeak_server.url + hyphened, additional_headers=PUBLIC) as socket:
        assert await socket.recv() == KYUTAI_READY


async def test_the_key_that_all_have_opens_kyutais_paths_alone(start_server: StartServer) -> None:
    """On the network public_token counts where it is listed, and opens nothing but Kyutai's paths."""
    closed = start_server("--engine", "espeak", "--host", "0.0.0.0", KANI_API_KEYS="one")
    listed = start_server("--engine", "espeak", "--host", "0.0.0.0", KANI_API_KEYS="one,public_token")
    for server in (closed, listed):
        url = f"ws://127.0.0.1:{server.port}"
        assert await refusal(f"{url}/?token=public_token") == 401
        assert (await get(server, "/metrics", **PUBLIC)).status_code == 401
        assert (await get(server, "/api/build_info")).status_code == 200
    assert await refusal(f"ws://127.0.0.1:{closed.port}{KYUTAI}", **PUBLIC) == 401
    async with connect(f"ws://127.0.0.1:{listed.port}{KYUTAI}", additional_headers=PUBLIC) as socket:
        assert await socket.recv() == KYUTAI_READY
    # A voice is made of a recording without a key there, but not for a page from elsewhere.
    voice = "/api/voice"
    assert (await post(closed, voice)).status_code == 401
    assert (await post(listed, voice)).status_code not in (401, 403, 404)
    assert (await post(listed, voice, Origin="https://evil.example")).status_code == 403


async def test_no_auth_asks_kyutais_clients_for_nothing(start_server: StartServer) -> None:
    """With --no-auth Kyutai's paths are open as all others are."""
    server = start_server("--engine", "espeak", "--no-auth")
    async with connect(server.url + KYUTAI) as socket:
        assert await socket.recv() == KYUTAI_READY


async def test_compat_ports_serve_everything(compat_server: ServerProcess) -> None:
    """On each port that --compat opens, and on both loopback addresses, the path decides the protocol."""
    server = compat_server
    kyutai, voxcpm = {"Kyutai", "Kyutai voice cloning"}, {"VoxCPM", "VoxCPM's page"}
    assert set(server.compat) == {"Kani REST", "relay", *kyutai, *voxcpm}
    for port in server.compat.values():
        for host in ("127.0.0.1", "[::1]"):
            async with connect(f"ws://{host}:{port}") as socket:
                assert (await pong(socket))["type"] == "pong"
        async with connect(f"ws://localhost:{port}{KYUTAI}", additional_headers=PUBLIC) as socket:
            assert await socket.recv() == KYUTAI_READY
        assert await refusal(f"ws://localhost:{port}{KYUTAI}") == 401


async def test_metrics_have_kyutais_names(start_server: StartServer) -> None:
    """Dashboards for Kyutai's server find its names, with 0 before anybody came."""
    server = start_server("--engine", "espeak")
    before = (await get(server, "/metrics")).text.splitlines()
    assert 'py_connect{handler="all"} 0.0' in before and 'asr_open_channels{handler="all"} 0.0' in before
    async with connect(server.url + KYUTAI, additional_headers=PUBLIC) as socket:
        assert await socket.recv() == KYUTAI_READY
        during = (await get(server, "/metrics")).text.splitlines()
    assert 'py_connect{handler="all"} 1.0' in during and 'py_open_channels{handler="all"} 1.0' in during


async def test_one_connection_too_many_is_refused(start_server: StartServer) -> None:
    """Beyond the limit a handshake gets 503; when someone leaves there is room again."""
    server = start_server("--engine", "espeak", KANI_MAX_CONNECTIONS="2")
    async with connect(server.url) as first:
        async with connect(server.url) as second:
            assert await refusal(server.url) == 503
            assert (await pong(second))["type"] == "pong"
        await second.wait_closed()
        assert (await pong(first))["type"] == "pong"
        async with connect(server.url) as third:
            assert (await pong(third))["type"] == "pong"


async def test_unknown_paths_are_not_found(espeak_server: ServerProcess) -> None:
    """Where nothing speaks, the handshake gets 404 and so does a request, in JSON."""
    assert await refusal(f"{espeak_server.url}/nothing/here") == 404
    answer = await get(espeak_server, "/nothing")
    assert answer.status_code == 404 and answer.json() == {"error": {"message": "Not Found"}}


@pytest.mark.parametrize("path", ["/v1/speech-to-text", "/v1/text-to-dialogue/stream", "/v2/anything"])
async def test_calls_of_elevenlabs_that_are_not_served_are_named_in_its_shape(
    espeak_server: ServerProcess, path: str
) -> None:
    """Its clients read ``detail``, of a handshake too; the server's own calls beside them keep theirs."""
    answer = await post(espeak_server, path)
    assert answer.status_code == 404
    detail = answer.json()["detail"]
    assert (detail["status"], detail["message"]) == ("not_found", f"POST {path} is not served here.")
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{espeak_server.url}{path}/stream-input")
    told = json.loads(refused.value.response.body)["detail"]
    assert told["message"] == f"WebSocket {path}/stream-input is not served here."
    ours = await get(espeak_server, "/v1/audio/voices/nobody")
    assert ours.status_code == 404 and ours.json()["error"]["param"] == "voice"
    assert (await post(espeak_server, "/v1/audio/voices/nobody")).json() == {
        "error": {"message": "Method Not Allowed"}
    }


async def test_models_that_need_another_call_are_not_offered(espeak_server: ServerProcess) -> None:
    """LiveKit's plugin speaks with Eleven v3 by text-to-dialogue, which is not served."""
    models = [model["model_id"] for model in (await get(espeak_server, "/v1/models")).json()]
    assert "eleven_v3" not in models and "eleven_multilingual_v2" in models


async def test_a_message_over_the_limit_closes_with_1009(start_server: StartServer) -> None:
    """Too large a message ends its own connection with 1009, and nobody else's."""
    server = start_server("--engine", "espeak", KANI_MAX_MESSAGE_BYTES="2000")
    async with connect(server.url) as other, connect(server.url) as socket:
        await socket.send("x" * 2001)
        assert await closing_code(socket) == 1009
        assert (await pong(other))["type"] == "pong"


async def test_kyutais_messages_have_a_limit_of_their_own(start_server: StartServer) -> None:
    """Kyutai's clients may send 64 MiB, whatever others may; of a longer message nothing is read."""
    server = start_server("--engine", "espeak", KANI_MAX_MESSAGE_BYTES="2000")
    async with connect(server.url + KYUTAI, additional_headers=PUBLIC, max_size=None) as socket:
        await socket.send("Hola." + " " * 2000)
        await socket.send(b"\0")
        assert await closing_code(socket) in (1000, 1005)
    for path, size in ((KYUTAI, 64 * 1024**2), ("/", 2000)):
        async with connect(server.url + path, additional_headers=PUBLIC, max_size=None) as socket:
            announce(socket, size + 1)
            assert await closing_code(socket) == 1009


@pytest.mark.parametrize("content", [b"", b"x"], ids=["empty", "one byte"])
async def test_a_message_in_too_many_pieces_closes_with_1009(
    espeak_server: ServerProcess, content: bytes
) -> None:
    """Pieces without end, however short, end their own connection with 1009, and nobody else's."""

    def piece(head: int) -> bytes:
        return bytes([head, 0x80 | len(content)]) + b"mask" + content

    async with connect(espeak_server.url) as other, connect(espeak_server.url) as socket:
        socket.transport.write(piece(0x02) + piece(0x00) * MAX_FRAGMENTS)
        assert await closing_code(socket) == 1009
        assert (await pong(other))["type"] == "pong"


async def test_a_message_in_pieces_is_one(espeak_server: ServerProcess) -> None:
    """A message may come in many pieces, as many as there may be."""
    async with connect(espeak_server.url) as socket:
        pieces = [*PING[:-1], *" " * (MAX_FRAGMENTS - len(PING) - 1), PING[-1]]
        await socket.send(pieces)
        assert json.loads(await socket.recv())["type"] == "pong"


async def test_invalid_utf8_closes_with_1007(start_server: StartServer) -> None:
    """Text that is no UTF-8 ends its own connection with 1007; the log takes one line of it."""
    server = start_server("--engine", "espeak")
    async with connect(server.url) as other, connect(server.url) as socket:
        await socket.send(b"\xff\xfe", text=True)
        assert await closing_code(socket) == 1007
        assert (await pong(other))["type"] == "pong"
    server.stop()


def test_a_body_over_the_limit_is_refused(start_server: StartServer) -> None:
    """Too large an HTTP body gets 413, whether or not its length was told before."""
    server = start_server("--engine", "espeak", KANI_MAX_MESSAGE_BYTES="2000")
    told = httpx.post(f"{server.http_url}/tts", content=b"x" * 2001)
    untold = httpx.post(f"{server.http_url}/tts", content=iter([b"x" * 1500, b"x" * 1500]))
    assert (told.status_code, untold.status_code) == (413, 413)
    assert told.json() == {"error": {"message": "the body is too large (at most 2000 bytes)"}}


async def test_a_silent_client_is_let_go(start_server: StartServer) -> None:
    """A client that does not answer pings within the timeout is closed."""
    server = start_server("--engine", "espeak", KANI_PING_INTERVAL="0.2", KANI_PING_TIMEOUT="0.2")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    received = await asyncio.wait_for(reader.read(), 300)
    writer.close()
    assert b"101 Switching Protocols" in received and received[-25:].endswith(
        b"\x03\xf3keepalive ping timeout"
    )


HANDSHAKE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.mark.parametrize("upgrade", [b"", HANDSHAKE], ids=["request", "handshake"])
@pytest.mark.parametrize(
    "header", [b"X-Long: " + b"x" * 2**20, b"X-Many: x\r\n" * 2**17], ids=["long", "many"]
)
async def test_a_megabyte_of_headers_is_refused(
    espeak_server: ServerProcess, upgrade: bytes, header: bytes
) -> None:
    """Headers without end are not kept: the connection gets an error and is closed, others are served."""
    async with connect(espeak_server.url) as other:
        head = b"GET /v1/audio/voices HTTP/1.1\r\nHost: localhost\r\n" + upgrade
        answer = await raw(espeak_server, head, header)
        assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431", b"")
        assert (await pong(other))["type"] == "pong"


@pytest.mark.parametrize(
    "header", [b"X-Long: " + b"x" * 10_000 + b"\r\n", b"X-Many: x\r\n" * 200, b"Content-Length: 1\r\n"]
)
async def test_a_handshake_that_cannot_be_read_is_answered(
    espeak_server: ServerProcess, header: bytes
) -> None:
    """A handshake with too many headers, too long ones or a body gets 400; its client does not wait."""
    answer = await raw(espeak_server, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + HANDSHAKE + header + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("host", [b"", b"Host:\r\n", b"Host: localhost\r\nHost: evil.example\r\n"])
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_request_without_one_name_is_refused(
    espeak_server: ServerProcess, host: bytes, version: bytes
) -> None:
    """Without a Host header, with an empty one, or with two, nobody comes in."""
    request = b"GET /metrics HTTP/" + version + b"\r\n" + host + b"Connection: close\r\n\r\n"
    answer = await raw(espeak_server, request)
    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 403")


async def test_no_auth_answers_only_to_its_own_names(start_server: StartServer) -> None:
    """Open to the network, the server is not read by a page that made its own name point here."""
    server = start_server("--engine", "espeak", "--host", "0.0.0.0", "--no-auth")
    for path in ("/metrics", "/v1/audio/voices"):
        assert (await get(server, path, Host="evil.example")).status_code == 403
        assert (await get(server, path, Host=f"{socket.gethostname()}:{server.port}")).status_code == 200
    assert (await get(server, "/metrics")).status_code == 200


async def test_keys_on_a_loopback_address_are_explained(start_server: StartServer) -> None:
    """Keys do not bind clients of this machine, which the log says once; those of a proxy they do."""
    server = start_server("--engine", "espeak", KANI_API_KEYS="one")
    assert (await get(server, "/metrics")).status_code == 200
    assert (await get(server, "/metrics", **{"X-Real-IP": "6.6.6.6"})).status_code == 401
    assert server.log.count("a proxy in front must send X-Forwarded-For") == 1


async def test_refused_handshakes_are_no_errors_of_the_server(start_server: StartServer) -> None:
    """A handshake that is refused, for whatever reason, leaves no error in the log."""
    server = start_server("--engine", "espeak", KANI_API_KEYS="one", KANI_MAX_CONNECTIONS="1")
    assert await refusal(server.url, Origin="https://evil.example") == 403
    assert await refusal(server.url, X_Forwarded_For="203.0.113.9") == 401
    assert await refusal(f"{server.url}/nowhere") == 404
    async with connect(server.url):
        assert await refusal(server.url) == 503
    server.stop()
    assert "ERROR" not in server.log and "handshake" not in server.log


@pytest.mark.parametrize("path", ["/tts", "/stream-tts", "/v1/audio/voices"])
async def test_a_client_that_leaves_in_a_body_is_no_error(start_server: StartServer, path: str) -> None:
    """Who goes away before the body has ended leaves nothing in the log."""
    server = start_server("--engine", "espeak")
    await leave(
        server,
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        "Content-Length: 1000\r\n\r\n--b\r\ncontent-disposition: form-data; "
        'name="audio"; filename="a.wav"\r\n\r\nx'.encode(),
    )
    server.stop()
    assert "ERROR" not in server.log


async def test_what_nobody_foresaw_is_an_internal_error(tmp_path: Path) -> None:
    """A failure that no route knows of is 500 in JSON, and tells nothing of its cause."""
    chosen = load({"engine": "espeak", "data_dir": tmp_path}, {}, tmp_path / "none")
    metrics = Metrics("0")
    connections = Connections(1, metrics.set_connections, 300.0)
    # Said to be ready, though the service was never started.
    connections.phase = Phase.READY
    app = create_app(chosen, build_service(chosen, metrics), metrics, connections, UploadBudget())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/v1/audio/voices/ef_dora")
    assert (answer.status_code, answer.json()) == (500, {"error": {"message": "internal error"}})
    assert answer.headers["x-request-id"]
    assert metrics.registry.get_sample_value("kani_http_responses_total", {"code": "500"}) == 1


def test_a_language_that_no_engine_speaks_is_one_line(start_server: StartServer) -> None:
    """A default language that is known, but that no engine at hand speaks, ends the start."""
    server = start_server("--engine", "kokoro", "--language", "russian", ready=False)
    assert server.wait() == 1
    complaint = server.terminal.splitlines()[-1]
    assert complaint.startswith(
        "start_websocket_server.py: --language: unsupported language 'ru' (known: en, es, "
    )


def test_answers_name_no_software(espeak_server: ServerProcess) -> None:
    """No Server header tells strangers what runs here."""
    assert "server" not in httpx.get(f"{espeak_server.http_url}/health").headers
