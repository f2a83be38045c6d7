"""Wyoming as the server mounts it."""

from __future__ import annotations

from collections.abc import Awaitable

from kani.protocols.shared.protocol import ByteStream, Context, Protocol, ServeStream, StreamPort
from kani.protocols.wyoming.connection import Connection
from kani.protocols.wyoming.discovery import advertised
from kani.protocols.wyoming.framing import MAX_LINE_BYTES
from kani.protocols.wyoming.info import Description
from kani.protocols.wyoming.settings import WyomingSettings


def protocol(settings: WyomingSettings) -> Protocol:
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
                serve=lambda context: _serve(context, settings),
                advertise=advertised,
            ),
        ),
    )


def _serve(context: Context, settings: WyomingSettings) -> ServeStream:
    service = context.service
    description = Description(service, settings.version, end_of_speech=settings.end_of_speech)

    def serve(stream: ByteStream) -> Awaitable[None]:
        return Connection(stream, service, description, settings).run()

    return serve
