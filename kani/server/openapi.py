"""The OpenAPI document of all HTTP calls, at ``/openapi.json``.

It is made from the descriptions that each protocol exports (``Protocol.calls``), the access rules and the
bodies of refusals, when it is first asked for.
"""

import asyncio
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.protocols.shared.calls.call import JSON, Answer, Body, Call, CallGroup, Parameter
from kani.protocols.shared.calls.schemas import Schema
from kani.protocols.shared.protocol import KEY_HEADERS, PathClass, Protocol, plain_refusal
from kani.server.access import REQUIREMENTS, AccessRules, Requirement
from kani.server.calls import ALWAYS_SERVED, DOCUMENT_PATH, refusal_schema

REFUSAL = "Refusal"
"""Name of the schema of ``plain_refusal``."""

_ABOUT = (
    "All HTTP calls of the server; its WebSockets are described in the documentation. Every GET call answers "
    "HEAD too. An unhandled error is a 500 with the schema of a refusal."
)
_STATUSES = {
    400: "A field is missing, or its value is wrong; the answer names the field and its limit.",
    401: "A key is missing or wrong.",
    403: "The Host or Origin is not one of this server's, or the clients of a proxy need a key.",
    404: "There is no such voice, model or object.",
    409: "The name is taken.",
    413: "The body is too large.",
    422: "A field is missing or of the wrong type.",
    429: "The server is busy, or the client's limit is reached; try again later.",
    500: "The engine failed.",
    502: "The language model gave no usable answer.",
    503: "The server is starting, stopping or busy, or a part that is needed is unavailable.",
    504: "The answer was not ready in time.",
    507: "The server cannot write to its disk.",
}
_KEYS: Mapping[str, Mapping[str, str]] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    **{name: {"type": "apiKey", "in": "header", "name": name} for name in KEY_HEADERS},
    "token": {"type": "apiKey", "in": "query", "name": "token"},
}
"""Ways to send a key."""

Ways = list[dict[str, list[str]]]
_KEY: Ways = [{name: []} for name in _KEYS]
_OPTIONAL_KEY: Ways = [{}, *_KEY]


def routes(build: Callable[[], dict[str, Any]]) -> list[BaseRoute]:
    """Return the route; build: returns the document, at most once for many requests. Blocks for 20 ms."""
    document = functools.cache(lambda: msgspec.json.encode(build()))

    async def serve(request: Request) -> Response:
        headers = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
        return Response(await asyncio.to_thread(document), media_type=JSON, headers=headers)

    return [Route(DOCUMENT_PATH, serve, methods=["GET"])]


