"""Ogg Opus streams: speech into pages as it is made, and a client's pages into samples as they come.

Ogg's pages are RFC 3533, Opus in them is RFC 7845, Opus itself is libopus. A whole file is
``speech.audio.pcm.decode_recording``'s matter.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np

from speech.audio import ffmpeg
from speech.audio.ogg_pages import (
    CONTINUED,
    FIRST,
    LAST,
    NO_PACKET_ENDS,
    Page,
    page_size,
    read_page,
    write_page,
)
from speech.audio.pcm import Resampler
from speech.errors import InvalidRequest
from speech.types import Samples

ENCODED_RATE = 24_000
PAGE_S = 0.08
MAX_PIECE_S = 60.0
MAX_PIECE_PAGES = 6_000
"""Pages of a stream that are decoded at once: a minute, a page each 10 ms."""

_BITRATE = 64_000
_FRAME_SAMPLES = 480  # 20 ms: what libopus makes a packet of
_PACKETS_A_PAGE = round(PAGE_S * ENCODED_RATE) // _FRAME_SAMPLES
_SERIAL = 1  # nothing is multiplexed, so any number would do

# Granule positions are counted at 48 kHz, and libopus decodes to it, whatever went in (RFC 7845, 4).
_OPUS_RATE = 48_000
# The longest packet there is: 120 ms in 48 frames (RFC 7845, 6). More is damage, or a picture in the tags.
_MAX_PACKET_BYTES = 61_440
# What may be looked at in vain: skipped bytes, pages with a wrong checksum, packets that libopus refuses,
# pages without sound, and decoders that are made for streams without any. Good pages make up for it, by
# their bytes and their sound. So damage is passed over, chains of streams of half a second and more are
# decoded, and rubbish is refused after a few hundredths of a second.
_MAX_WASTE_BYTES = 256 * 1024
_DAMAGED_PACKET_COSTS = _SILENT_PAGE_COSTS = 256
_STREAM_COSTS = 8 * 1024  # a decoder and a resampler take 0.6 ms
_SOUND_EARNS = 16 * 1024 / _OPUS_RATE  # a sample


class OggOpusEncoder:
    """A stream of mono samples at ``ENCODED_RATE`` hertz as Ogg Opus, a page each ``PAGE_S``.

    ``header``, what ``feed`` gave and what ``finish`` gives are the stream. A decoder that honours
    pre-skip and the last granule position gives exactly as many samples as went in. One stream,
    one thread at a time; a second of speech takes about 3 ms. bit_rate: bits a second, on average.
    """

    def __init__(self, bit_rate: int = _BITRATE) -> None:
        ffmpeg.disable_threads()
        self._opus = av.CodecContext.create("libopus", "w")
        assert isinstance(self._opus, av.AudioCodecContext)
        self._opus.sample_rate = ENCODED_RATE
        self._opus.layout = "mono"
        self._opus.format = "flt"
        self._opus.bit_rate = bit_rate
        self._opus.options = {"frame_duration": "20", "application": "audio"}
        self._opus.open()
        head = self._opus.extradata
        assert head is not None and self._opus.frame_size == _FRAME_SAMPLES
        self._pre_skip = _read_head(head).pre_skip
        vendor = b"libopus"
        tags = b"OpusTags" + struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", 0)
        self._sequence = 0
        self._header = self._page([head], 0, FIRST) + self._page([tags], 0)
        self._waiting = np.zeros(0, np.float32)
        self._packets: list[bytes] = []
        self._taken = self._encoded = 0

    @property
    def header(self) -> bytes:
        """The two pages that begin the stream (OpusHead, OpusTags), there before any audio."""
        return self._header

    def feed(self, samples: Samples) -> bytes:
        """Take samples; the pages that are full, none of which waits for samples behind it."""
        self._taken += len(samples)
        return self._encode(samples)

    def finish(self) -> bytes:
        """The rest and the end of the stream; nothing can be fed any more."""
        # What the encoder delays comes out when as much silence is put behind it.
        whole = self._taken + self._pre_skip * ENCODED_RATE // _OPUS_RATE
        silence = -(-whole // _FRAME_SAMPLES) * _FRAME_SAMPLES - self._taken
        pages = self._encode(np.zeros(silence, np.float32), last=True)
        granule = self._pre_skip + self._taken * _OPUS_RATE // ENCODED_RATE
        return pages + self._page(self._packets, granule, LAST)

    def _encode(self, samples: Samples, last: bool = False) -> bytes:
        """The pages that samples fill; the last of all is left to ``finish``."""
        self._waiting = np.concatenate([self._waiting, samples])
        pages = b""
        whole = len(self._waiting) // _FRAME_SAMPLES * _FRAME_SAMPLES
        for start in range(0, whole, _FRAME_SAMPLES):
            piece = self._waiting[np.newaxis, start : start + _FRAME_SAMPLES]
            frame = av.AudioFrame.from_ndarray(piece, format="flt", layout="mono")
            frame.sample_rate = ENCODED_RATE
            assert isinstance(self._opus, av.AudioCodecContext)
            self._packets += [bytes(packet) for packet in self._opus.encode(frame)]
            self._encoded += _FRAME_SAMPLES
            if len(self._packets) == _PACKETS_A_PAGE and not (last and start + _FRAME_SAMPLES == whole):
                pages += self._page(self._packets, self._encoded * _OPUS_RATE // ENCODED_RATE)
                self._packets = []
        self._waiting = self._waiting[whole:]
        return pages

    def _page(self, packets: list[bytes], granule: int, flags: int = 0) -> bytes:
        """A page of whole packets."""
        page = write_page(packets, granule, flags, _SERIAL, self._sequence)
        self._sequence += 1
        return page


class OggOpusDecoder:
    """An Ogg Opus stream, in pieces torn anywhere, as mono samples at ``sample_rate`` hertz.

    Stereo is averaged; pre-skip, gain and the last page's granule position are honoured; a chain of
    streams is one after the other. Pages and packets that are damaged or missing are left out, until
    there is more damage than sound. What is not Opus, or has more than two channels, is refused. What
    comes out lags a few hundredths of a second behind what went in until the stream's last page.
    One stream, one thread at a time; a second of speech takes about 2 ms.
    """

    def __init__(self, sample_rate: int = ENCODED_RATE) -> None:
        self._sample_rate = sample_rate
        self._buffer = bytearray()
        self._waste = 0
        self._link: _Link | None = None
        self._anything_else = False

    def feed(self, data: bytes) -> Samples:
        """Take bytes; the samples that are ready. Bytes behind a stream's end begin the next one.

        Raises InvalidRequest for ``data`` if it cannot be decoded, or is more than ``MAX_PIECE_S``
        seconds of audio or ``MAX_PIECE_PAGES``; the decoder is of no use then. A second takes 2 ms, a
        minute packed into a few kilobytes 0.1 s, or 0.5 s in the shortest packets there are: call it in
        ``decoding.STREAMS``.
        """
        self._buffer += data
        pieces: list[Samples] = []
        room = int(MAX_PIECE_S * self._sample_rate)
        for number, page in enumerate(self._pages()):
            if number == MAX_PIECE_PAGES:
                raise _refused(f"too many pages at once (at most {MAX_PIECE_PAGES})")
            for samples in self._take(page):
                room -= len(samples)
                if room < 0:
                    raise _refused(f"too much audio at once (at most {MAX_PIECE_S:g} s)")
                pieces.append(samples)
        samples = np.concatenate([np.zeros(0, np.float32), *pieces])
        return np.clip(samples, -1.0, 1.0, out=samples)

    def _pages(self) -> Iterator[Page]:
        """The whole pages of the buffer, found by their capture pattern and believed by their checksum."""
        at = 0
        try:
            while True:
                found = self._buffer.find(b"OggS", at)
                if found < 0:
                    # The pattern may be torn.
                    found = max(at, len(self._buffer) - 3)
                self._wasted(found - at)
                at = found
                size = page_size(self._buffer, at)
                if size is None or at + size > len(self._buffer):
                    return
                page = read_page(bytes(self._buffer[at : at + size]))
                if page is None:
                    self._wasted(size)
                    at += 1
                    continue
                at += size
                self._waste = max(0, self._waste - size)
                yield page
        finally:
            del self._buffer[:at]

    def _take(self, page: Page) -> Iterator[Samples]:
        """A page's samples; a stream's last ones when its last page has come."""
        if page.flags & FIRST:
            self._wasted(_SILENT_PAGE_COSTS)
            if not page.body.startswith(b"OpusHead"):
                self._anything_else = True
            elif self._link is None or self._link.has_begun:
                # A stream that begins behind another's pages follows it, even where that has no last page.
                if self._link is not None:
                    yield self._link.finish()
                self._wasted(_STREAM_COSTS)
                self._link = _Link(page.serial, _read_head(page.body), self._sample_rate)
                self._anything_else = False
            return
        if self._link is None:
            if self._anything_else:
                raise _refused("holds no Opus audio")
            self._wasted(_SILENT_PAGE_COSTS)
            return
        if page.serial != self._link.serial:
            self._wasted(_SILENT_PAGE_COSTS)
            return
        samples, sound, damaged = self._link.take(page)
        self._waste = max(0, self._waste - round(sound * _SOUND_EARNS))
        self._wasted(damaged * _DAMAGED_PACKET_COSTS + (0 if sound else _SILENT_PAGE_COSTS))
        yield samples
        if page.flags & LAST:
            yield self._link.finish()
            self._link = None

    def _wasted(self, size: int) -> None:
        self._waste += size
        if self._waste > _MAX_WASTE_BYTES:
            raise _refused("is not an Ogg stream, or is too damaged")


class _Link:
    """One logical stream, from its OpusHead on."""

    def __init__(self, serial: int, head: _Head, sample_rate: int) -> None:
        self.serial = serial
        self.has_begun = False
        self._opus = av.CodecContext.create("libopus", "r")
        self._opus.options = {"request_sample_fmt": "flt"}
        # Pre-skip is taken off here, where the end is cut as well.
        self._opus.extradata = struct.pack(
            "<8sBBHIhB", b"OpusHead", 1, head.channels, 0, _OPUS_RATE, head.gain, 0
        )
        self._channels = head.channels
        self._skip = head.pre_skip
        self._resampler = Resampler(_OPUS_RATE, sample_rate)
        self._sequence: int | None = None
        self._granule = 0
        # The beginning of a packet whose end is on the next page; None if there is none to be continued.
        self._torn: bytes | None = None

    def take(self, page: Page) -> tuple[Samples, int, int]:
        """The samples of the packets that end on ``page``, at the sample rate asked for.

        Besides, how many samples at 48 kHz were decoded, and how many packets were damaged.
        """
        self.has_begun = True
        packets = [self._decode(packet) for packet in self._packets(page)]
        frames = [frame for packet in packets if packet is not None for frame in packet]
        decoded = np.concatenate([np.zeros((0, self._channels), np.float32), *frames]).mean(axis=1)
        end = len(decoded)
        if page.granule != NO_PACKET_ENDS:
            if page.flags & LAST:
                end = max(0, min(end, page.granule - self._granule))
            self._granule = page.granule
        skipped = min(self._skip, end)
        self._skip -= skipped
        return self._resampler.feed(decoded[skipped:end]), len(decoded), packets.count(None)

    def finish(self) -> Samples:
        """The last samples."""
        return self._resampler.finish()

    def _packets(self, page: Page) -> Iterator[bytes]:
        """The packets of audio that end on a page."""
        if self._sequence is not None and page.sequence != (self._sequence + 1) % 2**32:
            self._torn = None
        self._sequence = page.sequence
        if not page.lacing:
            return
        packet = self._torn if page.flags & CONTINUED else b""
        self._torn = None
        for piece, ends in page.packet_parts():
            # A packet without its beginning, or too long to be one, is left out.
            if packet is not None:
                packet = packet + piece if len(packet) + len(piece) <= _MAX_PACKET_BYTES else None
            if not ends:
                self._torn = packet
                return
            # An empty packet would be the end of the stream to FFmpeg; no audio begins like the tags.
            if packet and not packet.startswith(b"OpusTags"):
                yield packet
            packet = b""

    def _decode(self, packet: bytes) -> list[Samples] | None:
        """A packet's samples at 48 kHz, as rows of one a channel; None if it is damaged."""
        assert isinstance(self._opus, av.AudioCodecContext)
        try:
            frames = self._opus.decode(av.Packet(packet))
        except av.FFmpegError:
            return None
        return [np.asarray(frame.to_ndarray(), np.float32).reshape(-1, self._channels) for frame in frames]


@dataclass(frozen=True, slots=True)
class _Head:
    """What OpusHead says (RFC 7845, 5.1): pre-skip in samples at 48 kHz, gain in 1/256 dB."""

    channels: int
    pre_skip: int
    gain: int


def _read_head(packet: bytes) -> _Head:
    """OpusHead, if it is such as can be decoded to mono. Raises InvalidRequest."""
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
