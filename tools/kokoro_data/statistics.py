"""Make ``statistics.npz`` and ``statistics.json``: the norms' statistics of each voice.

    python -m tools.kokoro_data.statistics

Every voice speaks the sentences of its language (``sentences.py``), decoded by the recorder part. A voice's
statistics are the mean over its sentences, of means and of log variances. A sentence's deviation from its
voice's mean is regressed on the deviation of its description (``norm_statistics.describe_utterance``), over
the voices of ``SENTENCES``' languages together: ridge regression in its dual form, reduced to the ``RANK``
directions that its predictions vary most in. The voices that came later (``LATER_SENTENCES``) are recorded
alike, and get rows only, so that nothing changes for the others; ``--later`` records only them. Takes a
quarter of an hour on two cores, and half of it for the later ones; the same model, voices and sentences give
the same numbers but for rounding.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from kani.core.types import Voice
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.network.norm_statistics import (
    DATA_FILE,
    ORIGIN_FILE,
    VARIANCE_FLOOR,
    describe_utterance,
)
from kani.engines.kokoro.network.onnx_model import Array, Stop
from kani.engines.kokoro.text.phonemes import split_utterances
from kani.engines.kokoro.text.readers import reader_for
from kani.engines.kokoro.timing import speech_level
from kani.engines.kokoro.voices import DATA, Voices
from kani_text.languages import primary
from tools.kokoro_data.sentences import LATER_SENTENCES, SENTENCES
from tools.kokoro_pack.onnx_generator import on_onnxruntime
from tools.kokoro_pack.published import KOKORO, published_parts
from tools.kokoro_pack.statistics import StatisticsRecorder

RANK = 48
ROWS = ("mean", "log_variance", "sentence", "level", "tone")
"""Arrays with a row for each voice."""

RIDGE = 1.0
"""In units of the mean eigenvalue of the descriptions' products."""


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """One sentence: its description, the norms' mean and log variance in one [2 C], its level and tone."""

    description: Array
    statistics: Array
    level: float
    tone: float


Recordings = Sequence[Sequence[Recorded]]
"""The sentences of each voice."""


class Recorder:
    """Lets voices speak and records the norms' statistics."""

    def __init__(self, cache_dir: Path) -> None:
        """cache_dir: where the model is kept if it has to be fetched."""
        parts = published_parts(cache_dir)
        self._model = on_onnxruntime(parts, threads=2)
        self._recorder = StatisticsRecorder(parts("recorder"), threads=2)
        self._espeak = EspeakClient.shared()
        self._cache_dir = cache_dir
        self.voices = Voices()

    def record(self, voice: Voice, text: str) -> Recorded:
        """Record the statistics of ``text``, one sentence."""
        reader = reader_for(self._espeak, voice.language, self._cache_dir)
        if reader is None:
            raise ValueError(f"the packages for {voice.language} are not installed (see requirements.txt)")
        (utterance,) = split_utterances(text, reader, ending=".")
        style = self.voices.style(voice.id, len(utterance.symbols))
        stop = Stop()
        prosody = self._model.predict_prosody(utterance.symbols, style, 1.0, stop)
        features = self._model.decode_features(prosody, style, stop)
        samples, seen = self._recorder.record(features, stop)
        return Recorded(
            describe_utterance(prosody, features),
            np.concatenate([seen.mean.ravel(), np.log(seen.variance.ravel() + VARIANCE_FLOOR)]),
            speech_level(samples),
            prosody.log_f0,
        )

    def all_of(self, voice: Voice, count: int | None = None) -> Iterator[Recorded]:
        """Record the sentences of the voice's language, the first ``count`` of them."""
        for text in {**SENTENCES, **LATER_SENTENCES}[primary(voice.language)][:count]:
            yield self.record(voice, text)


def regress(descriptions: Array, changes: Array) -> tuple[Array, Array]:
    """Regress ``changes`` [N, 2 C] on ``descriptions`` [N, D], both as deviations from their voices' means.

    Returns projection [D, RANK] and weights [RANK, 2 C]; their product is the regression matrix.
    """
    scale = descriptions.std(axis=0) + np.float32(1e-9)
    scaled = descriptions / scale
    products = scaled @ scaled.T
    ridge = RIDGE * np.trace(products) / len(products)
    dual = np.linalg.solve(products + ridge * np.eye(len(products)), changes)
    _, _, directions = np.linalg.svd(products @ dual, full_matrices=False)
    directions = directions[:RANK]
    projection = (scaled.T @ (dual @ directions.T)) / scale[:, np.newaxis]
    return projection.astype(np.float32), directions.astype(np.float32)


