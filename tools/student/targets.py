"""The teacher's speech of each sentence, in shards that are written once and read by every training step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from kani.core.types import Segment
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.litert.decoder import load_model
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import Array, Stop
from kani.engines.kokoro.network.parts import PredictedProsody
from kani.engines.kokoro.synthesizer import WindowedSynthesizer
from kani.engines.kokoro.text.phonemes import split_utterances
from kani.engines.kokoro.text.readers import reader_for
from kani.engines.kokoro.text.vocabulary import PAD, VOCABULARY
from kani.engines.kokoro.voices import Voices
from kani_text.normalizer import NormalizerOptions, normalize

SHARD = 50
"""Sentences of a file: some four minutes of speech, 12 MB."""

_ARRAYS = ("symbols", "frames", "pitch", "energy", "samples")


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One utterance of n symbols and F frames of 25 ms, as the teacher speaks it."""

    symbols: npt.NDArray[np.int64]  # rows of the embedding, a pad at each end [n + 2]
    frames: npt.NDArray[np.int64]  # length of each symbol [n + 2]; their sum is F
    pitch: Array  # hertz [2F]
    energy: Array  # [2F]
    samples: Array  # at 24 kHz [600 F]; empty if it was only planned


class Teacher:
    """Kokoro as the server speaks it, for one voice."""

    def __init__(self, voice: str, language: str, cache_dir: Path, threads: int) -> None:
        """Raises ValueError for a language that cannot be read here."""
        voices = Voices()
        self._kokoro = WindowedSynthesizer(
            load_model(threads),
            voices,
            StatisticsTable.shipped([one.id for one in voices.all]),
        )
        reader = reader_for(EspeakClient.shared(), language, cache_dir)
        if reader is None:
            raise ValueError(f"the packages for {language} are not installed (see requirements.txt)")
        self._reader = reader
        self._segment = Segment("", voice, language)
        self._options = NormalizerOptions(language, accepts_ipa=True)

    def symbols(self, text: str) -> str | None:
        """Symbols of a sentence as the server reads it; None unless it is one utterance."""
        utterances = split_utterances(normalize(text, 0, self._options).text, self._reader, ending=".")
        return utterances[0].symbols if len(utterances) == 1 else None

    def speak(self, symbols: str) -> Target:
        """Speak one utterance, in one window."""
        prepared = self._kokoro.prepare(symbols, self._segment, Stop())
        samples = prepared.decode(0, int(prepared.prosody.frames.sum()), Stop())
        return _target(symbols, prepared.prosody, samples)

    def plan(self, symbols: str) -> Target:
        """Predict the prosody of one utterance, without its sound: a quarter of the time."""
        prosody = self._kokoro.prepare(symbols, self._segment, Stop()).prosody
        return _target(symbols, prosody, np.zeros(0, np.float32))


def make_shards(say: Callable[[str], Target], sentences: Sequence[str], folder: Path) -> list[Path]:
    """Write shards of sentences (symbols) as ``say`` speaks or plans them; those that are there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number:05}.npz" for number in range(-(-len(sentences) // SHARD))]
    for number, file in enumerate(tqdm(files, desc=f"the teacher speaks: {folder.name}", unit="shard")):
        own = sentences[number * SHARD : (number + 1) * SHARD]
        if not (file.is_file() and _has(file, own)):
            save_shard(file, [say(each) for each in own])
    return files


def _has(shard: Path, sentences: Sequence[str]) -> bool:
    """True if a shard is of ``sentences``, and not of those of other texts."""
    with np.load(shard) as arrays:
        return np.array_equal(arrays["symbols"], np.concatenate([_ids(each) for each in sentences]))


def _target(symbols: str, prosody: PredictedProsody, samples: Array) -> Target:
    return Target(_ids(symbols), prosody.frames, prosody.pitch.ravel(), prosody.energy.ravel(), samples)


def _ids(symbols: str) -> npt.NDArray[np.int64]:
    return np.array([PAD, *(VOCABULARY[symbol] for symbol in symbols), PAD], np.int64)


def read_shard(file: Path) -> Iterator[Target]:
    """Read the targets of a shard."""
    with np.load(file) as arrays:
        columns = {name: np.split(arrays[name], np.cumsum(arrays[f"{name}_sizes"])[:-1]) for name in _ARRAYS}
    for symbols, frames, pitch, energy, samples in zip(*columns.values(), strict=True):
        yield Target(
            symbols.astype(np.int64),
            frames.astype(np.int64),
            pitch.astype(np.float32),
            energy.astype(np.float32),
            samples.astype(np.float32) / 32767,
        )


def save_shard(file: Path, targets: Sequence[Target]) -> None:
    """Write a shard; it is there whole or not at all."""
    columns: dict[str, list[npt.NDArray[np.generic]]] = {
        "symbols": [target.symbols.astype(np.uint8) for target in targets],
        "frames": [target.frames.astype(np.uint16) for target in targets],
        "pitch": [target.pitch.astype(np.float16) for target in targets],
        "energy": [target.energy.astype(np.float16) for target in targets],
        "samples": [np.rint(target.samples.clip(-1, 1) * 32767).astype(np.int16) for target in targets],
    }
    arrays: dict[str, npt.NDArray[np.generic]] = {
        name: np.concatenate(column) for name, column in columns.items()
    }
    arrays |= {f"{name}_sizes": np.array([len(one) for one in column]) for name, column in columns.items()}
    unfinished = file.with_suffix(".part")
    with unfinished.open("wb") as out:
        np.savez(out, allow_pickle=False, **arrays)
    unfinished.replace(file)
