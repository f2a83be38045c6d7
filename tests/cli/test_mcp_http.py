"""``kani-tts mcp --http``: who may come in, which files, and what a client can hold."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import ListRootsResult, Root

from kani.cli.mcp import front, tools
from kani.cli.mcp.front import MAX_SESSIONS, serve_http
from kani.cli.mcp.tools import MAX_CALLS, SpeechTools
from kani.library.asynchronous import settings_of
from kani.server.network.listeners import listen
from kani.server.network.tcp_connections import ReadTimeouts, TcpTable
from tests.conftest import ROOT
from tests.support.patience import WITHIN_S, happens

KEY = "the-owner's-key-0123456789"
ACCEPT = {"accept": "application/json, text/event-stream"}
MODES = pytest.mark.parametrize("mode", ["legacy", "auto"])


class Served:
    """A server of this process, and clients of it."""

    def __init__(self, made: SpeechTools, address: str) -> None:
        self.tools, self.address = made, address
        self.port = int(address.split(":")[2].partition("/")[0])

    @property
    def sessions(self) -> set[str]:
        return {*self.tools.server.session_manager._server_instances}

    @asynccontextmanager
    async def client(self, mode: Any = "auto", *roots: str, key: str = KEY) -> AsyncIterator[Client]:
        """The SDK's client; roots: addresses that it names, none: it knows no roots."""

        async def listed(*_: Any) -> ListRootsResult:
            checked = all(root.startswith("file:") for root in roots)
            make: Any = Root if checked else Root.model_construct
            return ListRootsResult(roots=[make(uri=root) for root in roots])

        async with AsyncExitStack() as stack:
            headers = {"authorization": f"Bearer {key}"} if key else {}
            http = await stack.enter_async_context(create_mcp_http_client(headers=headers))
            transport = streamable_http_client(self.address, http_client=http)
            asked = listed if roots else None
            yield await stack.enter_async_context(Client(transport, mode=mode, list_roots_callback=asked))

    async def send(self, http: httpx2.AsyncClient, body: dict[str, Any], **headers: str) -> httpx2.Response:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        message = {"jsonrpc": "2.0", "id": 1} | body
        given = ACCEPT | {"authorization": f"Bearer {KEY}"} | headers
        return await http.post(self.address, json=message, headers=given, timeout=WITHIN_S)

    async def open_session(self, http: httpx2.AsyncClient, **capabilities: Any) -> str:
        about = {"protocolVersion": "2025-06-18", "clientInfo": {"name": "test", "version": "1"}}
        asked = {"method": "initialize", "params": about | {"capabilities": capabilities}}
        answer = await self.send(http, asked)
        assert answer.status_code == 200, answer.text
        return answer.headers["mcp-session-id"]


@asynccontextmanager
async def serving(*folders: Path, **settings: Any) -> AsyncIterator[Served]:
    made, stop = SpeechTools("espeak", "none", folders), asyncio.Event()
    sockets = listen("127.0.0.1", 0)
    given = settings_of(**({"api_keys": [KEY]} | settings))
    task = asyncio.create_task(serve_http(made.server, sockets, given, stop))
    try:
        yield Served(made, f"http://127.0.0.1:{sockets[0].getsockname()[1]}/mcp")
    finally:
        stop.set()
        await asyncio.wait_for(task, WITHIN_S)
        await made.aclose()


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("KANI_API_KEYS", raising=False)


def said(result: Any, *, refused: bool = False) -> str:
    assert result.is_error == refused, result.content
    return str(result.content[0].text)


async def test_another_user_of_this_machine_needs_the_key() -> None:
    async with serving() as served, httpx2.AsyncClient() as http:
        asked = {"method": "tools/list"}
        for wrong in ("", "Bearer", "Bearer wrong", "Bearer public_token", f"Basic {KEY}", f"Bearer {KEY}x"):
            for path in ("/mcp", "/", "/health"):
                answer = await http.post(
                    served.address.removesuffix("/mcp") + path,
                    json=asked,
                    headers=ACCEPT | {"authorization": wrong},
                )
                assert answer.status_code == 401 and "a key is needed" in answer.text
        for kind in ("GET", "DELETE", "OPTIONS"):
            assert (await http.request(kind, served.address)).status_code == 401
        assert not served.sessions
        async with served.client() as client:
            assert len((await client.list_tools()).tools) == 4


