"""Ogg Opus streams: our own, foreign and hostile ones."""

import functools
import io
import itertools
import struct
import tracemalloc
from collections.abc import Iterable

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core.audio.ogg_opus import (
    ENCODED_RATE,
    MAX_PIECE_PAGES,
    MAX_PIECE_S,
    PAGE_S,
    OggOpusDecoder,
    OggOpusEncoder,
)
from kani.core.errors import InvalidRequest
from kani.core.types import Samples
from tests.core.audio.test_pcm import encoded

PAGE_SAMPLES = round(PAGE_S * ENCODED_RATE)
FIRST, LAST = 2, 4


@functools.cache
def melody(seconds: float, rate: int = ENCODED_RATE) -> Samples:
    """Gliding harmonics with a rhythm, so that no two stretches are alike."""
    at = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * (180 * at + 12 * np.sin(1.7 * at))
    sound = sum(np.sin(phase * n) / n for n in (1, 2, 3, 5, 8))
    samples: Samples = (0.15 * sound * (1.1 + np.sin(2 * np.pi * 3 * at))).astype(np.float32)
    return samples


def encode(samples: Samples, cuts: Iterable[int] = ()) -> list[bytes]:
    """Our stream of some samples cut at ``cuts``: header, result of each piece, rest."""
    encoder = OggOpusEncoder()
    edges = [0, *sorted(cuts), len(samples)]
    pieces = [encoder.feed(samples[start:end]) for start, end in itertools.pairwise(edges)]
    return [encoder.header, *pieces, encoder.finish()]


def decode(data: bytes, rate: int = ENCODED_RATE, piece: int = 16_384) -> Samples:
    decoder = OggOpusDecoder(rate)
    pieces = [decoder.feed(data[at : at + piece]) for at in range(0, len(data), piece)]
    return np.concatenate([np.zeros(0, np.float32), *pieces])


def read_by_ffmpeg(data: bytes) -> Samples:
    """A stream as FFmpeg's own demuxer and decoder read it: mono, 48 kHz."""
    with av.open(io.BytesIO(data), format="ogg") as container:
        frames = [frame.to_ndarray().mean(axis=0) for frame in container.decode(audio=0)]
    return np.concatenate([np.zeros(0, np.float32), *frames])


def shifted(crc: int) -> int:
    """RFC 3533's CRC register after eight bits."""
    for _ in range(8):
        crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


SHIFTED = [shifted(byte << 24) for byte in range(256)]


def checksum(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFFFFFF) ^ SHIFTED[crc >> 24 ^ byte]
    return crc


def page(
    body: bytes, lacing: Iterable[int], sequence: int = 0, flags: int = 0, granule: int = 0, serial: int = 7
) -> bytes:
    """A page with a correct checksum."""
    table = bytes(lacing)
    head = struct.pack("<4sBBqII", b"OggS", 0, flags, granule, serial, sequence)
    rest = bytes([len(table)]) + table + body
    return head + struct.pack("<I", checksum(head + bytes(4) + rest)) + rest


def opus_head(channels: int = 1, family: int = 0, version: int = 1) -> bytes:
    return struct.pack("<8sBBHIhB", b"OpusHead", version, channels, 0, 48_000, 0, family)


def head_page(head: bytes = opus_head(), serial: int = 7) -> bytes:
    return page(head, [len(head)], 0, FIRST, serial=serial)


def beginning(head: bytes = opus_head()) -> bytes:
    tags = b"OpusTags" + bytes(8)
    return head_page(head) + page(tags, [len(tags)], 1)


def serial_of(page: bytes) -> int:
    return int.from_bytes(page[14:18], "little")


def pages_of(data: bytes) -> list[bytes]:
    """A stream's pages, which must follow each other without a gap."""
    pages = []
    while data:
        assert data[:4] == b"OggS"
        size = 27 + data[26] + sum(data[27 : 27 + data[26]])
        pages.append(data[:size])
        data = data[size:]
    return pages


def assert_sounds_like(samples: Samples, original: Samples) -> None:
    assert len(samples) == len(original)
    noise = np.sum((samples - original) ** 2)
    assert 10 * np.log10(np.sum(original**2) / noise) > 15
    assert np.corrcoef(samples, original)[0, 1] > 0.98


