"""Wyoming as the server mounts it."""

from __future__ import annotations

from collections.abc import Awaitable

from kani.protocols.shared.protocol import ByteStream, Context, Protocol, ServeStream, StreamPort
from kani.protocols.wyoming.connection import Connection
from kani.protocols.wyoming.discovery import advertised
from kani.protocols.wyoming.framing import MAX_LINE_BYTES
from kani.protocols.wyoming.info import Description


def protocol(version: str, max_text: int, *, end_of_speech: bool) -> Protocol:
    """Return the protocol.

    version: of this server; max_text: characters of one request; end_of_speech: whether every command is
    ended where its speech ends, without being asked.
    """

    def serve_with(context: Context) -> ServeStream:
        service = context.service
        description = Description(service, version, end_of_speech=end_of_speech)

        def serve(stream: ByteStream) -> Awaitable[None]:
            return Connection(stream, service, description, max_text, end_of_speech=end_of_speech).run()

        return serve

    return Protocol(
        lambda _: [],
        streams=(
            StreamPort(
                name="Wyoming",
                port="wyoming_port",
                option="wyoming",
                allow="wyoming_allow",
                # The first byte of a line is read by itself.
                max_line=MAX_LINE_BYTES - 1,
                serve=serve_with,
                advertise=advertised,
            ),
        ),
    )
