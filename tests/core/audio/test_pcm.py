"""PCM output, resampling, and decoding of good and hostile recordings, at once or piece by piece."""

import asyncio
import io
import struct
import threading
import tracemalloc
import wave
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core.audio.decoding import RECORDING_POOL, STREAM_POOL, THREADS_PER_POOL, run_in_pool
from kani.core.audio.pcm import decode_recording, pcm16, wav
from kani.core.audio.recording_file import PIECE_S, PcmFile, RecordingFile
from kani.core.audio.resampling import Resampler, reframe
from kani.core.errors import EngineFailed, InvalidRequest
from kani.core.types import Samples, Span, SpeechChunk
from tests.support.patience import WITHIN_S

TONE_HZ = 440
FILES = [
    ("wav", "pcm_s16le", 24000),
    ("mp3", "libmp3lame", 44100),
    ("ogg", "libopus", 48000),
    ("flac", "flac", 24000),
]
"""Container, codec and sample rate."""


def tone(seconds: float, rate: int) -> Samples:
    """A sine of 440 Hz at a third of full scale."""
    return (0.3 * np.sin(2 * np.pi * TONE_HZ * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encoded(
    container: str, codec: str, samples: Samples, rate: int, layout: str = "mono", **options: str
) -> bytes:
    """An audio file of some samples, [n] the same in each channel or [2, n]."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout, options=options)
        assert isinstance(stream, av.AudioStream)
        given_layout = "mono" if samples.ndim == 1 else "stereo"
        frame = av.AudioFrame.from_ndarray(np.atleast_2d(samples), format="fltp", layout=given_layout)
        frame.sample_rate = rate
        converter = av.AudioResampler(stream.format, layout, rate, stream.codec_context.frame_size or 4096)
        for part in [*converter.resample(frame), *converter.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return file.getvalue()


def patched(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


WAV = wav(tone(1.0, 22050), 22050)


def refusal(data: bytes, **limits: float) -> str:
    with pytest.raises(InvalidRequest) as caught:
        decode_recording(data, **limits)  # type: ignore[arg-type]
    assert caught.value.field == "reference"
    return caught.value.reason


def test_pcm16_rounds_and_clips_and_wav_file_is_readable() -> None:
    samples = np.array([0, 1, -1, 2, -2, 0.5, 1 / 32768, 1.4 / 32768, 1.6 / 32768], np.float32)
    assert struct.unpack("<9h", pcm16(samples)) == (0, 32767, -32768, 32767, -32768, 16384, 1, 1, 2)
    file = wav(samples, 22050)
    assert file == wav(pcm16(samples), 22050)
    with wave.open(io.BytesIO(file)) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, 22050)
        assert reader.readframes(reader.getnframes()) == pcm16(samples)
    assert struct.unpack("<I", file[4:8])[0] == len(file) - 8


@given(
    st.tuples(st.sampled_from([22050, 24000, 48000]), st.sampled_from([8000, 16000, 22050, 24000, 48000])),
    st.lists(st.integers(0, 5000), max_size=8),
)
def test_resampling_does_not_depend_on_chunking(rates: tuple[int, int], cuts: list[int]) -> None:
    source, target = rates
    samples = tone(sum(cuts) / source, source)
    parts = np.split(samples, np.cumsum(cuts)[:-1]) if cuts else []
    cut, whole = Resampler(source, target), Resampler(source, target)
    streamed = np.concatenate([*(cut.feed(part) for part in parts), cut.finish()])
    at_once = np.concatenate([whole.feed(samples), whole.finish()])
    exact = len(samples) * target / source
    assert abs(len(streamed) - exact) <= 0.5
    np.testing.assert_allclose(streamed, at_once, atol=1e-5)


def test_resampling_preserves_tone_is_filled_up_and_has_a_short_delay() -> None:
    resampler = Resampler(24000, 22050)
    out = np.concatenate([resampler.feed(tone(1.0, 24000)), resampler.finish()])
    np.testing.assert_allclose(out[1000:-1000], tone(1.0, 22050)[1000:-1000], atol=2e-3)
    # The library gives one sample too few here.
    resampler = Resampler(24_000, 44_100)
    assert len(resampler.feed(tone(1000 / 24_000, 24_000))) + len(resampler.finish()) == 1838
    assert len(Resampler(24000, 22050).feed(tone(0.1, 24000))) > 0.05 * 22050


async def _stream(chunks: Iterable[SpeechChunk]) -> AsyncIterator[SpeechChunk]:
    for chunk in chunks:
        yield chunk


async def test_reframe_cuts_into_frames_with_their_spans() -> None:
    spans = (Span(0, 3, 0.0, 0.1), Span(4, 7, 0.1, 0.25), Span(8, 9, 0.25, 0.3))
    chunk = SpeechChunk(tone(0.3, 1000), 1000, 0.0, spans)
    frames = [frame async for frame in reframe(_stream([chunk]), 1000, 120)]
    assert [len(frame.samples) for frame in frames] == [120, 120, 60]
    assert [frame.start_s for frame in frames] == pytest.approx([0, 0.12, 0.24])
    assert [frame.spans for frame in frames] == [spans[:2], (), spans[2:]]
    chunk = SpeechChunk(tone(0.242, 1000), 1000, 0.0)
    frames = [len(frame.samples) async for frame in reframe(_stream([chunk] * 2), 1000, 120, even=True)]
    assert frames == [81, 81, 80, 81, 81, 80]


async def test_reframe_yields_speech_before_failure() -> None:
    async def broken() -> AsyncIterator[SpeechChunk]:
        yield SpeechChunk(np.ones(500, np.float32), 1000, 0.0, (Span(0, 4, 0.0, 0.5), Span(4, 5, 0.5, 0.5)))
        raise EngineFailed("it broke")

    frames: list[SpeechChunk] = []
    with pytest.raises(EngineFailed, match="it broke"):
        async for frame in reframe(broken(), 2200, 440):
            frames.append(frame)
    assert sum(len(frame.samples) for frame in frames) == 1100
    assert [span.end for frame in frames for span in frame.spans] == [4, 5]


async def test_reframe_does_not_wait_for_a_full_frame() -> None:
    asked = 0

    async def counted() -> AsyncIterator[SpeechChunk]:
        nonlocal asked
        for start in range(3):
            asked += 1
            yield SpeechChunk(tone(0.1, 1000), 1000, start * 0.1)

    frames = reframe(counted(), 1000, 10_000)
    assert len((await anext(frames)).samples) == 100
    assert asked == 1


@given(
    st.sampled_from([(24000, 22050), (22050, 22050), (22050, 24000)]),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 4)), max_size=6),
    st.integers(1, 3000),
)
async def test_reframe_loses_nothing(
    rates: tuple[int, int], parts: list[tuple[int, int]], frame_samples: int
) -> None:
    source, target = rates
    chunks, spans, at = [], [], 0
    for length, words in parts:
        own = []
        for word in range(words):
            start_s = (at + length * word / words) / source
            own.append(Span(len(spans) + word, len(spans) + word + 1, start_s, start_s))
        chunks.append(SpeechChunk(tone(length / source, source), source, at / source, tuple(own)))
        spans += own
        at += length
    frames = [frame async for frame in reframe(_stream(chunks), target, frame_samples)]
    assert abs(sum(len(frame.samples) for frame in frames) - at * target / source) <= 0.5
    assert [span for frame in frames for span in frame.spans] == spans
    sent = 0
    for index, frame in enumerate(frames):
        assert len(frame.samples) <= frame_samples and frame.sample_rate == target
        assert frame.start_s == pytest.approx(sent / target)
        assert len(frame.samples) or (frame.spans and index == len(frames) - 1)
        sent += len(frame.samples)
        if index < len(frames) - 1:
            assert all(span.start_s < sent / target for span in frame.spans)


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        *FILES,
        ("wav", "pcm_s24le", 48000),
        ("wav", "pcm_f32le", 44100),
        ("wav", "pcm_u8", 8000),
        ("mp4", "aac", 44100),
        ("ipod", "aac", 44100),
    ],
)
def test_recording_is_decoded(container: str, codec: str, rate: int, layout: str) -> None:
    recording = decode_recording(encoded(container, codec, tone(1.0, rate), rate, layout))
    assert recording.sample_rate == rate
    assert recording.duration_s == pytest.approx(1.0, abs=0.06)
    assert recording.samples.dtype == np.float32
    spectrum = np.abs(np.fft.rfft(recording.samples))
    assert np.argmax(spectrum) / recording.duration_s == pytest.approx(TONE_HZ, abs=3)
    assert 0.2 < np.abs(recording.samples).max() < 0.4


def test_vorbis_is_decoded() -> None:
    data = encoded("ogg", "vorbis", tone(1.0, 44100), 44100, "stereo", strict="experimental")
    assert decode_recording(data).duration_s == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"), (b"hello", "not audio"), (b"<!DOCTYPE html><html>", "not audio"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not audio"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/a.ts", "not audio"),
        (b"ffconcat version 1.0\nfile /etc/hostname", "not audio"),
        (b"RIFF\x04\0\0\0AVI LIST", "not audio"), (b"RIFF\0\0\0\0WAVE", "broken"), (b"OggS", "broken"),
        (b"fLaC", "broken"), (b"ID3", "broken"), (b"\xff\xfb\x90\x00", "broken"),
        (b"\0\0\0\x20ftypM4A ", "broken"), (b"OggS" + bytes(range(256)) * 40, "broken"),
        # Impossible rates, and numbers of channels.
        *((patched(WAV, 24, struct.pack("<I", rate)), "") for rate in (0, 1, 3999, 192_001, 4_000_000_000)),
        *((patched(WAV, 22, struct.pack("<H", count)), "channels") for count in (0, 9, 255, 65535)),
    ],
)  # fmt: skip
def test_data_without_audio_is_refused(data: bytes, reason: str) -> None:
    assert reason in refusal(data)


def test_playlist_opens_no_file_and_a_cut_m4a_or_a_silent_film_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "secret.wav"
    target.write_bytes(wav(tone(1.0, 22050), 22050))
    for head in (b"ID3", b"\xff\xfb\x90\x00", b"OggS", b"fLaC"):
        refusal(head + f"\n#EXTM3U\nfile://{target}\nfile '{target}'\n".encode())
    data = encoded("ipod", "aac", tone(4.0, 44100), 44100)
    assert "broken" in refusal(data[: len(data) // 2])
    assert "no audio" in refusal(pictures())


def test_odd_wav_files_are_read_and_limits_enforced() -> None:
    for at, size in ((40, 0), (40, 0xFFFFFFFF), (40, 0x7FFFFFFF), (4, 0), (4, 0xFFFFFFFF)):
        wrong = patched(WAV, at, struct.pack("<I", size))
        assert decode_recording(wrong).duration_s == pytest.approx(1.0), (at, size)
    assert decode_recording(WAV + b"\1").duration_s == pytest.approx(1.0)
    file = wav(tone(2.0, 22050), 22050)
    assert "at most 1 s" in refusal(file, max_seconds=1.0)
    assert "at most 0.0625 MiB" in refusal(file, max_bytes=65536)
    assert decode_recording(file, max_seconds=2.0).duration_s == 2.0


def test_nan_samples_are_refused_and_loud_ones_clipped() -> None:
    file = encoded("wav", "pcm_f32le", tone(1.0, 44100), 44100)
    for value in (np.nan, np.inf):
        assert "not numbers" in refusal(patched(file, len(file) - 400, struct.pack("<f", value)))
    loud = decode_recording(patched(file, len(file) - 400, struct.pack("<f", 1e30)))
    assert loud.samples.max() == 1.0


@pytest.mark.parametrize(("container", "codec", "rate"), FILES)
def test_truncated_file_is_decoded(container: str, codec: str, rate: int) -> None:
    data = encoded(container, codec, tone(4.0, rate), rate)
    assert 1.0 < decode_recording(data[: len(data) // 2]).duration_s < 2.5


def pictures() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=24)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        # A frame that is only made holds what its memory held: rows of tests would be named by that.
        black = av.VideoFrame.from_ndarray(np.zeros((24, 16), np.uint8), "yuv420p")
        output.mux(stream.encode(black))
        output.mux(stream.encode(None))
    return file.getvalue()


def test_bomb_is_decoded_up_to_limit() -> None:
    rate = 8000
    bomb = encoded("flac", "flac", np.zeros(rate * 1200, np.float32), rate)
    assert len(bomb) < 350_000
    tracemalloc.start()
    try:
        assert "at most 60 s" in refusal(bomb)
        assert tracemalloc.get_traced_memory()[1] < 2 * 60 * rate * 4
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_recording_is_resampled_while_decoding(rate: int) -> None:
    file = wav(tone(3.0, rate), rate)
    recording = decode_recording(file, sample_rate=16_000)
    assert (recording.sample_rate, len(recording.samples)) == (16_000, 48_000)
    assert np.abs(recording.samples - tone(3.0, 16_000))[200:-200].max() < 0.01
    cut = decode_recording(file, max_seconds=1.0, truncate=True, sample_rate=16_000)
    assert len(cut.samples) == 16_000
    assert "at most 1 s" in refusal(file, max_seconds=1.0, sample_rate=16_000)


RATE = 16_000
NOISE = np.random.default_rng(1).uniform(-0.5, 0.5, 50 * RATE).astype(np.float32)


class SlowFile(io.BytesIO):
    """Waits in ``read`` once ``slow`` is set."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.slow, self.waiting, self.may_go = (threading.Event() for _ in range(3))

    def read(self, size: int | None = -1) -> bytes:
        if self.slow.is_set():
            self.waiting.set()
            assert self.may_go.wait(WITHIN_S)
        return super().read(size)


def read_all(recording: RecordingFile | PcmFile) -> list[Samples]:
    pieces = []
    with recording:
        while (piece := recording.read()) is not None:
            pieces.append(piece)
    return pieces


@pytest.mark.parametrize(("opened", "data"), [(RecordingFile, wav(NOISE, RATE)), (PcmFile, pcm16(NOISE))])
def test_pieces_are_bounded_and_complete(opened: type[RecordingFile | PcmFile], data: bytes) -> None:
    pieces = read_all(opened(io.BytesIO(data), RATE, 60.0))
    assert max(len(piece) for piece in pieces) <= 1.1 * PIECE_S * RATE and len(pieces) == 3
    assert np.allclose(np.concatenate(pieces), NOISE, atol=1e-4)
    with pytest.raises(InvalidRequest, match="at most 45 s"):
        read_all(opened(io.BytesIO(data), RATE, 45.0))


def test_leaving_while_a_thread_reads_closes_afterwards() -> None:
    file = SlowFile(wav(NOISE, RATE))
    pieces: list[Samples | None] = []
    with RecordingFile(file, RATE, 60.0) as recording:
        assert recording.read() is not None
        file.slow.set()
        thread = threading.Thread(target=lambda: pieces.append(recording.read()))
        thread.start()
        assert file.waiting.wait(WITHIN_S)
    file.slow.clear()
    file.may_go.set()
    thread.join(WITHIN_S)
    assert len(pieces) == 1 and pieces[0] is not None
    assert recording.read() is None
    with pytest.raises(AssertionError, match="not open"):
        _ = recording._container.duration


async def test_recordings_block_neither_streams_nor_other_work() -> None:
    going, done = threading.Event(), list[str]()
    busy = [asyncio.create_task(run_in_pool(RECORDING_POOL, going.wait)) for _ in range(THREADS_PER_POOL)]
    waiting = asyncio.create_task(run_in_pool(RECORDING_POOL, done.append, "recording"))
    given_up = asyncio.create_task(run_in_pool(RECORDING_POOL, done.append, "given up"))
    await run_in_pool(STREAM_POOL, done.append, "stream")
    await asyncio.to_thread(done.append, "other")
    given_up.cancel()
    await asyncio.wait([given_up])
    assert done == ["stream", "other"]
    going.set()
    await asyncio.gather(*busy, waiting)
    assert done == ["stream", "other", "recording"]
    with pytest.raises(ZeroDivisionError):
        await run_in_pool(RECORDING_POOL, lambda: 1 // 0)
