"""Networks in this package: the speaker encoder, the voice detector, and smart-turn with its spectrogram."""

import asyncio
import hashlib
import json
import math
import subprocess
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soxr

from kani.core.errors import EngineUnavailable
from kani.core.types import Samples, Segment
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.engine import KokoroEngine
from kani.runtime import voice_detector
from kani.runtime.mel_features import MelFeatures
from kani.runtime.speaker_encoder import encoder as module
from kani.runtime.speaker_encoder.encoder import (
    DATA_FILE,
    EMBEDDING_SIZE,
    ORIGIN_FILE,
    SAMPLE_RATE,
    WINDOW_S,
    Array,
    SpeakerEncoder,
    mel_power,
    mel_windows,
)
from kani.runtime.turn_model import model as turn_model
from kani.runtime.voice_detector import CHUNK_SAMPLES, VoiceDetector
from tests.judges.judged import JUDGE_PYTHON, JUDGES, needs
from tests.support.espeak_audio import audio

FOLDER = Path(module.__file__).parent

TEXTS = (
    "La lluvia golpea los cristales, y dentro huele a café recién hecho.",
    "Mi hermano llega mañana en el tren de las nueve y media.",
)


@cache
def encoder() -> SpeakerEncoder:
    return SpeakerEncoder()


def robotic(text: str, higher: float = 1.0) -> Samples:
    """A text as espeak-ng says it, higher and faster by a factor, at the encoder's rate."""
    samples = audio(EspeakClient.shared(), text).astype(np.float32) / 32768
    rate = round(EspeakClient.shared().sample_rate * higher)
    return np.asarray(soxr.resample(samples, rate, SAMPLE_RATE), np.float32)


def test_weights_match_their_recorded_origin() -> None:
    origin = json.loads((FOLDER / ORIGIN_FILE).read_text(encoding="utf-8"))
    with np.load(FOLDER / DATA_FILE) as data:
        content = b"".join(data[name].tobytes() for name in data.files)
    assert hashlib.sha256(content).hexdigest() == origin["sha256"]
    assert origin["licence"] == "Apache-2.0"
    assert (FOLDER / DATA_FILE).stat().st_size < 3_000_000


@pytest.mark.parametrize("content", [None, b"", b"PK\3\4 broken", b"no archive"])
def test_broken_files_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / DATA_FILE).write_bytes(content)
    for broken in (module, turn_model):
        monkeypatch.setattr(broken, "__file__", str(tmp_path / "module.py"))
    with pytest.raises(EngineUnavailable, match=r"missing or broken.*speaker_encoder\.npz"):
        SpeakerEncoder()
    (tmp_path / turn_model.MODEL_FILE).write_bytes(content or b"no network")
    second = np.zeros(turn_model.SAMPLE_RATE, np.float32)
    with pytest.raises(EngineUnavailable, match=f"restore kani/runtime/turn_model/{turn_model.MODEL_FILE}"):
        turn_model.SmartTurn().probability(second, turn_model.SAMPLE_RATE)


def test_turn_model_may_be_another_file(tmp_path: Path) -> None:
    packaged = Path(turn_model.__file__).with_name(turn_model.MODEL_FILE)
    own = tmp_path / "own.onnx"
    own.write_bytes(packaged.read_bytes())
    second = np.random.default_rng(3).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
    found = turn_model.SmartTurn(own).probability(second, SAMPLE_RATE)
    assert found == turn_model.SmartTurn().probability(second, SAMPLE_RATE)
    own.write_bytes(b"no network")
    voices = packaged.parent.parent / "voice_detector" / "silero_vad_v6.onnx"
    for wrong in (own, voices, tmp_path / "missing.onnx"):
        with pytest.raises(EngineUnavailable, match=rf"KANI_TURN_MODEL\): {wrong}.*\[1, 80, 800\]"):
            turn_model.SmartTurn(wrong).load()


