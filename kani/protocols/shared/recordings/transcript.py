"""A recording that is transcribed, and its whole transcript, for answers that are sent in one piece."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import IO, Self

from starlette.requests import Request

from kani.core.audio.recording_file import Clip
from kani.core.diarization.turns import divide_by_speaker
from kani.core.service import SpeechService
from kani.core.session.transcription import WHOLE, TranscriptionSession
from kani.core.transcriber import TranscribedSegment, TranscriptionOptions
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.recordings.upload import MAX_RECORDING_S
from kani_text.languages import primary

Segments = AsyncGenerator[TranscribedSegment, None]


@asynccontextmanager
async def transcribing(
    request: Request,
    service: SpeechService,
    protocol: str,
    file: IO[bytes],
    options: TranscriptionOptions,
    *,
    max_s: float | None = None,
    diarize: bool = False,
    pcm: bool = False,
    clip: Clip = WHOLE,
) -> AsyncIterator[tuple[TranscriptionSession, Segments]]:
    """Yield a session for a request's recording, and the recording's segments.

    max_s: MAX_RECORDING_S unless given; pcm, clip: as of ``TranscriptionSession.segments``. Raises
    SpeechError, also while the segments are read.
    """
    async with service.recognition.open_transcription(
        protocol=protocol, client=client_address(request), options=options, diarize=diarize
    ) as session:
        async with aclosing(session.segments(file, max_s or MAX_RECORDING_S, pcm=pcm, clip=clip)) as segments:
            yield session, segments


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
