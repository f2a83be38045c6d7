"""Speech in every format, as decoded by FFmpeg: exact length, early output."""

import io
import itertools
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from kani.core.audio import synthetic_mark
from kani.core.audio.encoding import (
    CODECS,
    AsyncEncoder,
    AudioFormat,
    FileEncoder,
    create_encoder,
    run_encoding,
)
from kani.core.audio.pcm import mono, pcm16
from kani.core.audio.resampling import Resampler
from kani.core.types import Samples
from tests.core.audio.test_ogg_opus import melody
from tests.support.patience import WITHIN_S

SOURCE = 24_000
RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
KBITS = (32, 64, 96, 128, 192)
ROWS: list[tuple[str, int, int | None]] = [
    *(("mp3", 22050, 32), ("mp3", 24000, 48), ("ulaw", 8000, None), ("alaw", 8000, None)),
    *(("mp3", 44100, kbits) for kbits in KBITS),
    *(("opus", 48000, kbits) for kbits in KBITS),
    *((codec, rate, None) for codec in ("pcm", "wav") for rate in RATES),
]
FORMATS = {
    each.name: each
    for each in (
        AudioFormat(
            codec, rate, (kbits or 0) * 1000 or None, f"{codec}_{rate}" + (f"_{kbits}" if kbits else "")
        )
        for codec, rate, kbits in ROWS
    )
}
COMPRESSED = [name for name, form in FORMATS.items() if form.codec in ("mp3", "opus")]
MP3S = [name for name in COMPRESSED if FORMATS[name].codec == "mp3"]
STREAMED = [name for name, form in FORMATS.items() if form.codec != "wav"]
MP3_DELAY = 1105
"""Samples: LAME's delay and a decoder's."""


def streamed(form: AudioFormat, samples: Samples, piece: int = 4800, source: int = SOURCE) -> bytes:
    stream = create_encoder(form, source)
    parts = [stream.feed(samples[at : at + piece]) for at in range(0, len(samples), piece)]
    return b"".join([*parts, stream.finish()])


def whole(form: AudioFormat, samples: Samples, source: int = SOURCE) -> bytes:
    file = FileEncoder(form, source)
    for at in range(0, len(samples), 4800):
        file.add(samples[at : at + 4800])
    return file.finish()


def decoded(data: bytes, form: AudioFormat) -> Samples:
    container = {"mp3": "mp3", "opus": "ogg", "wav": "wav", "ulaw": "mulaw", "alaw": "alaw", "pcm": "s16le"}
    options = {} if form.codec in ("mp3", "opus", "wav") else {"sample_rate": str(form.sample_rate)}
    with av.open(io.BytesIO(data), format=container[form.codec], options=options) as opened:
        assert opened.streams.audio[0].rate == form.sample_rate
        pieces = []
        for frame in opened.decode(audio=0):
            array = frame.to_ndarray().mean(axis=0)
            pieces.append(array / 32768 if frame.format.name.startswith("s16") else array)
    return np.concatenate([np.zeros(0), *pieces]).astype(np.float32)


@pytest.mark.parametrize("encoded", [whole, streamed])
@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_keeps_what_goes_in(codec: str, encoded: Callable[[AudioFormat, Samples], bytes]) -> None:
    samples, raw = melody(1.0), {"pcm": "s16le", "ulaw": "mulaw", "alaw": "alaw"}.get(codec)
    data = encoded(AudioFormat(codec, SOURCE, 96_000), samples)
    options = {"sample_rate": str(SOURCE)} if raw else {}
    with av.open(io.BytesIO(data), "r", format=raw, options=options) as opened:
        resampler = Resampler(opened.streams.audio[0].rate, SOURCE)
        heard = [resampler.feed(mono(frame)) for frame in opened.decode(audio=0)]
    sound = np.concatenate([*heard, resampler.finish()])
    size = 2 * (len(sound) + len(samples))
    # The encoder's delay is where the two are most alike.
    alike = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(samples, size).conj())[:4800]
    assert alike.max() > 0.98 * np.linalg.norm(sound) * np.linalg.norm(samples)


