"""The OpenAPI document against the application: its routes, its answers, its limits, its keys."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import numpy as np
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from kani.composition.speech_service import build_diarizer
from kani.core.audio.pcm import wav
from kani.engines.espeak.engine import EspeakReferenceVoice
from kani.protocols.openai.live import PATHS as LIVE_PATHS
from tests.support.loudness import LoudnessRecognizer
from tests.support.servers.app_server import application
from tests.support.servers.serving import InProcessServer, serving
from tests.support.sessions import build
from tests.support.tone import ToneEngine

RATE = 16_000
RECORDING = wav(np.sin(np.arange(5 * RATE) / 20).astype(np.float32) * 0.6, RATE)
KEY = "key-of-the-test"
LIVEKIT = {"LIVEKIT_URL": "wss://rooms.example", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "s" * 32}

EXPECTED = {
    # Plain GET on a WebSocket's path, and ids that only a run can know.
    **dict.fromkeys(("GET /api/tts_streaming", "GET /api/tts-streaming", "GET /api/asr-streaming"), 400),
    **{f"{method} /v1/audio/voice_consents/{{consent}}": 404 for method in ("GET", "POST", "DELETE")},
    "POST /v1/books": 400,  # the bytes of a recording
    "POST /v1/books/audio": 400,
    "POST /v1/books/speakers": 400,  # no language model
    "GET /v1/books/audio/{id}": 404,
    "GET /v1/convai/conversation/get-signed-url": 400,  # without the name of an agent
    "POST /v1/realtime/calls": 413,  # the same
    "POST /v1/realtime/calls/{call_id}/hangup": 404,
    **{f"POST {path}": 403 for path in LIVE_PATHS},  # no language model
    **{f"POST {path}/{{session_id}}/hangup": 404 for path in LIVE_PATHS},
    "GET /v1/voices/{voice_id}/samples/{sample_id}/audio": 404,
    "DELETE /v1/voices/{voice_id}/samples/{sample_id}": 404,
    "GET /api/voices/{voice_id}/audio": 404,
}
"""Status of a call's example, where it is no success."""

REFUSED = (400, 413, 422)
Send = Callable[[httpx2.Request], Awaitable[httpx2.Response]]


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    fields: Mapping[str, Any]
    spec: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def body(self) -> tuple[str, Mapping[str, Any]] | None:
        """Content type of the body, and its schema and example."""
        content = self.fields.get("requestBody", {}).get("content", {})
        return next(iter(content.items()), None)

    @property
    def order(self) -> tuple[bool, bool]:
        """Order calls: those that store before those that read, those that delete last."""
        return self.method == "DELETE", not (self.method == "POST" and "{" not in self.path)

    def resolved(self, part: Any) -> Any:
        if part is None or "$ref" not in part:
            return part
        *_, kind, name = part["$ref"].split("/")
        return self.spec["components"][kind][name]

    def request(
        self,
        body: Any = None,
        at: Mapping[str, str] | None = None,
        query: str | dict[str, Any] | None = None,
        **given: Any,
    ) -> httpx2.Request:
        """The request of the example, or with another body.

        at: path parameters that differ, as an address has them; query: in addition; given: what httpx2 sends.
        """
        path = self.path
        for parameter in self.fields.get("parameters", ()):
            if (name := parameter["name"]) and parameter["in"] == "path":
                value = (parameter["schema"].get("examples") or parameter["schema"]["enum"])[0]
                path = path.replace(f"{{{name}}}", (at or {}).get(name) or quote(value))
        if self.body is not None and "content" not in given:
            kind, media = self.body
            sent = media.get("example") if body is None else body
            if kind == "application/json":
                given |= {"json": sent}
            elif kind == "multipart/form-data":
                files = {name: ("a.wav", RECORDING) for name, value in sent.items() if str(value)[:1] == "@"}
                texts = {
                    name: (None, value if isinstance(value, str | bytes) else json.dumps(value))
                    for name, value in sent.items()
                }
                given |= {"files": [*(texts | files).items()]}
            else:
                given |= {"content": RECORDING}
        return httpx2.Request(self.method, f"http://localhost{path}", params=query or None, **given)

    def problem(self, answer: httpx2.Response) -> str | None:
        """List the properties of an answer that the document lacks."""
        said = self.resolved(self.fields["responses"].get(str(answer.status_code)))
        if said is None:
            return f"{self.name}: {answer.status_code} is not documented: {answer.text[:200]}"
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if not kind and not answer.content:
            return None
        if kind not in said.get("content", {}):
            return f"{self.name}: {answer.status_code} with {kind} is not documented"
        if kind != "application/json" or "\n" in answer.text.strip():
            return None
        schema = {"components": self.spec["components"], **said["content"][kind]["schema"]}
        wrong = next(Draft202012Validator(schema).iter_errors(answer.json()), None)
        return wrong and f"{self.name}: {answer.status_code}: {wrong.json_path}: {wrong.message[:300]}"


