"""The log of a real server: one id from socket to engine, and never a key or a text that nobody asked for."""

import asyncio
import json
import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx2
import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from kani.core import request_ids
from kani.server import logs
from tests.clients.kyutai.wire import KEY
from tests.conftest import ServerProcess, StartServer, server_process
from tests.protocols.languages import speakers
from tests.support.patience import until

GOOD_KEY = "zq7-good-key-of-the-administrator"
BAD_KEY = "zq7-bad-key-of-somebody-else"
THROUGH_PROXY = {"X-Forwarded-For": "192.0.2.1"}
TEXTS = {
    "kani": "Zanahorias moradas para la merienda.",
    "rest": "Bibliotecas abiertas todo el domingo.",
    "kyutai": "Murciélagos dormidos bajo el puente.",
    "voxcpm": "Golondrinas tardías sobre los tejados.",
    "elevenlabs_websocket": "Ruiseñores madrugadores entre las higueras.",
    "relay": "Salamandras brillantes junto al manantial.",
    "wrong": "Caracoles perdidos entre las lechugas.",
}
RARE_WORDS = [word for text in TEXTS.values() for word in re.findall(r"\w{8,}", text)]


def lines(server: ServerProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.splitlines()]


def ended(server: ServerProcess, count: int, before: int = 0) -> list[dict[str, Any]]:
    """The lines of so many sessions that have ended, after the first ``before`` lines."""

    def found() -> list[dict[str, Any]]:
        return [line for line in lines(server)[before:] if "outcome" in line]

    until(lambda: len(found()) == count)
    return found()


def written(server: ServerProcess) -> str:
    """All that it wrote anywhere, once it has stopped; what JSON or repr escaped, as it was."""
    server.stop()
    both = server.log + server.terminal
    return both + both.encode("latin-1", "backslashreplace").decode("unicode_escape", "replace")


def ask_in_every_way(server: ServerProcess, key: str) -> int:
    """Come in by every door, with the key in every place it may have; how often one was let in."""
    ways: list[tuple[dict[str, str], dict[str, str], list[str]]] = [
        ({"Authorization": f"Bearer {key}"}, {}, []),
        ({"xi-api-key": key}, {}, []),
        ({"kyutai-api-key": key}, {}, []),
        ({}, {"token": key}, []),
        ({}, {"auth_id": key}, []),
        ({}, {"authorization": key}, []),
        ({}, {"single_use_token": key}, []),
        ({}, {}, ["voxcpm-tts", f"Bearer.{key}"]),
    ]
    let_in = 0
    # One client: to create one takes longer than all of its requests.
    http = httpx2.Client(base_url=server.http_url, headers=THROUGH_PROXY)
    for headers, query, protocols in ways:
        paths = ("/", "/tts", "/stream_tts", "/api/tts_streaming", "/api/asr-streaming", "/nothing/here")
        for path in paths:
            with suppress(WebSocketException):
                address = str(httpx2.URL(f"{server.url}{path}", params=query))
                given = headers | THROUGH_PROXY
                subprotocols: Any = protocols or None
                with connect(address, additional_headers=given, subprotocols=subprotocols) as websocket:
                    websocket.send(b"\xff\xfe not what anybody expects")
                    let_in += 1
        for path in ("/v1/audio/voices", "/api/voices", "/metrics", "/token", "/health", "/nothing/here"):
            http.get(path, headers=headers, params=query)
        http.post("/tts", headers=headers, params=query, content=b"{")
    http.close()
    # Here a key may be told after the connection is open, too.
    for name in ("xi_api_key", "xi-api-key", "authorization"):
        with suppress(WebSocketException):
            given = {"xi-api-key": key} | THROUGH_PROXY if name == "xi_api_key" else THROUGH_PROXY
            address = f"{server.url}/v1/text-to-speech/espeak:es/stream-input"
            with connect(address, additional_headers=given) as websocket:
                websocket.send(json.dumps({"text": " ", name: key}))
                websocket.send(json.dumps({"text": ""}))
                let_in += "error" not in json.loads(websocket.recv())
    return let_in


def broken_handshakes(server: ServerProcess, key: str) -> None:
    """Heads that no HTTP server can read, each with a key in it."""
    for head in (
        f"GET /?token={key} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 12\r\n\r\n",
        f"GET / HTTP/9.9\r\nAuthorization: Bearer {key}\r\n\r\n",
        f"GET /?token={key} HTTP/1.1\r\nHost: localhost\r\nno colon {key}\r\n\r\n",
    ):
        with socket.create_connection((server.host, server.port)) as raw:
            raw.sendall(head.encode())
            raw.settimeout(300)
            with suppress(OSError):
                raw.recv(4096)