def encode_all() -> None:
    """Encode samples that some encoders end their process for; run in a process of its own."""
    wild = np.array([np.nan, np.inf, -np.inf, 1e10, -3e38, 2.0, 1e-40, 0.5], np.float32)
    for codec in CODECS:
        for values in (*wild[:, None], wild):
            form = AudioFormat(codec, SOURCE, 64_000)
            samples = np.resize(values, SOURCE).astype(np.float32)
            usual = np.clip(np.nan_to_num(samples), -1.0, 1.0)
            for encoded in (whole, streamed):
                assert encoded(form, samples) == encoded(form, usual), (codec, values)
        print(codec)


def test_no_sample_ends_the_process() -> None:
    call = f"from {__name__} import encode_all; encode_all()"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", call], capture_output=True, timeout=WITHIN_S, text=True
    )
    assert (done.returncode, done.stdout.split()) == (0, [*CODECS]), done.stderr


def expected(form: AudioFormat, samples: Samples) -> Samples:
    resampler = Resampler(SOURCE, form.sample_rate)
    return np.concatenate([resampler.feed(samples), resampler.finish()])


def lag(one: Samples, other: Samples) -> int:
    """Delay of ``one`` against ``other`` in samples, by correlation."""
    size = 1 << (len(one) + len(other)).bit_length()
    alike = np.fft.irfft(np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size)), size)
    at = int(np.argmax(alike))
    return at if at < size // 2 else at - size


def correlation(one: Samples, other: Samples) -> float:
    return float(np.dot(one, other) / np.sqrt(np.dot(one, one) * np.dot(other, other)))


@pytest.mark.parametrize("name", FORMATS)
def test_file_has_length_of_speech_and_stream_begins_with_it(name: str) -> None:
    form, samples = FORMATS[name], melody(1.3)
    truth = expected(form, samples)
    files = [whole(form, samples), *([streamed(form, samples)] if name in STREAMED else [])]
    for heard, is_stream in zip((decoded(file, form) for file in files), (False, True), strict=False):
        added = len(heard) - len(truth)
        assert lag(heard, truth) == 0
        if is_stream and form.codec == "mp3":
            frame = 1152 if form.sample_rate >= 32000 else 576
            assert 0 <= added < max(frame, MP3_DELAY)
            assert np.abs(heard[len(truth) + 300 :]).max(initial=0) < 0.01
        else:
            assert added == 0
        assert correlation(heard[: len(truth)], truth) > 0.98


@pytest.mark.parametrize("rate", [8000, 24_000, 44_100])
def test_flac_file_says_its_length(rate: int) -> None:
    form = AudioFormat("flac", rate)
    truth = expected(form, melody(1.3))
    file, stream = whole(form, melody(1.3)), streamed(form, melody(1.3))
    heard, known = soundfile.read(io.BytesIO(file), dtype="float32")
    assert known == rate
    np.testing.assert_array_equal(heard, np.frombuffer(pcm16(truth), "<i2").astype(np.float32) / 32768)
    # Only the header differs: fLaC, the head of the block, and STREAMINFO.
    assert file[42:] == stream[42:] and file[:12] == stream[:12]
    smallest, largest = (int.from_bytes(file[at : at + 3], "big") for at in (12, 15))
    assert 0 < smallest <= largest < len(file)
    assert int.from_bytes(file[18:26], "big") & (1 << 36) - 1 == len(truth)


