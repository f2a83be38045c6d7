"""What static int8 sounds like: beside float32 on the very same features, and windows beside one window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import cycle

import numpy as np

from benchmarks import alone
from benchmarks.alignment_sentences import UNSEEN
from benchmarks.kokoro_decoder_windows import FAST, FLOAT32, ONNX, float32, generators, sound
from benchmarks.kokoro_exact import random_plan
from benchmarks.kokoro_measures import closeness_db, log_spectral_distance
from benchmarks.kokoro_quality import NO_JUDGE, opinions
from benchmarks.kokoro_sayings import Foreseen, Model
from benchmarks.report import median, table
from benchmarks.sentences import ABOUT_4_S, Sentences, mixed
from engines.kokoro.model import SAMPLE_RATE, Stop
from engines.kokoro.voices import DEFAULT_VOICES
from speech.languages import primary
from speech.types import Samples, Voice
from tests.judge import hear, wrong_words

_SENTENCES = 60
_CUT = 6
"""Sentences that are cut at random."""

_CHAIN_EVERY = 3
"""Of which sentences everything behind the prosody is compared, too."""

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
    """One sentence by each generator, of the same features; chain: in float32 from the prosody on."""

    foreseen: Foreseen
    ways: dict[str, Samples]
    chain: Samples | None

    @property
    def language(self) -> str:
        """The voice's language without its region."""
        return primary(self.foreseen.voice.language)


def to_say(voices: Sequence[Voice]) -> list[tuple[str, Voice]]:
    """60 sentences: every voice one, and the last ones, which have all languages, another."""
    texts = {language: cycle(own) for language, own in _TEXTS.items()}
    chosen = [*voices, *reversed(voices)][:_SENTENCES]
    return [(next(texts[primary(voice.language)]), voice) for voice in chosen]


@cache
def sayings() -> list[Saying]:
    """Every sentence in the server's windows: made once for all tables."""
    model = Model.published()
    exact = float32(alone.THREADS)
    speakers = {FLOAT32: exact.generator, **generators(alone.THREADS)}
    said = []
    for number, (text, voice) in enumerate(to_say(model.voices.all)):
        foreseen = model.foresee(text, voice)
        expected = model.expected(foreseen)
        ways = {
            name: sound(generator, model, foreseen, foreseen.plan, expected)
            for name, generator in speakers.items()
        }
        chain = None
        if number % _CHAIN_EVERY == 0:
            features = exact.features(foreseen.prosody, foreseen.style, Stop())
            unrounded = replace(foreseen, features=features)
            chain = sound(exact.generator, model, unrounded, foreseen.plan, model.expected(unrounded))
        said.append(Saying(foreseen, ways, chain))
    return said


def likeness() -> None:
    """Spectra and predicted opinions beside float32's."""
    said = sayings()
    names, ways = (ONNX, FAST), (FLOAT32, ONNX, FAST)
    distances = {
        name: [log_spectral_distance(one.ways[name], one.ways[FLOAT32]) for one in said] for name in names
    }
    mos = opinions([samples for one in said for samples in one.ways.values()])
    by_way: dict[str, list[float]] = {}
    for way, score in zip([way for one in said for way in one.ways], mos or [], strict=mos is not None):
        by_way.setdefault(way, []).append(score)
    rows = [["goal, fast", "", "≤ 0.9 dB", "≤ 1.3 dB", "≥ −0.03", "", ""]]
    for name in names:
        own = distances[name]
        rows.append(
            [name, str(len(said)), f"{np.mean(own):.2f} dB", f"{max(own):.2f} dB", *_points(by_way, name)]
        )
    for name in ways:
        own = [log_spectral_distance(one.ways[name], one.chain) for one in said if one.chain is not None]
        rows.append(
            [
                *(f"{name}, from the same prosody on", str(len(own))),
                *(f"{np.mean(own):.2f} dB", f"{max(own):.2f} dB", "", "", ""),
            ]
        )
    voices = len({one.foreseen.voice.id for one in said})
    head = (
        *("against float32", "sentences", "log-spectral distance, mean", "most"),
        *("DNSMOS difference, mean", "worst", "DNSMOS, mean"),
    )
    print(
        f"The generator of the same features, spectra and norms, {voices} voices, the server's windows; and "
        "all that follows the prosody in float32:\n"
    )
    print(table(head, rows) + "\n")
    if mos is None:
        print(f"DNSMOS: {NO_JUDGE}\n")
    farthest = sorted(zip(distances[FAST], distances[ONNX], said, strict=True), key=lambda one: -one[0])[:6]
    print(
        table(
            ("the farthest", FAST, ONNX, "text"),
            [
                [one.foreseen.voice.id, f"{fast:.2f} dB", f"{onnx:.2f} dB", one.foreseen.text]
                for fast, onnx, one in farthest
            ],
        )
        + "\n",
        flush=True,
    )