async def test_without_keys_programs_of_this_machine_come_in() -> None:
    async with serving(api_keys=[]) as served, httpx2.AsyncClient() as http:
        async with served.client(key="") as client:
            assert (await client.call_tool("voices", {"language": "es"})).structured_content["result"]
        foreign = {"origin": "https://evil.example"}
        for headers in (foreign, {"host": "evil.example"}, {"sec-fetch-site": "cross-site"}, {"via": "x"}):
            answer = await http.post(served.address, json={}, headers=headers)
            assert answer.status_code == 403
        answer = await http.post(served.address, content=bytes(5 << 20))
        assert answer.status_code == 413


@MODES
async def test_files_are_below_the_operators_folders(tmp_path: Path, mode: Any) -> None:
    project, inner, outside = tmp_path / "project", tmp_path / "project" / "inner", tmp_path / "outside"
    for folder in (inner, outside):
        folder.mkdir(parents=True)
    (project / "link").symlink_to(outside)
    (outside / "a.wav").write_bytes(b"theirs")

    async def speak(client: Client, file: Path | str) -> Any:
        return await client.call_tool("speak", {"text": "Hello.", "file": str(file)})

    async with serving(project) as served:
        for roots in ((), ("file:///",), (inner.as_uri(), outside.as_uri())):
            async with served.client(mode, *roots) as client:
                for file in (outside / "a.wav", "../outside/a.wav", project / "link" / "a.wav"):
                    assert "is outside of the folders" in said(await speak(client, file), refused=True)
                    assert "is outside" in said(
                        await client.call_tool("transcribe", {"file": str(file)}), refused=True
                    )
                said(await speak(client, "b.wav"))
        async with served.client(mode, outside.as_uri()) as client:
            assert "outside of the folders of --folder" in said(await speak(client, "a.wav"), refused=True)
    assert [file.name for file in outside.iterdir()] == ["a.wav"]
    assert (outside / "a.wav").read_bytes() == b"theirs"
    assert (inner / "b.wav").exists() and (project / "b.wav").exists()


@MODES
async def test_without_a_folder_there_are_no_files(tmp_path: Path, mode: Any) -> None:
    (tmp_path / "a.wav").write_bytes(b"theirs")
    async with serving() as served, served.client(mode, "file:///", tmp_path.as_uri()) as client:
        for tool, given in (("transcribe", {}), ("speak", {"text": "Hello."})):
            result = await client.call_tool(tool, {"file": str(tmp_path / "a.wav"), **given})
            assert "--folder FOLDER" in said(result, refused=True)
    assert (tmp_path / "a.wav").read_bytes() == b"theirs"


async def test_half_heads_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts = ReadTimeouts(head_s=0.2, check_interval_s=0.05)
    monkeypatch.setattr(front, "TcpTable", partial(TcpTable, timeouts=timeouts))
    async with serving() as served, asyncio.timeout(WITHIN_S):
        slow = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(50)]
        for _, writer in slow:
            writer.write(b"POST /mcp HTTP/1.1\r\nHost: ")
        for reader, writer in slow:
            assert await reader.read() == b""
            writer.close()
        async with served.client() as client:
            assert (await client.list_tools()).tools


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "max_tcp_connections", lambda *_: 20)
    async with serving() as served, asyncio.timeout(WITHIN_S):
        slow = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(40)]
        async with served.client() as client:
            assert (await client.list_tools()).tools
        ended = [asyncio.create_task(reader.read()) for reader, _ in slow]
        await happens(lambda: sum(task.done() for task in ended) >= 20)
        for task, (_, writer) in zip(ended, slow, strict=True):
            task.cancel()
            writer.close()


async def test_sessions_are_bounded() -> None:
    async with serving() as served, httpx2.AsyncClient() as http:
        first = await served.open_session(http)
        listening = {"authorization": f"Bearer {KEY}", "mcp-session-id": first} | ACCEPT
        async with http.stream("GET", served.address, headers=listening, timeout=WITHIN_S) as stream:
            assert stream.status_code == 200
            opened = [await served.open_session(http) for _ in range(3 * MAX_SESSIONS)]
            await happens(lambda: served.sessions == {first, *opened[1 - MAX_SESSIONS :]})
            async with served.client("auto") as client:
                assert (await client.list_tools()).tools
            ping = {"method": "ping"}
            for session, status in ((first, 200), (opened[0], 404), (opened[-1], 200), (opened[-9], 200)):
                answer = await served.send(http, ping, mcp_session_id=session)
                assert answer.status_code == status
            # The one that was used last goes last.
            await served.open_session(http)
            await happens(lambda: opened[1 - MAX_SESSIONS] not in served.sessions)
            assert {first, opened[-9]} <= served.sessions
        together = await asyncio.gather(*(served.open_session(http) for _ in range(MAX_SESSIONS)))
        await happens(lambda: len(served.sessions) == MAX_SESSIONS)
        assert {*together} & served.sessions
        for session in served.sessions:
            gone = await http.delete(served.address, headers=listening | {"mcp-session-id": session})
            assert gone.status_code == 200
        assert not served.sessions


