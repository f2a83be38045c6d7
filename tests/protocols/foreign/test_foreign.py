"""Every field of every message and call with values that break parsers: answered in the protocol's own way.

No connection ends without an answer, no error is logged, and another client hears what it heard before. The
HTTP calls and their fields are those of the OpenAPI document, which tests of its own compare with the routes
and the parsers.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kani.composition.speech_service import build_diarizer
from kani.engines.espeak.engine import EspeakReferenceVoice
from kani.protocols.openai import live
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
from kani.protocols.wyoming.framing import Event
from tests.clients.kani.wire import ask, request
from tests.fuzzing.mutator import INPUTS, SEED, Mutator
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
from tests.server.test_openapi import DOCUMENT, LIVEKIT, RECORDING, Operation, operations, sending
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


SHORT = {f"KANI_{name}MAX_TEXT": "4500" for name in ("", "OPENAI_", "ELEVENLABS_", "VOXCPM_")}
"""Room for the documents of ``values.SSML``; ``values.DIGITS`` would take long to speak."""

NO_SPEAKERS = '{"lines": {}}'
"""Answer of the language model, which may also be asked who speaks in a book."""

SPEAK = request("uno dos.", config={"voice_id": "tone_es"})


@dataclass
class House:
    """A server with all of its doors open, and what is wrong with its answers."""

    server: InProcessServer
    caplog: pytest.LogCaptureFixture
    other: ClientConnection
    spoken: Any
    problems: list[str] = field(default_factory=list)
    _seen: int = 0

    def note(self, about: str, *found: str) -> None:
        """Note what was found wrong, and the errors that were logged since the last call."""
        new = self.caplog.records[self._seen :]
        self._seen += len(new)
        logged = (each.getMessage() for each in new if each.levelno >= logging.ERROR or each.exc_info)
        self.problems += [f"{about}: {each}" for each in (*found, *logged) if each]

    async def disturbed(self) -> str:
        """True if another client hears anything else than before."""
        return "" if await ask(self.other, SPEAK) == self.spoken else "another client heard it"


OpenHouse = Callable[..., Awaitable[House]]


@pytest.fixture
async def house(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[OpenHouse]:
    """Serve, by settings; at the end nothing may be wrong, nor logged as an error."""
    houses: list[House] = []
    async with AsyncExitStack() as running:

        async def start(**environment: str) -> House:
            endpoint = await running.enter_async_context(chat_endpoint(lambda _: say(NO_SPEAKERS)))
            own = {"KANI_LLM_URL": endpoint.url, "KANI_COMPAT": "1", "KANI_WYOMING": "1"}
            engine, settings = ToneEngine(places=8, clones=True), SHORT | LIVEKIT | own | environment
            served = serving(tmp_path, LoudnessRecognizer(), engine, diarizer=build_diarizer(), **settings)
            server = await running.enter_async_context(served)
            assert server.service is not None
            server.service.recognition.reference_voice = EspeakReferenceVoice()
            other = await running.enter_async_context(connect(server.url))
            houses.append(House(server, caplog, other, await ask(other, SPEAK)))
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


SOME_OR_ALL = pytest.mark.parametrize(
    "step", [16, pytest.param(1, marks=pytest.mark.heard)], ids=["each sixteenth", "all"]
)
"""All cases take minutes; the first tier tries each sixteenth."""


async def tried(here: House, door: Door, url: str, cases: Iterable[Case], **options: Any) -> None:
    """Send each case, on one connection as long as that is open."""
    client: ClientConnection | None = None
    try:
        for number, (about, frames) in enumerate(cases):
            if client is None:
                client = await connect(url, additional_headers=door.options, max_size=None, **options)
            try:
                for frame in frames:
                    await client.send(frame)
            except ConnectionClosed:
                pass  # by the answer to an earlier frame
            here.note(about, "" if number % 20 else await here.disturbed(), await answered(client, door))
            if client.close_code is not None or door.once:
                await client.close()
                client = None
    finally:
        if client is not None:
            await client.close()


@SOME_OR_ALL
@pytest.mark.parametrize(
    ("door", "more"),
    [*((door, {}) for door in DOORS), (DOORS[-1], {"KANI_LLM_URL": ""})],
    ids=[*(door.path for door in DOORS), "without a language model"],
)
async def test_messages(house: OpenHouse, door: Door, more: dict[str, str], step: int) -> None:
    here = await house(**more)
    await tried(here, door, here.server.url + door.path, islice(door.cases(), None, None, step))


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
    # Those lead into the session of a call: its events are those of the other WebSockets.
    attached = {f"{path}/{{session_id}}/attach" for path in live.PATHS}
    assert {door.route or door.path for door in DOORS} == served - {"/{path:path}"} - attached


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
THE_END = b'{"type": "ping", "data": {"text": "the end"}}\n'
GOOD = {Synthesize: {"text": "a"}, SynthesizeChunk: {"text": "a"}}


EVENTS = b"".join(
    Event(kind, data, payload).pack()
    for kind, data, payload in (
        ("describe", {}, b""),
        ("synthesize", {"text": "uno dos.", "voice": {"name": "tone_es"}}, b""),
        ("synthesize-start", {"voice": {"language": "es"}, "context": {}}, b""),
        ("synthesize-chunk", {"text": "tres "}, b""),
        ("synthesize-stop", {}, b""),
        ("transcribe", {"language": "es", "vad_sensitivity": "default"}, b""),
        ("audio-chunk", {"rate": 16_000, "width": 2, "channels": 1}, bytes(2560)),
        ("audio-stop", {"timestamp": 1}, b""),
    )
)


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
    mutator = Mutator("wyoming")
    mutated = (("", mutator.bytes(EVENTS)) for _ in range(300))
    lines = ((about, text.encode() + THE_END) for about, text in wyoming())
    for number, (about, sent) in enumerate((*mutated, *lines)):
        reader, writer = await asyncio.open_connection("127.0.0.1", here.server.streams["Wyoming"])
        writer.write(sent)
        writer.write_eof()
        disturbed = "" if number % 20 else await here.disturbed()
        answer = await asyncio.wait_for(reader.read(), WITHIN_S)
        writer.close()
        ended = not about or b"the end" in answer or b'"error"' in answer
        here.note(about, disturbed, "" if ended else f"{answer[-200:]!r}")


def attempts(call: Operation) -> Iterator[tuple[str, httpx2.Request]]:
    """Requests of a call with one bad value each, and which one."""
    kind, media = call.body or ("", {})
    parameters = call.fields.get("parameters", ())
    texts = [(shown(text), quote(text[:3000])) for text in TEXTS] + [("half", HALF_IN_URL)]
    for parameter in parameters:
        name, place = parameter["name"], parameter["in"]
        for about, text in texts:
            if place == "path":
                yield f"{name} = {about}", call.request(at={name: text})
            elif place == "query":
                yield f"?{name} = {about}", call.request(query=f"{name}={text}")
    for name in {*HEADERS, *(each["name"] for each in parameters if each["in"] == "header")}:
        for text in ("9" * 5000, "1e5000", "²", HALF):
            value = text.encode("utf-8", "surrogatepass")
            yield f"{name}: {shown(text)}", call.request(headers=[(name.encode(), value)])
    if kind == JSON:
        yield from ((f"body {each[:20]!r}", call.request(content=each)) for each in BROKEN)
        schema = resolved(media["schema"], call.spec["components"]["schemas"])
        found = messages(schema, media["example"])
        yield from ((about, call.request(content=text)) for about, text in found)
    elif kind == FORM:
        values = [*(text.encode() for text in TEXTS), HALF_IN_FORM, b'{"a": "\\ud800"}', b"[" * 10_000]
        for name in call.resolved(media["schema"])["properties"]:
            for value in values:
                yield f"{name} = {value[:20]!r}", call.request(media["example"] | {name: value})
        typed = {"content-type": f"{FORM}; boundary=x"}
        yield "a name", call.request(content=b"--x\r\n" + HALF_IN_FORM, headers=typed)
        good, mutator = call.request(), Mutator(f"{SEED}/{call.name}")
        form_type = {"content-type": good.headers["content-type"]}
        for _ in range(INPUTS // 4):
            content = mutator.bytes(good.read().replace(RECORDING, b"RIFF"))
            yield f"{content[:40]!r}", call.request(content=content, headers=form_type)


# Starlette leaves it to Python to close what it holds, in memory, of a part that breaks off.
@pytest.mark.filterwarnings("ignore:Unclosed file <tempfile.SpooledTemporaryFile:ResourceWarning")
@SOME_OR_ALL
async def test_calls(house: OpenHouse, step: int) -> None:
    here = await house()
    good = httpx2.Request("POST", "http://x/v1/audio/speech", json={"input": "uno", "voice": "tone_es"})
    async with sending(here.server, "localhost", authorization="Bearer public_token") as send:
        spec = (await send(httpx2.Request("GET", DOCUMENT))).json()
        if find_spec("aiortc") is None:
            for path in ("/v1/realtime/calls", *live.PATHS):
                del spec["paths"][path]  # answered with 503
        for call in operations(spec):
            for about, request in islice(attempts(call), None, None, step):
                try:
                    answer = await send(request)
                    status = f"{answer.status_code}"
                    fine = answer.headers.get("content-type") != JSON or is_json(answer.text)
                    found = f"no JSON: {answer.text[:200]}" if not fine else ""
                    found = status if status == "429" or status >= "500" else found
                except httpx2.HTTPError as error:
                    found = f"no answer: {error!r}"
                here.note(f"{call.name}, {about}", found)
        assert (await send(good)).status_code == 200
