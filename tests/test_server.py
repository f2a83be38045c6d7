"""The server as a whole: its doors, its limits and what it tells those who run it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import websocket_config

if TYPE_CHECKING:
    from tests.conftest import ServerProcess, StartServer

PING = '{"type": "ping"}'


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


async def closing_code(socket: ClientConnection) -> int | None:
    """The code with which the server closes the connection."""
    with pytest.raises(ConnectionClosed):
        while True:
            await asyncio.wait_for(socket.recv(), 20)
    return socket.close_code


def test_health_has_the_fields_of_every_original(server: ServerProcess) -> None:
    """/health answers 200 when ready, with what the original servers' clients read, and ours."""
    answer = httpx.get(f"{server.http_url}/health")
    assert answer.status_code == 200
    facts = answer.json()
    assert facts["status"] == "healthy" and facts["ready"] is True and facts["tts_initialized"] is True
    assert facts["active_sessions"] == facts["counters"]["sessions"] >= 0
    assert facts["version"] == websocket_config.VERSION
    assert {engine["name"] for engine in facts["engines"]} == {"kokoro", "espeak"}
    assert facts["languages"]["es"] == "kokoro" and facts["languages"]["de"] == "espeak"
    assert facts["uptime"] > 0
    assert {"requests", "waiting", "speaking", "cancellations", "refusals", "failures"} <= facts[
        "counters"
    ].keys()


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


def test_a_local_pages_browser_may_ask_first(espeak_server: ServerProcess) -> None:
    """A browser's question before a POST with headers of its own (preflight) is answered."""
    asked = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    answer = httpx.options(f"{espeak_server.http_url}/tts", headers=asked)
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


async def test_a_message_over_the_limit_closes_with_1009(start_server: StartServer) -> None:
    """Too large a message ends its own connection with 1009, and nobody else's."""
    server = start_server("--engine", "espeak", KANI_MAX_MESSAGE_BYTES="2000")
    async with connect(server.url) as other, connect(server.url) as socket:
        await socket.send("x" * 2001)
        assert await closing_code(socket) == 1009
        assert (await pong(other))["type"] == "pong"


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
    received = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    assert b"101 Switching Protocols" in received and received[-25:].endswith(
        b"\x03\xf3keepalive ping timeout"
    )


def test_answers_name_no_software(espeak_server: ServerProcess) -> None:
    """No Server header tells strangers what runs here."""
    assert "server" not in httpx.get(f"{espeak_server.http_url}/health").headers
