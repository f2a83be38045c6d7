"""The fields of answers that report how closely their speech matches a recording."""

from typing import Any

from kani.core.session.session import SpeechSession
from kani.core.types import Similarity

NEAREST_VOICE_NOTE = (
    "This is as near as the built-in voices come to the recording: near it, not the same voice."
)
"""Explains to clients what ``cloning`` "nearest voice" means."""


def similarity_fields(similarity: Similarity) -> dict[str, Any]:
    """Return a similarity as JSON, its numbers with three decimals."""
    return {
        "before": round(similarity.before, 3),
        "now": round(similarity.now, 3),
        "measured": similarity.measured,
    }


def cloning_fields(session: SpeechSession) -> dict[str, Any]:
    """Return ``cloning``, and for a nearest voice ``similarity`` and ``cloning_note``.

    Valid from the session's first chunk on.
    """
    fields: dict[str, Any] = {"cloning": session.cloning_kind}
    if (similarity := session.similarity) is not None:
        fields["similarity"] = similarity_fields(similarity)
    if session.cloning_kind == "nearest voice":
        fields["cloning_note"] = NEAREST_VOICE_NOTE
    return fields
