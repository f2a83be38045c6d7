"""Settings of OpenAI's audio API."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """Settings of OpenAI's audio API."""

    max_text: int = 100_000  # characters of one input
    voice_tags: bool = False  # whether ``[voice:NAME]`` and ``[pause:1.5s]`` in an input are marks
    open_lists: bool = True  # whether lists of models and voices need no key
