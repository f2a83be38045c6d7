"""The audio of one connection in Unmute's dialect: an Ogg Opus stream in each direction."""

import asyncio

import numpy as np

from kani.core.audio.decoding import STREAM_POOL, run_in_pool
from kani.core.audio.ogg_opus import ENCODED_RATE, PAGE_S, OggOpusDecoder, OggOpusEncoder
from kani.core.audio.ogg_pages import FIRST
from kani.core.errors import InvalidRequest
from kani.core.types import Samples
from kani.protocols.openai.realtime.client_events import ClientEvent, decoded, faulty

MAX_CHARACTERS = 2**20
"""Characters of base64 in one event: more than a minute of audio."""

PIECE = round(PAGE_S * ENCODED_RATE)
"""Samples of a page."""

_ENCODER_DELAY = 156  # samples: the pre-skip of libopus, 312 at 48 kHz
_FLAGS_AT = 5  # of a page (RFC 3533, 6)


class OpusInput:
    """Reads the client's pages as samples at ``ENCODED_RATE`` hertz.

    After a reconnection a browser may send pages of its last stream first: those before the beginning of a
    stream are dropped.
    """

    def __init__(self) -> None:
        self._decoder: OggOpusDecoder | None = None

    async def read(self, event: ClientEvent) -> Samples:
        """Return the samples of ``input_audio_buffer.append``. Raises EventError."""
        given = event.audio()
        if len(given) > MAX_CHARACTERS:
            reason = f"too large (at most {MAX_CHARACTERS >> 20} MiB of base64 in one event)"
            raise faulty("audio", reason, "audio_too_large")
        return await run_in_pool(STREAM_POOL, self._decode, given)

    def _decode(self, given: str) -> Samples:
        pages = decoded(given)
        if self._decoder is None:
            if not (pages.startswith(b"OggS") and pages[_FLAGS_AT:] and pages[_FLAGS_AT] & FIRST):
                return np.zeros(0, np.float32)
            self._decoder = OggOpusDecoder(ENCODED_RATE)
        try:
            return self._decoder.feed(pages)
        except InvalidRequest as error:
            self._decoder = None
            reason = f"must be Ogg Opus, and {error.reason}; the next stream is read again"
            raise faulty("audio", reason) from error


class OpusOutput:
    """Writes the samples of all answers, at ``ENCODED_RATE`` hertz, as one stream.

    Blocks for 4 ms a second of audio: call it in a thread, one call at a time.
    """

    def __init__(self) -> None:
        self._encoder: OggOpusEncoder | None = None
        self._fed = 0
        self.flows = asyncio.Event()  # cleared while the answer rests
        self.flows.set()

    def write(self, samples: Samples) -> list[bytes]:
        return [self._feed(samples[at : at + PIECE]) for at in range(0, len(samples), PIECE)]

    def flush(self) -> bytes:
        """Return the rest of an answer, with the silence that fills its page."""
        if self._encoder is None:
            return b""
        silence = PIECE - self._fed % PIECE
        return self._feed(np.zeros(silence if silence >= _ENCODER_DELAY else silence + PIECE, np.float32))

    def _feed(self, samples: Samples) -> bytes:
        header = b""
        if self._encoder is None:
            self._encoder = OggOpusEncoder()
            header = self._encoder.header
        self._fed += len(samples)
        return header + self._encoder.feed(samples)
