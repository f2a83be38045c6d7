"""What an answer tells of how its speech sounds like a recording, for every dialect that tells it."""

from __future__ import annotations

from typing import Any

from speech.session.session import SpeechSession

NEAREST_VOICE_NOTE = (
    "This is as near as the built-in voices come to the recording: near it, not the same voice."
)
"""What a client is told for whom the nearest voice speaks."""


def cloning_fields(session: SpeechSession) -> dict[str, Any]:
    """``cloning``; where the engine only comes near ``similarity``, to three digits, and ``cloning_note``.

    Known from the first chunk on.
    """
    told: dict[str, Any] = {"cloning": session.cloning_kind}
    if (similarity := session.similarity) is not None:
        told["similarity"] = {
            "before": round(similarity.before, 3),
            "now": round(similarity.now, 3),
            "measured": similarity.measured,
        }
    if session.cloning_kind == "nearest voice":
        told["cloning_note"] = NEAREST_VOICE_NOTE
    return told
