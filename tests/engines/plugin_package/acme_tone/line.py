"""A protocol that answers each line of text with the bytes of its speech: their count, and 16-bit samples.

It has a port of its own, and a WebSocket path, where a line is a message.
"""

from contextlib import nullcontext

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from kani.core.audio.pcm import pcm16
from kani.core.service import SpeechService
from kani.core.types import SpeechRequest
from kani.protocols.shared.protocol import ByteStream, Context, Protocol, ServeStream, StreamPort


def protocol(path: str) -> Protocol:
    """Return the protocol; path: of its WebSocket."""

    def routes(context: Context) -> list[BaseRoute]:
        async def serve(websocket: WebSocket) -> None:
            await websocket.accept()
            async for text in websocket.iter_text():
                await websocket.send_bytes(await _spoken(context.service, text))

        return [WebSocketRoute(path, serve)]

    def stream(context: Context) -> ServeStream:
        async def serve(stream: ByteStream) -> None:
            while line := await stream.reader.readline():
                speech = await _spoken(context.service, line.decode())
                stream.writer.write(b"%d\n" % len(speech) + speech)

        return serve

    names = ("acme_line_port", "acme_line", "acme_line_allow")
    port = StreamPort("Acme", *names, 4096, stream, advertise=lambda addresses: nullcontext())
    return Protocol(routes, streams=(port,))


async def _spoken(service: SpeechService, text: str) -> bytes:
    async with service.open(SpeechRequest(language="en"), protocol="acme_line") as session:
        session.feed(text)
        session.finish()
        return b"".join([pcm16(chunk.samples) async for chunk in session])
