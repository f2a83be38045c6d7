"""The ports of a server: which protocol a port's `/` speaks, and the one where metrics are alone."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

if TYPE_CHECKING:
    from tests.conftest import ServerProcess, StartServer

PING = '{"type": "ping", "timestamp": 7}'
MEBIBYTE = 1 << 20


async def protocol_of(url: str) -> str:
    """Whose WebSocket answers at ``url``, told by its answer to a ping."""
    async with connect(url) as client:
        await client.send(PING)
        pong = json.loads(await client.recv())
    return "voxcpm" if "server_time" in pong else "kani"


async def test_the_port_decides_what_a_websocket_on_the_root_speaks(compat_server: ServerProcess) -> None:
    """`/` is VoxCPM's on VoxCPM's port, with or without a query, and Kani's on every other."""
    server = compat_server
    port = server.compat["VoxCPM"]
    for path in ("", "/", "/?token=abc", "/tts", "/tts?client=1"):
        assert await protocol_of(f"ws://localhost:{port}{path}") == "voxcpm"
    for other in {server.port, *server.compat.values()} - {port}:
        assert await protocol_of(f"ws://localhost:{other}/") == "kani"
        assert await protocol_of(f"ws://localhost:{other}/tts") == "voxcpm"


async def test_the_root_of_voxcpms_port_has_voxcpms_limits(compat_server: ServerProcess) -> None:
    """A message of more than 1 MiB closes it with 1009, as on `/tts`; Kani's root takes longer ones."""
    server = compat_server
    for url in (f"ws://localhost:{server.compat['VoxCPM']}/", server.url + "/tts"):
        async with connect(url) as client:
            await client.send(" " * (MEBIBYTE - 20) + '{"type": "ping"}')
            assert json.loads(await client.recv())["type"] == "pong"
            with pytest.raises(ConnectionClosed) as closed:
                await client.send(" " * MEBIBYTE + PING)
                await client.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
    async with connect(server.url) as client:
        await client.send(" " * MEBIBYTE + PING)
        assert json.loads(await client.recv())["type"] == "pong"


async def test_the_page_is_on_every_port(compat_server: ServerProcess) -> None:
    """A browser finds it where users of VoxCPM's server look, and on the server's own port."""
    server = compat_server
    async with httpx.AsyncClient() as client:
        for port in (server.port, server.compat["VoxCPM"], server.compat["VoxCPM's page"]):
            answer = await client.get(f"http://localhost:{port}/")
            assert answer.status_code == 200 and answer.text.lstrip().lower().startswith("<!doctype html>")


async def test_metrics_alone_on_a_port_of_their_own(start_server: StartServer) -> None:
    """TTS_METRICS_ENABLED opens it, without --compat; nothing else is served there."""
    server = start_server("--engine", "espeak", TTS_METRICS_ENABLED="true")
    assert set(server.compat) == {"metrics"}
    address = f"localhost:{server.compat['metrics']}"
    async with httpx.AsyncClient() as client:
        for path in ("/metrics", "/"):
            assert "kani_build_info" in (await client.get(f"http://{address}{path}")).text
        for path in ("/health", "/api/voices", "/static/style.css", "/v1/audio/voices"):
            assert (await client.get(f"http://{address}{path}")).status_code == 404
        assert (await client.post(f"http://{address}/tts", json={"text": "Hola"})).status_code == 404
        assert (await client.get(f"{server.http_url}/metrics")).status_code == 200
    for path in ("/", "/tts", "/metrics"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{address}{path}")
        assert refused.value.response.status_code == 404


async def test_metrics_alone_ask_for_the_key_as_everywhere(start_server: StartServer) -> None:
    """`/` is not the page there, which is open to all: a key is asked for, and a Host of this machine."""
    keyed = start_server(
        "--engine", "espeak", "--host", "0.0.0.0", KANI_API_KEYS="geheim", KANI_METRICS_ENABLED="true"
    )
    home = start_server("--engine", "espeak", KANI_METRICS_ENABLED="true")
    async with httpx.AsyncClient() as client:
        for path in ("/", "/metrics"):
            url = f"http://127.0.0.1:{keyed.compat['metrics']}{path}"
            assert (await client.get(url)).status_code == 401
            assert (await client.get(url, headers={"authorization": "Bearer geheim"})).status_code == 200
            foreign = {"host": "evil.example"}
            url = f"http://127.0.0.1:{home.compat['metrics']}{path}"
            assert (await client.get(url, headers=foreign)).status_code == 403


def test_a_port_that_is_taken_is_named_with_its_setting(start_server: StartServer) -> None:
    """--compat on a machine where one of its ports is taken ends the start with the port and the cure."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start_server("--engine", "espeak", "--compat", ready=False, KANI_VOXCPM_PAGE_PORT=str(port))
        assert server.wait() == 1
    assert f"port {port}" in server.terminal and "KANI_VOXCPM_PAGE_PORT" in server.terminal


def test_voxcpms_page_stands_behind_its_port(start_server: StartServer) -> None:
    """TTS_PORT moves both: the page is one further, as on the original server."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1] - 1
    server = start_server("--engine", "espeak", "--compat", KANI_VOXCPM_PORT="", TTS_PORT=str(port))
    assert (server.compat["VoxCPM"], server.compat["VoxCPM's page"]) == (port, port + 1)
