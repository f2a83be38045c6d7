"""Settings of OpenAI's audio API."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """Settings of OpenAI's audio API."""

    max_text: int = 100_000  # characters of one input
    voice_tags: bool = False  # whether ``[voice:NAME]`` and ``[pause:1.5s]`` in an input are marks
    open_lists: bool = True  # whether lists of models and voices need no key
    realtime_session_s: float = 3600.0  # longest life of a Realtime session
    realtime_idle_s: float = 900.0  # longest time without an event of its client
    max_audio_bytes: int = 25 * 2**20  # of one recording to be transcribed
    max_audio_s: float = 14_400.0  # of one recording to be transcribed
    instructions: str = ""  # of the language model, for Realtime's clients that give none
