"""Similarity of static int8 to float32, and of windows to one window."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice

import numpy as np

from benchmarks import single_engine
from benchmarks.kokoro.exact import random_plan
from benchmarks.kokoro.measures import closeness_db, log_spectral_distance
from benchmarks.kokoro.quality import NO_JUDGE, mos_scores
from benchmarks.kokoro.variants import Prediction
from benchmarks.kokoro_decoder.windows import FLOAT32, LITERT, ONNX, DecoderVariant, decoder_variant
from benchmarks.report import median, table
from benchmarks.sentences import ABOUT_4_S, Sentences, mixed
from benchmarks.timing.alignment_sentences import UNSEEN
from kani.core.types import Samples, Voice
from kani.engines.kokoro.litert.packing.generator import SCALES_ORIGIN_FILE
from kani.engines.kokoro.litert.packing.weights import DATA
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE
from kani.engines.kokoro.voices import DEFAULT_VOICES
from kani.text.languages import primary
from tests.judges.judge import hear, wrong_words

_SENTENCES = 60
_HEARD = 180
_CUT = 6
"""Sentences that are compared; that are listened to; that are cut at random."""

_WAYS = (FLOAT32, ONNX, LITERT)

_TEXTS: Sentences = {
    **ABOUT_4_S,
    "it": UNSEEN["it"],
    "pt": (
        "A padaria da esquina vende bolos de laranja todas as manhãs de domingo.",
        "O guarda do farol contava aos netos histórias de navios perdidos.",
        "Ontem à tarde encontrei na gaveta uma fotografia antiga da minha avó.",
        "Se chover outra vez, levamos as cadeiras para dentro e jantamos na cozinha.",
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class Saying:
    """One sentence by variant: from the same features, and from the same prosody."""

    foreseen: Prediction
    of_features: dict[str, Samples]
    of_prosody: dict[str, Samples]


def to_say(voices: Sequence[Voice], count: int) -> list[tuple[str, Voice]]:
    """Choose ``count`` sentences: one for each voice, then again from the last voice on, and so forth."""
    texts = {language: cycle(own) for language, own in _TEXTS.items()}
    chosen = islice(cycle([*voices, *reversed(voices)]), count)
    return [(next(texts[primary(voice.language)]), voice) for voice in chosen]


@cache
def _ways() -> dict[str, DecoderVariant]:
    return {name: decoder_variant(name, single_engine.THREADS) for name in _WAYS}


def _of_prosody(foreseen: Prediction) -> dict[str, Samples]:
    """Decode the same prosody with each variant."""
    return {name: own.sound(own.again(foreseen), foreseen.plan) for name, own in _ways().items()}


@cache
def sayings() -> list[Saying]:
    """Decode every sentence in the server's windows; once for all tables."""
    model = _ways()[ONNX].model
    said = []
    for text, voice in to_say(model.voices.all, _SENTENCES):
        foreseen = model.foresee(text, voice)
        of_features = {name: own.sound(foreseen, foreseen.plan) for name, own in _ways().items()}
        said.append(Saying(foreseen, of_features, _of_prosody(foreseen)))
    return said


def likeness() -> None:
    """Print distances of spectra from float32's, and predicted opinion scores."""
    said = sayings()
    scores = mos_scores([one.of_prosody[name] for one in said for name in _WAYS])
    by_way = None if scores is None else {name: scores[at :: len(_WAYS)] for at, name in enumerate(_WAYS)}
    distances = {
        name: [log_spectral_distance(one.of_features[name], one.of_features[FLOAT32]) for one in said]
        for name in (ONNX, LITERT)
    }
    rows = []
    for name in (ONNX, LITERT):
        of_prosody = [log_spectral_distance(one.of_prosody[name], one.of_prosody[FLOAT32]) for one in said]
        for what, own, points in (
            ("the generator, of the same features", distances[name], ("", "", "")),
            ("all that follows the prosody", of_prosody, _points(by_way, name)),
        ):
            rows.append(
                [f"{name}, {what}", str(len(own)), f"{np.mean(own):.2f} dB", f"{max(own):.2f} dB", *points]
            )
    calibrated = json.loads((DATA / SCALES_ORIGIN_FILE).read_text("utf-8"))["sayings"]
    unknown = [
        distance
        for distance, one in zip(distances[LITERT], said, strict=True)
        if one.foreseen.voice.id not in calibrated
    ]
    rows.append(
        [
            *(f"{LITERT}, the generator, voices that it was not calibrated on", str(len(unknown))),
            *(f"{np.mean(unknown):.2f} dB", f"{max(unknown):.2f} dB", "", "", ""),
        ]
    )
    voices = len({one.foreseen.voice.id for one in said})
    head = (
        *("against float32", "sentences", "log-spectral distance, mean", "most"),
        *("DNSMOS difference, mean", "worst", "DNSMOS, mean"),
    )
    print(f"Beside float32, {voices} voices, the server's windows:\n")
    print(table(head, rows) + "\n")
    if scores is None:
        print(f"DNSMOS: {NO_JUDGE}\n")
    farthest = sorted(zip(distances[LITERT], distances[ONNX], said, strict=True), key=lambda one: -one[0])
    worst = [
        [one.foreseen.voice.id, f"{fast:.2f} dB", f"{onnx:.2f} dB", one.foreseen.text]
        for fast, onnx, one in farthest[:6]
    ]
    print(table(("the farthest, of the same features", LITERT, ONNX, "text"), worst) + "\n", flush=True)


