"""Packs a checkpoint of other weights: its voices speak some texts, from which it is calibrated.

Only the generator is packed for LiteRT, which takes most of the time; what comes before it stays as it is.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from kani.core.types import Segment
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.checkpoints.files import (
    DESCRIPTION_FILE,
    VOICE_ARRAYS,
    VOICES_FILE,
    Description,
    PackedVoice,
)
from kani.engines.kokoro.litert.packed import GENERATOR_FILE, PROSODY_FILE
from kani.engines.kokoro.network.norm_statistics import StatisticsTable, VoiceStatistics
from kani.engines.kokoro.network.onnx_model import Array, Stop
from kani.engines.kokoro.synthesizer import NetworkSynthesizer
from kani.engines.kokoro.voices import StyleTables
from tools.kokoro_pack.archive import Content, write_archive
from tools.kokoro_pack.calibration.build import calibrated
from tools.kokoro_pack.checkpoints.files import CheckpointFiles
from tools.kokoro_pack.checkpoints.filling import filled
from tools.kokoro_pack.checkpoints.symbols import CheckpointSymbols
from tools.kokoro_pack.onnx_generator import on_onnxruntime
from tools.kokoro_pack.statistics import StatisticsRecorder, record_voice

MOST_VOICES = 7
"""Voices that speak for a calibration: with two texts each, as many sentences as Kokoro's own took."""

THREADS = 2

_PROSODY = ("encoder", "curves", "decoder", "source")


def pack_checkpoint(
    files: CheckpointFiles,
    languages: tuple[str, ...],
    published: bytes,
    folder: Path,
    *,
    cache_dir: Path,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Write a folder that ``KANI_KOKORO_MODELS`` may name: two minutes on two cores.

    languages: primary subtags; published: the graph that other weights are filled into; cache_dir: where the
    Japanese dictionary is unpacked; report: gets a line for each step. Raises Unreadable, UnknownGraph,
    NoTensors, NotCalibrated and ModelFailed.
    """
    symbols = CheckpointSymbols(EspeakClient.shared(), files.vocabulary, cache_dir)
    for language in languages:
        symbols.check(language)
    part = filled(published, files.read_network()).part
    model = on_onnxruntime(part, THREADS, files.vocabulary)
    recorder, styles = StatisticsRecorder(part("recorder"), THREADS), StyleTables(files.tables)
    statistics: dict[str, VoiceStatistics] = {}
    for voice in files.voices:
        texts = symbols.texts(voice.language)
        styled = [(text, styles.style(voice.id, len(text))) for text in texts]
        statistics[voice.id] = record_voice(model, recorder, styled)
        report(f"measured the voice {voice.id}")
    speaker = NetworkSynthesizer(model, styles, StatisticsTable(statistics.__getitem__))
    sentences = [
        speaker.prepare(text, Segment("", voice.id, voice.language), Stop()).sounding(Stop())
        for voice in files.voices[:: -(-len(files.voices) // MOST_VOICES)]
        for text in symbols.texts(voice.language)
    ]
    report("calibrating the decoder: a minute or two")
    prosody: Content = {f"{name}.onnx": part(name) for name in _PROSODY}
    generator = calibrated(part("generator"), sentences)
    description = Description(
        files.name, languages, dict(files.vocabulary), files.voices, symbols.texts(languages[0])[0]
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROSODY_FILE).write_bytes(write_archive(prosody))
    (folder / GENERATOR_FILE).write_bytes(write_archive(generator))
    (folder / VOICES_FILE).write_bytes(_voices(files, files.voices, statistics))
    (folder / DESCRIPTION_FILE).write_bytes(msgspec.json.encode(description))


def _voices(
    files: CheckpointFiles, voices: tuple[PackedVoice, ...], statistics: dict[str, VoiceStatistics]
) -> bytes:
    arrays: dict[str, Array] = {}
    for voice in voices:
        own = statistics[voice.id]
        given = files.tables[voice.id], own.mean, own.log_variance, own.level, own.log_f0
        for kind, value in zip(VOICE_ARRAYS, given, strict=True):
            arrays[f"{voice.id}.{kind}"] = np.asarray(value, np.float32)
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()