@pytest.mark.parametrize("codec", ["pcm", "wav", "ulaw", "alaw", "mp3", "opus", "aac", "flac"])
async def test_slow_formats_do_not_run_on_the_event_loop(codec: str) -> None:
    form = AudioFormat(codec, 24_000, 64_000)
    assert (await run_encoding(form, threading.get_ident) != threading.get_ident()) is form.slow
    assert form.slow is (codec in ("mp3", "opus", "aac", "flac"))
    encoder, samples = AsyncEncoder(form), melody(0.5)
    data = [await encoder.feed(samples[at : at + 1000], SOURCE) for at in range(0, len(samples), 1000)]
    assert b"".join([*data, await encoder.finish()]) == streamed(form, samples, piece=1000)
    assert await AsyncEncoder(form).finish() == b""


@given(length=st.integers(60, 6000), name=st.sampled_from(COMPRESSED))
def test_short_sound_keeps_length(length: int, name: str) -> None:
    """Also those that are shorter than what an encoder holds back.

    Below 2.5 ms FFmpeg's MP3 demuxer forgets to leave out the beginning where it leaves out an end.
    """
    form, samples = FORMATS[name], melody(1.0)[:length]
    truth = expected(form, samples)
    assert len(decoded(whole(form, samples), form)) == len(truth)
    added = len(decoded(streamed(form, samples), form)) - len(truth)
    assert 0 <= added <= (1151 if form.codec == "mp3" else 0)


@given(cuts=st.lists(st.integers(0, SOURCE), max_size=8), name=st.sampled_from(STREAMED))
def test_chunking_does_not_change_output(cuts: list[int], name: str) -> None:
    form, samples = FORMATS[name], melody(1.0)

    def in_pieces(edges: Iterable[int]) -> bytes:
        stream = create_encoder(form, SOURCE)
        parts = [stream.feed(samples[start:end]) for start, end in itertools.pairwise(edges)]
        return b"".join([*parts, stream.finish()])

    at_once = in_pieces([0, len(samples)])
    if form.codec in ("pcm", "ulaw", "alaw") and form.sample_rate != SOURCE:
        # The resampler's last bit depends on its blocks.
        assert len(in_pieces([0, *sorted(cuts), len(samples)])) == len(at_once)
    elif form.sample_rate == SOURCE or form.codec == "opus":
        assert in_pieces([0, *sorted(cuts), len(samples)]) == at_once


@pytest.mark.parametrize("name", COMPRESSED)
def test_encoder_returns_audio_early(name: str) -> None:
    form = FORMATS[name]
    source = 24_000 if form.codec == "opus" else form.sample_rate
    stream, frame = create_encoder(form, source), source // 50
    samples = melody(1.0, source)
    head = len(stream.feed(samples[:1]))
    came = 0
    while not stream.feed(samples[1 + came : 1 + came + frame]):
        came += frame
    assert head > 0
    assert came / source <= 0.08


@pytest.mark.parametrize("name", MP3S)
def test_mp3_has_its_bit_rate_and_in_the_info_frame_delay_and_padding(name: str) -> None:
    form, samples = FORMATS[name], melody(10.0)
    stream, file = streamed(form, samples), whole(form, samples)
    assert form.bit_rate is not None
    assert len(stream) == len(file) == pytest.approx(10 * form.bit_rate / 8, rel=0.02)
    changed = [at for at, (one, other) in enumerate(zip(stream, file, strict=True)) if one != other]
    first = stream.index(stream[:2], 4) if stream[:2] in stream[4:] else len(stream)
    assert max(changed) < first

    def tag(data: bytes) -> tuple[int, tuple[int, ...], int, int]:
        at = data.index(b"Info")
        flags = int.from_bytes(data[at + 4 : at + 8], "big")
        fields = struct.unpack_from(f">{flags.bit_count()}I", data, at + 8)
        lame = data.index(b"LAME", at)
        delays = int.from_bytes(data[lame + 21 : lame + 24], "big")
        return flags, fields, delays >> 12, delays & 4095

    assert tag(stream) == (0, (), 576, 0)
    flags, (frames, size), delay, padding = tag(file)
    frame = 1152 if form.sample_rate >= 32000 else 576
    assert (flags, size, delay) == (3, len(file) - len(synthetic_mark.id3()), 576)
    assert frames * frame - delay - padding == len(expected(form, samples))


