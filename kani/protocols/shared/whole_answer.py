"""Answers that are sent in one piece: their audio is collected first, within a memory budget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field

from kani.core.audio.encoding import AudioFormat, FileEncoder, run_encoding
from kani.core.errors import Busy, InvalidRequest
from kani.core.types import Span, SpeechChunk


class MemoryBudget:
    """``limit`` bytes, reserved piece by piece.

    alternative: for the error message, what a client can do when the budget is spent. Not thread-safe: use it
    only on the event loop.
    """

    def __init__(self, limit: int, *, alternative: str) -> None:
        self._left = limit
        self.alternative = alternative

    @contextmanager
    def reservation(self) -> Iterator[Reservation]:
        """Open a reservation, at first of no bytes; all of it is given back at the end of the context."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            self._left += reservation.size

    def take(self, size: int) -> None:
        """Take ``size`` bytes out of the budget. Raises Busy if fewer are left."""
        if size > self._left:
            raise Busy(f"too much speech waits to be sent whole: {self.alternative}, or try again later")
        self._left -= size


@dataclass(eq=False)
class Reservation:
    """The bytes of a budget that one answer holds: ``size`` so far."""

    _budget: MemoryBudget
    size: int = 0

    @property
    def alternative(self) -> str:
        """The budget's alternative for clients with an answer that is too large."""
        return self._budget.alternative

    def grow(self, size: int) -> None:
        """Reserve ``size`` bytes more. Raises Busy if the budget has fewer left."""
        self._budget.take(size)
        self.size += size


MAX_WHOLE_ANSWER_S = 1200.0
"""Longest speech that is sent in one piece; a stream may be longer, as nothing of it is kept."""

MAX_WHOLE_ANSWER_BYTES = 512 * 2**20
"""Memory budget of one protocol: audio of all clients' answers together."""

ENCODE_IN_THREAD_BYTES = 2**20
"""An answer with more 16-bit audio than this is encoded in a thread: it would block the event loop."""


@dataclass(eq=False)
class WholeAnswer:
    """Collects the chunks of a session as an audio file, and their spans.

    reservation: the answer's part of the memory budget; audio_format: of the file, None for 16-bit PCM at
    the session's sample rate; max_s: longest speech in seconds, None for no limit but the memory.
    """

    _reservation: Reservation
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
        audio_format = self._format = self._format or AudioFormat("pcm", "pcm", chunk.sample_rate, None, "")
        file = self._file = self._file or FileEncoder(audio_format, chunk.sample_rate)
        self._reservation.grow(await run_encoding(audio_format, file.add, chunk.samples))
        self.spans += chunk.spans
        self.samples += len(chunk.samples)
        if self.max_s is not None and self.samples > self.max_s * chunk.sample_rate:
            limit = f"{self.max_s:g} s, {self._reservation.alternative}"
            raise InvalidRequest("text", f"its speech is too long for one answer (at most {limit})")

    def finish(self) -> bytes:
        """Return the file, which is kept here no longer. Blocks: 10 ms for a minute of PCM."""
        if self._file is None and self._format is not None:
            self._file = FileEncoder(self._format, self._format.sample_rate)
        assert self._file is not None, "without a chunk the sample rate is unknown"
        file, self._file = self._file, None
        return file.finish()
