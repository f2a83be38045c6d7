"""OpenAI's audio API as the server mounts it."""

from typing import Any

from starlette.routing import BaseRoute

from kani.protocols.openai import live, realtime
from kani.protocols.openai.calls import call_group
from kani.protocols.openai.errors import error_body
from kani.protocols.openai.lists import list_paths, list_routes
from kani.protocols.openai.live import live_routes
from kani.protocols.openai.plugin import Settings
from kani.protocols.openai.realtime import EphemeralKeys, realtime_routes
from kani.protocols.openai.realtime.unmute.lists import HEALTH_PATH
from kani.protocols.openai.realtime.webrtc.routes import Calls
from kani.protocols.openai.speech import audio_file, speech_routes
from kani.protocols.openai.transcription import PATHS as RECORDING_PATHS
from kani.protocols.openai.transcription import transcription_routes, uploads_of
from kani.protocols.shared.plugin import ServerSettings
from kani.protocols.shared.protocol import Context, PathClass, Protocol, Refusal

MAX_TEXT = 100_000
PREFIXES = ("/v1/audio/", "/v1/realtime", "/v1/models/", "/dev/", *live.PATHS)
"""Prefixes of the protocol's paths, those that are not served included."""

_NOT_SERVED = {
    **dict.fromkeys(
        (
            *("/v1/chat/", "/v1/completions", "/v1/responses", "/v1/conversations", "/v1/assistants"),
            *("/v1/threads", "/v1/embeddings", "/v1/moderations", "/v1/images/"),
        ),
        "this server speaks and transcribes, it is no language model; one that it was started with (--llm) "
        "answers in conversations, as at /v1/realtime",
    ),
    "/v1/files": "this server keeps no files of OpenAI's API",
    "/v1/batches": "this server has no batches",
    **dict.fromkeys(live.PATHS, "sessions come by WebSocket or WebRTC, not by SIP; none is stored"),
    "/v1/realtime/translations": "speech is not translated while it comes",
    "/v1/realtime/calls/": "calls come by WebRTC, not by SIP",
    "/dev/": "of Kokoro-FastAPI's own calls this server has /dev/captioned_speech",
}
"""Reasons by prefixes of paths that a client of OpenAI's API may call, and this server does not have."""


def protocol(own: Settings, server: ServerSettings) -> Protocol:
    keys, max_text = EphemeralKeys(), server.max_text or MAX_TEXT
    uploads = uploads_of(server.max_upload)

    def routes(context: Context) -> list[BaseRoute]:
        service, calls, told = context.service, Calls(), server.setting("llm_instructions")
        return [
            *speech_routes(service, max_text),
            *list_routes(service),
            *transcription_routes(service, uploads),
            *realtime_routes(context, told, keys, own.mcp_servers, calls),
            *live_routes(context, told, calls),
        ]

    return Protocol(
        routes,
        paths={**list_paths(), HEALTH_PATH: PathClass.PUBLIC},
        refusals=dict.fromkeys((*PREFIXES, *_NOT_SERVED), _refusal_body),
        max_message=dict.fromkeys((realtime.PATH, *live.PATHS), realtime.MAX_MESSAGE_BYTES),
        temporary_keys=dict.fromkeys((realtime.PATH, realtime.CALLS_PATH), keys.is_valid),
        max_body={**dict.fromkeys(RECORDING_PATHS, uploads.max_body), audio_file.PATH: audio_file.MAX_BYTES},
        health_fields=lambda: {"max_upload_mib": server.max_upload >> 20},
        one_process=(
            realtime.CALLS_PATH,
            f"{realtime.PATH}?call_id",
            *(f"POST {path}" for path in live.PATHS),
            *(f"{path}/" for path in live.PATHS),
        ),
        calls=lambda: call_group(max_text, server.max_upload),
    )


def _refusal_body(refusal: Refusal) -> dict[str, Any]:
    if not refusal.call or refusal.status not in (404, 405):
        return error_body(refusal.status, refusal.reason)
    path = refusal.call.partition(" ")[2]
    reasons = (reason for prefix, reason in _NOT_SERVED.items() if path.startswith(prefix))
    reason = f": {found}" if (found := next(reasons, "")) else ""
    return error_body(refusal.status, refusal.reason + reason)