def fit(recorded: Recordings) -> dict[str, Array]:
    """The regression over all sentences of some voices."""
    descriptions, statistics = _stacked(recorded)
    projection, directions = regress(
        (descriptions - descriptions.mean(axis=1, keepdims=True)).reshape(-1, descriptions.shape[2]),
        (statistics - statistics.mean(axis=1, keepdims=True)).reshape(-1, statistics.shape[2]),
    )
    return {"projection": projection, "weights": directions.astype(np.float16)}


def rows(recorded: Recordings, projection: Array) -> dict[str, Array]:
    """The rows of some voices; projection: of ``fit``."""
    descriptions, statistics = _stacked(recorded)
    mean, log_variance = np.split(statistics.mean(axis=1), 2, axis=1)
    return {
        "mean": mean.astype(np.float16),
        "log_variance": log_variance.astype(np.float16),
        "sentence": (descriptions.mean(axis=1) @ projection).astype(np.float32),
        # A voice's level hardly changes from sentence to sentence (by 1 dB; between voices by 12).
        "level": np.array([np.mean([one.level for one in own[:2]]) for own in recorded], np.float32),
        "tone": np.array([np.mean([one.tone for one in own]) for own in recorded], np.float32),
    }


def _stacked(recorded: Recordings) -> tuple[Array, Array]:
    descriptions = np.array([[one.description for one in own] for own in recorded])
    return descriptions, np.array([[one.statistics for one in own] for own in recorded])


def _record(recorder: Recorder, voices: Sequence[Voice], count: int | None = None) -> Recordings:
    recorded = []
    for voice in voices:
        recorded.append(list(recorder.all_of(voice, count)))
        print(voice.id, len(recorded[-1]), "sentences", flush=True)
    return recorded


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.kokoro_data.statistics")
    parser.add_argument(
        "--cache-dir", type=Path, default=Path("kokoro-cache"), help="where the model is kept"
    )
    parser.add_argument("--later", action="store_true", help="keep the rows of the first voices")
    parser.add_argument("--sentences", type=int, default=24, help="of each of the later voices")
    arguments = parser.parse_args()
    recorder = Recorder(arguments.cache_dir)
    folder = DATA
    voices, mixed = recorder.voices.all, len(recorder.voices.mixed)
    if arguments.later:
        with np.load(folder / DATA_FILE) as data:
            first = {name: data[name][:mixed] for name in ROWS}
            regression = {name: data[name] for name in ("projection", "weights")}
    else:
        recorded = _record(recorder, voices[:mixed])
        regression = fit(recorded)
        first = rows(recorded, regression["projection"])
    later = rows(_record(recorder, voices[mixed:], arguments.sentences), regression["projection"])
    save(
        {name: np.concatenate([first[name], later[name]]) for name in ROWS} | regression, arguments.sentences
    )


def save(arrays: Mapping[str, Array], later_sentences: int) -> None:
    """Write both files; later_sentences: how many each of the later voices spoke."""
    folder = DATA
    np.savez(folder / DATA_FILE, allow_pickle=False, **arrays)
    origin = {
        "made_by": "python -m tools.kokoro_data.statistics",
        "onnxruntime": onnxruntime.__version__,
        "model_sha256": KOKORO.sha256,
        "voices_sha256": json.loads((folder / "voices.json").read_text(encoding="utf-8"))["sha256"],
        "sentences_sha256": hashlib.sha256(json.dumps(SENTENCES).encode()).hexdigest(),
        "later_sentences_sha256": hashlib.sha256(json.dumps(LATER_SENTENCES).encode()).hexdigest(),
        "later_sentences": later_sentences,
        "sha256": hashlib.sha256(b"".join(array.tobytes() for array in arrays.values())).hexdigest(),
    }
    (folder / ORIGIN_FILE).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
