"""The fast decoder of another checkpoint: its calibration, its closeness to float32, and its cost.

    python -m benchmarks.kokoro_decoder.checkpoint

The checkpoint is the embedded network in float32 with some of its voices, so its levels can be compared with
those that ship, which fourteen voices of five languages were used for.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.kokoro.measures import log_spectral_distance
from benchmarks.report import report_section, table
from benchmarks.sentences import ABOUT_4_S
from kani.core.types import Samples, Segment
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.checkpoints.finding import local_places
from kani.engines.kokoro.checkpoints.loading import Checkpoints, load_checkpoints
from kani.engines.kokoro.decoder_choice import load_split_model
from kani.engines.kokoro.network.decoder import Generator
from kani.engines.kokoro.network.float_graph import dequantize
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE, Stop
from kani.engines.kokoro.network.parts import Features, NormAffine, SplitModel
from kani.engines.kokoro.text.phonemes import split_utterances
from kani.engines.kokoro.voices import Voices
from kani.runtime import weights

PROGRAM = "python -m benchmarks.kokoro_decoder.checkpoint"
THREADS = 2
LANGUAGE = "en"
WINDOW = 64
"""Frames that are decoded at once."""


def sound(model: SplitModel, generator: Generator, features: Features, norms: NormAffine) -> Samples:
    """Decode an utterance with a generator."""
    own = Features(features.features, features.gain, features.bias, features.source, generator)
    edges = range(0, own.frames, WINDOW)
    parts = [
        model.decode_window(own, norms, first, min(first + WINDOW, own.frames), Stop()) for first in edges
    ]
    return np.concatenate(parts)


class Ways:
    """The generators that speak: float32, with the levels that ship, and with the checkpoint's own."""

    def __init__(self, cache: Path, voices: tuple[str, ...]) -> None:
        """cache: folder of built files; voices: of the checkpoint."""
        published = weights.load(weights.KOKORO, models_dir=None, cache_dir=cache)
        own = load_split_model(lambda: published, "litert", cache, THREADS).model
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "model.onnx").write_bytes(dequantize(published))
            for voice in voices:
                np.save(Path(folder, f"{voice}.npy"), Voices().table(voice).astype(np.float32))
            self.checkpoints: Checkpoints = load_checkpoints(
                local_places({LANGUAGE: folder}),
                EspeakClient.shared(),
                Voices(),
                own=own,
                imitated=(),
                read_published=lambda: published,
                cache_dir=Path(folder),
                threads=THREADS,
            )
            (self.checkpoint,) = {self.checkpoints.speaking(Segment("", voices[0], LANGUAGE))}
            assert self.checkpoint is not None
            self.model = self.checkpoint.synthesizer.model
            in_float = self.model.decoder.generator
            begun = time.perf_counter()
            for _ in self.checkpoints.measure():
                pass
            self.spoken_s = time.perf_counter() - begun
            self.checkpoints.calibrate()
            self.calibrated_s = time.perf_counter() - begun - self.spoken_s
        self.generators = {
            "float32 on onnxruntime": in_float,
            "int8, Kokoro's levels": own.decoder.generator,
            "int8, the checkpoint's own": self.model.decoder.generator,
        }

    def said(self, voice: str, texts: tuple[str, ...]) -> Iterator[list[tuple[Samples, float]]]:
        """Yield for each text the sound of each generator, and its processor seconds."""
        assert self.checkpoint is not None
        synthesizer = self.checkpoint.synthesizer
        for text in texts:
            segment = Segment(text, voice, LANGUAGE)
            (utterance, *_) = split_utterances(text, self.checkpoint.reader(LANGUAGE), ending=".")
            prosody, features = synthesizer.predict(utterance.symbols, segment, Stop())
            norms = NormAffine.from_statistics(
                features, synthesizer.predict_statistics(voice, prosody, features)
            )
            found = []
            for generator in self.generators.values():
                begun = time.process_time()
                samples = sound(self.model, generator, features, norms)
                found.append((samples, time.process_time() - begun))
            yield found


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    options.add_argument("--cache-dir", type=Path, default=Path("kokoro-cache"))
    options.add_argument("--voices", nargs="+", default=["af_heart"], help="of the checkpoint")
    options.add_argument("--spoken-by", nargs="+", help="voices to compare; those of the checkpoint")
    options.add_argument("--count", type=int, default=6, help="sentences of each voice")
    given = options.parse_args()
    with report_section("The fast decoder of another checkpoint"):
        ways = Ways(given.cache_dir, tuple(given.voices))
        print(
            f"{len(given.voices)} voices: spoken in {ways.spoken_s:.0f} s, "
            f"calibrated in {ways.calibrated_s:.0f} s\n"
        )
        distances: dict[str, list[float]] = {name: [] for name in ways.generators}
        costs: dict[str, list[float]] = {name: [] for name in ways.generators}
        for voice in given.spoken_by or given.voices:
            for found in ways.said(voice, ABOUT_4_S[LANGUAGE][: given.count]):
                reference = found[0][0]
                for name, (samples, spent_s) in zip(ways.generators, found, strict=True):
                    distances[name].append(log_spectral_distance(samples, reference))
                    costs[name].append(spent_s / (len(samples) / SAMPLE_RATE))
        rows = [
            [name, f"{np.mean(own):.2f} dB", f"{max(own):.2f} dB", f"{np.median(costs[name]):.3f}"]
            for name, own in distances.items()
        ]
        head = ("generator", "log-spectral distance, mean", "most", "processor seconds a second")
        print(table(head, rows))


if __name__ == "__main__":
    main()