def words() -> None:
    """Print the word errors of each variant, by whisper-base."""
    counts: dict[str, list[tuple[int, int]]] = {name: [] for name in _WAYS}
    unlike = []
    model = _ways()[ONNX].model
    for text, voice in to_say(model.voices.all, _HEARD):
        language = primary(voice.language)
        sounds = _of_prosody(model.foresee(text, voice))
        heard = {name: hear(samples, SAMPLE_RATE, language) for name, samples in sounds.items()}
        wrong = {name: wrong_words(text, said, language) for name, said in heard.items()}
        for name, found in wrong.items():
            counts[name].append(found)
        if wrong[LITERT] != wrong[FLOAT32]:
            unlike.append([voice.id, text, heard[FLOAT32], heard[LITERT]])
    rows = []
    for name, pairs in counts.items():
        bad, count = (sum(column) for column in zip(*pairs, strict=True))
        rows.append([name, str(len(pairs)), str(count), str(bad), f"{bad / count:.1%}"])
    print("Words heard wrong by whisper-base:\n")
    print(table(("decoder", "sentences", "words", "wrong", "word error rate"), rows) + "\n")
    print("Where the numbers of wrong words differ:\n")
    print(table(("voice", "to say", f"heard of {FLOAT32}", f"heard of {LITERT}"), unlike) + "\n", flush=True)


def windows() -> None:
    """Print the distance of random windows, and of the server's, from one window, by variant."""
    random = np.random.default_rng(0)
    found: dict[tuple[str, str], list[float]] = {}
    for name in (ONNX, LITERT):
        own = decoder_variant(name, single_engine.THREADS)
        voices = {voice.id: voice for voice in own.model.voices.all}
        for language, text in mixed(ABOUT_4_S)[:_CUT]:
            foreseen = own.model.foresee(text, voices[DEFAULT_VOICES[language]])
            frames = foreseen.features.frames
            whole = own.sound(foreseen, [(0, frames)])
            for cut, plan, reference in (
                ("the server's", foreseen.plan, foreseen.spoken(whole)),
                ("4 to 80 frames at random", random_plan(frames, random), whole),
            ):
                level = closeness_db(own.sound(foreseen, plan), reference)
                found.setdefault((name, cut), []).append(level)
    rows = [[name, cut, _level(median(levels)), _level(min(levels))] for (name, cut), levels in found.items()]
    print(f"Windows against one window over all frames, {_CUT} sentences, signal to difference:\n")
    print(table(("decoder", "windows", "median", "worst"), rows) + "\n", flush=True)


def _level(decibels: float) -> str:
    return "the same samples" if decibels == float("inf") else f"{decibels:.1f} dB"


def _points(scores: dict[str, list[float]] | None, name: str) -> tuple[str, str, str]:
    """A variant's opinion scores less float32's, mean and worst; and their mean."""
    if scores is None:
        return "–", "–", "–"
    apart = [own - other for own, other in zip(scores[name], scores[FLOAT32], strict=True)]
    return f"{np.mean(apart):+.3f}", f"{min(apart):+.3f}", f"{np.mean(scores[name]):.3f}"
