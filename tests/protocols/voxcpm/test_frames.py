"""The binary frames of VoxCPM's protocol, and the cutting of speech into frames."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core.audio.resampling import Rechunker
from kani.core.types import Span, SpeechChunk
from kani.protocols.voxcpm.frames import (
    NON_STREAMING,
    STREAMING_CHUNK,
    FrameWriter,
    encode_frame,
    encode_whole_answer,
)
from tests.clients.voxcpm.wire import read_frame

RATE = 16_000
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
NOTHING = np.zeros(0, np.float32)


def test_frame_bytes() -> None:
    assert encode_frame(STREAMING_CHUNK, b'{"a":1}', b"\x01\x02\x03\x04") == (
        b'\xaa\x55\x01\x00\x00\x00\x00\x08{"a":1} \x00\x00\x00\x04\x01\x02\x03\x04'
    )
    assert encode_frame(NON_STREAMING, b"{}", b"") == b"\xaa\x55\x02\x00\x00\x00\x00\x04{}  \x00\x00\x00\x00"


def test_stream_frame_bytes() -> None:
    """The metadata has the original's keys, then ours; samples are signed 16 bits, little endian."""
    writer = FrameWriter("r", RATE, {"voice": "ñ"})
    samples = np.array([0.5, -1.0], np.float32)
    chunk = SpeechChunk(samples, RATE, 0.0, (Span(0, 4, 0.0, 0.31249),))
    metadata = (
        b'{"request_id":"r","sequence":0,"sample_rate":16000,"is_final":false,"spans":[[0,4,0.0,0.3125]],'
        b'"speaker":{"voice":"\xc3\xb1"}}'
    )
    assert writer.write(chunk, final=False) == (
        b"\xaa\x55\x01\x00\x00\x00\x00\x78" + metadata + b"\x00\x00\x00\x04\x00\x40\x00\x80"
    )
    assert read_frame(writer.write(SpeechChunk(samples, RATE, 0.1), final=True)).metadata == {
        "request_id": "r",
        "sequence": 1,
        "sample_rate": RATE,
        "is_final": True,
        "spans": [],
    }


def test_whole_answer_bytes() -> None:
    assert read_frame(encode_whole_answer("r", RATE, [[0, 4, 0.0, 0.5]], bytes(RATE))) == read_frame(
        b"\xaa\x55\x02\x00\x00\x00\x00\x50"
        b'{"request_id":"r","sample_rate":16000,"duration":0.5,"spans":[[0,4,0.0,0.5]]}   '
        b"\x00\x00\x3e\x80" + bytes(RATE)
    )


@pytest.mark.parametrize("request_id", [UUID, "x", "ab", "abc", "ñandú 🙂", "half \ud83d"])
def test_payload_begins_at_multiple_of_four(request_id: str) -> None:
    """At sequence numbers of any length: the document's JavaScript client fails at an odd offset."""
    writer = FrameWriter(request_id, 24_000, {"voice": "ef_dora"})
    chunk = SpeechChunk(NOTHING, 24_000, 0.0)
    for sequence in (*range(1001), 9_999, 10_000, 99_999, 100_000):
        writer.frames = sequence
        written = writer.write(chunk, final=False)
        assert int.from_bytes(written[4:8]) % 4 == 0, sequence
    assert read_frame(written).metadata["request_id"] == request_id


def test_rechunker_holds_back_last_samples_alone() -> None:
    cut = Rechunker(RATE, 2048, hold_back=160)
    for length, cuts in ((5000, [2048, 2048, 5000 - 160 - 4096]), (100, [100])):
        fed = cut.feed(SpeechChunk(np.ones(length, np.float32), RATE, 0.0))
        assert [len(chunk.samples) for chunk in fed] == cuts
    assert [len(chunk.samples) for chunk in cut.finish()] == [160]


def test_rechunker_puts_span_into_chunk_of_its_start() -> None:
    spans = (Span(0, 1, 0.0, 0.1), Span(1, 2, 0.1, 0.2), Span(2, 3, 0.2, 0.2), Span(3, 4, 0.25, 0.3))
    cut = Rechunker(RATE, 2048, hold_back=160)
    first = cut.feed(SpeechChunk(np.ones(RATE // 4, np.float32), RATE, 0.0, spans))
    assert [[span.start for span in chunk.spans] for chunk in first] == [[0, 1], [2]]
    assert [span.start for chunk in cut.finish() for span in chunk.spans] == [3]


@given(
    st.lists(st.integers(0, 9000), min_size=1, max_size=12),
    st.sampled_from([8000, 16_000, 22_050, 24_000, 48_000]),
    st.data(),
)
def test_rechunker_loses_nothing(lengths: list[int], rate: int, data: st.DataObject) -> None:
    """All samples and spans in order, no chunk too large, none empty but a single one."""
    hold_back = round(0.01 * rate)
    everything = np.arange(sum(lengths), dtype=np.float32)
    ends = sorted(data.draw(st.lists(st.floats(0, len(everything) / rate), max_size=20)))
    spans = [Span(at, at + 1, *times) for at, times in enumerate(pairwise([0.0, *ends]))]
    cut = Rechunker(rate, 2048, hold_back=hold_back)
    chunks: list[SpeechChunk] = []
    fed = count = 0
    for length in lengths:
        before, count = count, data.draw(st.integers(count, len(spans)))
        samples = everything[fed : fed + length]
        chunks += cut.feed(SpeechChunk(samples, rate, fed / rate, tuple(spans[before:count])))
        fed += length
        assert sum(len(chunk.samples) for chunk in chunks) >= fed - hold_back - 1
    chunks += cut.feed(SpeechChunk(NOTHING, rate, fed / rate, tuple(spans[count:])))
    chunks += cut.finish()
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), everything)
    assert all(len(chunk.samples) <= 2048 for chunk in chunks)
    assert all(len(chunk.samples) for chunk in chunks) or not len(everything)
    assert [span for chunk in chunks for span in chunk.spans] == spans
    starts = np.cumsum([0, *(len(chunk.samples) for chunk in chunks[:-1])]) / rate
    assert [chunk.start_s for chunk in chunks] == pytest.approx(list(starts))
