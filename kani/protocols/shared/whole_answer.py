"""Answers that are sent in one piece: their audio is collected first, within a memory budget."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import KW_ONLY, dataclass, field

from kani.core.audio.encoding import AudioFormat, FileEncoder, run_encoding
from kani.core.errors import InvalidRequest
from kani.core.session.budget import Share
from kani.core.types import Span, SpeechChunk

MAX_WHOLE_ANSWER_S = 1200.0
"""Longest speech that is sent in one piece; a stream may be longer, as nothing of it is kept."""

ENCODE_IN_THREAD_BYTES = 2**20
"""An answer with more 16-bit audio than this is encoded in a thread: it would block the event loop."""


@dataclass(eq=False)
class WholeAnswer:
    """Collects the chunks of a session as an audio file, and their spans.

    memory: a share of ``Budgets.whole_answers``, which says what clients can do instead; audio_format: of the
    file, None for 16-bit PCM at the session's sample rate; max_s: longest speech in seconds, None for no
    limit but the memory.
    """

    _memory: Share
    _format: AudioFormat | None = None  # None until the rate of 16-bit PCM is known
    _: KW_ONLY
    max_s: float | None = MAX_WHOLE_ANSWER_S
    _file: FileEncoder | None = None
    spans: list[Span] = field(default_factory=list)
    samples: int = 0
    """Samples so far, at the session's rate."""

    @property
    def is_large(self) -> bool:
        """True if encoding the answer would block the event loop for long."""
        return 2 * self.samples > ENCODE_IN_THREAD_BYTES

    async def add(self, chunk: SpeechChunk) -> None:
        """Append a chunk. Raises Busy when the budget is spent, InvalidRequest beyond ``max_s`` seconds."""
        audio_format = self._format = self._format or AudioFormat("pcm", chunk.sample_rate)
        file = self._file = self._file or FileEncoder(audio_format, chunk.sample_rate)
        self._memory.grow(await run_encoding(audio_format, file.add, chunk.samples))
        self.spans += chunk.spans
        self.samples += len(chunk.samples)
        if self.max_s is not None and self.samples > self.max_s * chunk.sample_rate:
            limit = f"{self.max_s:g} s, {self._memory.instead}"
            raise InvalidRequest("text", f"its speech is too long for one answer (at most {limit})")

    async def collect(self, chunks: AsyncIterator[SpeechChunk]) -> bytes:
        """Return the file of all chunks. Raises as ``add``, and what ``chunks`` raises."""
        async for chunk in chunks:
            await self.add(chunk)
        return await asyncio.to_thread(self.finish)

    def finish(self) -> bytes:
        """Return the file, which is kept here no longer. Blocks: 10 ms for a minute of PCM."""
        if self._file is None and self._format is not None:
            self._file = FileEncoder(self._format, self._format.sample_rate)
        assert self._file is not None, "without a chunk the sample rate is unknown"
        file, self._file = self._file, None
        return file.finish()