def build_document(
    own: CallGroup, protocols: Iterable[Protocol], rules: AccessRules, version: str
) -> dict[str, Any]:
    """Return the document. own: the calls of the server itself; version: of this server."""
    groups, refusals = [own], dict[str, str]()
    for protocol in protocols:
        if (group := protocol.calls()) is not None:
            groups.append(group)
            for prefix, body in protocol.refusals.items():
                refusals[prefix] = REFUSAL if body is plain_refusal else group.error_name
    builder = _Builder(rules, refusals)
    for group in groups:
        for call in group.calls:
            builder.add(group, call)
    schemas = {REFUSAL: refusal_schema()} | {group.error_name: group.error for group in groups}
    schemas |= builder.schemas
    return {
        "openapi": "3.1.0",
        "info": {"title": "Kani-TTS server", "version": version, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": group.name, "description": group.about} for group in groups],
        "security": builder.security(PathClass.PROTECTED),
        "paths": builder.paths,
        "components": {
            "schemas": schemas,
            "responses": builder.errors,
            "securitySchemes": _KEYS,
        },
    }


@dataclass(slots=True)
class _Builder:
    """The paths of the document, operation by operation, and the components that they name."""

    rules: AccessRules
    refusals: Mapping[str, str]  # names of the schemas by path prefix
    paths: dict[str, dict[str, Any]] = field(default_factory=dict)
    schemas: dict[str, Schema] = field(default_factory=dict)  # of bodies that calls share
    errors: dict[str, Any] = field(default_factory=dict)  # answers that calls share

    def add(self, group: CallGroup, call: Call) -> None:
        """Add a call; one on the path and method of another becomes its alternative."""
        methods = self.paths.setdefault(call.path, {})
        operation = self._operation(group, call)
        before = methods.get(call.method.lower())
        methods[call.method.lower()] = operation if before is None else self._either(before, operation)

    def _operation(self, group: CallGroup, call: Call) -> dict[str, Any]:
        security = self._security(call)
        default = self.security(PathClass.PROTECTED)
        operation: dict[str, Any] = {
            "operationId": f"{call.method.lower()}{re.sub('[^A-Za-z0-9-]+', '_', call.path)}".rstrip("_"),
            "tags": [group.name],
            "summary": call.summary,
            "responses": self._responses(group, call, checked=security != []),
        }
        if call.about:
            operation["description"] = call.about
        if call.parameters:
            operation["parameters"] = [_parameter(parameter) for parameter in call.parameters]
        if call.body is not None:
            media = {"schema": self._body_schema(call.body), "example": call.body.example}
            operation["requestBody"] = {"required": True, "content": {call.body.media_type: media}}
        return operation if security == default else operation | {"security": security}

    def _body_schema(self, body: Body) -> Schema:
        if not body.name:
            return body.schema
        self.schemas[body.name] = body.schema
        return {"$ref": f"#/components/schemas/{body.name}"}

    def _security(self, call: Call) -> Ways:
        """Return the ways into a call, an empty one for none, no ways where nothing is checked."""
        reading = call.method == "GET"
        path_class = self.rules.class_of(_example_path(call))
        if path_class is PathClass.PUBLIC or (path_class is PathClass.PAGE and reading):
            return []
        if path_class is PathClass.LIST and reading:
            return _OPTIONAL_KEY
        return self.security(path_class)

    def security(self, path_class: PathClass) -> Ways:
        """Return the ways into the paths of a class, for what changes something on a page or a list."""
        if path_class in (PathClass.PAGE, PathClass.LIST):
            path_class = PathClass.PROTECTED
        # A program of the server's own machine, where it listens on a loopback address.
        audience = self.rules.audience(Headers({"host": "localhost"}))
        needs_none = REQUIREMENTS[audience][path_class] is Requirement.NONE
        return _OPTIONAL_KEY if needs_none else _KEY

    def _responses(self, group: CallGroup, call: Call, *, checked: bool) -> dict[str, Any]:
        own = {str(status): _answer(answer) for status, answer in call.answers.items()}
        schemas: dict[int, set[str]] = {status: {group.error_name} for status in call.errors}
        names = (name for prefix, name in self.refusals.items() if call.path.startswith(prefix))
        refusal = next(names, REFUSAL)
        refused: tuple[int, ...] = (401, 403) if checked else ()
        refused += () if call.body is None else (413,)
        refused += () if _example_path(call) in ALWAYS_SERVED else (503,)
        for status in refused:
            schemas.setdefault(status, set()).add(refusal)
        return own | {str(status): self._error(status, schemas[status]) for status in sorted(schemas)}

    def _either(self, first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
        """Return one operation for two that a header of the request distinguishes."""
        responses = first["responses"] | second["responses"]
        for status in first["responses"].keys() & second["responses"].keys():
            answers = [self._resolved(each["responses"][status]) for each in (first, second)]
            schemas = [answer["content"][JSON]["schema"] for answer in answers]
            if schemas[0] != schemas[1]:
                responses[status] = answers[0] | {"content": {JSON: {"schema": {"anyOf": schemas}}}}
        tags = first["tags"] + second["tags"]
        return first | {"tags": tags, "description": f"{second['summary']}.", "responses": responses}

    def _resolved(self, answer: dict[str, Any]) -> dict[str, Any]:
        name = answer.get("$ref", "").rpartition("/")[2]
        found: dict[str, Any] = self.errors[name] if name else answer
        return found

    def _error(self, status: int, names: Iterable[str]) -> dict[str, Any]:
        name = f"{'Or'.join(sorted(names))}{status}"
        self.errors.setdefault(name, _error(status, names))
        return {"$ref": f"#/components/responses/{name}"}


def _example_path(call: Call) -> str:
    """Return the path with the example of each parameter in it, or with its first choice."""
    path = call.path
    for parameter in call.parameters:
        if parameter.place == "path":
            values = parameter.schema.get("examples") or parameter.schema["enum"]
            path = path.replace(f"{{{parameter.name}}}", values[0])
    return path


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = {**parameter.schema}
    about = schema.pop("description", None)
    described = {"name": parameter.name, "in": parameter.place, "required": parameter.required}
    return described | ({"description": about} if about else {}) | {"schema": schema}


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.about}
    if answer.content:
        described["content"] = {kind: {"schema": schema} for kind, schema in answer.content.items()}
    if answer.headers:
        described["headers"] = {
            name: {"description": about, "schema": {"type": "string"}}
            for name, about in answer.headers.items()
        }
    return described


def _error(status: int, names: Iterable[str]) -> dict[str, Any]:
    schemas = [{"$ref": f"#/components/schemas/{name}"} for name in sorted(names)]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return {"description": _STATUSES[status], "content": {JSON: {"schema": schema}}}