@pytest.mark.parametrize("name", MP3S)
@pytest.mark.parametrize("piped", [False, True])
def test_players_do_not_complain_of_a_streamed_mp3(tmp_path: Path, name: str, piped: bool) -> None:
    """By the program ffmpeg, whose library mpv plays by."""
    if (ffmpeg := shutil.which("ffmpeg")) is None:
        pytest.skip("the program ffmpeg is not installed")
    form = FORMATS[name]
    file = tmp_path / "speech.mp3"
    file.write_bytes(streamed(form, melody(1.3)))
    how = [ffmpeg, "-loglevel", "warning", "-i", "-" if piped else str(file), "-f", "f32le", "-"]
    with file.open("rb") as given:
        done = subprocess.run(how, stdin=given if piped else None, capture_output=True, timeout=WITHIN_S)
    lines = [line for line in done.stderr.decode().splitlines() if "Estimating duration" not in line]
    assert (done.returncode, lines) == (0, [])
    heard, truth = np.frombuffer(done.stdout, np.float32), expected(form, melody(1.3))
    assert lag(heard, truth) == 0 and 0 <= len(heard) - len(truth) < MP3_DELAY


def test_empty_speech_is_valid_and_pcm_unchanged() -> None:
    silence = np.zeros(0, np.float32)
    assert streamed(FORMATS["pcm_24000"], silence) == streamed(FORMATS["ulaw_8000"], silence) == b""
    info = len(synthetic_mark.riff_info())
    assert len(whole(FORMATS["wav_24000"], silence)) == 44 + info
    assert whole(FORMATS["mp3_44100_128"], silence).count(b"Info") == 1
    assert len(decoded(whole(FORMATS["opus_48000_64"], silence), FORMATS["opus_48000_64"])) == 0
    samples = melody(0.5)
    assert streamed(FORMATS["pcm_24000"], samples) == pcm16(samples)
    assert whole(FORMATS["wav_24000"], samples)[44 + info :] == pcm16(samples)
    sizes = [len(streamed(FORMATS[f"opus_48000_{kbits}"], melody(10.0))) for kbits in (32, 64, 96, 128, 192)]
    assert all(one * 1.15 < following for one, following in itertools.pairwise(sizes))
    assert sizes[1] * 8 / 10 == pytest.approx(64_000, rel=0.35)


@pytest.mark.parametrize(("name", "codec"), [("ulaw_8000", "pcm_mulaw"), ("alaw_8000", "pcm_alaw")])
def test_g711_picks_nearest_code(name: str, codec: str) -> None:
    levels = decoded(bytes(range(256)), FORMATS[name]) * 32768
    samples = np.arange(-32768, 32768)
    coded = create_encoder(FORMATS[name], 8000).feed((samples / 32768).astype(np.float32))
    error = np.abs(levels[np.frombuffer(coded, np.uint8)] - samples)
    best = np.abs(levels[np.newaxis] - samples[:, np.newaxis]).min(axis=1)
    assert len(coded) == 65536 and (error == best).all()


@pytest.mark.parametrize("codec", ["mp3", "opus", "aac"])
def test_compressed_formats_need_bit_rate(codec: str) -> None:
    with pytest.raises(ValueError, match="bit rate"):
        create_encoder(AudioFormat(codec, 44100), SOURCE)


@pytest.mark.parametrize(
    ("rate", "bits"), [(16000, 24000), (32000, 320_000), (48000, 64000), (22050, 160_000)]
)
def test_mp3_supports_every_rate(rate: int, bits: int) -> None:
    form, samples = AudioFormat("mp3", rate, bits), melody(0.5, rate)
    assert len(decoded(whole(form, samples, rate), form)) == len(samples)