def test_offset_silence_and_loudness_do_not_change_the_speaker() -> None:
    speech = robotic(TEXTS[0])
    pauses = np.zeros(SAMPLE_RATE // 2, np.float32)
    spaced = np.concatenate([pauses, speech, pauses, speech, pauses])
    own = encoder().embed(spaced)
    assert encoder().embed(spaced + np.float32(0.05)) @ own > 0.999
    assert all(encoder().embed(speech) @ encoder().embed(speech * gain) > 0.9999 for gain in (1 / 30, 3))
    noise = np.random.default_rng(1).normal(0, 1e-3, 60 * SAMPLE_RATE).astype(np.float32)
    begin = 20 * SAMPLE_RATE
    noise[begin : begin + 2 * SAMPLE_RATE] += speech[: 2 * SAMPLE_RATE]
    assert encoder().embed(noise) @ encoder().embed(speech[: 2 * SAMPLE_RATE]) > 0.7
    for seconds, level in ((0.0, 0.0), (0.02, 0.0), (1.0, 0.0), (1.0, 0.01)):
        with pytest.raises(ValueError, match="no speech"):
            encoder().embed(np.full(round(seconds * SAMPLE_RATE), level, np.float32))


def makers_results(folder: Path, mels: Array, samples: Samples) -> dict[str, Array]:
    needs("resemblyzer")
    given, found = folder / "in.npz", folder / "out.npz"
    np.savez(given, mels=mels, samples=samples)
    subprocess.run([JUDGE_PYTHON, "-P", JUDGES / "resemblyzer_judge.py", given, found], check=True)
    with np.load(found) as results:
        return dict(results)


@pytest.mark.heard
async def test_numbers_equal_resemblyzers(onnx_engine: KokoroEngine, tmp_path: Path) -> None:
    """For the same windows, and for the whole recording except where silences are cut out."""
    samples = np.concatenate([await spoken(onnx_engine, text, "em_alex") for text in TEXTS])
    samples *= 10 ** (-30 / 20) / np.sqrt(np.mean(np.square(samples)))
    mels, _ = mel_windows(samples)
    theirs = await asyncio.to_thread(makers_results, tmp_path, mels, samples)
    np.testing.assert_allclose(mel_power(samples), theirs["mel"], rtol=1e-3, atol=1e-6 * theirs["mel"].max())
    assert (encoder().embed_mels(mels) * theirs["windows"]).sum(axis=1).min() >= 0.9999
    assert encoder().embed(samples) @ theirs["whole"] >= 0.995


@pytest.mark.heard
async def test_speaker_is_nearer_to_itself_than_to_others(onnx_engine: KokoroEngine) -> None:
    first, again = [encoder().embed(await spoken(onnx_engine, text, "ef_dora")) for text in TEXTS]
    other = encoder().embed(await spoken(onnx_engine, TEXTS[0], "em_santa"))
    assert first @ again > 0.85
    assert first @ other < 0.7
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-5)
    assert first.min() >= 0


