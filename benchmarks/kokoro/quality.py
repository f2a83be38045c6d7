"""Windowed decoding beside whole decoding: similarity and predicted opinion scores."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soxr

from benchmarks.kokoro.measures import log_spectral_distance, pitch_difference_cents, seam_jumps
from benchmarks.kokoro.variants import (
    EXACT,
    FIXED,
    RECORDER,
    WHOLE,
    WINDOWS,
    DecodedSentence,
    Model,
    sentences_for,
)
from benchmarks.report import JUDGE_VARIABLE, median, percentile, table
from benchmarks.sentences import ABOUT_4_S
from kani.core.types import Samples
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE
from kani.engines.kokoro.voices import DEFAULT_VOICES
from tests.judges.judge import hear, wrong_words

NO_JUDGE = f"not measured ({JUDGE_VARIABLE} names no environment with tests/judges/requirements-judges.txt)"

_FLOOR_EVERY = 3
"""One in so many sentences is also spoken in the ways between whole and windows."""

_PICTURE_S = 1.2
_MOS_RATE = 16_000


@cache
def sayings() -> list[DecodedSentence]:
    """Decode every sentence in int8, whole and in windows; once for all tables."""
    model = Model.published()
    return [
        model.say(text, voice, floors=number % _FLOOR_EVERY == 0)
        for number, (text, voice) in enumerate(sentences_for(model.voices.all))
    ]


@dataclass(frozen=True, slots=True)
class Difference:
    """One sentence decoded in one way, against the whole: decibels, MOS points (None: no judge), cents."""

    distance_db: float
    mos: float | None
    cents: float


def likeness() -> None:
    """Print the distance of int8 windows from the int8 whole, and its causes."""
    said = sayings()
    mos = mos_scores([samples for saying in said for samples in saying.ways.values()])
    scores = iter(mos or [])
    found: dict[str, list[Difference]] = {}
    for saying in said:
        score = {way: next(scores, None) for way in saying.ways}
        whole = saying.ways[WHOLE]
        for way, samples in saying.ways.items():
            if way == WHOLE:
                continue
            own, other = score[way], score[WHOLE]
            one = Difference(
                log_spectral_distance(samples, whole),
                None if own is None or other is None else own - other,
                median(list(pitch_difference_cents(samples, whole))),
            )
            found.setdefault(way, []).append(one)
            if way == WINDOWS and RECORDER in saying.ways:
                found.setdefault(f"{WINDOWS}, the same sentences", []).append(one)
    order = (WINDOWS, f"{WINDOWS}, the same sentences", FIXED, EXACT, RECORDER)
    goals = [["goal", "", "≤ 1.9 dB", "≤ 2.6 dB", "≥ −0.03", "≥ −0.25", "≤ 5", ""]]
    head = (
        *("against the int8 whole", "sentences", "log-spectral distance, mean", "most"),
        *("DNSMOS difference, mean", "worst", "pitch, median of cents", "most"),
    )
    voices = len({saying.foreseen.voice.id for saying in said})
    print(f"Int8, es, en and fr, {voices} voices:\n")
    print(table(head, goals + [_different(way, found[way]) for way in order]) + "\n")
    if mos is None:
        print(f"DNSMOS: {NO_JUDGE}\n")
    by_language = [
        _different(
            language,
            [one for one, saying in zip(found[WINDOWS], said, strict=True) if saying.language == language],
        )
        for language in dict.fromkeys(saying.language for saying in said)
    ]
    print(table((f"{WINDOWS}, by language", *head[1:]), by_language) + "\n")
    worst = sorted(zip(found[WINDOWS], said, strict=True), key=lambda pair: -pair[0].distance_db)[:6]
    rows = [
        [saying.foreseen.voice.id, f"{one.distance_db:.2f} dB", _points(one.mos), saying.foreseen.text]
        for one, saying in worst
    ]
    named = ("the farthest from the whole", "distance", "DNSMOS difference", "text")
    print(table(named, rows) + "\n", flush=True)


def _different(name: str, found: Sequence[Difference]) -> list[str]:
    distances = [one.distance_db for one in found]
    scores = [one.mos for one in found if one.mos is not None]
    cents = [one.cents for one in found]
    return [
        *(name, str(len(found)), f"{np.mean(distances):.2f} dB", f"{max(distances):.2f} dB"),
        _points(float(np.mean(scores)) if scores else None),
        _points(min(scores, default=None)),
        *(f"{median(cents):.1f}", f"{max(cents):.1f}"),
    ]


def _points(score: float | None) -> str:
    return "–" if score is None else f"{score:+.3f}"


def mos_scores(recordings: Sequence[Samples]) -> list[float] | None:
    """DNSMOS (overall, P.835) of each recording; None without the judges' environment."""
    python = os.environ.get(JUDGE_VARIABLE, "")
    if not python:
        return None
    with tempfile.TemporaryDirectory() as folder:
        arrays, out = Path(folder) / "recordings.npz", Path(folder) / "out.json"
        names = [f"r{number}" for number in range(len(recordings))]
        resampled = (soxr.resample(samples, SAMPLE_RATE, _MOS_RATE) for samples in recordings)
        np.savez(arrays, **dict(zip(names, resampled, strict=True)))
        _judge(python, "mos.py", arrays, out)
        found = json.loads(out.read_text("utf-8"))
    return [float(found[name]) for name in names]


