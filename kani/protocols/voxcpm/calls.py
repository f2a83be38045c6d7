"""Descriptions of the HTTP calls of VoxCPM's page."""

from kani.core.audio.pcm import MEDIA_TYPES
from kani.protocols.shared.calls.call import Call, CallGroup, audio_answer, json_answer, path_parameter, query
from kani.protocols.shared.calls.schemas import Schema, fields, flag, items, mapping, text, whole
from kani.protocols.voxcpm.http import MAX_QUERY_LENGTH

_ERRORS = (400, 404, 429, 500, 503, 504)


def call_group() -> CallGroup:
    counts = mapping("Numbers of voices by category.", whole())
    return CallGroup(
        "VoxCPM",
        "The HTTP calls of the VoxCPM server's page. Its WebSocket is on /tts.",
        "VoxCPMError",
        fields(error=text("The error: field and limit.")),
        (
            Call(
                "GET /api/config",
                "Show the WebSocket's address, default parameters and limits",
                json_answer("The configuration.", _config()),
            ),
            Call(
                "GET /api/voices",
                "List the voices",
                json_answer("By category; a plain list for a search.", _voices()),
                parameters=query(
                    category=text("Only voices of this category.", longest=MAX_QUERY_LENGTH),
                    search=text("Only voices that contain this text.", longest=MAX_QUERY_LENGTH),
                ),
                errors=(400,),
            ),
            Call(
                "GET /api/voices/categories",
                "List the categories of voices",
                json_answer("The categories.", fields(categories=items(fields(name=text(), count=whole())))),
            ),
            Call(
                "GET /api/voices/stats",
                "Count the voices",
                json_answer(
                    "The numbers.",
                    fields(
                        total_voices=whole(),
                        total_categories=whole(),
                        initialized=flag(),
                        voices_per_category=counts,
                        voices_by_category=counts,
                    ),
                ),
            ),
            Call(
                "GET /api/voices/{voice_id}/audio",
                "Play a sample of a voice",
                audio_answer("The sample.", *MEDIA_TYPES.values()),
                parameters=(path_parameter("voice_id", "Id of a voice in the list.", "em_alex"),),
                errors=_ERRORS,
            ),
        ),
    )


def _config() -> Schema:
    return fields(
        "Addresses and parameters under the names of VoxCPM's documentation and of its code.",
        wsUrl=text(),
        defaultParams=mapping(),
        websocket_url=text(),
        default_params=mapping(),
        voxcpm_port=flag("Whether this is the port of the VoxCPM server or of its page."),
        constraints=mapping("The longest text, and the range of each number."),
    )


def _voices() -> Schema:
    rows = items(mapping())
    listed = {"anyOf": [mapping("Lists of voices by category.", rows), rows]}
    return fields(voices=listed, total=whole("The number of all voices."))
