"""A session's audio, divided so that each message's times are right for every client.

Clients read times in two ways. With ``sync_alignment`` all times count from the start of the stream. Other
clients add to each message's times either the length of the audio before it, or the duration of all
characters before it. Both are right only if a message's audio begins with its first character: so audio is
cut there, and the pause after a word is held back until the next word is known.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from kani.core.audio.encoding import AsyncEncoder, AudioFormat
from kani.core.audio.ogg_pages import last_granule
from kani.core.timing.characters import FormsClock, TimedForms
from kani.core.types import Samples, SpeechChunk
from kani.protocols.elevenlabs.websocket.messages import Alignment, Alignments

NO_SAMPLES: Samples = np.zeros(0, np.float32)

PAUSE_PEAK = 0.01
"""Largest amplitude of a pause, -40 dB: above the breath and the noise of a model."""


MAX_HELD_S = 0.1
"""Longest sound that is held back until the character is complete that it speaks."""

_GRANULES_PER_MS = 48
"""Ogg Opus counts samples at 48 kHz (RFC 7845, 4)."""

Block = tuple[bytes, Alignments]
"""Encoded audio, and the characters that begin in it."""


@dataclass(frozen=True, slots=True)
class TimedAudio:
    """Some samples, and the characters that are spoken in them."""

    samples: Samples
    characters: TimedForms = field(default_factory=TimedForms)


class TimedAudioFramer:
    """Divides frames of speech at their characters; the samples stay the same.

    A part holds the characters that are spoken in it, as vocode takes the length of a message for the time of
    its characters. sample_rate: hertz of the frames; cut_at_characters: whether a part begins with its first
    character and ends with its last, and the pause after the last timed character is held back until the next
    one is timed; strict: hold back speech too, for engines that time a word only at its end.
    """

    def __init__(
        self, clock: FormsClock, sample_rate: int, *, cut_at_characters: bool, strict: bool = False
    ) -> None:
        self._clock = clock
        self._rate = sample_rate
        self._cut = cut_at_characters
        self._max_peak = math.inf if strict else PAUSE_PEAK
        self._held: Samples = NO_SAMPLES
        self._characters = TimedForms()  # their audio is not complete
        self._sent = 0  # samples returned
        self._timed = 0  # end of the last timed character, in samples since the start

    def feed(self, frame: SpeechChunk) -> list[TimedAudio]:
        characters = self._clock.align(frame.spans)
        if not self._cut:
            return [TimedAudio(frame.samples, characters)]
        self._held = np.concatenate([self._held, frame.samples])
        self._characters += characters
        parts = self._complete()
        if edges_s := characters.written.edges_s:
            self._timed = round(edges_s[-1] * self._rate)
        if not self._characters.written.text and not characters.written.text:
            untimed = self._held[max(0, self._timed - self._sent) :]
            end = self._timed if self._is_pause(untimed) else self._end
            parts.append(TimedAudio(self._take(end)))
        return [part for part in parts if len(part.samples) or part.characters.written.text]

    @property
    def _end(self) -> int:
        """End of the audio so far, in samples since the start."""
        return self._sent + len(self._held)

    def _is_pause(self, samples: Samples) -> bool:
        return bool(np.abs(samples).max(initial=0.0) <= self._max_peak)

    def _complete(self) -> list[TimedAudio]:
        """Return the audio up to the end of the last character that is complete."""
        edges_s = self._characters.written.edges_s
        if not edges_s:
            return []
        before = TimedAudio(self._take(round(edges_s[0] * self._rate)))
        ready = [at for at in self._characters.common_edges() if round(edges_s[at] * self._rate) <= self._end]
        if ready:
            end = round(edges_s[ready[-1]] * self._rate)
            said, self._characters = self._characters.divide(ready[-1])
            return [before, TimedAudio(self._take(end), said)]
        if len(self._held) <= MAX_HELD_S * self._rate or self._is_pause(self._held):
            return [before]
        # A word without a common edge inside, or a long sound: its end is sent without characters.
        said, self._characters = self._characters.divide(self._characters.common_edges()[0])
        return [before, TimedAudio(self._take(self._end), said)]

    def finish(self) -> list[TimedAudio]:
        rest = TimedAudio(self._take(self._end), self._characters)
        return [rest] if len(rest.samples) or rest.characters.written.text else []

    def _take(self, end: int) -> Samples:
        """Remove the held samples before ``end``, counted from the start of the stream."""
        count = max(0, end - self._sent)
        taken, self._held = self._held[:count], self._held[count:]
        self._sent += len(taken)
        return taken


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
