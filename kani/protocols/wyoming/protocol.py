"""Wyoming as the server mounts it."""

from __future__ import annotations

from collections.abc import Awaitable

from kani.core.request import MAX_TEXT
from kani.protocols.shared.plugin import ServerSettings
from kani.protocols.shared.protocol import ByteStream, Context, Protocol, ServeStream, StreamPort
from kani.protocols.wyoming.connection import Connection
from kani.protocols.wyoming.discovery import advertised
from kani.protocols.wyoming.framing import MAX_LINE_BYTES
from kani.protocols.wyoming.info import Description
from kani.protocols.wyoming.plugin import Settings


def protocol(settings: Settings, server: ServerSettings) -> Protocol:
    max_text = server.max_text or MAX_TEXT

    def serve_with(context: Context) -> ServeStream:
        service = context.service
        description = Description(service, server.version, settings)

        def serve(stream: ByteStream) -> Awaitable[None]:
            return Connection(stream, service, description, max_text, settings).run()

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