def words() -> None:
    """What whisper-base hears of each."""
    counts: dict[str, list[tuple[int, int]]] = {}
    unlike = []
    for one in sayings():
        heard = {way: hear(samples, SAMPLE_RATE, one.language) for way, samples in one.ways.items()}
        wrong = {way: wrong_words(one.foreseen.text, said, one.language) for way, said in heard.items()}
        for way, found in wrong.items():
            counts.setdefault(way, []).append(found)
        if wrong[FAST] != wrong[FLOAT32]:
            unlike.append([one.foreseen.voice.id, one.foreseen.text, heard[FLOAT32], heard[FAST]])
    rows = []
    for way, pairs in counts.items():
        bad, count = (sum(column) for column in zip(*pairs, strict=True))
        rows.append([way, str(len(pairs)), str(count), str(bad), f"{bad / count:.1%}"])
    print("Words heard wrong by whisper-base (goal: fast not above float32):\n")
    print(table(("generator", "sentences", "words", "wrong", "word error rate"), rows) + "\n")
    print("Where the numbers of wrong words differ:\n")
    print(table(("voice", "to say", f"heard of {FLOAT32}", f"heard of {FAST}"), unlike) + "\n", flush=True)


def windows() -> None:
    """Windows cut at random, and the server's, beside one window over everything, by the same generator."""
    model = Model.published()
    voices = {voice.id: voice for voice in model.voices.all}
    random = np.random.default_rng(0)
    found: dict[tuple[str, str], list[float]] = {}
    for language, text in mixed(ABOUT_4_S)[:_CUT]:
        foreseen = model.foresee(text, voices[DEFAULT_VOICES[language]])
        statistics = model.expected(foreseen)
        frames = foreseen.features.frames
        plans = {"the server's": foreseen.plan, "4 to 80 frames at random": random_plan(frames, random)}
        for name, generator in generators(alone.THREADS).items():
            whole = sound(generator, model, foreseen, [(0, frames)], statistics)
            for cut, plan in plans.items():
                pieces = sound(generator, model, foreseen, plan, statistics)
                reference = foreseen.spoken(whole) if plan is foreseen.plan else whole
                found.setdefault((name, cut), []).append(closeness_db(pieces, reference))
    rows = [
        [name, cut, _level(median(levels)), _level(min(levels)), "≥ 60 dB" if name == FAST else ""]
        for (name, cut), levels in found.items()
    ]
    print(f"Windows against one window over all frames, {_CUT} sentences, signal to difference:\n")
    print(table(("generator", "windows", "median", "worst", "goal"), rows) + "\n", flush=True)


def _level(decibels: float) -> str:
    return "the same samples" if decibels == float("inf") else f"{decibels:.1f} dB"


def _points(scores: dict[str, list[float]], name: str) -> tuple[str, str, str]:
    """A generator's opinions less float32's, mean and worst; and their mean."""
    if not scores:
        return "–", "–", "–"
    apart = [own - other for own, other in zip(scores[name], scores[FLOAT32], strict=True)]
    return f"{np.mean(apart):+.3f}", f"{min(apart):+.3f}", f"{np.mean(scores[name]):.3f}"
