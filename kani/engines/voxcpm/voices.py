"""The voices that VoxCPM's segments are spoken with, and what is told about them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kani.core.engine import Cloning, EngineInfo, VoiceRules
from kani.core.errors import InvalidRequest
from kani.core.recent import Recent
from kani.core.types import Segment, Voice
from kani.engines.voxcpm.published import LANGUAGES

ENGINE = "voxcpm"

MAX_SESSIONS = 256
"""Sessions that keep their first segment, at most 24 s each: far more than speak at once."""


class Prompt(NamedTuple):
    latents: Any
    """Latents of its audio: an array of a recording's embedding, or what the adapter kept of a segment."""
    text: str  # words of the audio, which the speech then continues; empty where they are not known


class Voices:
    """Voices of one checkpoint: of recordings, and those that the model chose for sessions."""

    def __init__(self, settings: Mapping[str, Any], values: int) -> None:
        """settings: the adapter's; values: an embedding has a multiple of so many."""
        self._folder, self._architecture = Path(settings["folder"]), settings["architecture"]
        self._values = values
        self._made: Recent[str, Prompt] = Recent(MAX_SESSIONS)

    def of(self, segment: Segment, text: str) -> Prompt | None:
        """Return the voice to speak with, None if the model chooses one.

        text: that of the segment's recording, where the client tells it. Raises InvalidRequest.
        """
        if segment.embedding is None:
            if text:
                raise InvalidRequest("prompt_text", "is the transcript of a recording: there is none")
            return self._made.use(segment.session)
        values = np.ascontiguousarray(segment.embedding.values, np.float32)
        if len(values) % self._values:
            raise InvalidRequest("reference", "the embedding is not one of this model")
        if self._architecture == "voxcpm" and not text:
            raise InvalidRequest(
                "prompt_text", "this VoxCPM model needs the words that are spoken in the recording"
            )
        return Prompt(values, text)

    def keep(self, segment: Segment, latents: Any) -> None:
        """Speak the next segments of a session in the voice that the model chose for this one."""
        # After its text follows a space, which no language without it minds.
        self._made.keep(segment.session, Prompt(latents, f"{segment.text.strip()} "))

    def describe(self, sample_rate: int, used: set[str], streams: int = 1) -> EngineInfo:
        """Describe the engine. used: fields of requests; streams: segments at once."""
        languages, denoised = LANGUAGES[self._architecture], ", denoised" if "denoise" in used else ""
        version = f"{'VoxCPM' if self._architecture == 'voxcpm' else 'VoxCPM2'} {self._folder.name[:12]}"
        return EngineInfo(
            name=ENGINE,
            version=version,
            sample_rate=sample_rate,
            voices=tuple(Voice(f"{ENGINE}:{tag}", f"VoxCPM ({tag})", tag, ENGINE) for tag in languages),
            default_voices={tag: f"{ENGINE}:{tag}" for tag in languages},
            max_concurrency=streams,
            speed_range=(1.0, 1.0),
            supported_fields=frozenset(used),
            streams_inside_segment=True,
            times_words=False,
            voice_rules=VoiceRules(kept=True),
            cloning=Cloning("embedding", f"{version}{denoised}, 1"),
        )
