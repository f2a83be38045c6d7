"""Values that break parsers, and every place of a message that may hold one.

A message is described by a JSON schema: that of a msgspec struct, or of the OpenAPI document.
"""

import ast
import copy
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import msgspec

from tests.fuzzing.mutator import INPUTS, SEED, Mutator

HALF = "\ud800"
DIGITS = "9" * 5000
"""More than Python converts to an integer."""

Schema = Mapping[str, Any]
Path = tuple[str | int, ...]


class Raw(str):
    """JSON as it is sent: Python writes no integer of so many digits."""


def nested(depth: int, *, objects: bool = False) -> Raw:
    begin, end = ('{"a":', "}") if objects else ("[", "]")
    return Raw(begin * depth + "0" + end * depth)


HALVES = (HALF, f"a{HALF}b", [HALF], {HALF: HALF})
NUMBERS = (Raw(DIGITS), Raw("1" + "0" * 400), Raw("-1e5000"), Raw("NaN"))
"""An integer with too many digits, one that is no float, an endless float, and none."""
LEVELS = (nested(90), nested(90, objects=True), nested(900))
"""What is taken, and what Python's parser just takes, but nothing that goes through its values."""
TEXTS = (DIGITS, "1e5000", "²", "a\0b", nested(3000))
"""Texts from which numbers, names and JSON are read."""
_DIGITS = "9" * 4400  # still too many, in a document that is not too long to be spoken
SSML = (
    f'<speak><sub alias="&#{_DIGITS};">a</sub></speak>',
    f"<speak><p&#{_DIGITS};>a</p></speak>",
    f'<speak><prosody rate="{_DIGITS}%"><break/>a</prosody></speak>',
    '<speak><say-as interpret-as="数\u2028">a</say-as></speak>',
    '<speak><phoneme alphabet="\r\nX-Y: z" ph="a">a</phoneme></speak>',
)
DOCUMENTS = ("text", "input")
"""Fields that hold SSML."""

VALUES: tuple[Any, ...] = (*HALVES, *NUMBERS, *LEVELS, *TEXTS)
DEEP = nested(100_000)
BROKEN: tuple[str, ...] = (
    *(DEEP, nested(100_000, objects=True), DIGITS, f'"{DIGITS}"', "[" * 50_000, "NaN", ""),
)
"""Whole messages."""
_HALF = HALF.encode("utf-8", "surrogatepass")
PACKED: tuple[bytes, ...] = (
    *map(
        msgspec.msgpack.encode,
        (2**64 - 1, -(2**63), 1e300, float("inf"), DIGITS, [2**64 - 1], None, {"a": 1}, *SSML),
    ),
    bytes([0xA0 + len(_HALF)]) + _HALF,
    *(b"\x91" * depth for depth in (500, 100_000)),
    *(head + b"\xff" * 4 for head in (b"\xdd", b"\xc6", b"\xdf")),
)
"""The same in MessagePack, and lengths without content."""


def schema_of(kind: type) -> Schema:
    """Return the schema of a struct, with references resolved."""
    found, components = msgspec.json.schema_components([kind])
    return resolved(found[0], components)


