"""Every field of every message and call with values that break parsers: answered in the protocol's own way.

No connection ends without an answer, and no error is logged. The HTTP calls and their fields are those of the
OpenAPI document, which tests of its own compare with the routes and the parsers.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kani.core.audio.pcm import wav
from kani.protocols.shared.calls.call import FORM, JSON
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
from tests.protocols.foreign.doors import DOORS, UNMUTE, Case, Door
from tests.protocols.foreign.values import (
    BROKEN,
    HALF,
    TEXTS,
    is_json,
    messages,
    object_of,
    resolved,
    schema_of,
    shown,
)
from tests.support.chat.endpoint import chat_endpoint, say
from tests.support.loudness import LoudnessRecognizer
from tests.support.patience import WITHIN_S
from tests.support.servers.app_server import application
from tests.support.servers.serving import InProcessServer, serving
from tests.support.sessions import build
from tests.support.tone import ToneEngine

HEADERS = ("accept-language", "x-request-timeout", "x-consent", "x-request-id", "traceparent", "range")
HALF_IN_URL = "%ED%A0%80"
HALF_IN_FORM = HALF.encode("utf-8", "surrogatepass")
RATE = 16_000
RECORDING = wav(np.sin(np.arange(2 * RATE) / 20).astype(np.float32) * 0.6, RATE)
WITHOUT_SSML = ("/dev/dialogue",)  # it would speak thousands of digits


SHORT = {f"KANI_{name}MAX_TEXT": "4500" for name in ("", "OPENAI_", "ELEVENLABS_", "VOXCPM_")}
"""Room for the documents of ``values.SSML``; ``values.DIGITS`` would take long to speak."""

LIVEKIT = {"LIVEKIT_URL": "wss://rooms.example", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "s" * 32}


@dataclass
class House:
    """A server with all of its doors open, and what is wrong with its answers."""

    server: InProcessServer
    caplog: pytest.LogCaptureFixture
    problems: list[str] = field(default_factory=list)
    _seen: int = 0

    def note(self, about: str, *found: str) -> None:
        """Note what was found wrong, and the errors that were logged since the last call."""
        new = self.caplog.records[self._seen :]
        self._seen += len(new)
        logged = (each.getMessage() for each in new if each.levelno >= logging.ERROR or each.exc_info)
        self.problems += [f"{about}: {each}" for each in (*found, *logged) if each]


OpenHouse = Callable[..., Awaitable[House]]


@pytest.fixture
async def house(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[OpenHouse]:
    """Serve, by settings; at the end nothing may be wrong, nor logged as an error."""
    houses: list[House] = []
    async with AsyncExitStack() as running:

        async def start(**environment: str) -> House:
            endpoint = await running.enter_async_context(chat_endpoint(lambda _: say("Yes.")))
            own = {"KANI_LLM_URL": endpoint.url, "KANI_COMPAT": "1", "KANI_WYOMING": "1"}
            engine, settings = ToneEngine(places=8, clones=True), SHORT | LIVEKIT | own | environment
            served = serving(tmp_path, LoudnessRecognizer(), engine, **settings)
            houses.append(House(await running.enter_async_context(served), caplog))
            return houses[-1]

        yield start
    for each in houses:
        each.note("the end")
        assert not each.problems, "\n".join(each.problems[:100])


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


async def tried(here: House, door: Door, url: str, cases: Iterable[Case], **options: Any) -> None:
    """Send each case, on one connection as long as that is open."""
    client: ClientConnection | None = None
    try:
        for about, frames in cases:
            if client is None:
                client = await connect(url, additional_headers=door.options, max_size=None, **options)
            try:
                for frame in frames:
                    await client.send(frame)
            except ConnectionClosed:
                pass  # by the answer to an earlier frame
            here.note(about, await answered(client, door))
            if client.close_code is not None or door is UNMUTE:
                await client.close()
                client = None
    finally:
        if client is not None:
            await client.close()


@pytest.mark.parametrize(
    ("door", "more"),
    [*((door, {}) for door in DOORS), (DOORS[-1], {"KANI_LLM_URL": ""})],
    ids=[*(door.path for door in DOORS), "without a language model"],
)
async def test_messages(house: OpenHouse, door: Door, more: dict[str, str]) -> None:
    here = await house(**more)
    await tried(here, door, here.server.url + door.path, door.cases())


async def test_unmute(house: OpenHouse) -> None:
    here = await house()
    url = f"ws://127.0.0.1:{here.server.compat['Kani REST']}{UNMUTE.path}"
    await tried(here, UNMUTE, url, UNMUTE.cases(), subprotocols=["realtime"])


async def test_handshakes(house: OpenHouse) -> None:
    here = await house()
    for door in DOORS:
        url = here.server.url + door.path
        join = "&" if "?" in url else "?"
        texts = [*("".join(f"%{byte:02X}" for byte in text[:2000].encode()) for text in TEXTS), HALF_IN_URL]
        tries = [(f"{url}{join}{name}={text}", {}) for name in door.query for text in texts]
        tries += [(url, {name: text}) for name in HEADERS for text in ("9" * 5000, "1e5000", "²")]
        for address, headers in tries:
            found = ""
            try:
                async with connect(address, additional_headers=door.options | headers):
                    pass
            except InvalidStatus as refused:
                if refused.response.status_code >= 500:
                    found = f"{refused.response.status_code}"
            here.note(f"{address[:100]} {ascii(headers)[:100]}", found)


async def test_every_websocket_is_tried(tmp_path: Path) -> None:
    app = application(tmp_path, build(tmp_path, ToneEngine()))
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


def wyoming() -> Iterator[tuple[str, str]]:
    """Lines of events, each with what is wrong with it."""

    def event(kind: str, data: str) -> str:
        return f'{BEFORE.get(kind, "")}{{"type": "{kind}", "data_length": {len(data)}}}\n{data}'

    for text in BROKEN:
        yield f"{text[:20]!r}…", f"{text[:60_000]}\n"
        yield f"data {text[:20]!r}…", event("ping", text)
    for kind, struct in WYOMING.items():
        for about, text in messages(schema_of(struct), GOOD.get(struct)):
            yield f"{kind}, {about}", event(kind, text)
    header = object_of(["type", "data", "data_length", "payload_length", "version"])
    yield from ((about, f"{text}\n") for about, text in messages(header, {"type": "ping"}))


async def test_wyoming(house: OpenHouse) -> None:
    structs = {each for each in vars(events).values() if isinstance(each, type(VoiceChoice))}
    assert structs == {VoiceChoice, *WYOMING.values()}
    here = await house()
    for about, sent in wyoming():
        reader, writer = await asyncio.open_connection("127.0.0.1", here.server.streams["Wyoming"])
        writer.write(sent.encode() + b'{"type": "ping", "data": {"text": "the end"}}\n')
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), WITHIN_S)
        writer.close()
        ended = b"the end" in answer or b'"error"' in answer
        here.note(about, "" if ended else f"{answer[-200:]!r}")


Attempt = tuple[str, httpx.Request]
"""A request with one bad value, and which one."""


def attempts(method: str, path: str, call: Mapping[str, Any]) -> Iterator[Attempt]:
    """Requests of a call of the document."""
    parameters = call.get("parameters", ())
    good = {each["name"]: _example(each["schema"]) for each in parameters if each["in"] == "path"}
    content = call.get("requestBody", {}).get("content", {})
    kind, media = next(iter(content.items()), ("", {}))
    example = media.get("example")

    def request(about: str, url: str = "", query: str = "", **rest: Any) -> Attempt:
        url = url or path.format(**{name: quote(value) for name, value in good.items()})
        if "content" not in rest and "files" not in rest:
            rest |= _body(kind, example)
        return f"{method} {path}, {about}", httpx.Request(method, f"http://x{url}{query}", **rest)

    texts = [(shown(text), quote(text[:3000])) for text in TEXTS] + [("half", HALF_IN_URL)]
    for parameter in parameters:
        name, place = parameter["name"], parameter["in"]
        for about, text in texts:
            if place == "path":
                bad = {key: text if key == name else quote(value) for key, value in good.items()}
                yield request(f"{name} = {about}", path.format(**bad))
            elif place == "query":
                yield request(f"?{name} = {about}", query=f"?{name}={text}")
    for name in {*HEADERS, *(each["name"] for each in parameters if each["in"] == "header")}:
        for text in ("9" * 5000, "1e5000", "²", HALF):
            value = text.encode("utf-8", "surrogatepass")
            yield request(f"{name}: {shown(text)}", headers=[(name.encode(), value)])
    if kind == JSON:
        yield from (request(f"body {each[:20]!r}", content=each) for each in BROKEN)
        found = messages(media["schema"], example, ssml=path not in WITHOUT_SSML)
        yield from (request(about, content=text) for about, text in found)
    elif kind == FORM:
        values = [*(text.encode() for text in TEXTS), HALF_IN_FORM, b'{"a": "\\ud800"}', b"[" * 10_000]
        for name in media["schema"]["properties"]:
            for value in values:
                yield request(f"{name} = {value[:20]!r}", **_body(FORM, {**example, name: value}))
        typed = {"content-type": f"{FORM}; boundary=x"}
        yield request("a name", content=b"--x\r\n" + HALF_IN_FORM, headers=typed)


def _example(schema: Mapping[str, Any]) -> str:
    return str((schema.get("examples") or schema["enum"])[0])


def _body(kind: str, example: Any) -> dict[str, Any]:
    if kind == FORM:
        files = {name: ("a.wav", RECORDING) for name, value in example.items() if str(value)[:1] == "@"}
        return {"files": [(name, files.get(name, (None, value))) for name, value in example.items()]}
    return {"json": example} if kind == JSON else {"content": b"a book"} if kind else {}


async def test_calls(house: OpenHouse) -> None:
    here = await house()
    origin = here.server.http_url
    good = httpx.Request("POST", "http://x/v1/audio/speech", json={"input": "uno", "voice": "tone_es"})
    async with httpx.AsyncClient() as client:
        spec = (await client.get(f"{origin}/openapi.json")).json()
        schemas = spec["components"]["schemas"]
        if find_spec("aiortc") is None:
            del spec["paths"]["/v1/realtime/calls"]  # answered with 503

        async def send(about: str, request: httpx.Request) -> int:
            request.url = request.url.copy_with(host="localhost", port=here.server.port)
            known = {"host": f"localhost:{here.server.port}", "authorization": "Bearer public_token"}
            request.headers.update(known)
            try:
                answer = await client.send(request)
            except httpx.HTTPError as error:
                here.note(about, f"no answer: {error!r}")
                return 0
            parsed = answer.headers.get("content-type") != JSON or is_json(answer.text)
            here.note(about, "" if parsed else f"no JSON: {answer.text[:200]}")
            return answer.status_code

        for path, methods in spec["paths"].items():
            for method, call in methods.items():
                asked = {part: call[part] for part in ("parameters", "requestBody") if part in call}
                for about, request in attempts(method.upper(), path, resolved(asked, schemas)):
                    status = await send(about, request)
                    if status == 429 or status >= 500:
                        here.note(about, f"{status}")
        assert await send("a good request", good) == 200
