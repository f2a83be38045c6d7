"""Answers of other servers and of engines' processes with values that break parsers: refused in words."""

import logging
from contextlib import suppress
from typing import get_args

import msgspec
import pytest

from kani.core.chat_model import ChatEnd, ChatFailed
from kani.engines.chat import wire
from kani.engines.chat.endpoint import ChatEndpoint, ChatSettings
from kani.engines.elevenlabs import engine, failures, messages
from kani.engines.remote.channel import ProtocolError
from kani.engines.remote.checks import check
from kani.engines.remote.messages import FromWorker, ToWorker, decode_from_worker, decode_to_worker
from kani_text import foreign
from tests.engines.chat.test_endpoint import answers
from tests.protocols.foreign.values import BROKEN, PACKED, names_in, object_of, schema_of
from tests.protocols.foreign.values import messages as bad
from tests.support.chat.endpoint import Answer, chat_endpoint, say

KEY = "sk_0123456789abcdef"
ERROR = object_of(["error", "message", "detail"], error=object_of(["message", "type"]))
"""An error of a chat endpoint, of any form."""


async def test_chat_endpoint(caplog: pytest.LogCaptureFixture) -> None:
    """Each ends an answer, or fails it as ChatFailed."""
    chunks = [text for _, text in bad(schema_of(wire.Chunk), {"choices": [{"delta": {"content": "a"}}]})]
    errors = [text for _, text in bad(ERROR, {"error": {"message": "a"}})]
    scripts = [say("Yes.", before=[f"data: {text}\n\n"]) for text in [*chunks, *errors, *BROKEN]]
    scripts += [Answer(status=status, error=text) for status in (400, 500) for text in [*errors, *BROKEN]]
    scripts += [Answer(calls=[("a", text)]) for text in BROKEN]
    left = iter(scripts)
    async with chat_endpoint(lambda _: next(left)) as served:
        model = ChatEndpoint(ChatSettings(served.url, "tiny"))
        for _ in scripts:
            with suppress(ChatFailed):
                assert isinstance((await answers(model))[-1], ChatEnd)
        await model.stop()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("text", [text for _, text in bad(schema_of(wire._Models), {"data": []})])
def test_list_of_models(text: str) -> None:
    with suppress(foreign.Unreadable):
        wire.read_models(text.encode())


def test_elevenlabs_streams_errors_and_voices() -> None:
    names = names_in(messages)
    alignments = {name: object_of(names) for name in ("alignment", "normalizedAlignment")}
    for text in [*BROKEN, *(text for _, text in bad(object_of(names, **alignments), {"error": "a"}))]:
        with suppress(ValueError):
            if (error := messages.parse(text).error) is not None:
                assert str(failures.from_error_frame(*error, KEY))
    detail = object_of(["status", "message"])
    for text in [
        *BROKEN,
        *(text for _, text in bad(object_of([], detail=detail), {"detail": {"status": "a"}})),
    ]:
        assert str(failures.from_http_response(500, text.encode(), KEY))
    voice = object_of(["voice_id", "name"], labels=object_of(["gender"]))
    listed = object_of([], voices={"type": "array", "items": voice})
    for _, text in bad(listed, {"voices": [{"voice_id": "a", "name": "a"}]}):
        with suppress(failures.UpstreamFailed):
            assert isinstance(engine.read_voices(text.encode()), tuple)


def test_messages_of_processes() -> None:
    for union, decode in ((ToWorker, decode_to_worker), (FromWorker, decode_from_worker)):
        for kind in get_args(union):
            good = [msgspec.msgpack.encode(value) for value in (kind.__struct_config__.tag, 1, 1, 1, 1, 1, 1)]
            for place in range(len(kind.__struct_fields__) + 1):
                for value in PACKED:
                    parts = [*good[:place], value, *good[place + 1 : len(kind.__struct_fields__) + 1]]
                    message = bytes([0x90 + min(len(parts), 15)]) + b"".join(parts[:15])
                    with suppress(foreign.Unreadable, ProtocolError):
                        check(decode(message))