def test_encoded_speech_decodes_to_itself_page_by_page() -> None:
    original = melody(4.321)
    data = b"".join(encode(original))
    assert_sounds_like(decode(data), original)
    by_ffmpeg = read_by_ffmpeg(data)
    assert_sounds_like(by_ffmpeg[::2], original)
    assert len(by_ffmpeg) == 2 * len(original)
    samples = melody(2.0)
    header, *pages, _ = encode(samples, range(PAGE_SAMPLES, len(samples), PAGE_SAMPLES))
    decoder = OggOpusDecoder()
    assert len(decoder.feed(header)) == 0
    had = 0
    for number, each in enumerate(pages, 1):
        had += len(decoder.feed(each))
        assert number * PAGE_SAMPLES - had < 0.06 * ENCODED_RATE


@given(st.integers(0, 8_000), st.lists(st.integers(0, 8_000), max_size=5))
def test_every_length_is_preserved(length: int, cuts: list[int]) -> None:
    samples = melody(1.0)[:length]
    parts = encode(samples, (min(cut, length) for cut in cuts))
    assert b"".join(parts) == b"".join(encode(samples))
    data = b"".join(parts)
    assert len(decode(data)) == length
    assert len(read_by_ffmpeg(data)) == 2 * length


def test_page_is_returned_with_its_last_sample() -> None:
    encoder = OggOpusEncoder()
    samples = melody(2.0)
    head, tags = pages_of(encoder.header)
    assert head[5] == FIRST and head[28:36] == b"OpusHead" and tags[28:36] == b"OpusTags"
    pages = [head, tags]
    for at in range(0, len(samples), PAGE_SAMPLES):
        assert encoder.feed(samples[at : at + PAGE_SAMPLES - 1]) == b""
        pages += pages_of(encoder.feed(samples[at + PAGE_SAMPLES - 1 : at + PAGE_SAMPLES]))
        assert len(pages) == 2 + at // PAGE_SAMPLES + 1
    pages += pages_of(encoder.finish())
    flags, granules, serials, numbers = zip(*(struct.unpack_from("<BqII", p, 5) for p in pages), strict=True)
    assert flags == (FIRST, *[0] * (len(pages) - 2), LAST)
    assert numbers == tuple(range(len(pages))) and len(set(serials)) == 1
    assert granules[:-1] == (0, *range(0, 2 * len(samples) + 1, 2 * PAGE_SAMPLES))
    (pre_skip,) = struct.unpack_from("<H", head, 38)
    assert granules[-1] == pre_skip + 2 * len(samples)
    for each in pages:
        assert checksum(each[:22] + bytes(4) + each[26:]) == struct.unpack_from("<I", each, 22)[0]


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("page_duration", ["20000", "1000000"])
def test_ffmpeg_streams_are_decoded(rate: int, layout: str, page_duration: str) -> None:
    original = melody(2.5, rate)
    data = encoded("ogg", "libopus", original, rate, layout, b="96k", page_duration=page_duration)
    # FFmpeg makes two channels of one at the same power.
    assert_sounds_like(decode(data, rate), original if layout == "mono" else original * np.float32(0.5**0.5))


def test_stereo_is_averaged_and_gain_honoured() -> None:
    left = melody(2.0, 48_000)
    both = encoded("ogg", "libopus", np.stack([left, 0 * left]), 48_000, "stereo", b="192k")
    samples = decode(both, 48_000)
    assert_sounds_like(samples[: len(left)], left[: len(samples)] / 2)
    header, *rest = pages_of(b"".join(encode(melody(1.0))))
    quiet = bytearray(header[28:])
    struct.pack_into("<h", quiet, 16, -1541)
    halved = decode(head_page(bytes(quiet), serial_of(header)) + b"".join(rest))
    assert np.allclose(halved, decode(header + b"".join(rest)) / 2, atol=1e-3)


@functools.cache
def stream() -> bytes:
    return b"".join(encode(melody(1.0)))


