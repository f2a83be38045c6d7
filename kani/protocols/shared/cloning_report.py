"""The fields of answers that report how closely their speech matches a recording."""

from __future__ import annotations

from typing import Any

from kani.core.session.session import SpeechSession

NEAREST_VOICE_NOTE = (
    "This is as near as the built-in voices come to the recording: near it, not the same voice."
)
"""Explains to clients what ``cloning`` "nearest voice" means."""


def cloning_fields(session: SpeechSession) -> dict[str, Any]:
    """Return ``cloning``, and for a nearest voice ``similarity`` (three decimals) and ``cloning_note``.

    Valid from the session's first chunk on.
    """
    fields: dict[str, Any] = {"cloning": session.cloning_kind}
    if (similarity := session.similarity) is not None:
        fields["similarity"] = {
            "before": round(similarity.before, 3),
            "now": round(similarity.now, 3),
            "measured": similarity.measured,
        }
    if session.cloning_kind == "nearest voice":
        fields["cloning_note"] = NEAREST_VOICE_NOTE
    return fields
