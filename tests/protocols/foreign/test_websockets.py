"""Every field of every message of every WebSocket, and of Wyoming, with values that break parsers.

Each is answered in the protocol's own way; no connection ends without an answer, and no error is logged.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kani.protocols.wyoming import events
from kani.protocols.wyoming.events import (
    AudioFormat,
    Ping,
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    Transcribe,
    VoiceChoice,
)
from kani.server.app import create_app
from kani.server.connections import Connections
from kani.server.metrics import Metrics
from kani.server.network.upload_budget import UploadBudget
from kani.server.settings import load
from tests.protocols.foreign.doors import DOORS, UNMUTE, Case, Door
from tests.protocols.foreign.house import HALF_IN_URL, HEADERS, House, house
from tests.protocols.foreign.values import BROKEN, HALF, TEXTS, is_json, messages, object_of, schema_of
from tests.support.patience import WITHIN_S
from tests.support.sessions import build
from tests.support.tone import ToneEngine


async def answered(client: ClientConnection, door: Door) -> str:
    """Wait for the answers to a case; returns what is wrong with them."""
    answers: list[Any] = []
    try:
        while True:
            answer = await asyncio.wait_for(client.recv(), WITHIN_S)
            if isinstance(answer, bytes):
                continue
            if not is_json(answer):
                return f"no JSON: {answer[:100]}"
            answers.append(json.loads(answer))
            if door.settled(answers):
                return ""
    except ConnectionClosed as end:
        if end.rcvd is None:
            return "the connection broke off"
        return f"{end.rcvd.code} {end.rcvd.reason}" if end.rcvd.code == 1011 else ""


async def tried(here: House, door: Door, url: str, cases: Iterable[Case], **options: Any) -> list[str]:
    """Send each case, on one connection as long as that is open; returns what is wrong."""
    problems: list[str] = []
    client: ClientConnection | None = None
    try:
        for about, frames in cases:
            if client is None:
                client = await connect(url, additional_headers=door.options, max_size=None, **options)
            problem = ""
            try:
                for frame in frames:
                    await client.send(frame)
            except ConnectionClosed:
                pass  # by the answer to an earlier frame
            problem = await answered(client, door)
            problems += [f"{about}: {each}" for each in (problem, *here.logged()) if each]
            if client.close_code is not None or door.settled is UNMUTE.settled:
                await client.close()
                client = None
    finally:
        if client is not None:
            await client.close()
    return problems


@pytest.mark.parametrize("door", DOORS, ids=[door.path for door in DOORS])
async def test_messages(tmp_path: Path, caplog: pytest.LogCaptureFixture, door: Door) -> None:
    async with house(tmp_path, caplog) as here:
        problems = await tried(here, door, here.server.url + door.path, door.cases())
    assert not problems, "\n".join(problems[:100])


async def test_realtime_without_a_language_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with house(tmp_path, caplog, KANI_LLM_URL="") as here:
        problems = await tried(here, DOORS[-1], here.server.url + DOORS[-1].path, DOORS[-1].cases())
    assert not problems, "\n".join(problems[:100])


async def test_unmute(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with house(tmp_path, caplog) as here:
        url = f"ws://127.0.0.1:{here.server.compat['Kani REST']}{UNMUTE.path}"
        problems = await tried(here, UNMUTE, url, UNMUTE.cases(), subprotocols=["realtime"])
    assert not problems, "\n".join(problems[:100])


async def test_handshakes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    problems: list[str] = []
    async with house(tmp_path, caplog) as here:
        for door in DOORS:
            url = here.server.url + door.path
            join = "&" if "?" in url else "?"
            texts = [*(text[:2000] for text in TEXTS), HALF]
            tries = [(f"{url}{join}{name}={_quoted(text)}", {}) for name in door.query for text in texts]
            tries += [(url, {name: text}) for name in HEADERS for text in ("9" * 5000, "1e5000", "²")]
            for address, headers in tries:
                about = f"{address[:100]} {ascii(headers)[:100]}"
                try:
                    async with connect(address, additional_headers=door.options | headers):
                        pass
                except InvalidStatus as refused:
                    if refused.response.status_code >= 500:
                        problems.append(f"{about}: {refused.response.status_code}")
                problems += [f"{about}: {each}" for each in here.logged()]
    assert not problems, "\n".join(problems[:100])


def _quoted(text: str) -> str:
    return HALF_IN_URL if text == HALF else "".join(f"%{byte:02X}" for byte in text.encode())


async def test_every_websocket_is_tried(tmp_path: Path) -> None:
    settings = load({}, {}, tmp_path / "none")
    metrics = Metrics("test")
    app = create_app(
        settings,
        build(tmp_path, ToneEngine()),
        metrics,
        Connections(9, metrics.set_connections, 9),
        UploadBudget(),
    )
    served = {route.path for route in app.routes if isinstance(route, WebSocketRoute)}
    assert {door.route or door.path for door in DOORS} == served - {"/{path:path}"}


WYOMING = {
    "synthesize": Synthesize,
    "synthesize-start": SynthesizeStart,
    "synthesize-chunk": SynthesizeChunk,
    "transcribe": Transcribe,
    "audio-start": AudioFormat,
    "audio-chunk": AudioFormat,
    "ping": Ping,
}
BEFORE = {"synthesize-chunk": '{"type": "synthesize-start"}\n'}
GOOD = {Synthesize: {"text": "a"}, SynthesizeChunk: {"text": "a"}}


def wyoming() -> list[tuple[str, str]]:
    """Lines of events, each with what is wrong with it."""
    cases = [(f"{line[:20]!r}…", f"{line[:60_000]}\n") for line in BROKEN]
    cases += [
        (f"data {data[:20]!r}…", f'{{"type": "ping", "data_length": {len(data)}}}\n{data}') for data in BROKEN
    ]
    for kind, struct in WYOMING.items():
        for about, text in messages(schema_of(struct), GOOD.get(struct)):
            data = f'{{"type": "{kind}", "data_length": {len(text)}}}\n{text}'
            cases.append((f"{kind}, {about}", BEFORE.get(kind, "") + data))
    header = object_of(["type", "data", "data_length", "payload_length", "version"])
    return [*cases, *((about, f"{text}\n") for about, text in messages(header, {"type": "ping"}))]


async def test_wyoming(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    structs = {each for each in vars(events).values() if isinstance(each, type(VoiceChoice))}
    assert structs == {VoiceChoice, *WYOMING.values()}
    problems: list[str] = []
    async with house(tmp_path, caplog) as here:
        for about, sent in wyoming():
            reader, writer = await asyncio.open_connection("127.0.0.1", here.server.streams["Wyoming"])
            writer.write(sent.encode() + b'{"type": "ping", "data": {"text": "the end"}}\n')
            writer.write_eof()
            answer = await asyncio.wait_for(reader.read(), WITHIN_S)
            writer.close()
            if b"the end" not in answer and b'"error"' not in answer:
                problems.append(f"{about}: {answer[-200:]!r}")
            problems += [f"{about}: {each}" for each in here.logged()]
    assert not problems, "\n".join(problems[:100])