def _judge(python: str, program: str, *arguments: Path) -> None:
    # -P: or this folder's names would stand before the libraries'.
    subprocess.run([python, "-P", str(Path(__file__).with_name(program)), *map(str, arguments)], check=True)


def seams() -> None:
    """Print the steps of the waveform where two windows meet."""
    steps: dict[str, list[float]] = {WINDOWS: [], WHOLE: []}
    for saying in sayings():
        for way, found in steps.items():
            found += seam_jumps(saying.ways[way], saying.foreseen.seams)
    rows = [
        [way, str(len(found)), f"{median(found):.2f}", f"{percentile(found, 95):.2f}", f"{max(found):.2f}"]
        for way, found in steps.items()
    ]
    more = percentile(steps[WINDOWS], 95) - percentile(steps[WHOLE], 95)
    print("Largest step between samples within 1 ms of a seam ÷ RMS of the steps within 20 ms:\n")
    print(table(("", "seams", "median", "p95", "most"), rows))
    print(f"\nDifference of the p95: {more:+.2f} (goal: ≤ +0.3)\n", flush=True)


def words() -> None:
    """Print the word errors of both, by whisper-base."""
    counts: dict[tuple[str, str], list[tuple[int, int]]] = {}
    unlike = []
    for saying in sayings():
        text, language = saying.foreseen.text, saying.language
        heard = {way: hear(saying.ways[way], SAMPLE_RATE, language) for way in (WHOLE, WINDOWS)}
        wrong = {way: wrong_words(text, words, language) for way, words in heard.items()}
        for way, found in wrong.items():
            for group in (language, "all"):
                counts.setdefault((group, way), []).append(found)
        if wrong[WHOLE] != wrong[WINDOWS]:
            unlike.append([saying.foreseen.voice.id, text, heard[WHOLE], heard[WINDOWS]])
    rows = []
    for (group, way), pairs in sorted(counts.items()):
        bad, count = (sum(column) for column in zip(*pairs, strict=True))
        rows.append([group, way, str(len(pairs)), str(count), str(bad), f"{bad / count:.1%}"])
    print("Words heard wrong by whisper-base (goal: windows not above the whole):\n")
    print(table(("language", "decoded", "sentences", "words", "wrong", "word error rate"), rows) + "\n")
    print("Where the numbers of wrong words differ:\n")
    print(table(("voice", "to say", f"heard of {WHOLE}", f"heard of {WINDOWS}"), unlike) + "\n", flush=True)


def picture(out: Path) -> None:
    """Draw the first windows of a sentence, whole and in windows. Needs the judges' environment."""
    python = os.environ.get(JUDGE_VARIABLE, "")
    if not python:
        raise SystemExit(
            f"no picture: {JUDGE_VARIABLE} names no environment with tests/judges/requirements-judges.txt"
        )
    model = Model.published()
    voice = next(voice for voice in model.voices.all if voice.id == DEFAULT_VOICES["es"])
    saying = model.say(ABOUT_4_S["es"][0], voice, floors=False)
    shown = round(_PICTURE_S * SAMPLE_RATE)
    with tempfile.TemporaryDirectory() as folder:
        speech = Path(folder) / "speech.npz"
        np.savez(
            speech,
            whole=saying.ways[WHOLE][:shown],
            windows=saying.ways[WINDOWS][:shown],
            rate=SAMPLE_RATE,
            seams=[at / SAMPLE_RATE for at in saying.foreseen.seams if at < shown],
            title=f"{voice.id}: {saying.foreseen.text}",
        )
        _judge(python, "picture.py", speech, out)
    print(f"{out} is written.")
