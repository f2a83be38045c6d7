"""Speech as it goes out: exact frames, in one of four formats."""

from __future__ import annotations

import numpy as np

from protocols.kyutai import messages
from protocols.kyutai.messages import FRAME_SAMPLES, MAX_AMPLITUDE, SAMPLE_RATE
from protocols.kyutai.query import AudioFormat
from protocols.kyutai.words import TimedWord
from speech.audio.ogg_opus import OggOpusEncoder
from speech.audio.pcm import Resampler
from speech.types import Samples, SpeechChunk


class Frames:
    """A session's chunks as frames of exactly ``FRAME`` samples at 24 kHz."""

    def __init__(self) -> None:
        self._resampler: Resampler | None = None
        self._rest: Samples = np.zeros(0, np.float32)

    def feed(self, chunk: SpeechChunk) -> list[Samples]:
        """The frames that are full."""
        if self._resampler is None:
            self._resampler = Resampler(chunk.sample_rate, SAMPLE_RATE)
        return self._cut(self._resampler.feed(chunk.samples))

    def finish(self) -> list[Samples]:
        """The rest, its last frame filled up with silence."""
        if self._resampler is None:
            return []
        frames = self._cut(self._resampler.finish())
        if len(self._rest):
            frames.append(np.pad(self._rest, (0, FRAME_SAMPLES - len(self._rest))))
        return frames

    def _cut(self, samples: Samples) -> list[Samples]:
        samples = np.clip(np.concatenate([self._rest, samples]), -MAX_AMPLITUDE, MAX_AMPLITUDE)
        whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
        self._rest = samples[whole:]
        return list(samples[:whole].reshape(-1, FRAME_SAMPLES))


class OutputEncoder:
    """What is sent, as WebSocket messages, in one format. Empty bytes are not to be sent."""

    def __init__(self, form: AudioFormat) -> None:
        self._messages = form.uses_messages
        self._opus = OggOpusEncoder() if form.is_opus else None

    def start_messages(self) -> list[bytes]:
        """What is sent at once."""
        greeting = [messages.ready()] if self._messages else []
        if self._opus is not None:
            greeting.append(self._pages(self._opus.header))
        return greeting

    def frame(self, samples: Samples) -> bytes:
        """A frame of ``Frames``."""
        if self._opus is not None:
            return self._pages(self._opus.feed(samples))
        return messages.audio(samples) if self._messages else samples.astype("<f4").tobytes()

    def word(self, word: TimedWord) -> bytes:
        """A word and its times."""
        return messages.spoken_text(word.text, word.start_s, word.stop_s) if self._messages else b""

    def end_messages(self) -> list[bytes]:
        """What is sent last: the rest of the pages, and the word without text that some wait for."""
        ending = [self._pages(self._opus.finish())] if self._opus is not None else []
        if self._messages:
            ending.append(messages.spoken_text("", 0.0, 0.0))
        return ending

    def error(self, message: str) -> bytes:
        """Why there is no more."""
        return messages.error(message) if self._messages else b""

    def _pages(self, data: bytes) -> bytes:
        return messages.ogg_opus(data) if data and self._messages else data
