"""Ogg Opus streams: encodes speech into pages, and decodes a client's pages into samples.

Ogg pages are RFC 3533, Opus in Ogg is RFC 7845, Opus itself is libopus. Complete files are decoded by
``kani.core.audio.pcm.decode_recording``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import av
import numpy as np

from kani.core.audio import synthetic_mark
from kani.core.audio.framed import FramedEncoder
from kani.core.audio.ogg_pages import (
    CONTINUED,
    FIRST,
    LAST,
    NO_PACKET_ENDS,
    Page,
    page_size,
    read_page,
    write_page,
)
from kani.core.audio.pcm import mixed
from kani.core.audio.resampling import Resampler
from kani.core.errors import InvalidRequest
from kani.core.types import Samples

ENCODED_RATE = 24_000
PAGE_S = 0.08
MAX_PIECE_S = 60.0
MAX_PIECE_PAGES = 6_000
"""Pages decoded by one call: a minute with a page every 10 ms."""

_BITRATE = 64_000
_FRAME_SAMPLES = 480  # 20 ms: one packet
_PACKETS_A_PAGE = round(PAGE_S * ENCODED_RATE) // _FRAME_SAMPLES
_SERIAL = 1  # nothing is multiplexed, so any number would do

# Granule positions count at 48 kHz, and libopus decodes to it, whatever went in (RFC 7845, 4).
_OPUS_RATE = 48_000
# The longest packet: 120 ms in 48 frames (RFC 7845, 6). More is damage, or a picture in the tags.
_MAX_PACKET_BYTES = 61_440
# Budget for wasted work: skipped bytes, pages with a wrong checksum, packets that libopus refuses, pages
# without sound, and decoders created for streams without any. Good pages earn it back, by their bytes and
# their sound. So damage is skipped, chains of streams of half a second and more are decoded, and garbage is
# refused after a few hundredths of a second.
_MAX_WASTE_BYTES = 256 * 1024
_DAMAGED_PACKET_COSTS = _SILENT_PAGE_COSTS = 256
_STREAM_COSTS = 8 * 1024  # a decoder and a resampler take 0.6 ms
_SOUND_EARNS = 16 * 1024 / _OPUS_RATE  # per sample


class OggOpusEncoder:
    """Encodes mono samples at ``ENCODED_RATE`` hertz as Ogg Opus, a page every ``PAGE_S``.

    ``header`` and the results of ``feed`` and ``finish`` are the stream. A decoder that honours pre-skip and
    the last granule position returns exactly as many samples as were fed. One stream, one thread at a time; a
    second of speech takes about 3 ms. bit_rate: average, in bits per second.
    """

    def __init__(self, bit_rate: int = _BITRATE) -> None:
        options = {"frame_duration": "20", "application": "audio"}
        self._frames = FramedEncoder("libopus", ENCODED_RATE, "flt", bit_rate, options)
        head = self._frames.stream_header
        assert self._frames.frame_size == _FRAME_SAMPLES
        self._pre_skip = _read_head(head).pre_skip
        self._sequence = 0
        tags = b"OpusTags" + synthetic_mark.vorbis_comment()
        self.header = self._page([head], 0, FIRST) + self._page([tags], 0)
        """The two pages that begin the stream (OpusHead, OpusTags), available before any audio."""
        self._packets: list[bytes] = []
        self._samples_fed = self._samples_paged = 0

    def feed(self, samples: Samples) -> bytes:
        """Accept samples; returns the pages that are full, without delay."""
        self._samples_fed += len(samples)
        return self._full_pages(self._frames.feed(samples))

    def finish(self) -> bytes:
        """Return the rest and the end of the stream; nothing can be fed afterwards."""
        # Silence as long as the encoder's delay flushes it.
        whole = self._samples_fed + self._pre_skip * ENCODED_RATE // _OPUS_RATE
        silence = -(-whole // _FRAME_SAMPLES) * _FRAME_SAMPLES - self._samples_fed
        *packets, last = self._frames.feed(np.zeros(silence, np.float32))
        pages = self._full_pages(packets)
        granule = self._pre_skip + self._samples_fed * _OPUS_RATE // ENCODED_RATE
        return pages + self._page([*self._packets, last], granule, LAST)

    def _full_pages(self, packets: Iterable[bytes]) -> bytes:
        """Return the pages that packets fill, each packet being a frame."""
        pages = b""
        for packet in packets:
            self._packets.append(packet)
            self._samples_paged += _FRAME_SAMPLES
            if len(self._packets) == _PACKETS_A_PAGE:
                pages += self._page(self._packets, self._samples_paged * _OPUS_RATE // ENCODED_RATE)
                self._packets = []
        return pages

    def _page(self, packets: list[bytes], granule: int, flags: int = 0) -> bytes:
        page = write_page(packets, granule, flags, _SERIAL, self._sequence)
        self._sequence += 1
        return page


class OggOpusDecoder:
    """Decodes an Ogg Opus stream, in pieces cut anywhere, to mono samples at ``sample_rate`` hertz.

    Stereo is averaged; pre-skip, gain and the last page's granule position are honoured; chained streams are
    joined. Damaged or missing pages and packets are skipped, until there is more damage than sound. Anything
    but Opus, or more than two channels, is refused. Output lags the input by a few hundredths of a second
    until the stream's last page. One stream, one thread at a time; a second of speech takes about 2 ms.
    """

    def __init__(self, sample_rate: int = ENCODED_RATE) -> None:
        self._sample_rate = sample_rate
        self._buffer = bytearray()
        self._waste = 0
        self._stream: _LogicalStream | None = None
        self._other_codec = False

    def feed(self, data: bytes) -> Samples:
        """Accept bytes; returns the samples that are ready. Bytes after a stream's end begin the next one.

        Raises InvalidRequest for ``data`` if it cannot be decoded, or is more than ``MAX_PIECE_S`` seconds of
        audio or ``MAX_PIECE_PAGES``; the decoder must not be used afterwards. A second takes 2 ms, a minute
        packed into a few kilobytes 0.1 s, or 0.5 s in the shortest possible packets: call it in
        ``decoding.STREAM_POOL``.
        """
        self._buffer += data
        pieces: list[Samples] = []
        room = int(MAX_PIECE_S * self._sample_rate)
        for number, page in enumerate(self._pages()):
            if number == MAX_PIECE_PAGES:
                raise _refused(f"too many pages at once (at most {MAX_PIECE_PAGES})")
            for samples in self._decode_page(page):
                room -= len(samples)
                if room < 0:
                    raise _refused(f"too much audio at once (at most {MAX_PIECE_S:g} s)")
                pieces.append(samples)
        samples = np.concatenate([np.zeros(0, np.float32), *pieces])
        return np.clip(samples, -1.0, 1.0, out=samples)

    def _pages(self) -> Iterator[Page]:
        """Take complete pages from the buffer, found by capture pattern and verified by checksum."""
        at = 0
        try:
            while True:
                found = self._buffer.find(b"OggS", at)
                if found < 0:
                    # The pattern may be cut.
                    found = max(at, len(self._buffer) - 3)
                self._waste_bytes(found - at)
                at = found
                size = page_size(self._buffer, at)
                if size is None or at + size > len(self._buffer):
                    return
                page = read_page(bytes(self._buffer[at : at + size]))
                if page is None:
                    self._waste_bytes(size)
                    at += 1
                    continue
                at += size
                self._waste = max(0, self._waste - size)
                yield page
        finally:
            del self._buffer[:at]

    def _decode_page(self, page: Page) -> Iterator[Samples]:
        """Decode a page; after a stream's last page also what the resampler holds back."""
        if page.flags & FIRST:
            self._waste_bytes(_SILENT_PAGE_COSTS)
            if not page.body.startswith(b"OpusHead"):
                self._other_codec = True
            elif self._stream is None or self._stream.has_begun:
                # A stream that begins after another's pages follows it, even if that one has no last page.
                if self._stream is not None:
                    yield self._stream.finish()
                self._waste_bytes(_STREAM_COSTS)
                self._stream = _LogicalStream(page.serial, _read_head(page.body), self._sample_rate)
                self._other_codec = False
            return
        if self._stream is None:
            if self._other_codec:
                raise _refused("holds no Opus audio")
            self._waste_bytes(_SILENT_PAGE_COSTS)
            return
        if page.serial != self._stream.serial:
            self._waste_bytes(_SILENT_PAGE_COSTS)
            return
        samples, sound, damaged = self._stream.decode_page(page)
        self._waste = max(0, self._waste - round(sound * _SOUND_EARNS))
        self._waste_bytes(damaged * _DAMAGED_PACKET_COSTS + (0 if sound else _SILENT_PAGE_COSTS))
        yield samples
        if page.flags & LAST:
            yield self._stream.finish()
            self._stream = None

    def _waste_bytes(self, size: int) -> None:
        self._waste += size
        if self._waste > _MAX_WASTE_BYTES:
            raise _refused("is not an Ogg stream, or is too damaged")


