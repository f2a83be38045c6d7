"""Descriptions of the calls that make tokens for LiveKit rooms."""

from __future__ import annotations

from kani.protocols.shared.calls.call import Body, Call, CallGroup, json_answer, query
from kani.protocols.shared.calls.schemas import fields, flag, mapping, nullable, text

_ERRORS = (400, 413, 500)


def call_group(max_name_bytes: int) -> CallGroup:
    """Return the calls; max_name_bytes: of a room, an identity or a name, as UTF-8."""
    limit = f"At most {max_name_bytes} bytes; made up by default."
    return CallGroup(
        "LiveKit",
        "Tokens for LiveKit rooms, signed with the key of the LiveKit server in the settings.",
        "LiveKitError",
        fields(detail=text("The error: field and limit.")),
        (
            Call(
                method="GET",
                path="/token",
                summary="Make a token, as the relay's app reads it",
                parameters=query(identity=text(limit), room=text(limit)),
                answers={
                    200: json_answer(
                        "The token.", fields(accessToken=text(), url=text(), room=text(), identity=text())
                    )
                },
                errors=_ERRORS,
            ),
            Call(
                method="POST",
                path="/token",
                summary="Make a token by LiveKit's standard endpoint",
                body=Body(
                    fields(
                        "Fields may have their names in camel case too.",
                        [],
                        room_name=text(limit),
                        participant_identity=text(limit),
                        participant_name=text(f"At most {max_name_bytes} bytes."),
                        participant_metadata=text(),
                        participant_attributes=mapping("Texts by name.", text()),
                        room_config=mapping("Configuration of the room, without egress."),
                    ),
                    {"room_name": "reading", "participant_identity": "ana"},
                ),
                answers={201: json_answer("The token.", fields(server_url=text(), participant_token=text()))},
                errors=_ERRORS,
            ),
            Call(
                method="GET",
                path="/debug",
                summary="Show whether tokens can be made",
                answers={
                    200: json_answer(
                        "The state.",
                        fields(
                            status=text(),
                            default_room=text(),
                            livekit_url=nullable(text()),
                            credentials_loaded=flag(),
                        ),
                    )
                },
            ),
        ),
    )
