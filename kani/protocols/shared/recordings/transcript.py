"""The whole transcript of a recording, for answers that are sent in one piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Self

from kani.core.diarization.turns import divide_by_speaker
from kani.core.session.transcription import TranscriptionSession
from kani.core.transcriber import TranscribedSegment
from kani_text.languages import primary


@dataclass(frozen=True, slots=True)
class Transcript:
    """All segments of a recording."""

    segments: tuple[TranscribedSegment, ...]
    duration_s: float  # of the recording
    given_language: str | None = None  # primary subtag of the request, if any

    @classmethod
    async def of(
        cls,
        session: TranscriptionSession,
        segments: Sequence[TranscribedSegment] | AsyncIterator[TranscribedSegment],
        language: str | None,
        speakers: int | None = None,
    ) -> Self:
        """Return the transcript of all ``segments`` of ``session``, which may still come.

        language: of the request; speakers: their greatest number, where the session tells them apart.
        """
        if not isinstance(segments, Sequence):
            segments = [segment async for segment in segments]
        turns = await session.speaker_turns(speakers)
        return cls(divide_by_speaker(segments, turns), session.duration_s, language and primary(language))

    @property
    def text(self) -> str:
        """The text of all segments."""
        return "".join(segment.text for segment in self.segments).strip()

    @property
    def languages(self) -> list[str]:
        """Primary subtags of what is spoken, the most spoken first; empty without speech."""
        counts = Counter[str]()
        for segment in self.segments:
            counts[segment.language] += len(segment.words)
        return [language for language, _ in counts.most_common()]

    @property
    def language(self) -> str | None:
        """The language of most of the speech; the request's without speech."""
        return next(iter(self.languages), self.given_language)

    @property
    def language_probability(self) -> float:
        """Probability of ``language``; 0 without speech."""
        own = (segment for segment in self.segments if segment.language == self.language)
        return next((segment.language_probability for segment in own), 0.0)