class _LogicalStream:
    """One logical stream, from its OpusHead on."""

    def __init__(self, serial: int, head: _Head, sample_rate: int) -> None:
        self.serial = serial
        self.has_begun = False
        self._opus = av.CodecContext.create("libopus", "r")
        self._opus.options = {"request_sample_fmt": "flt"}
        # Pre-skip is removed here, where the end is cut too.
        self._opus.extradata = struct.pack(
            "<8sBBHIhB", b"OpusHead", 1, head.channels, 0, _OPUS_RATE, head.gain, 0
        )
        self._channels = head.channels
        self._skip = head.pre_skip
        self._resampler = Resampler(_OPUS_RATE, sample_rate)
        self._sequence: int | None = None
        self._granule = 0
        # The beginning of a packet that ends on the next page; None if there is none to continue.
        self._partial_packet: bytes | None = None

    def decode_page(self, page: Page) -> tuple[Samples, int, int]:
        """Decode the packets that end on ``page``.

        Returns the samples at the target rate, the number of samples decoded at 48 kHz, and the number of
        damaged packets.
        """
        self.has_begun = True
        packets = [self._decode(packet) for packet in self._packets(page)]
        frames = [frame for packet in packets if packet is not None for frame in packet]
        decoded = mixed(np.concatenate([np.zeros((0, self._channels), np.float32), *frames]).T)
        end = len(decoded)
        if page.granule != NO_PACKET_ENDS:
            if page.flags & LAST:
                end = max(0, min(end, page.granule - self._granule))
            self._granule = page.granule
        skipped = min(self._skip, end)
        self._skip -= skipped
        return self._resampler.feed(decoded[skipped:end]), len(decoded), packets.count(None)

    def finish(self) -> Samples:
        return self._resampler.finish()

    def _packets(self, page: Page) -> Iterator[bytes]:
        """The audio packets that end on a page."""
        if self._sequence is not None and page.sequence != (self._sequence + 1) % 2**32:
            self._partial_packet = None
        self._sequence = page.sequence
        if not page.lacing:
            return
        packet = self._partial_packet if page.flags & CONTINUED else b""
        self._partial_packet = None
        for piece, ends in page.packet_parts():
            # A packet without its beginning, or too long to be one, is skipped.
            if packet is not None:
                packet = packet + piece if len(packet) + len(piece) <= _MAX_PACKET_BYTES else None
            if not ends:
                self._partial_packet = packet
                return
            # An empty packet would end the stream for FFmpeg; no audio begins like the tags.
            if packet and not packet.startswith(b"OpusTags"):
                yield packet
            packet = b""

    def _decode(self, packet: bytes) -> list[Samples] | None:
        """Decode a packet at 48 kHz, in arrays [samples, channels]; None if it is damaged."""
        assert isinstance(self._opus, av.AudioCodecContext)
        try:
            frames = self._opus.decode(av.Packet(packet))
        except av.FFmpegError:
            return None
        return [np.asarray(frame.to_ndarray(), np.float32).reshape(-1, self._channels) for frame in frames]


@dataclass(frozen=True, slots=True)
class _Head:
    """Fields of OpusHead (RFC 7845, 5.1)."""

    channels: int
    pre_skip: int  # samples at 48 kHz
    gain: int  # 1/256 dB


def _read_head(packet: bytes) -> _Head:
    """Parse OpusHead. Raises InvalidRequest for what cannot be decoded to mono."""
    if len(packet) < 19:
        raise _refused("its OpusHead is too short")
    version, channels, pre_skip, _, gain, family = struct.unpack_from("<BBHIhB", packet, 8)
    if version & 0xF0:
        raise _refused("is of an unknown version of Ogg Opus")
    if family != 0 or channels not in (1, 2):
        raise _refused("must have one or two channels")
    return _Head(channels, pre_skip, gain)


def _refused(reason: str) -> InvalidRequest:
    return InvalidRequest("data", reason)