def resolved(schema: Any, components: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [resolved(each, components) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(name := schema.get("$ref"), str):
        return resolved(components[name.rpartition("/")[2]], components)
    return {key: resolved(value, components) for key, value in schema.items()}


def object_of(names: Sequence[str], **known: Schema) -> Schema:
    return {"type": "object", "properties": {**{name: {} for name in names}, **known}}


def names_in(*modules: ModuleType) -> list[str]:
    """Return the texts by which a parser may look up a field: those in calls and subscripts, and of cases."""
    found: dict[str, None] = {}
    for module in modules:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            match node:
                case ast.Call():
                    texts = node.args
                case ast.Subscript():
                    texts = [node.slice]
                case ast.Tuple():
                    texts = node.elts
                case _:
                    continue
            values = [each.value for each in texts if isinstance(each, ast.Constant)]
            found |= dict.fromkeys(each for each in values if isinstance(each, str) and _is_name(each))
    return [*found]


def _is_name(text: str) -> bool:
    return text.replace("-", "_").isidentifier() and text.islower()


def sample(schema: Schema) -> Any:
    """Return a value that fits a schema, of an object only what is required."""
    if "examples" in schema:
        return schema["examples"][0]
    for key in ("enum", "anyOf"):
        if key in schema:
            return schema[key][0] if key == "enum" else sample(schema[key][0])
    kind = schema.get("type")
    match kind if not isinstance(kind, list) else kind[0]:
        case "object":
            fields = schema.get("properties", {})
            return {name: sample(fields[name]) for name in schema.get("required") or ()}
        case "array":
            return [sample(schema.get("items") or {})]
        case "number" | "integer":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
    return "a"


def places(schema: Schema) -> Iterator[tuple[Path, list[Schema]]]:
    """Yield each place of a message, with the schemas on the way to it."""
    yield (), [schema]
    below: list[tuple[str | int, Schema]] = [*(schema.get("properties") or {}).items()]
    if isinstance(more := schema.get("additionalProperties"), dict):
        below.append(("name", more))
    if isinstance(items := schema.get("items"), dict):
        below.append((0, items))
    for step, inner in below:
        for path, schemas in places(inner):
            yield (step, *path), [schema, *schemas]
    for other in schema.get("anyOf", ()):
        yield from ((path, schemas) for path, schemas in places(other) if path)


def messages(schema: Schema, example: Any = None) -> Iterator[tuple[str, str]]:
    """Yield each place and a message with a bad value in it, as JSON in ASCII."""
    example = sample(schema) if example is None else example
    for path, schemas in places(schema):
        if not path:
            continue
        values = (*VALUES, *SSML) if {*path[-2:]} & {*DOCUMENTS} else VALUES
        name = ".".join(map(str, path))
        for value in values:
            yield f"{name} = {shown(value)}", written(_with(example, path, schemas, value))
    if isinstance(example, dict):
        yield "a name", written({**example, HALF: HALF, "a\0": nested(900)})
        yield from ((shown(text), text) for text in mutated(example, INPUTS // 20))


def mutated(example: Any, count: int) -> Iterator[str]:
    """Yield JSON with values changed, dropped, added or wrapped, and texts that are none."""
    mutator = Mutator(f"{SEED}/{example}")
    yield from (mutator.json(example).encode(errors="replace").decode() for _ in range(count))


def shown(value: Any) -> str:
    return ascii(value)[:40]


def _with(example: Any, path: Path, schemas: list[Schema], value: Any) -> Any:
    if not path:
        return value
    step, *rest = path
    whole: Any = copy.copy(example)
    if isinstance(step, int):
        before = whole[0] if isinstance(whole, list) and whole else sample(schemas[1])
        return [_with(before, tuple(rest), schemas[1:], value)]
    whole = whole if isinstance(whole, dict) else {}
    before = whole[step] if step in whole else sample(schemas[1])
    return {**whole, step: _with(before, tuple(rest), schemas[1:], value)}


def written(message: Any) -> str:
    """Return JSON in ASCII: UTF-8 cannot write half a surrogate pair, JSON can escape it."""
    raws: list[str] = []

    def marked(value: Any) -> Any:
        match value:
            case Raw():
                raws.append(value)
                return f"\x01{len(raws) - 1}\x01"
            case dict():
                return {key: marked(each) for key, each in value.items()}
            case list():
                return [marked(each) for each in value]
        return value

    text = json.dumps(marked(message))
    for number, raw in enumerate(raws):
        text = text.replace(f'"\\u0001{number}\\u0001"', raw)
    return text


def is_json(text: str) -> bool:
    """Return whether each line can be parsed by others than Python, which writes ``NaN`` and ``Infinity``."""
    try:
        for line in text.strip().split("\n"):
            json.loads(line, parse_constant=lambda name: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return False
    return True
