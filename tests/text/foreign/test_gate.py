"""The gate for foreign text, and that nothing else in the package parses what strangers send."""

import ast
import html
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kani_text import foreign
from kani_text.foreign import MAX_DEPTH, Unreadable
from kani_text.ssml import parse

ROOT = Path(__file__).parents[3]
PARSERS = {
    *("json.loads", "json.load", "msgspec.json.decode", "msgspec.msgpack.decode", "msgspec.convert"),
    *("html.unescape", "ast.literal_eval"),
}
"""Calls that fail in more ways than ValueError, or in ways that their callers forget."""

DIRECT = {
    "kani_text/ssml/scanner.py": "references of seven digits at most; attributes go through the gate",
    "kani_text/markup/tags.py": "references of seven digits at most",
    "kani/protocols/openai/realtime/client_secrets.py": "a key that this process has signed",
    "kani/books/as_json.py": "what a process of this program has written",
    "kani/books/work_folder.py": "this program's own files",
    "kani/core/voices/sample_sentences.py": "a file of the package",
    "kani/core/voices/store_files.py": "this server's own files",
    "kani/core/voices/storage/folder.py": "this server's own files",
    "kani/core/voices/storage/index.py": "this server's own file",
    "kani/cli/check.py": "the answer of the server that is checked",
    "kani/cli/voices.py": "the answer of the server that a user names; RecursionError is caught",
    "kani/runtime/packages/checkpoint.py": "a checkpoint of the administrator's; RecursionError is caught",
    "kani/engines/espeak/engine.py": "a file of the package",
    "kani/engines/kokoro/checkpoints/files.py": "the same",
    "kani/engines/kokoro/student/files.py": "the same",
    "kani/engines/kokoro/voices.py": "a file that is packed at the first start",
    "kani/engines/whisper/checkpoint/contents.py": "a checkpoint of the administrator's",
}
"""Files that call a parser by themselves, with the reason."""


def direct(tree: ast.AST) -> Iterator[str]:
    """Calls of parsers outside of ``guarded``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found = {f"{node.module}.{alias.name}" for alias in node.names} & PARSERS
            yield from (f"line {node.lineno}: {name}" for name in found)
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("guarded"):
            continue
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if name in PARSERS or (node.attr == "decode" and ".Decoder" in name):
                yield f"line {node.lineno}: {name}"
        left += ast.iter_child_nodes(node)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("json.loads(x)", 1),
        ("from json import loads", 1),
        ("decode = msgspec.msgpack.Decoder(int).decode", 1),
        ("foreign.guarded(lambda: json.loads(x))", 0),
        ("json.dumps(x)", 0),
    ],
)
def test_other_ways_are_found(source: str, count: int) -> None:
    assert len([*direct(ast.parse(source))]) == count


def test_only_the_gate_parses_what_strangers_send() -> None:
    found: dict[str, list[str]] = {}
    for path in sorted(path for room in ("kani", "kani_text") for path in (ROOT / room).rglob("*.py")):
        if calls := [*direct(ast.parse(path.read_text(encoding="utf-8")))]:
            found[str(path.relative_to(ROOT))] = calls
    assert {name: calls for name, calls in found.items() if name not in DIRECT} == {}
    assert DIRECT.keys() == found.keys()


class Named(msgspec.Struct):
    name: str
    rest: Any = None


FAULTS: list[tuple[Callable[[], Any], str]] = [
    (lambda: foreign.parse_json("{"), "Expecting property name enclosed in double quotes"),
    (lambda: foreign.parse_json("[" * 100_000), "nested too deeply"),
    (lambda: foreign.parse_json("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2)), "nested too deeply"),
    (lambda: foreign.parse_json("9" * 5000), "a number has too many digits"),
    (lambda: foreign.parse_json("1e999"), "a number is too large"),
    (lambda: foreign.parse_json("NaN"), "NaN is not JSON"),
    (lambda: foreign.parse_json(b"\xff"), "'utf-8' codec can't decode"),
    (lambda: foreign.decode_json(b"[" * 100_000, Named), "expected `object`, got `array`"),
    (lambda: foreign.decode_json(b'{"name": "", "rest":' + b"[" * 100_000, Named), "nested too deeply"),
    (lambda: foreign.decode_json(b'{"name": 1}', Named), "name: expected `str`, got `int`"),
    (lambda: foreign.convert({"name": ["\ud800"]}, Named), "name: expected `str`, got `array`"),
    (lambda: foreign.convert("\ud800", int), "expected `int`, got `str`"),
    (lambda: foreign.decode_pack(msgspec.msgpack.Decoder(), b"\x91" * 5000), "nested too deeply"),
    (lambda: foreign.decode_pack(msgspec.msgpack.Decoder(), b"\xc1"), "MessagePack data is malformed"),
    (lambda: foreign.guarded(lambda: html.unescape(f"&#{'9' * 5000};")), "a number has too many digits"),
]


@pytest.mark.parametrize(("parse", "reason"), FAULTS)
def test_every_fault_is_unreadable(parse: Callable[[], Any], reason: str) -> None:
    with pytest.raises(Unreadable) as raised:
        parse()
    assert str(raised.value).startswith(reason)


def test_what_is_read_can_be_written() -> None:
    deep = "[" * MAX_DEPTH + "1.5" + "]" * MAX_DEPTH
    assert json.dumps(foreign.parse_json(deep)) == deep
    assert foreign.without_halves(foreign.parse_json('{"\\ud800": ["a\\udc00"]}')) == {"\ufffd": ["a\ufffd"]}
    assert foreign.parse_json("[NaN, 1e999]", endless=True)[1] == float("inf")


def test_half_a_pair_stays_in_a_text_and_is_replaced_where_it_cannot() -> None:
    assert foreign.convert({"name": "\ud800"}, Named).name == "\ud800"
    assert foreign.convert({"\ud800": 1, "name": "\ud800"}, Named).name in ("\ud800", "\ufffd")


def test_written_values_do_no_harm() -> None:
    assert foreign.log_value("a\x1b[2J\ud800é\n\t") == "a\\x1b[2J\\ud800é\n\t"
    assert foreign.header_value("a\r\nX: 数é") == "a\\r\\nX: \\u6570\\xe9"


def test_reference_of_thousands_of_digits_is_text_in_ssml() -> None:
    assert parse(f"<speak>&#{'9' * 5000}; a</speak>") is not None
