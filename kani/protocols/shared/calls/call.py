"""One HTTP call as the OpenAPI document describes it, and the calls of one protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from kani.protocols.shared.calls.schemas import Schema

JSON = "application/json"
FORM = "multipart/form-data"
BINARY: Schema = {}
"""Schema of bytes: OpenAPI 3.1 has none for a body that is not text."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the path, the query or a header."""

    name: str
    schema: Schema
    place: str = "query"  # "path", "query" or "header"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a request; the example is one that the server accepts."""

    schema: Schema
    example: Any
    media_type: str = JSON
    name: str = ""  # of the schema among the document's components, where several calls share it


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: its content by media type, none for an answer without a body."""

    about: str
    content: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # descriptions by name


@dataclass(frozen=True, slots=True)
class Call:
    """A method on a path.

    errors: statuses that the protocol answers in its own shape. Those of the server (401, 403, 413, 503) are
    added by the document.
    """

    route: str  # as "GET /v1/voices/{voice}", without a converter
    summary: str
    answer: Answer | Mapping[int, Answer]  # that of 200, or all by their statuses
    _: KW_ONLY
    about: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    errors: tuple[int, ...] = ()

    @property
    def method(self) -> str:
        """As "GET"."""
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        """Path with its parameters in braces."""
        return self.route.partition(" ")[2]

    @property
    def answers(self) -> Mapping[int, Answer]:
        """Answers by their statuses."""
        return {200: self.answer} if isinstance(self.answer, Answer) else self.answer


@dataclass(frozen=True, slots=True)
class CallGroup:
    """The calls of one protocol, with the shape of its errors."""

    name: str
    about: str
    error_name: str  # name of the schema of an error, among the document's components
    error: Schema
    calls: Sequence[Call]


def path_parameter(name: str, about: str, example: str) -> Parameter:
    """Return a parameter of the path."""
    schema = {"type": "string", "description": about, "examples": [example]}
    return Parameter(name, schema, "path", required=True)


def query(**schemas: Schema) -> tuple[Parameter, ...]:
    """Return optional parameters of the query."""
    return tuple(Parameter(name, schema) for name, schema in schemas.items())


def json_answer(about: str, schema: Schema, **headers: str) -> Answer:
    """Return an answer of JSON; headers: descriptions by name, with _ for -."""
    return Answer(about, {JSON: schema}, {name.replace("_", "-"): text for name, text in headers.items()})


def audio_answer(about: str, *media_types: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer of bytes, in one of ``media_types``."""
    return Answer(about, dict.fromkeys(dict.fromkeys(media_types), BINARY), headers or {})
