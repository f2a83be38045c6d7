"""The binary frames of VoxCPM's protocol, without a socket."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.voxcpm.frames import (
    HOLD_BACK_S,
    MAX_PAYLOAD_BYTES,
    NON_STREAMING,
    STREAMING_CHUNK,
    AudioPiece,
    FrameWriter,
    Pieces,
    encode_frame,
    encode_whole_answer,
)
from speech.types import Span, SpeechChunk
from tests.clients.voxcpm.wire import read_frame

RATE = 16_000
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
NOTHING = np.zeros(0, np.float32)


def test_the_bytes_of_a_frame() -> None:
    """Magic, type, zero, length, metadata padded to four bytes, length, samples, byte for byte."""
    assert encode_frame(STREAMING_CHUNK, b'{"a":1}', b"\x01\x02\x03\x04") == (
        b'\xaa\x55\x01\x00\x00\x00\x00\x08{"a":1} \x00\x00\x00\x04\x01\x02\x03\x04'
    )
    assert encode_frame(NON_STREAMING, b"{}", b"") == b"\xaa\x55\x02\x00\x00\x00\x00\x04{}  \x00\x00\x00\x00"


def test_the_bytes_of_a_streams_frames() -> None:
    """The metadata has the original's keys, then ours; samples are signed 16 bits, little endian."""
    stream = FrameWriter("r", RATE)
    samples = np.array([0.5, -1.0], np.float32)
    written = stream.write(AudioPiece(samples, (Span(0, 4, 0.0, 0.31249),), final=False))
    metadata = (
        b'{"request_id":"r","sequence":0,"sample_rate":16000,"is_final":false,"spans":[[0,4,0.0,0.3125]]}'
    )
    assert written == (b"\xaa\x55\x01\x00\x00\x00\x00\x60" + metadata + b" \x00\x00\x00\x04\x00\x40\x00\x80")
    assert read_frame(stream.write(AudioPiece(samples, (), final=True))).metadata == {
        "request_id": "r",
        "sequence": 1,
        "sample_rate": RATE,
        "is_final": True,
        "spans": [],
    }


def test_the_bytes_of_a_whole_answer() -> None:
    """One frame with everything."""
    assert read_frame(encode_whole_answer("r", RATE, [[0, 4, 0.0, 0.5]], bytes(RATE))) == read_frame(
        b"\xaa\x55\x02\x00\x00\x00\x00\x50"
        b'{"request_id":"r","sample_rate":16000,"duration":0.5,"spans":[[0,4,0.0,0.5]]}   '
        b"\x00\x00\x3e\x80" + bytes(RATE)
    )


@pytest.mark.parametrize("request_id", [UUID, "x", "ab", "abc", "ñandú 🙂", "half \ud83d"])
def test_every_payload_begins_at_a_multiple_of_four(request_id: str) -> None:
    """At each of 100,000 sequence numbers: the document's client dies where it is odd."""
    stream = FrameWriter(request_id, 24_000)
    piece = AudioPiece(NOTHING, (), final=False)
    for sequence in range(100_000):
        written = stream.write(piece)
        assert int.from_bytes(written[4:8]) % 4 == 0, sequence
    assert read_frame(written).metadata["request_id"] == request_id


def test_only_the_last_ten_milliseconds_wait() -> None:
    """What a chunk holds is cut and given out at once; the last piece is the one that was held back."""
    pieces = Pieces(RATE)
    held = round(HOLD_BACK_S * RATE)
    first = pieces.feed(SpeechChunk(np.ones(5000, np.float32), RATE, 0.0))
    assert [len(piece.samples) for piece in first] == [2048, 2048, 5000 - held - 4096]
    second = pieces.feed(SpeechChunk(np.ones(100, np.float32), RATE, 5000 / RATE))
    assert [len(piece.samples) for piece in second] == [100]
    last = pieces.finish()
    assert len(last.samples) == held and last.final
    assert not any(piece.final for piece in first + second)


def test_a_span_is_where_its_time_is() -> None:
    """In the frame in whose time it starts; what starts behind the end is in the last one."""
    spans = (Span(0, 1, 0.0, 0.1), Span(1, 2, 0.1, 0.2), Span(2, 3, 0.2, 0.2), Span(3, 4, 0.25, 0.3))
    pieces = Pieces(RATE)
    first = pieces.feed(SpeechChunk(np.ones(RATE // 4, np.float32), RATE, 0.0, spans))
    assert [[span.start for span in piece.spans] for piece in first] == [[0, 1], [2]]
    assert [span.start for span in pieces.finish().spans] == [3]


def test_no_audio_is_one_frame_without_samples() -> None:
    """Where there is nothing to carry the spans."""
    pieces = Pieces(RATE)
    assert pieces.feed(SpeechChunk(NOTHING, RATE, 0.0, (Span(0, 1, 0.0, 0.0),))) == []
    last = pieces.finish()
    assert (len(last.samples), len(last.spans), last.final) == (0, 1, True)


@given(
    st.lists(st.integers(0, 9000), min_size=1, max_size=12),
    st.sampled_from([8000, 16_000, 22_050, 24_000, 48_000]),
    st.data(),
)
def test_however_it_is_cut_it_is_the_same(lengths: list[int], rate: int, data: st.DataObject) -> None:
    """All samples in order, no frame too large or empty, all spans in order, and one last frame."""
    everything = np.arange(sum(lengths), dtype=np.float32)
    ends = sorted(data.draw(st.lists(st.floats(0, len(everything) / rate), max_size=20)))
    spans = [Span(at, at + 1, *times) for at, times in enumerate(pairwise([0.0, *ends]))]
    pieces = Pieces(rate)
    given_out: list[AudioPiece] = []
    taken = told = 0
    for length in lengths:
        count = data.draw(st.integers(told, len(spans)))
        chunk = SpeechChunk(everything[taken : taken + length], rate, taken / rate, tuple(spans[told:count]))
        given_out += pieces.feed(chunk)
        taken, told = taken + length, count
        assert sum(len(piece.samples) for piece in given_out) >= taken - HOLD_BACK_S * rate - 1
    given_out += pieces.feed(SpeechChunk(NOTHING, rate, taken / rate, tuple(spans[told:])))
    given_out.append(pieces.finish())
    assert np.array_equal(np.concatenate([piece.samples for piece in given_out]), everything)
    assert all(2 * len(piece.samples) <= MAX_PAYLOAD_BYTES for piece in given_out)
    assert all(len(piece.samples) for piece in given_out) or not len(everything)
    assert [span for piece in given_out for span in piece.spans] == spans
    assert [piece.final for piece in given_out] == [False] * (len(given_out) - 1) + [True]
