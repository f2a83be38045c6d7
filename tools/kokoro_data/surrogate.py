"""Make ``surrogate.npz`` and ``surrogate.json``: tables that predict the speaker embedding of a mix.

    python -m tools.kokoro_data.surrogate shards

Every voice speaks some sentences of its language, and random mixes speak one each in every language: of few
voices or many, of one sex or both, some extrapolated, at any pitch. The audio is kept in the folder, so that
the work can be stopped, resumed, and shared by several processes (``--part 1/2``). When it is complete,
the tables are fitted: ridge regression that keeps a voice's row close to the embedding of that voice unmixed,
and similar in all languages. Takes ten minutes on two cores; the same model, voices and sentences give the
same numbers but for rounding.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import soxr

from kani.core.audio.pcm import pcm16
from kani.core.types import Samples, Segment, Voice
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.cloning.pitch import measure_pitch
from kani.engines.kokoro.cloning.surrogate import DATA_FILE, MIDDLE, OCTAVE, ORIGIN_FILE
from kani.engines.kokoro.cloning.voice_embedding import LANGUAGES, embedding_from_mixes
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE, Array, Stop
from kani.engines.kokoro.synthesizer import WindowedSynthesizer
from kani.engines.kokoro.text.espeak_ipa import phonemizer_for
from kani.engines.kokoro.text.phonemes import split_utterances
from kani.engines.kokoro.voices import (
    DATA,
    INDEX_FILE,
    MAX_WEIGHT,
    MIN_WEIGHT,
    PITCH_RANGE_LIMITS,
    VoiceMix,
    Voices,
)
from kani.runtime.speaker_encoder import encoder as speaker_encoder
from kani.runtime.speaker_encoder.encoder import SpeakerEncoder
from kani_text.languages import primary
from tools.kokoro_data.sentences import SENTENCES
from tools.kokoro_pack.onnx_generator import on_onnxruntime
from tools.kokoro_pack.published import KOKORO, published_parts

Values = npt.NDArray[np.float64]

ALONE = 2
"""Sentences that each voice speaks unmixed."""

SHARDS = {"es": 4, "en": 4, "fr": 2, "it": 2, "pt": 2}
MIXES = 6
"""Mixes of one shard."""

# Ridge penalties of the groups of coefficients.
_OF_LANGUAGE, _OF_PITCH, _OF_VOICE, _OF_BOTH, _OF_VOICES_PITCH = 0.2, 0.1, 0.2, 10.0, 1.0

_LENGTHS = range(40, 73)
_TONE_SPREAD = OCTAVE / 4
_LOWEST_TONE, _HIGHEST_TONE = np.log(75.0), np.log(330.0)


@dataclass(frozen=True, slots=True, eq=False)
class SpokenSentence:
    """One sentence."""

    weights: Array  # of the voices [V]
    samples: Samples  # at the speaker encoder's rate


class Recorder:
    """Synthesises sentences of voices and mixes."""

    def __init__(self, cache_dir: Path) -> None:
        """cache_dir: where the model is kept if it has to be fetched."""
        self.voices = Voices()
        self.statistics = StatisticsTable.shipped([voice.id for voice in self.voices.all])
        model = on_onnxruntime(published_parts(cache_dir), threads=1)
        self._speaker = WindowedSynthesizer(model, self.voices, self.statistics)
        self._espeak = EspeakClient.shared()

    def speak(self, voice_or_mix: Voice | VoiceMix, text: str, language: str) -> SpokenSentence:
        """Synthesise one sentence in a language (BCP 47)."""
        say = phonemizer_for(self._espeak, language)
        assert say is not None
        (utterance,) = split_utterances(text, say, ending=".")
        rows = {voice.id: row for row, voice in enumerate(self.voices.mixed)}
        timbre = np.zeros(len(rows), np.float32)
        if isinstance(voice_or_mix, Voice):
            segment = Segment(text, voice_or_mix.id, language)
            timbre[rows[voice_or_mix.id]] = 1.0
        else:
            embedding = embedding_from_mixes(dict.fromkeys(LANGUAGES, voice_or_mix), {}, self.voices)
            segment = Segment(text, voice_or_mix.prosody_voice, language, embedding=embedding)
            for voice, weight in voice_or_mix.timbre:
                timbre[rows[voice]] = weight
        pieces = [
            piece.samples for piece in self._speaker.synthesize(utterance, segment, Stop(), in_steps=False)
        ]
        samples = soxr.resample(np.concatenate(pieces), SAMPLE_RATE, speaker_encoder.SAMPLE_RATE)
        return SpokenSentence(timbre, samples)


def draw_mix(
    rng: np.random.Generator, language: str, voices: Voices, statistics: StatisticsTable
) -> VoiceMix:
    """Draw a random mix for a language."""
    everyone = voices.mixed
    while True:
        sex = rng.choice(["female", "male", ""])
        pool = [row for row, voice in enumerate(everyone) if not sex or voice.gender == sex]
        timbre = _some(rng, pool, int(rng.choice([1, 2, 3, 4, 6])), len(everyone))
        if rng.random() < 0.4:
            beyond = rng.uniform(0.1, 0.6)
            timbre = (1 + beyond) * timbre - beyond * _some(rng, range(len(everyone)), 2, len(everyone))
        if timbre.min() >= MIN_WEIGHT and timbre.max() <= MAX_WEIGHT:
            break
    tones = np.array([statistics.log_f0(voice.id) for voice in everyone])
    tone = float(np.clip(timbre @ tones + rng.normal(0, _TONE_SPREAD), _LOWEST_TONE, _HIGHEST_TONE))
    native = [voice.id for voice in everyone if primary(voice.language) == language]
    native.sort(key=lambda voice: abs(statistics.log_f0(voice) - tone))
    prosody_voice = str(rng.choice(native[: max(2, len(native) // 2)]))
    return VoiceMix(
        prosody_voice,
        tuple((voice.id, float(weight)) for voice, weight in zip(everyone, timbre, strict=True) if weight),
        float((tone - statistics.log_f0(prosody_voice)) / OCTAVE * 12),
        float(np.clip(np.exp(rng.normal(0, 0.25)), *PITCH_RANGE_LIMITS)),
    )


def _some(rng: np.random.Generator, pool: Sequence[int], count: int, of: int) -> Values:
    """Weights [of] that sum to 1, positive for ``count`` of ``pool``."""
    found = np.zeros(of)
    found[rng.choice(list(pool), count, replace=False)] = rng.dirichlet(np.ones(count))
    return found


def texts(language: str) -> list[str]:
    """Sentences of medium length."""
    return [text for text in SENTENCES[language] if len(text) in _LENGTHS]


def synthesize_shard(recorder: Recorder, name: str) -> Iterator[SpokenSentence]:
    """Synthesise one shard: ``alone-VOICE`` or ``LANGUAGE-NUMBER``."""
    first, _, rest = name.partition("-")
    rng = np.random.default_rng(list(name.encode()))
    if first == "alone":
        voice = next(voice for voice in recorder.voices.mixed if voice.id == rest)
        for text in rng.permutation(texts(primary(voice.language)))[:ALONE]:
            yield recorder.speak(voice, str(text), voice.language)
        return
    for text in rng.choice(texts(first), MIXES):
        mix = draw_mix(rng, first, recorder.voices, recorder.statistics)
        yield recorder.speak(mix, str(text), first)


def shard_names() -> list[str]:
    """Names of all shards, the most important ones first."""
    alone = [f"alone-{voice.id}" for voice in Voices().mixed]
    mixed = [(number, language) for language, count in SHARDS.items() for number in range(count)]
    return alone + [f"{language}-{number}" for number, language in sorted(mixed)]


def record_shard(recorder: Recorder, folder: Path, name: str) -> None:
    """Synthesise one shard into its file."""
    sentences = list(synthesize_shard(recorder, name))
    arrays: dict[str, Any] = {
        f"{at}": np.frombuffer(pcm16(one.samples), np.int16) for at, one in enumerate(sentences)
    }
    arrays["weights"] = np.array([one.weights for one in sentences])
    # Renamed only when complete: the work may be stopped at any time.
    part = folder / f"{name}.part.npz"
    np.savez(part, **arrays)
    part.rename(folder / f"{name}.npz")


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Measurements of N sentences of V voices."""

    weights: Array  # [N, V]
    embeddings: Array  # [N, 256]
    melodies: Array  # log F0 and its spread [N, 2]
    languages: npt.NDArray[np.int64]  # row in ``LANGUAGES`` [N]