def test_windows_lie_around_the_speech_and_half_a_second_is_one() -> None:
    one, other = robotic(TEXTS[0]), robotic(TEXTS[1], 1.4)
    silence = np.zeros(2 * SAMPLE_RATE, np.float32)
    samples = np.concatenate([silence, one, silence, other, silence])
    windows = encoder().embed_windows(samples)
    begin, end = windows.spans_s[:, 0], windows.spans_s[:, 1]
    assert windows.embeddings.shape == (len(begin), EMBEDDING_SIZE)
    assert begin[0] == pytest.approx(2.0, abs=0.25)
    assert end[-1] == pytest.approx((len(samples) - len(silence)) / SAMPLE_RATE, abs=0.5)
    assert np.all(np.diff(begin) > 0)
    assert np.all(end - begin >= WINDOW_S - 0.5)
    # The first windows are of one speaker, the last of the other.
    for window, own, stranger in ((0, one, other), (-1, other, one)):
        embedding = windows.embeddings[window]
        assert embedding @ encoder().embed(own) > embedding @ encoder().embed(stranger)
    short = encoder().embed_windows(one[: SAMPLE_RATE // 2])
    assert len(short.embeddings) == 1 and short.spans_s[0, 1] <= 0.5
    assert np.isfinite(short.embeddings).all()


def test_stretches_are_embedded_in_windows() -> None:
    tone = np.sin(2 * np.pi * 150 * np.arange(5 * 16_000) / 16_000) * np.hanning(5 * 16_000)
    speech = tone.astype(np.float32)
    short, long = encoder().embed_stretches([speech[:8_000], speech], 0.5)
    # A half second is one window; of five seconds, windows of 1.6 s cover 3.4 s in steps of a half.
    assert (short.shape, long.shape) == ((1, 256), (8, 256))
    assert np.allclose(np.linalg.norm(long, axis=1), 1.0, atol=1e-5)
    quieter = encoder().embed_stretches([0.01 * speech], 0.5)[0]
    assert np.abs(quieter - long).max() < 1e-3
    assert encoder().embed_stretches([], 0.5) == []


async def spoken(engine: KokoroEngine, text: str, voice: str) -> Samples:
    segment = Segment(text, voice, "es", ahead_s=math.inf)
    chunks = [chunk.samples async for chunk in engine.synthesize(segment)]
    return np.asarray(soxr.resample(np.concatenate(chunks), 24_000, SAMPLE_RATE), np.float32)


def test_result_does_not_depend_on_pieces_or_other_streams() -> None:
    detector = VoiceDetector()
    speech, other = robotic(TEXTS[0]), detector.stream()
    whole = detector.stream().feed(speech)
    stream, pieces = detector.stream(), list[float]()
    at, random = 0, np.random.default_rng(1)
    while at < len(speech):
        length = int(random.integers(1, 3000))
        pieces += stream.feed(speech[at : at + length])
        other.feed(np.zeros(CHUNK_SAMPLES, np.float32))
        at += length
    assert len(whole) == len(speech) // CHUNK_SAMPLES
    assert pieces == pytest.approx(whole, abs=1e-3)
    assert max(whole) > 0.9
    # An incomplete chunk at the end is left out.
    found = detector.probabilities(speech)
    assert found.dtype == np.float32
    assert found == pytest.approx(whole)
    assert len(detector.probabilities(speech[: CHUNK_SAMPLES - 1])) == 0


@pytest.mark.parametrize(
    ("module", "licence", "package", "words"),
    [
        (turn_model, "BSD-2-Clause", "pipecat-ai/1.14.0", ("BSD 2-Clause License", "Daily")),
        (voice_detector, "MIT", "faster-whisper/1.2.1", ("MIT License", "Silero Team")),
    ],
)
def test_network_is_the_one_of_its_origin(
    module: ModuleType, licence: str, package: str, words: tuple[str, ...]
) -> None:
    folder = Path(str(module.__file__)).parent
    origin = json.loads((folder / module.ORIGIN_FILE).read_text(encoding="utf-8"))
    assert hashlib.sha256((folder / module.MODEL_FILE).read_bytes()).hexdigest() == origin["sha256"]
    assert origin["licence"] == licence and package in origin["origin"]
    text = next(folder.glob("LICENSE.*")).read_text(encoding="utf-8")
    assert all(each in text for each in words)


@pytest.mark.parametrize("bands", [80, 128])
@pytest.mark.parametrize("length", [400, 1000, 16_000, 16_159, 16_161, 480_000])
@pytest.mark.parametrize("padding", [0, 160, 400])
def test_features_are_faster_whispers_to_the_last_bit(bands: int, length: int, padding: int) -> None:
    judge = pytest.importorskip("faster_whisper.feature_extractor").FeatureExtractor(feature_size=bands)
    samples = np.random.default_rng(length).normal(0, 0.1, length).astype(np.float32)
    for sound in (samples, np.zeros_like(samples)):
        assert np.array_equal(MelFeatures(bands)(sound, padding), judge(sound, padding=padding))


@pytest.mark.parametrize("seconds", [0.5, turn_model.WINDOW_S, 9.0])
def test_spectrogram_is_that_of_whispers_feature_extractor(seconds: float) -> None:
    from transformers import WhisperFeatureExtractor

    rate = turn_model.SAMPLE_RATE
    length = round(turn_model.WINDOW_S * rate)
    samples = (0.1 * np.random.default_rng(3).standard_normal(round(seconds * rate))).astype(np.float32)
    padded = np.concatenate([np.zeros(max(length - len(samples), 0), np.float32), samples[-length:]])
    judge = WhisperFeatureExtractor(chunk_length=round(turn_model.WINDOW_S))
    how = {"padding": "max_length", "truncation": True, "do_normalize": True, "return_tensors": "np"}
    expected = judge(padded, sampling_rate=rate, max_length=length, **how).input_features[0]
    found = turn_model.features(samples)
    assert found.shape == (80, 800)
    assert found == pytest.approx(expected, abs=1e-4)
