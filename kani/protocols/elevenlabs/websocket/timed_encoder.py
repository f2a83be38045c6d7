"""Encodes timed audio, and counts the times of its characters as the clients of a connection read them."""

from __future__ import annotations

from kani.core.audio.encoding import AsyncEncoder, AudioFormat
from kani.core.audio.ogg_pages import last_granule
from kani.core.timing.characters import TimedForms
from kani.protocols.elevenlabs.websocket.messages import Alignment, Alignments
from kani.protocols.elevenlabs.websocket.timed_audio import TimedAudio

_GRANULES_PER_MS = 48
"""Ogg Opus counts samples at 48 kHz (RFC 7845, 4)."""

Block = tuple[bytes, Alignments]
"""Encoded audio, and the characters that begin in it."""


class AlignmentClock:
    """Converts characters' times to those of messages, in whole milliseconds.

    absolute: times count from the start of the stream; else from the end of the last written character of
    the messages before, which is the sum that adding clients compute. Both alignments of a message count
    from the same moment, because a client may use one for a message without the other.
    """

    def __init__(self, *, absolute: bool) -> None:
        self._absolute = absolute
        self._origin_ms = 0

    def take(self, characters: TimedForms, data: bytes) -> Alignments:
        """Return the alignments of the next characters, which are sent with the audio ``data``."""
        written, normalized = (
            Alignment(form.text, *form.milliseconds(self._origin_ms)) if form.text else None
            for form in (characters.written, characters.spoken)
        )
        end_ms = self._origin_ms
        if written is not None:
            end_ms += written.starts_ms[-1] + written.durations_ms[-1]
        if not self._absolute:
            self._origin_ms = self._next_origin_ms(end_ms, data)
        return Alignments(written, normalized)

    def _next_origin_ms(self, end_ms: int, data: bytes) -> int:
        """Return the moment from which the next message counts. end_ms: end of the last character."""
        return end_ms


class AudioClock(AlignmentClock):
    """Counts times from the length of the audio before the message, as the clients of dialogues do.

    Of Opus that is the later of the last page's end and the last character's, as LiveKit's plugin has it.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        super().__init__(absolute=False)
        self._opus = audio_format.codec == "opus"
        if audio_format.bit_rate is not None:
            bits_per_s = audio_format.bit_rate
        else:
            bits_per_s = audio_format.sample_rate * (16 if audio_format.codec == "pcm" else 8)
        self._bytes_per_ms = bits_per_s / 8000
        self._bytes = 0

    def _next_origin_ms(self, end_ms: int, data: bytes) -> int:
        self._bytes += len(data)
        if not self._opus:
            return round(self._bytes / self._bytes_per_ms)
        if not data:
            return self._origin_ms
        return max(end_ms, round((last_granule(data) or 0) / _GRANULES_PER_MS))


class TimedEncoder:
    """Encodes one stream of speech, with the characters that begin in each block of bytes.

    The turns of a dialogue are fed one after the other, each with times of its own.
    """

    def __init__(self, audio_format: AudioFormat, clock: AlignmentClock) -> None:
        self.audio_format = audio_format
        self._clock = clock
        self._encoder = AsyncEncoder(audio_format)
        self._samples = 0
        self._turn_starts_s = 0.0
        self._waiting = TimedForms()

    def begin_turn(self) -> None:
        """Begin a turn: the times that are fed from now on count from the end of the audio so far."""
        self._turn_starts_s = self._samples / self.audio_format.encoded_rate

    async def feed(self, timed: TimedAudio) -> Block | None:
        """Encode samples at the format's ``encoded_rate``; return a block once there are bytes."""
        self._waiting += timed.characters.later(self._turn_starts_s)
        self._samples += len(timed.samples)
        data = await self._encoder.feed(timed.samples, self.audio_format.encoded_rate)
        return self._take(data) if data else None

    def end_turn(self) -> Block | None:
        """Return the characters that wait for bytes; the sound that waits comes with the next turn."""
        return self._take(b"") if self._waiting.written.text else None

    async def finish(self) -> Block | None:
        """End the stream and return the rest, which has no bytes if only characters are left."""
        data = await self._encoder.finish()
        return self._take(data) if data or self._waiting.written.text else None

    def _take(self, data: bytes) -> Block:
        waiting, self._waiting = self._waiting, TimedForms()
        return data, self._clock.take(waiting, data)