def load_corpus(folder: Path) -> Corpus:
    """Measure the sentences of all shards."""
    encoder = SpeakerEncoder()
    native = {voice.id: primary(voice.language) for voice in Voices().mixed}
    embeddings, melodies, languages = [], [], []
    timbres = []
    for name in shard_names():
        first, _, rest = name.partition("-")
        language = LANGUAGES.index(native[rest] if first == "alone" else first)
        with np.load(folder / f"{name}.npz") as data:
            for at, timbre in enumerate(data["weights"]):
                samples = data[f"{at}"].astype(np.float32) / 32768
                pitch = measure_pitch(samples)
                if pitch is None:
                    raise ValueError(f"{name}: sentence {at} has no pitch")
                timbres.append(timbre)
                embeddings.append(encoder.embed(samples))
                melodies.append((pitch.log_f0, pitch.spread_semitones))
                languages.append(language)
    return Corpus(np.array(timbres), np.array(embeddings), np.array(melodies), np.array(languages))


def single_voice_means(corpus: Corpus) -> tuple[Values, Values]:
    """Means of the single voices: embeddings of length 1 [V, 256], F0 and spread [V, 2]."""
    count = ALONE * corpus.weights.shape[1]
    embeddings = corpus.embeddings[:count].reshape(-1, ALONE, speaker_encoder.EMBEDDING_SIZE).mean(axis=1)
    melodies = corpus.melodies[:count].reshape(-1, ALONE, 2).mean(axis=1)
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), melodies