class Silent:
    """A loudspeaker that takes a first piece and no further one, until it is to fall silent."""

    def __init__(self) -> None:
        self.ended = ""

    def __call__(self, sample_rate: int) -> Silent:
        return self

    def write(self, pcm: bytes) -> None: ...

    def abort(self) -> None:
        self.ended = "aborted"


async def test_calls_of_clients_that_left_are_bounded() -> None:
    """A call goes on without its connection, since the client may come back for the answer."""
    async with serving() as served, httpx2.AsyncClient() as http:
        session = await served.open_session(http)
        call = {"method": "tools/call", "params": {"name": "speak", "arguments": {"text": "Hello."}}}
        async with served.tools._speaker:
            for number in range(MAX_CALLS):
                asked = {"jsonrpc": "2.0", **call, "id": number}
                headers = ACCEPT | {"authorization": f"Bearer {KEY}", "mcp-session-id": session}
                async with http.stream("POST", served.address, json=asked, headers=headers) as answer:
                    assert answer.status_code == 200
            await happens(lambda: served.tools._calls[session] == MAX_CALLS)
            refused = await served.send(http, call, mcp_session_id=session)
            assert "too many calls at once: 64" in refused.text
            for _ in range(MAX_SESSIONS):
                other = await served.open_session(http)
            await happens(lambda: not served.tools._calls)
            answer = await served.send(http, {"method": "ping"}, mcp_session_id=other)
            assert answer.status_code == 200


async def test_a_client_that_does_not_tell_its_roots_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "ANSWER_S", 0.2)
    async with serving(tmp_path) as served, httpx2.AsyncClient() as http:
        session = await served.open_session(http, roots={})
        asked = {"method": "tools/call", "params": {"name": "transcribe", "arguments": {"file": "a.wav"}}}
        answer = await served.send(http, asked, mcp_session_id=session)
        assert "does not tell its folders" in answer.text


@MODES
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
async def test_roots_of_every_kind_get_an_answer(tmp_path: Path, mode: Any) -> None:
    async with serving(tmp_path) as served:
        for root, reason in (("tmp", "valid URL"), ("https://example.org/", "scheme should be 'file'")):
            async with served.client(mode, root) as client:
                try:
                    told = said(await client.call_tool("transcribe", {"file": "a.wav"}), refused=True)
                except MCPError as error:
                    told = str(error)
                assert reason in told and "roots.0.uri" in told
        async with served.client(mode, *[f"file:///{number}" for number in range(5_000)]) as client:
            result = await client.call_tool("transcribe", {"file": "a.wav"})
            assert "100 folders (roots), not 5000" in said(result, refused=True)


@MODES
async def test_cancelled_speech_falls_silent(mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    player = Silent()
    monkeypatch.setattr(tools, "find_player", lambda: player)
    async with serving() as served, served.client(mode) as client:
        begun = asyncio.Event()

        async def see(*_: Any) -> None:
            begun.set()

        text = {"text": "Hello there. " * 500}
        speaking = asyncio.create_task(client.call_tool("speak", text, progress_callback=see))
        await asyncio.wait_for(begun.wait(), WITHIN_S)
        speaking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await speaking
        await happens(lambda: player.ended)
        assert player.ended == "aborted"


async def test_program_serves_and_ends(tmp_path: Path) -> None:
    arguments = ["-m", "kani", "mcp", "--engine", "espeak", "--http", "0", "--folder", str(tmp_path)]
    environment = os.environ | {"KANI_API_KEYS": KEY, "PYTHONPATH": str(ROOT)}
    program = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            assert program.stderr is not None
            address = (await program.stderr.readline()).decode().split()[-1]
            async with httpx2.AsyncClient() as http:
                assert (await http.get(address)).status_code == 401
            served = Served(SpeechTools("espeak", "none"), address)
            async with served.client("legacy") as client:
                assert "a.wav: " in said(await client.call_tool("speak", {"text": "Hi.", "file": "a.wav"}))
                # The client's stream of messages is still open.
                program.terminate()
                assert await program.wait() == 0
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
