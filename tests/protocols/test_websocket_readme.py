"""The examples of WEBSOCKET_README.md, sent to a real server as they are written."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.conftest import ServerProcess

README = Path(__file__).parent.parent.parent / "WEBSOCKET_README.md"
EXAMPLES = re.findall(r"^```\n(C> .*?)\n```$", README.read_text(encoding="utf-8"), re.M | re.S)
MEASURED = {"duration", "chunk_size", "spans"}
"""Fields with the values of one machine; everything else is compared byte for byte."""


def normalized(value: Any) -> Any:
    """A message with the audio elided and the measured values replaced by what kind they are."""
    if not isinstance(value, dict):
        return value
    elided = {key: "…" for key in ("audio",) if value.get(key)}
    kinds = {key: type(item).__name__ for key, item in value.items() if key in MEASURED}
    return {key: normalized(item) for key, item in value.items()} | elided | kinds


def merged(messages: list[str]) -> list[str]:
    """Normalize messages, consecutive chunks of a stream as one: their number depends on the engine."""
    kept: list[str] = []
    for message in messages:
        line = json.dumps(normalized(json.loads(message)), ensure_ascii=False)
        if not (kept and kept[-1] == line and '"tts_stream_chunk"' in line):
            kept.append(line)
    return kept


def test_examples_are_found() -> None:
    assert len(EXAMPLES) == 8


@pytest.mark.parametrize("example", EXAMPLES)
async def test_example_is_answered_as_documented(server: ServerProcess, example: str) -> None:
    # A long message goes on in indented lines.
    lines = re.sub(r"\n +", " ", example).splitlines()
    sent = [line[3:] for line in lines if line.startswith("C> ")]
    expected = [line[3:] for line in lines if line.startswith("S> ")]
    assert len(sent) + len(expected) == len(lines)
    ends = sum("tts_stream_chunk" not in line for line in expected)
    received: list[str] = []
    async with connect(server.url, max_size=None) as socket:
        for line in sent:
            await socket.send(line)
        while sum("tts_stream_chunk" not in line for line in received) < ends:
            message = await asyncio.wait_for(socket.recv(), 300)
            assert isinstance(message, str)
            received.append(message)
    assert merged(received) == merged(expected)