def place(server: ServerProcess) -> speakers.Place:
    return speakers.Place(server.url, server.http_url, wyoming_port=0)


async def speak_in_every_way(server: ServerProcess) -> list[str]:
    """Have each text spoken by its protocol, one be refused, and one be heard; the words that were heard."""
    for name in ("kani", "kyutai", "voxcpm", "relay", "elevenlabs_websocket"):
        await getattr(speakers, name)(place(server), [TEXTS[name]])
    async with connect_async(server.url) as websocket:
        await speakers.request(websocket, TEXTS["wrong"], temperature="hot")
    spoken = await server.post("/tts", json={"text": TEXTS["rest"]})
    await server.post("/tts", json={"text": TEXTS["wrong"], "voice_id": "nobody"})
    await server.post("/v1/text-to-speech/nobody", json={"text": TEXTS["wrong"]})
    heard = await server.post("/api/asr-streaming", headers=KEY, content=spoken.content)
    return [word["text"] for word in heard.json() if word["type"] == "Word"]


def test_no_key_is_ever_written(start_server: StartServer) -> None:
    server = start_server("--engine", "espeak", "--log-level", "DEBUG", KANI_API_KEYS=GOOD_KEY)
    assert ask_in_every_way(server, GOOD_KEY) >= 27
    assert ask_in_every_way(server, BAD_KEY) == 0
    for key in (GOOD_KEY, BAD_KEY):
        broken_handshakes(server, key)
    everything = written(server) + server.banner
    assert "opened for" in everything and "zq7" not in everything


def test_no_text_is_written_unasked(start_server: StartServer) -> None:
    server = start_server("--log-level", "DEBUG", "--log-json")
    heard = asyncio.run(speak_in_every_way(server))
    everything = written(server).lower()
    protocols = {line["protocol"] for line in lines(server) if "outcome" in line}
    assert {"kani", "kyutai", "voxcpm", "elevenlabs", "relay"} <= protocols and heard
    for word in [*RARE_WORDS, *(word for word in heard if len(word) > 7)]:
        assert word.lower() not in everything, word


def test_texts_are_written_where_they_are_asked_for(start_server: StartServer) -> None:
    server = start_server("--engine", "espeak", "--log-json", KANI_LOG_TEXT="true")
    asyncio.run(speakers.kani(place(server), [TEXTS["kani"]]))
    told = [line for line in lines(server) if "Zanahorias moradas" in line["message"]]
    assert len(told) == 1 and told[0]["logger"] == "speech.text"
    assert told[0]["request"] == ended(server, 1)[0]["request"]


