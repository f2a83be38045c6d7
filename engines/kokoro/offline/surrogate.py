"""Make ``surrogate.npz`` and ``surrogate.json``: what the speaker encoder hears of voices and of mixes.

    python -m engines.kokoro.offline.surrogate shards

Every voice says some sentences of its language, and mixes drawn at random say one each in every language:
few voices or many, of one sex or both, some beyond the voices, at any pitch. What is heard is kept in the
folder, so that the work can be stopped, gone on with, and shared by several processes (``--part 1/2``). Once
all is there, the tables are fitted to it: ridge, in which a voice's row differs little from what the voice
sounds like alone, and little from language to language. Takes ten minutes on two cores; the same model,
voices and sentences give the same numbers but for rounding.
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

from engines import weights
from engines.espeak.client import EspeakClient
from engines.kokoro.cloning.pitch import measure_pitch
from engines.kokoro.cloning.surrogate import DATA_FILE, MIDDLE, OCTAVE, ORIGIN_FILE
from engines.kokoro.network import parts_cache
from engines.kokoro.network.norm_statistics import StatisticsTable
from engines.kokoro.network.onnx_model import SAMPLE_RATE, Array, Stop
from engines.kokoro.network.parts import SplitModel
from engines.kokoro.offline.sentences import SENTENCES
from engines.kokoro.synthesizer import WindowedSynthesizer
from engines.kokoro.text.espeak_ipa import phonemizer_for
from engines.kokoro.text.phonemes import split_utterances
from engines.kokoro.voice_embedding import LANGUAGES, embedding_from_mixes
from engines.kokoro.voice_mix import MAX_WEIGHT, MIN_WEIGHT, PITCH_RANGE_LIMITS, VoiceMix
from engines.kokoro.voices import INDEX_FILE, Voices
from engines.speaker_encoder import encoder as speaker_encoder
from engines.speaker_encoder.encoder import SpeakerEncoder
from speech.audio.pcm import pcm16
from speech.text.languages import primary
from speech.types import Samples, Segment, Voice

Values = npt.NDArray[np.float64]

ALONE = 2
"""Sentences that each voice says by itself."""

SHARDS = {"es": 4, "en": 4, "fr": 2, "it": 2, "pt": 2}
MIXES = 6
"""Of one shard."""

# What it costs in the fit to differ from 0, by the square.
_OF_LANGUAGE, _OF_PITCH, _OF_VOICE, _OF_BOTH, _OF_VOICES_PITCH = 0.2, 0.1, 0.2, 10.0, 1.0

_LENGTHS = range(40, 73)
_TONE_SPREAD = OCTAVE / 4
_LOWEST_TONE, _HIGHEST_TONE = np.log(75.0), np.log(330.0)


@dataclass(frozen=True, slots=True, eq=False)
class SpokenSentence:
    """One sentence: by whom, by weight [V], and its samples at the encoder's rate."""

    weights: Array
    samples: Samples


class Recorder:
    """Lets voices and mixes speak, and listens."""

    def __init__(self, cache_dir: Path) -> None:
        """cache_dir: where the network's parts are kept, and the model if it has to be fetched."""
        onnx = weights.load(weights.KOKORO, models_dir=None, cache_dir=cache_dir)
        self.voices = Voices()
        self.statistics = StatisticsTable([voice.id for voice in self.voices.all])
        model = SplitModel(parts_cache.load(onnx, cache_dir), threads=1)
        self._speaker = WindowedSynthesizer(model, self.voices, self.statistics)
        self._espeak = EspeakClient.shared()

    def said(self, who: Voice | VoiceMix, text: str, language: str) -> SpokenSentence:
        """One sentence, in a language (BCP 47)."""
        say = phonemizer_for(self._espeak, language)
        assert say is not None
        (utterance,) = split_utterances(text, say, ending=".")
        rows = {voice.id: row for row, voice in enumerate(self.voices.all)}
        timbre = np.zeros(len(rows), np.float32)
        if isinstance(who, Voice):
            segment = Segment(text, who.id, language)
            timbre[rows[who.id]] = 1.0
        else:
            embedding = embedding_from_mixes(dict.fromkeys(LANGUAGES, who), {}, self.voices)
            segment = Segment(text, who.prosody_voice, language, embedding=embedding)
            for voice, weight in who.timbre:
                timbre[rows[voice]] = weight
        pieces = [piece.samples for piece in self._speaker.synthesize(utterance, segment, Stop())]
        samples = soxr.resample(np.concatenate(pieces), SAMPLE_RATE, speaker_encoder.SAMPLE_RATE)
        return SpokenSentence(timbre, samples)


