"""The ports of a server: the protocol of `/` on each, and the port with only metrics."""

import asyncio
import json
import os
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from kani.server.network.listeners import CannotListen, listen
from tests.support.servers.asgi import closing
from tests.support.servers.serving import InProcessServer, serving

PING = '{"type": "ping", "timestamp": 7}'
MEBIBYTE = 1 << 20


async def protocol_of(url: str) -> str:
    """The protocol of the WebSocket at ``url``, known by its answer to a ping."""
    async with connect(url) as client:
        await client.send(PING)
        pong = json.loads(await client.recv())
    return "voxcpm" if "server_time" in pong else "kani"


async def status(server: InProcessServer, port: int, path: str, **headers: str) -> int:
    return (await server.get(f"http://127.0.0.1:{port}{path}", headers=headers)).status_code


async def test_root_path_belongs_to_the_protocol_of_the_port(tmp_path: Path) -> None:
    async with serving(tmp_path, KANI_COMPAT="true") as server:
        port = server.compat["VoxCPM"]
        for path in ("", "/", "/?token=abc", "/tts", "/tts?client=1"):
            assert await protocol_of(f"ws://localhost:{port}{path}") == "voxcpm"
        for other in {server.port, *server.compat.values()} - {port}:
            assert await protocol_of(f"ws://localhost:{other}/") == "kani"
            assert await protocol_of(f"ws://localhost:{other}/tts") == "voxcpm"
        # The page is on every port.
        for each in (server.port, port, server.compat["VoxCPM's page"]):
            answer = await server.get(f"http://localhost:{each}/")
            assert answer.status_code == 200 and answer.text.lstrip().lower().startswith("<!doctype html>")


async def test_root_path_has_the_limit_of_its_protocol(tmp_path: Path) -> None:
    async with serving(tmp_path, KANI_COMPAT="true") as server:
        for url in (f"ws://localhost:{server.compat['VoxCPM']}/", server.url + "/tts"):
            async with connect(url) as client:
                await client.send(" " * (MEBIBYTE - 20) + '{"type": "ping"}')
                assert json.loads(await client.recv())["type"] == "pong"
                await client.send(" " * MEBIBYTE + PING)
                assert (await closing(client))[0] == 1009
        async with connect(server.url) as client:
            await client.send(" " * MEBIBYTE + PING)
            assert json.loads(await client.recv())["type"] == "pong"


async def test_metrics_port_serves_metrics_alone(tmp_path: Path) -> None:
    async with serving(tmp_path, TTS_METRICS_ENABLED="true") as server:
        assert set(server.compat) == {"metrics"}
        port = server.compat["metrics"]
        address = f"localhost:{port}"
        for path in ("/metrics", "/"):
            assert "kani_build_info" in (await server.get(f"http://{address}{path}")).text
        for path in ("/health", "/api/voices", "/static/style.css", "/v1/audio/voices"):
            assert await status(server, port, path) == 404
        assert (await server.post(f"http://{address}/tts", json={"text": "Hola"})).status_code == 404
        assert await status(server, server.port, "/metrics") == 200
        for path in ("/", "/tts", "/metrics"):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://{address}{path}")
            assert refused.value.response.status_code == 404


async def test_metrics_port_has_access_control(tmp_path: Path) -> None:
    """`/` is not the public page there."""
    keyed = {"KANI_HOST": "0.0.0.0", "KANI_API_KEYS": "geheim", "KANI_METRICS_PORT": "0"}
    async with (
        serving(tmp_path, **keyed) as server,
        serving(tmp_path / "local", KANI_METRICS_PORT="0") as local,
    ):
        port = server.compat["metrics"]
        for path in ("/", "/metrics"):
            assert await status(server, port, path) == 401
            assert await status(server, port, path, authorization="Bearer geheim") == 200
            assert await status(local, local.compat["metrics"], path, host="evil.example") == 403


def pair_of_ports() -> int:
    """The first of two adjacent free ports, below those that systems give to clients.

    One of those might be another client's by the time a server listens.
    """
    for port in range(20_000 + os.getpid() % 10_000, 32_000, 2):
        with suppress(OSError), ExitStack() as opened:
            for each in (port, port + 1):
                opened.enter_context(socket.create_server(("127.0.0.1", each)))
            return port
    pytest.fail("no two adjacent ports are free")


async def test_voxcpms_page_is_on_the_port_behind_its_own(tmp_path: Path) -> None:
    """TTS_PORT moves both, as on the original server."""
    port = pair_of_ports()
    own = {"KANI_COMPAT": "true", "KANI_VOXCPM_PORT": "", "TTS_PORT": str(port)}
    async with serving(tmp_path, **own) as server:
        assert (server.compat["VoxCPM"], server.compat["VoxCPM's page"]) == (port, port + 1)


async def test_accepted_connection_sends_small_answers_at_once() -> None:
    loop = asyncio.get_running_loop()
    with ExitStack() as opened:
        listener, *_ = (opened.enter_context(sock) for sock in listen("127.0.0.1", 0))
        opened.enter_context(socket.create_connection(listener.getsockname()))
        accepted = listener.accept()[0]
        transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, accepted)
        connected = transport.get_extra_info("socket")
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        transport.close()


def test_error_of_a_port_reports_whether_it_is_only_taken() -> None:
    for host, taken in (("127.0.0.1", True), ("192.0.2.1", False)):
        with socket.create_server(("127.0.0.1", 0)) as holder, pytest.raises(CannotListen) as refused:
            listen(host, holder.getsockname()[1])
        assert refused.value.taken == taken, host
