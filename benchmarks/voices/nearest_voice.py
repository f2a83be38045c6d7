"""Measures how similar Kokoro's cloning is, and its cost: twenty held-out speakers."""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from benchmarks.report import JUDGE_VARIABLE, median, report_section, table
from benchmarks.voices.nearest_voice_measures import MEASURES, distances
from benchmarks.voices.nearest_voice_speech import (
    AGAIN,
    AT_ONCE,
    JUDGED_RATE,
    RECORDED,
    REFINED,
    SECONDS,
    SENTENCES,
    TOLD,
    Model,
    said_alone,
    said_near,
    texts,
)
from benchmarks.voices.nearest_voice_targets import KOKORO, Target, targets
from kani.core.types import Recording, Samples
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE
from kani.engines.kokoro.voices import DEFAULT_VOICES
from tests.judges.judge import hear, wrong_words

LANGUAGES = ("es", "en")
DEFAULT, SINGLE, BOUND = "default voice", "best single voice", "upper bound"
WAYS = (DEFAULT, SINGLE, AT_ONCE, REFINED, BOUND)

FOREIGN = "foreign"
_GROUPS = (*LANGUAGES, FOREIGN)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Results of one target."""

    target: Target
    single: str
    similarity: Mapping[str, float]  # cosine by way
    apart: Mapping[str, tuple[float, ...]]  # distances of ``MEASURES`` by way
    wrong: Mapping[str, tuple[int, int]]  # wrong words and number of words, by way
    predicted: tuple[float, float]  # similarities predicted by the refined embedding, before and now
    seconds: tuple[float, float]  # to embed and to refine

    @property
    def group(self) -> str:
        """One of ``_GROUPS``."""
        return self.target.language if self.target.kind == KOKORO else FOREIGN

    def gain(self, way: str) -> float:
        """Similarity gained over the best single voice."""
        return self.similarity[way] - self.similarity[SINGLE]


def judged(model: Model, folder: Path, everyone: Sequence[Target]) -> list[Judged]:
    """Apply all measures to the speech."""
    alone = {
        voice: _opened(folder / f"{voice}.alone.npz")
        for language in LANGUAGES
        for voice in model.native(language)
    }
    near = {target.name: _opened(folder / f"{target.name}.near.npz") for target in everyone}
    heard = {voice: _joined(arrays, "") for voice, arrays in alone.items()}
    for name, arrays in near.items():
        heard |= {f"{name} {way}": arrays[way] for way in (RECORDED, AGAIN)}
        heard |= {f"{name} {way}": _joined(arrays, f"{way} ") for way in (AT_ONCE, REFINED)}
    embeddings = _embeddings(heard)
    found = []
    words_alone: dict[str, tuple[int, int]] = {}
    for target in everyone:
        name, arrays = target.name, near[target.name]
        wanted = embeddings[f"{name} {RECORDED}"]
        native = [voice for voice in model.native(target.language) if voice not in target.without]
        single = max(native, key=lambda voice: float(embeddings[voice] @ wanted))
        places = {
            DEFAULT: DEFAULT_VOICES[target.language],
            SINGLE: single,
            AT_ONCE: f"{name} {AT_ONCE}",
            REFINED: f"{name} {REFINED}",
            BOUND: f"{name} {AGAIN}",
        }
        recorded = Recording(arrays[RECORDED], JUDGED_RATE)
        if single not in words_alone:
            said = [alone[single][str(at)] for at in range(SENTENCES)]
            words_alone[single] = _wrong(said, target.language)
        wrong = {SINGLE: words_alone[single]}
        for way in (AT_ONCE, REFINED):
            wrong[way] = _wrong([arrays[f"{way} {at}"] for at in range(SENTENCES)], target.language)
        found.append(
            Judged(
                target,
                single,
                {way: float(embeddings[place] @ wanted) for way, place in places.items()},
                {
                    way: distances(recorded, Recording(heard[place], JUDGED_RATE))
                    for way, place in places.items()
                },
                wrong,
                (float(arrays[f"{REFINED} {TOLD}"][0]), float(arrays[f"{REFINED} {TOLD}"][1])),
                (float(arrays[SECONDS][0]), float(arrays[SECONDS][1])),
            )
        )
        print(f"{name} was judged.", flush=True)
    return found


def _opened(path: Path) -> dict[str, Samples]:
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _joined(arrays: Mapping[str, Samples], prefix: str) -> Samples:
    """The sentences joined, at the judge's rate."""
    whole = np.concatenate([arrays[f"{prefix}{at}"] for at in range(SENTENCES)])
    return np.asarray(soxr.resample(whole, SAMPLE_RATE, JUDGED_RATE), np.float32)


