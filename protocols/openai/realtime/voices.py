"""Voices by the names that Realtime's clients send."""

from __future__ import annotations

from speech.service import SpeechService

OPENAI_VOICES = frozenset(
    "alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse".split()
)


def resolve_voice(service: SpeechService, name: str, text: str) -> str | None:
    """Return the id of a voice; None for the default voice of the text's language."""
    return None if name in OPENAI_VOICES else name
