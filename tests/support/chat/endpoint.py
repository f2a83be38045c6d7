"""A chat endpoint of OpenAI's form on a socket of its own, which follows a script: a peer on the wire.

Its answers are scripted, so that a test knows what is to be heard; the connection, the status, the stream and
its faults are as real servers send them.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Script = Callable[[dict[str, Any]], "Answer"]
"""Returns the answer to a request's body."""


@dataclass
class Answer:
    """An answer: pieces of its text, of a call, or raw lines of the stream."""

    pieces: Sequence[str] = ()
    calls: Sequence[tuple[str, str]] = ()  # names and arguments of tools
    status: int = 200
    error: Any = None  # body of another status; a text is sent as it is
    before: Sequence[str] = ()  # raw data before the text: chunks without choices, comments …
    holds: dict[int, asyncio.Event] = field(default_factory=dict)  # awaited before the piece of that number
    dies_after: int | None = None  # pieces, after which the connection breaks off
    finish: str | None = "stop"


def say(text: str, **rest: Any) -> Answer:
    """Return an answer in pieces of a word each, as models write."""
    words = text.split(" ")
    return Answer([word if n == 0 else f" {word}" for n, word in enumerate(words)], **rest)


@dataclass
class SpeakingModel:
    """A script: one answer, or a refusal."""

    answer: str
    refusal: Answer
    refuses: bool = False

    def __call__(self, body: dict[str, Any]) -> Answer:
        return self.refusal if self.refuses else say(self.answer)


class ChatEndpoint:
    """``requests``: the bodies so far; ``headers``: theirs; ``closed``: set once a client has left early."""

    def __init__(self, script: Script, models: Sequence[str] = ("tiny",)) -> None:
        self.script = script
        self.models = models
        self.loading = 0  # requests of the models that are answered with 503
        self.list_status = 200
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.closed = asyncio.Event()
        self.url = ""

    @property
    def said(self) -> list[list[tuple[str, str]]]:
        """Role and text of each message of each request."""
        return [[(each["role"], each["content"]) for each in body["messages"]] for body in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.paths.append(head[0].split(" ")[1])
                self.headers.append(headers)
                if head[0].startswith("GET"):
                    status, self.loading = (503, self.loading - 1) if self.loading else (self.list_status, 0)
                    _write(writer, status, {"data": [{"id": name} for name in self.models]})
                    continue
                asked = json.loads(body)
                self.requests.append(asked)
                await self._answer(self.script(asked), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if answer.error is not None:
            _write(writer, answer.status, answer.error)
            return
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        left = asyncio.ensure_future(reader.read(1))
        try:
            for number, data in enumerate(_stream(answer)):
                if (hold := answer.holds.get(number)) is not None:
                    held = asyncio.ensure_future(hold.wait())
                    await asyncio.wait({held, left}, return_when=asyncio.FIRST_COMPLETED)
                    held.cancel()
                if left.done():
                    self.closed.set()
                    raise ConnectionError
                if answer.dies_after == number:
                    writer.transport.abort()
                    raise ConnectionError
                event = data.encode()
                writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                await writer.drain()
            writer.write(b"0\r\n\r\n")
        finally:
            left.cancel()
            await asyncio.wait({left})


def _stream(answer: Answer) -> Iterator[str]:
    """Events before the text are the first piece's."""
    first = "".join(answer.before) + _chunk({"role": "assistant", "content": None})
    for number, piece in enumerate(answer.pieces or [""]):
        yield (first if number == 0 else "") + _chunk({"content": piece})
    rest = ""
    for index, (name, arguments) in enumerate(answer.calls):
        cut = len(arguments) // 2
        begun = {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": ""}}
        rest += _chunk({"tool_calls": [{"index": index, **begun}]})
        for part in (arguments[:cut], arguments[cut:]):
            rest += _chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    if answer.finish is not None:
        rest += _chunk({}, "tool_calls" if answer.calls else answer.finish)
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 3}}
    last = {"id": "chat", "choices": [], "usage": usage}
    yield rest + f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n"


def _chunk(delta: dict[str, Any], reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return f"data: {json.dumps({'id': 'chat', 'choices': [choice]})}\n\n"


def _write(writer: asyncio.StreamWriter, status: int, body: Any) -> None:
    kind, text = ("text/html", body) if isinstance(body, str) else ("application/json", json.dumps(body))
    head = (
        f"HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {len(data := text.encode())}\r\n\r\n"
    )
    writer.write(head.encode() + data)


@asynccontextmanager
async def chat_endpoint(script: Script, **rest: Any) -> AsyncIterator[ChatEndpoint]:
    """Serve on a free port of this machine."""
    endpoint = ChatEndpoint(script, **rest)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(endpoint.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield endpoint
    finally:
        server.close()
        for task in [*tasks]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
