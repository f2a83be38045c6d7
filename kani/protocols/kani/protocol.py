"""Kani's protocol as the server mounts it."""

from kani.core.request import MAX_TEXT
from kani.protocols.kani.http import http_routes
from kani.protocols.kani.messages import Config, Spoken
from kani.protocols.kani.plugin import Settings
from kani.protocols.kani.websocket import websocket_routes
from kani.protocols.shared.calls.call import Answer, Body, Call, CallGroup, audio_answer
from kani.protocols.shared.calls.schemas import fields, struct, text
from kani.protocols.shared.plugin import ServerSettings
from kani.protocols.shared.protocol import CompatPort, Protocol

_HEADERS = {
    "X-Unused": "Names of the given fields without effect.",
    "X-Cloning": "Kind of cloning, for a reference_audio or a stored voice.",
    "X-Similarity": "Similarity of the voice to its recording, as JSON, where it was measured.",
    "X-Cloning-Note": "A sentence about the cloning.",
}
_FORMAT_HEADERS = {
    "X-Sample-Rate": "Samples in a second.",
    "X-Channels": "Channels: 1.",
    "X-Bit-Depth": "Bits of a sample: 16.",
}
_ERRORS = (400, 500, 503, 504)


def protocol(_: Settings, server: ServerSettings) -> Protocol:
    """Return the protocol, with the port of the original REST server."""
    max_text = server.max_text or MAX_TEXT
    return Protocol(
        lambda context: [*websocket_routes(context.service), *http_routes(context.service)],
        ports=(CompatPort("rest_port", "http", "Kani REST"),),
        calls=lambda: _calls(max_text),
    )


def _calls(max_text: int) -> CallGroup:
    """Return the calls; max_text: characters of a text."""
    properties = {**struct(Spoken, text=max_text)["properties"], **struct(Config)["properties"]}
    schema = fields("A null equals a missing field.", ["text"], **properties)
    body = Body(schema, {"text": "Hola, ¿cómo estás?", "language": "es"}, name="KaniSpeech")
    packets = (
        "Packets of audio: a length of 4 bytes, little endian, and that many bytes of 16-bit samples. "
        "A length of 0 ends the audio, 0xFFFFFFFF reports a failure."
    )
    return CallGroup(
        "Kani",
        "The REST calls of Kani-TTS' original server. Its WebSocket is on /.",
        "KaniError",
        fields(detail=text("The error: field and limit.")),
        (
            Call(
                "POST /tts",
                "Speak a text as a WAV file",
                audio_answer("The whole speech.", "audio/wav", headers=_HEADERS),
                body=body,
                errors=_ERRORS,
            ),
            Call(
                "POST /stream-tts",
                "Speak a text while it is synthesized",
                Answer(packets, {"application/octet-stream": {}}, _FORMAT_HEADERS | _HEADERS),
                body=body,
                errors=_ERRORS,
            ),
        ),
    )