def _embeddings(recordings: Mapping[str, Samples]) -> dict[str, Samples]:
    """The makers' Resemblyzer's."""
    names = list(recordings)
    with tempfile.TemporaryDirectory() as folder:
        arrays, out = Path(folder) / "recordings.npz", Path(folder) / "out.npz"
        np.savez(arrays, **{f"r{at}": recordings[name] for at, name in enumerate(names)})
        judge = Path(__file__).with_name("nearest_voice_judge.py")
        # -P: or this folder's names would stand before the libraries'.
        subprocess.run([os.environ[JUDGE_VARIABLE], "-P", str(judge), str(arrays), str(out)], check=True)
        found = _opened(out)
    return {name: found[f"r{at}"] for at, name in enumerate(names)}


def _wrong(said: Sequence[Samples], language: str) -> tuple[int, int]:
    """Words that whisper-base gets wrong, and the number of words."""
    pairs = [
        wrong_words(text, hear(samples, SAMPLE_RATE, language), language)
        for text, samples in zip(texts(language), said, strict=True)
    ]
    return sum(wrong for wrong, _ in pairs), sum(words for _, words in pairs)


def similarity(found: Sequence[Judged]) -> None:
    """Print the similarities."""
    groups = {group: [one for one in found if one.group == group] for group in _GROUPS}
    rows = []
    for group, own in groups.items():
        rows.append(
            [
                f"{group} ({len(own)})",
                *(f"{np.mean([one.similarity[way] for one in own]):.3f}" for way in WAYS),
                *(f"{np.mean([one.gain(way) for one in own]):+.3f}" for way in (AT_ONCE, REFINED)),
                *(f"{min(one.gain(way) for one in own):+.3f}" for way in (AT_ONCE, REFINED)),
            ]
        )
    head = ("cosine by Resemblyzer", *WAYS, "gain at once", "gain refined")
    print(table((*head, "least at once", "least refined"), rows) + "\n")
    rows = [
        [
            f"{one.target.name} → {one.target.language}",
            one.single,
            *(f"{one.similarity[way]:.3f}" for way in WAYS),
            f"{one.predicted[0]:.3f} → {one.predicted[1]:.3f}",
        ]
        for one in found
    ]
    print(table(("target", "its best single voice", *WAYS, "what the embedding says"), rows) + "\n")


def others(found: Sequence[Judged]) -> None:
    """Print distances by measures that the search did not optimise."""
    rows = []
    for kind, own in (
        ("Kokoro", [one for one in found if one.target.kind == KOKORO]),
        (FOREIGN, [one for one in found if one.target.kind != KOKORO]),
    ):
        for at, measure in enumerate(MEASURES):
            means = {way: float(np.mean([one.apart[way][at] for one in own])) for way in WAYS}
            nearer = (1 - means[way] / means[SINGLE] for way in (AT_ONCE, REFINED))
            rows.append(
                [f"{kind} ({len(own)})", measure, *(f"{means[way]:.2f}" for way in WAYS)]
                + [f"{share:.0%}" for share in nearer]
            )
    head = ("targets", "distance", *WAYS, "nearer at once", "nearer refined")
    print(table(head, rows) + "\n")


def words(found: Sequence[Judged]) -> None:
    """Print word errors."""
    rows = []
    for way in (SINGLE, AT_ONCE, REFINED):
        wrong, count = (sum(column) for column in zip(*(one.wrong[way] for one in found), strict=True))
        rows.append([way, str(count), str(wrong), f"{wrong / count:.1%}"])
    print(table(("said by", "words", "heard wrong by whisper-base", "word error rate"), rows) + "\n")


def seconds(found: Sequence[Judged]) -> None:
    """Print the seconds for ten seconds of a recording."""
    rows = [
        [what, f"{median(own):.2f} s", f"{max(own):.2f} s"]
        for what, own in (
            ("to a voice that can be used", [one.seconds[0] for one in found]),
            ("to the end of refining", [one.seconds[1] for one in found]),
        )
    ]
    print(table(("ten seconds of a recording", "median", "most"), rows) + "\n", flush=True)


def main() -> None:
    """The command line."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.voices.nearest_voice",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument(
        "--folder", type=Path, default=Path("out/nearest_voice"), help="where what was said is kept"
    )
    folder: Path = options.parse_args().folder
    if not os.environ.get(JUDGE_VARIABLE):
        raise SystemExit(f"{JUDGE_VARIABLE} names no environment with tests/judges/requirements-judges.txt")
    folder.mkdir(parents=True, exist_ok=True)
    with report_section("Kokoro's nearest voice", "faster-whisper"):
        model = Model()
        for language in LANGUAGES:
            said_alone(model, folder, language)
        everyone = list(targets(model.voices, model.say, folder))
        for target in everyone:
            said_near(model, folder, target)
            print(f"{target.name} was cloned.", flush=True)
        found = judged(model, folder, everyone)
        for show in (similarity, others, words, seconds):
            show(found)


if __name__ == "__main__":
    main()