def draw_mix(
    rng: np.random.Generator, language: str, voices: Voices, statistics: StatisticsTable
) -> VoiceMix:
    """A mix at random, for a language."""
    everyone = voices.all
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
    melody = str(rng.choice(native[: max(2, len(native) // 2)]))
    return VoiceMix(
        melody,
        tuple((voice.id, float(weight)) for voice, weight in zip(everyone, timbre, strict=True) if weight),
        float((tone - statistics.log_f0(melody)) / OCTAVE * 12),
        float(np.clip(np.exp(rng.normal(0, 0.25)), *PITCH_RANGE_LIMITS)),
    )


def _some(rng: np.random.Generator, pool: Sequence[int], count: int, of: int) -> Values:
    """Weights [of] that add up to 1, above zero for ``count`` of ``pool``."""
    found = np.zeros(of)
    found[rng.choice(list(pool), count, replace=False)] = rng.dirichlet(np.ones(count))
    return found


def texts(language: str) -> list[str]:
    """The sentences that are said: of middling length."""
    return [text for text in SENTENCES[language] if len(text) in _LENGTHS]


def synthesize_shard(recorder: Recorder, name: str) -> Iterator[SpokenSentence]:
    """What is said in one piece of the work: ``alone-VOICE`` or ``LANGUAGE-NUMBER``."""
    first, _, rest = name.partition("-")
    rng = np.random.default_rng(list(name.encode()))
    if first == "alone":
        voice = next(voice for voice in recorder.voices.all if voice.id == rest)
        for text in rng.permutation(texts(primary(voice.language)))[:ALONE]:
            yield recorder.said(voice, str(text), voice.language)
        return
    for text in rng.choice(texts(first), MIXES):
        mix = draw_mix(rng, first, recorder.voices, recorder.statistics)
        yield recorder.said(mix, str(text), first)


def shard_names() -> list[str]:
    """All pieces of the work, the most needed ones first."""
    alone = [f"alone-{voice.id}" for voice in Voices().all]
    mixed = [(number, language) for language, count in SHARDS.items() for number in range(count)]
    return alone + [f"{language}-{number}" for number, language in sorted(mixed)]


def record_shard(recorder: Recorder, folder: Path, name: str) -> None:
    """One piece of the work, into its file."""
    said = list(synthesize_shard(recorder, name))
    arrays: dict[str, Any] = {
        f"{at}": np.frombuffer(pcm16(one.samples), np.int16) for at, one in enumerate(said)
    }
    arrays["weights"] = np.array([one.weights for one in said])
    # Under its own name only once it is whole: the work may be stopped at any time.
    part = folder / f"{name}.part.npz"
    np.savez(part, **arrays)
    part.rename(folder / f"{name}.npz")


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """All that was heard of N sentences of V voices: weights [N, V], embeddings [N, 256], melodies [N, 2] and
    the row of the language in ``LANGUAGES`` [N].
    """

    weights: Array
    embeddings: Array
    melodies: Array
    languages: npt.NDArray[np.int64]


def load_corpus(folder: Path) -> Corpus:
    """What is heard in all pieces of the work."""
    encoder = SpeakerEncoder()
    native = {voice.id: primary(voice.language) for voice in Voices().all}
    embeddings, melodies, languages = [], [], []
    timbres = []
    for name in shard_names():
        first, _, rest = name.partition("-")
        language = LANGUAGES.index(native[rest] if first == "alone" else first)
        with np.load(folder / f"{name}.npz") as data:
            for at, timbre in enumerate(data["weights"]):
                samples = data[f"{at}"].astype(np.float32) / 32768
                melody = measure_pitch(samples)
                if melody is None:
                    raise ValueError(f"{name}: sentence {at} has no pitch")
                timbres.append(timbre)
                embeddings.append(encoder.embed(samples))
                melodies.append((melody.log_f0, melody.spread_semitones))
                languages.append(language)
    return Corpus(np.array(timbres), np.array(embeddings), np.array(melodies), np.array(languages))


def single_voice_means(corpus: Corpus) -> tuple[Values, Values]:
    """What voices sound like by themselves: embeddings of length 1 [V, 256], melodies [V, 2]."""
    count = ALONE * corpus.weights.shape[1]
    embeddings = corpus.embeddings[:count].reshape(-1, ALONE, speaker_encoder.EMBEDDING_SIZE).mean(axis=1)
    melodies = corpus.melodies[:count].reshape(-1, ALONE, 2).mean(axis=1)
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), melodies


def fit_tables(corpus: Corpus, alone: Values) -> tuple[Values, Values, Values]:
    """tables [languages, V, 256], slopes [V, 256] and bend [256] of ``Surrogate``, by ridge.

    What is fitted is how far a sentence is from what its voices sound like alone. The columns are what all
    have in common, what a language has, and what each voice has in all languages, in one, and with the pitch.
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
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m engines.kokoro.offline.surrogate")
    parser.add_argument("folder", type=Path, help="where what was heard is kept")
    parser.add_argument("--part", default="1/1", help="which of how many processes this is")
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
        write(load_corpus(arguments.folder), Path(__file__).parents[1] / "data")


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
        "made_by": "python -m engines.kokoro.offline.surrogate",
        "onnxruntime": onnxruntime.__version__,
        "model_sha256": weights.KOKORO.sha256,
        "voices_sha256": json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))["sha256"],
        "encoder_sha256": json.loads(encoder.read_text(encoding="utf-8"))["sha256"],
        "sentences_sha256": hashlib.sha256(json.dumps(SENTENCES).encode()).hexdigest(),
        "sha256": hashlib.sha256(b"".join(array.tobytes() for array in arrays.values())).hexdigest(),
    }
    (folder / ORIGIN_FILE).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
