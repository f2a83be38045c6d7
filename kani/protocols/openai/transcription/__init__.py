"""OpenAI's audio API, text of recordings: POST /v1/audio/transcriptions, translations and alignments."""

from kani.protocols.openai.transcription.routes import longest_bodies, transcription_routes

__all__ = ["longest_bodies", "transcription_routes"]