@given(st.lists(st.integers(0, 10_000), max_size=30))
def test_pieces_do_not_change_samples(cuts: list[int]) -> None:
    decoder, data = OggOpusDecoder(), stream()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [decoder.feed(data[start:end]) for start, end in itertools.pairwise(edges)]
    assert np.array_equal(np.concatenate(pieces), decode(data))


def test_streams_follow_each_other() -> None:
    other = encoded("ogg", "libopus", melody(0.7, 48_000), 48_000, "stereo")
    chained = decode(stream() + b"OggS, but not really" + other + stream())
    assert np.array_equal(chained, np.concatenate([decode(stream()), decode(other), decode(stream())]))
    *first, _ = pages_of(stream())
    samples = decode(b"".join(first) + stream())
    (pre_skip,) = struct.unpack_from("<H", first[0], 38)
    (granule,) = struct.unpack_from("<q", first[-1], 6)
    assert len(samples) == (granule - pre_skip) // 2 + 24_000
    assert np.array_equal(samples[-24_000:], decode(stream()))
    head, *rest = pages_of(stream())
    theora = page(b"\x80theora" + bytes(35), [42], 0, FIRST, serial=99)
    frames = [page(bytes(300), [255, 45], n + 1, serial=99) for n in range(len(rest))]
    mixed = theora + head + b"".join(a + b for a, b in zip(frames, rest, strict=True))
    assert np.array_equal(decode(mixed), decode(stream()))


def test_packets_over_pages_are_joined_and_a_missing_page_is_a_gap() -> None:
    whole = encoded("ogg", "libopus", melody(1.0, 48_000), 48_000, b="256k", page_duration="20000")
    head, tags, *rest = pages_of(whole)
    serial = serial_of(head)
    pages, number = [head, tags], 2
    for each in rest:
        table, at = each[27 : 27 + each[26]], 27 + each[26]
        torn = False
        for n, length in enumerate(table):
            # The granule position stands where the page's last packet ends.
            granule = struct.unpack_from("<q", each, 6)[0] if n == len(table) - 1 else -1
            flags = int(torn) | (LAST if each is rest[-1] and n == len(table) - 1 else 0)
            pages.append(page(each[at : at + length], [length], number, flags, granule, serial))
            at, number, torn = at + length, number + 1, length == 255
            if torn:
                pages.append(page(b"", [], number, 0, -1, serial))
                number += 1
    assert len(pages) > 2 * len(rest)
    assert np.array_equal(decode(b"".join(pages)), decode(whole))
    # Without a page in the middle of a packet that one is left out; its two ends are not put together.
    middle = next(n for n, each in enumerate(pages) if n > 50 and each[5] and each[26:28] == b"\x01\xff")
    assert len(decode(b"".join(pages[:middle] + pages[middle + 1 :]))) == 24_000 - 480
    pages = pages_of(stream())
    missing = decode(b"".join(pages[:6] + pages[7:]))
    assert len(missing) == 24_000 - PAGE_SAMPLES
    damaged, newer = bytearray(pages[6]), bytearray(pages[6])
    damaged[100] ^= 1
    newer[4] = 1  # a version of Ogg that does not exist, with its right checksum
    struct.pack_into("<I", newer, 22, checksum(bytes(newer[:22]) + bytes(4) + bytes(newer[26:])))
    for unread in (damaged, newer):
        assert np.array_equal(decode(b"".join([*pages[:6], bytes(unread), *pages[7:]])), missing)
    # Half a second later the decoder has found back to what it would have said.
    whole = decode(stream())
    assert np.corrcoef(missing[-8_000:], whole[-8_000:])[0, 1] > 0.99


def test_damaged_packet_is_skipped() -> None:
    pages = pages_of(stream())
    # Code 3 with no frame count, and one of 60 ms times 48.
    bad = page(b"\x03" + b"\xff\xff\xff", [1, 3], 5, 0, 9_600, serial_of(pages[0]))
    assert len(decode(b"".join([*pages[:5], bad, *pages[6:]]))) == 24_000 - PAGE_SAMPLES


