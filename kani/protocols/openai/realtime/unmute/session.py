"""``session.update`` in Unmute's dialect, and the configuration that stands for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from msgspec import Meta, Struct

from kani.protocols.openai.realtime.session_config import SessionConfig, Transcription, TurnDetection
from kani.protocols.openai.realtime.unmute.instructions import Instructions

SILENCE_MS = 7000.0
"""Silence after an answer, after which the model is to go on, as Unmute has it."""


class Session(Struct):
    """The session of a client; all of it is optional but the mark of the dialect."""

    allow_recording: bool  # of no effect: nothing is recorded
    instructions: Instructions | None = None
    voice: Annotated[str, Meta(max_length=200)] | None = None


def first_config(config: SessionConfig) -> SessionConfig:
    """Return the configuration of a new connection; config: of one of OpenAI's dialect."""
    detection = TurnDetection(
        "semantic_vad", create_response=config.answers, idle_timeout_ms=SILENCE_MS if config.answers else None
    )
    return replace(config, transcription=Transcription(), turn_detection=detection)