def operations(spec: Mapping[str, Any]) -> list[Operation]:
    """All calls of a document, in an order that lets their examples succeed."""
    found = [
        Operation(method.upper(), path, fields, spec)
        for path, methods in spec["paths"].items()
        for method, fields in methods.items()
    ]
    return sorted(found, key=lambda operation: operation.order)


def wrong_values(schema: Mapping[str, Any]) -> Iterator[Any]:
    """Values that do not fit a field's schema."""
    if "minimum" in schema:
        yield schema["minimum"] - 1
    if "maximum" in schema:
        yield schema["maximum"] * 2 + 1
    if "maxLength" in schema:
        yield "a" * (schema["maxLength"] + 1)
    if "enum" in schema:
        yield "no-such-choice"
    wrong_type = {"string": 7, "number": "x", "integer": "x", "boolean": "x", "array": 7, "object": 7}
    if "enum" not in schema and schema.get("type") in wrong_type:
        yield wrong_type[schema["type"]]


def wrong_requests(operation: Operation) -> Iterator[tuple[str, httpx2.Request]]:
    """Requests with one wrong field or parameter each, and its name and value."""
    kind, media = operation.body or ("", {"schema": {}})
    for name, schema in operation.resolved(media["schema"]).get("properties", {}).items():
        cases = [({name: value}, name) for value in wrong_values(schema)]
        cases += [
            ({name: {inner: value}}, f"{name}.{inner}")
            for inner, each in schema.get("properties", {}).items()
            for value in wrong_values(each)
        ]
        for change, where in cases:
            # Every value of a form is a text: only limits can be broken.
            if kind == "application/json" or "enum" in schema or "minimum" in schema:
                yield f"{where} = {str(change)[:200]}", operation.request(media["example"] | change)
    for parameter in operation.fields.get("parameters", ()):
        limits = {name: value for name, value in parameter["schema"].items() if name != "type"}
        for value in wrong_values(limits) if parameter["in"] == "query" else ():
            name = parameter["name"]
            yield f"{name} = {str(value)[:99]}", operation.request(query={name: value})


async def test_document_is_valid_and_lists_routes(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        answer = await server.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    spec = answer.raise_for_status().json()
    OpenAPIV31SpecValidator(spec).validate()
    assert "\n" not in spec["info"]["description"]
    documented = set()
    for operation in operations(spec):
        schemas = [each["schema"] for each in operation.fields.get("parameters", ()) if each["in"] == "path"]
        names = next((schema["enum"] for schema in schemas if "enum" in schema), [""])
        documented |= {(operation.method, operation.path.replace("{file}", name)) for name in names}
    assert documented == {
        (method, route.path.replace(":path}", "}"))
        for route in application(tmp_path, build(tmp_path / "voices", ToneEngine())).routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    used = {tag for each in operations(spec) for tag in each.fields["tags"]}
    assert used == {tag["name"] for tag in spec["tags"]}


@asynccontextmanager
async def sending(server: InProcessServer, host: str, **headers: str) -> AsyncIterator[Send]:
    """Give a function that sends requests to a server, under one of its names."""
    async with httpx2.AsyncClient(timeout=60) as client:

        async def send(request: httpx2.Request) -> httpx2.Response:
            request.url = request.url.copy_with(host=host, port=server.port)
            request.headers.update({"host": f"{host}:{server.port}", **headers})
            return await client.send(request)

        yield send


DOCUMENT = "http://localhost/openapi.json"


async def test_every_call_answers_and_refuses_as_documented(tmp_path: Path) -> None:
    problems = []
    async with (
        serving(tmp_path, LoudnessRecognizer(), diarizer=build_diarizer(), **LIVEKIT) as server,
        sending(server, "localhost", authorization="Bearer public_token") as send,
    ):
        assert server.service is not None
        server.service.recognition.reference_voice = EspeakReferenceVoice()
        for operation in operations((await send(httpx2.Request("GET", DOCUMENT))).json()):
            answer = await send(operation.request())
            problems.append(operation.problem(answer))
            expected = EXPECTED.get(operation.name)
            if answer.status_code != expected if expected else not answer.is_success:
                problems.append(f"{operation.name}: {answer.status_code} {answer.text[:200]}")
            for wrong, request in wrong_requests(operation):
                answer = await send(request)
                problems.append(operation.problem(answer))
                if answer.status_code not in REFUSED:
                    problems.append(f"{operation.name}: accepted {wrong}")
    assert [problem for problem in problems if problem] == []


async def test_calls_need_a_key_where_the_document_says_so(tmp_path: Path) -> None:
    problems = []
    async with (
        serving(tmp_path, KANI_HOST="0.0.0.0", KANI_API_KEYS=KEY) as server,
        sending(server, "127.0.0.1") as send,
    ):
        spec = (await send(httpx2.Request("GET", DOCUMENT))).json()
        for operation in operations(spec):
            answer = await send(operation.request())
            security = operation.fields.get("security", spec["security"])
            needed = security != [] and {} not in security
            if (answer.status_code == 401) != needed:
                problems.append(f"{operation.name}: {answer.status_code}, key needed: {needed}")
            problems.append(operation.problem(answer))
    assert [problem for problem in problems if problem] == []
