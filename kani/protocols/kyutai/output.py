"""Encodes speech for a client: exact frames, in one of four formats."""

import numpy as np

from kani.core.audio.ogg_opus import OggOpusEncoder
from kani.core.audio.resampling import Rechunker
from kani.core.types import Samples, SpeechChunk
from kani.protocols.kyutai import messages
from kani.protocols.kyutai.messages import FRAME_SAMPLES, MAX_AMPLITUDE, SAMPLE_RATE
from kani.protocols.kyutai.query import AudioFormat
from kani.protocols.kyutai.words import TimedWord


class Frames:
    """Cuts a session's chunks into frames of exactly ``FRAME_SAMPLES`` samples at 24 kHz.

    left: frames that are still taken, None for no limit; overflowed: True once there were more.
    """

    def __init__(self, left: int | None = None) -> None:
        self._chunks = Rechunker(SAMPLE_RATE, FRAME_SAMPLES, exact=True)
        self.left = left
        self.overflowed = False

    def feed(self, chunk: SpeechChunk) -> list[Samples]:
        return self._taken(self._chunks.feed(chunk))

    def finish(self) -> list[Samples]:
        """Return the rest, its last frame padded with silence."""
        return self._taken(self._chunks.finish())

    def _taken(self, chunks: list[SpeechChunk]) -> list[Samples]:
        frames = [np.clip(chunk.samples, -MAX_AMPLITUDE, MAX_AMPLITUDE) for chunk in chunks[: self.left]]
        if self.left is not None:
            self.overflowed = len(chunks) > self.left
            self.left -= len(frames)
        return frames


class OutputEncoder:
    """Encodes what is sent on one connection as WebSocket messages. Empty bytes are not to be sent."""

    def __init__(self, audio_format: AudioFormat) -> None:
        name = audio_format.value
        self._messages = name.endswith("MessagePack")  # beside the audio: Ready, words and errors
        self._opus = OggOpusEncoder() if name.startswith("OggOpus") else None

    def start_messages(self) -> list[bytes]:
        start = [messages.encode(messages.Ready())] if self._messages else []
        if self._opus is not None:
            start.append(self._pages(self._opus.header))
        return start

    def frame(self, samples: Samples) -> bytes:
        if self._opus is not None:
            return self._pages(self._opus.feed(samples))
        return messages.audio(samples) if self._messages else samples.astype("<f4").tobytes()

    def word(self, word: TimedWord) -> bytes:
        if not self._messages:
            return b""
        return messages.encode(messages.SpokenText(word.text, word.start_s, word.stop_s))

    def end_messages(self) -> list[bytes]:
        """Return the last pages, and a word without text, which some clients recognise the end by."""
        end = [self._pages(self._opus.finish())] if self._opus is not None else []
        if self._messages:
            end.append(messages.encode(messages.SpokenText("", 0.0, 0.0)))
        return end

    def error(self, message: str) -> bytes:
        return messages.encode(messages.Error(message)) if self._messages else b""

    def _pages(self, data: bytes) -> bytes:
        return messages.ogg_opus(data) if data and self._messages else data