DAMAGED = "is not an Ogg stream, or is too damaged"
SHORTEST = bytes([0xE0])
"""A packet of 2.5 ms of silence."""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (page(b"\x01vorbis" + bytes(23), [30], 0, FIRST) + page(bytes(9), [9], 1), "holds no Opus audio"),
        (beginning(opus_head(channels=255, family=255)), "must have one or two channels"),
        (beginning(opus_head(channels=0)), "must have one or two channels"),
        (beginning(opus_head(channels=3)), "must have one or two channels"),
        (beginning(opus_head(channels=2, family=1)), "must have one or two channels"),
        (beginning(opus_head(version=16)), "is of an unknown version of Ogg Opus"),
        (beginning(opus_head()[:18]), "its OpusHead is too short"),
        (bytes(300_000), DAMAGED),
        (b"RIFF" + bytes(4) + b"WAVE" + b"OggS" * 100_000, DAMAGED),
        # Packets without a frame count.
        (beginning() + b"".join(page(b"\x03" * 255, [1] * 255, n) for n in range(2, 20)), DAMAGED),
        # Pages within pages are not looked at for long. Every six bytes a header begins that claims 10 kB, so
        # that each byte could be asked two thousand times whether it is right.
        (beginning() + b"OggS\x00\xff" * 11_000, DAMAGED),
        # Pages without sound, of this stream or another, and streams of a page or none.
        *((head_page() + page(b"", [], 1, serial=serial) * 2000, DAMAGED) for serial in (7, 8)),
        ((head_page() + page(SHORTEST, [1], 1, LAST, 120)) * 40, DAMAGED),
        ((head_page() + page(b"", [], 1, LAST, 0)) * 40, DAMAGED),
        (
            head_page() + page(SHORTEST, [1], 1, 0, 0) * MAX_PIECE_PAGES,
            f"too many pages at once (at most {MAX_PIECE_PAGES})",
        ),
    ],
)
def test_undecodable_stream_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        OggOpusDecoder().feed(data)
    assert (caught.value.field, caught.value.reason) == ("data", reason)


def test_memory_is_bounded() -> None:
    decoder = OggOpusDecoder()
    decoder.feed(beginning())
    pages = [page(bytes(255 * 255), [255] * 255, n, int(n > 2), -1) for n in range(2, 62)]
    tracemalloc.start()
    for each in pages:
        assert len(decoder.feed(each)) == 0
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_long_tags_are_skipped_and_bombs_refused() -> None:
    head, _, *rest = pages_of(stream())
    serial = serial_of(head)
    picture = b"OpusTags" + bytes(255 * 255 - 8)
    pages = [page(picture, [255] * 255, 1, 0, -1, serial)]
    pages += [page(bytes(255 * 255), [255] * 255, n, 1, -1, serial) for n in range(2, 6)]
    pages.append(page(b"end", [3], 6, 1, 0, serial))
    # The numbers go on, so the pages after it are written anew.
    for n, each in enumerate(rest, 7):
        flags, granule = struct.unpack_from("<Bq", each, 5)
        table, at = each[27 : 27 + each[26]], 27 + each[26]
        pages.append(page(each[at:], table, n, flags, granule, serial))
    assert np.array_equal(decode(head + b"".join(pages)), decode(stream()))
    packets = 255
    body = b"\x1b\x02" * packets  # two frames of 60 ms, empty
    bomb = [page(body, [2] * packets, n) for n in range(2, 40)]
    decoder = OggOpusDecoder()
    decoder.feed(beginning())
    assert len(decoder.feed(bomb[0])) > 0.11 * packets * ENCODED_RATE
    with pytest.raises(InvalidRequest, match=f"at most {MAX_PIECE_S:g} s"):
        decoder.feed(b"".join(bomb[1:]))


def test_chains_of_streams_are_decoded() -> None:
    streams = b"".join(encode(melody(0.5))) * 100
    assert len(decode(streams)) == 100 * ENCODED_RATE // 2
    for last in (page(SHORTEST, [1], 1, LAST, 120), page(b"", [], 1, LAST, 0)):
        assert len(OggOpusDecoder().feed((head_page() + last) * 20)) <= 20 * 60