@pytest.fixture(scope="module")
def verbose_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that logs each step, as JSON."""
    folder = tmp_path_factory.mktemp("verbose")
    with server_process(folder, "--engine", "espeak", "--log-json", "--log-level", "DEBUG") as running:
        yield running


@pytest.mark.server
def test_one_id_leads_from_the_socket_to_the_engine(verbose_server: ServerProcess) -> None:
    before = len(lines(verbose_server))
    answer = httpx2.post(f"{verbose_server.http_url}/tts", json={"text": "Hola."})
    request = answer.headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{8}", request)
    ended(verbose_server, 1, before)
    own = [line for line in lines(verbose_server) if line.get("request", "").startswith(request)]
    assert len({line["request"] for line in own}) == 1
    opened, spoke, closed = (
        next(place for place, line in enumerate(own) if what in line["message"])
        for what in ("opened for", "espeak synthesized", "outcome=completed")
    )
    assert opened < spoke < closed
    facts = own[closed]
    assert facts["level"] == "INFO" and facts["engine"] == "espeak" and facts["characters"] == 5
    assert facts["audio_s"] > 0.2 and facts["seconds"] >= facts["first_audio_s"] > 0


@pytest.mark.server
@pytest.mark.parametrize(
    ("path", "request_type"),
    [
        ("/", {"type": "tts_request", "data": {"text": "Hola."}}),
        ("/tts", {"type": "tts_request", "request_id": "x", "params": {"text": "Hola."}}),
    ],
)
def test_requests_of_one_connection_have_an_id_each(
    verbose_server: ServerProcess, path: str, request_type: dict[str, Any]
) -> None:
    before = len(lines(verbose_server))
    for _ in range(2):
        with connect(f"{verbose_server.url}{path}") as websocket:
            for _ in range(2):
                websocket.send(json.dumps(request_type))
                while isinstance(message := websocket.recv(), bytes) or '"progress"' in message:
                    pass
    ids = [line["request"] for line in ended(verbose_server, 4, before)]
    connections = [request.partition("-")[0] for request in ids]
    assert [request.partition("-")[2] for request in ids] == ["1", "2", "1", "2"]
    assert connections[0] == connections[1] != connections[2] == connections[3]


@pytest.mark.server
def test_refusals_have_an_id_too(verbose_server: ServerProcess) -> None:
    answers = [
        httpx2.get(f"{verbose_server.http_url}/health"),
        httpx2.get(f"{verbose_server.http_url}/metrics", headers=THROUGH_PROXY),
        httpx2.get(
            f"{verbose_server.http_url}/v1/audio/voices", headers={"Origin": "https://elsewhere.example"}
        ),
        httpx2.get(f"{verbose_server.http_url}/nothing"),
    ]
    assert [answer.status_code for answer in answers] == [200, 403, 403, 404]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 4


def record(message: str, *arguments: object, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("some.where", logging.INFO, __file__, 1, message, arguments, None)
    made.__dict__.update(extra)
    return made


def test_json_line_has_no_empty_fields() -> None:
    form = logs.JsonFormatter()
    plain = json.loads(form.format(record("hello %s", "ñ")))
    assert plain["message"] == "hello ñ" and set(plain) == {"time", "level", "logger", "message"}
    assert plain["time"].endswith("+00:00")
    facts = {"audio_s": 1.5, "engine": None, "level": "mine"}
    full = json.loads(form.format(record("done", request="7f3a9c12-3", facts=facts)))
    expected = {"request": "7f3a9c12-3", "audio_s": 1.5, "engine": None, "level": "INFO"}
    assert {name: full[name] for name in expected} == expected


def test_a_text_line_has_its_request_in_brackets() -> None:
    form = logs.TextFormatter()
    assert form.format(record("hello")).endswith(" INFO    some.where: hello")
    assert form.format(record("hello", request="7f3a9c12-3")).endswith(" some.where: [7f3a9c12-3] hello")
    try:
        raise LookupError("nobody there")
    except LookupError as error:
        broken = record("broken", request="7f3a9c12", exc_info=(LookupError, error, error.__traceback__))
    text = form.format(broken)
    assert "[7f3a9c12] broken\nTraceback" in text and text.endswith("LookupError: nobody there")


@pytest.fixture
def own_log(tmp_path: Path) -> Iterator[Path]:
    """A log file that this process writes to, as the server does."""
    root, before, level = logging.getLogger(), logging.getLogger().handlers[:], logging.getLogger().level
    file = tmp_path / "own.log"
    logs.configure("INFO", "text", file)
    yield file
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = before
    root.setLevel(level)


def test_log_line_has_the_id_of_its_task_or_record(own_log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with request_ids.bind("7f3a9c12-3"):
        logging.getLogger("speech").info("in its task")
    logging.getLogger("speech").info("elsewhere")
    logging.getLogger("engines").info("in a thread", extra={"request": "00000000-1"})
    # What no terminal should get is escaped.
    logging.getLogger("speech").info("half \ud800 a character, \x1b[2J")
    first, second, third, fourth = own_log.read_text().splitlines()
    assert first.endswith("speech: [7f3a9c12-3] in its task") and second.endswith("speech: elsewhere")
    assert third.endswith("engines: [00000000-1] in a thread")
    assert "half \\ud800 a character, \\x1b[2J" in fourth
    assert "Logging error" not in capfd.readouterr().err


def test_log_file_that_cannot_be_rotated_is_written_on(
    own_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES", 0)
    with monkeypatch.context() as closed:
        closed.setattr(os, "rename", Mock(side_effect=PermissionError))
        logs.rotate_file()
    logging.getLogger("speech").info("goes on")
    assert "goes on" in own_log.read_text()


def test_folder_of_the_log_file_is_made(own_log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = own_log.parent / "state" / "log" / "server.log"
    logs.configure("INFO", "text", made)
    assert made.is_file()
    nowhere = made / "server.log"
    logs.configure("INFO", "text", nowhere)
    assert f"WARNING server: no log file: {nowhere} (" in capfd.readouterr().err