def fit_tables(corpus: Corpus, alone: Values) -> tuple[Values, Values, Values]:
    """Fit tables [languages, V, 256], slopes [V, 256] and bend [256] of ``Surrogate`` by ridge regression.

    The target is a sentence's deviation from the weighted embeddings of its single voices. The columns are a
    constant, the language, the pitch, and each voice in all languages, in one language, and by pitch.
    """
    count, voices = corpus.weights.shape
    octaves = ((corpus.melodies[:, :1] - MIDDLE) / OCTAVE).astype(np.float64)
    spoken = np.eye(len(LANGUAGES))[corpus.languages]
    columns: list[tuple[Values, float]] = [
        (np.ones((count, 1)), 1e-6),
        (spoken, _OF_LANGUAGE),
        (octaves, _OF_PITCH),
        (octaves**2, _OF_PITCH),
        (corpus.weights.astype(np.float64), _OF_VOICE),
        ((spoken[:, :, np.newaxis] * corpus.weights[:, np.newaxis]).reshape(count, -1), _OF_BOTH),
        (corpus.weights * octaves, _OF_VOICES_PITCH),
    ]
    design = np.hstack([values for values, _ in columns])
    ridge = np.concatenate([np.full(values.shape[1], costs) for values, costs in columns])
    apart = corpus.embeddings - corpus.weights @ alone
    found = np.linalg.solve(design.T @ design + np.diag(ridge), design.T @ apart)
    edges = np.cumsum([values.shape[1] for values, _ in columns])[:-1]
    common, language, slope, bend, voice, both, slopes = np.split(found, edges)
    both = both.reshape(len(LANGUAGES), voices, -1)
    tables = alone + common + language[:, np.newaxis] + voice + both
    return tables, slope + slopes, bend[0]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.kokoro_data.surrogate")
    parser.add_argument("folder", type=Path, help="where the synthesised shards are kept")
    parser.add_argument("--part", default="1/1", help="number of this process, and of all processes")
    parser.add_argument(
        "--cache-dir", type=Path, default=Path("kokoro-cache"), help="where the model is kept"
    )
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    part, parts = (int(number) for number in arguments.part.split("/"))
    missing = [
        name for name in shard_names()[part - 1 :: parts] if not (arguments.folder / f"{name}.npz").exists()
    ]
    if missing:
        recorder = Recorder(arguments.cache_dir)
        for name in missing:
            record_shard(recorder, arguments.folder, name)
            print(name, flush=True)
    if all((arguments.folder / f"{name}.npz").exists() for name in shard_names()):
        write(load_corpus(arguments.folder), DATA)


def write(corpus: Corpus, folder: Path) -> None:
    """Fit the tables, and write both files into ``folder``."""
    alone, melodies = single_voice_means(corpus)
    tables, slopes, bend = fit_tables(corpus, alone)
    arrays: dict[str, Any] = {
        "tables": tables.astype(np.float16),
        "slopes": slopes.astype(np.float16),
        "bend": bend.astype(np.float32),
        "alone": alone.astype(np.float32),
        "melodies": melodies.astype(np.float32),
    }
    np.savez(folder / DATA_FILE, **arrays)
    encoder = Path(speaker_encoder.__file__).with_name(speaker_encoder.ORIGIN_FILE)
    origin = {
        "made_by": "python -m tools.kokoro_data.surrogate",
        "onnxruntime": onnxruntime.__version__,
        "model_sha256": KOKORO.sha256,
        "voices_sha256": json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))["sha256"],
        "encoder_sha256": json.loads(encoder.read_text(encoding="utf-8"))["sha256"],
        "sentences_sha256": hashlib.sha256(json.dumps(SENTENCES).encode()).hexdigest(),
        "sha256": hashlib.sha256(b"".join(array.tobytes() for array in arrays.values())).hexdigest(),
    }
    (folder / ORIGIN_FILE).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
