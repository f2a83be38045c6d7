"""Accuracy, speed and memory of language detection in short texts.

detectors: 400 phrases of one to five words in eight languages, by this server and by other detectors, each in
a process of its own; among all languages that engines speak here, and among only the eight. A detector that
is not installed is named and skipped (tests/judges/requirements-judges.txt has all).
clients: this server with the client's languages, right and wrong ones.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.report import measure, mib, ms, table
from benchmarks.text.language_detection_peers import DETECTORS
from benchmarks.text.phrases import EVALUATION, Phrases, read_phrases
from kani.engines.espeak.client import EspeakClient
from kani_text.language_detection import common_word_shares, detect
from kani_text.languages import primary

EIGHT = ("es", "en", "fr", "it", "pt", "de", "zh", "ja")
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class DetectorResult:
    """Results of one detector; see ``language_detection_peers``."""

    version: str
    start_s: float
    bytes: int
    spent_s: float
    told: Sequence[str | None]


def spoken() -> list[str]:
    """The languages that engines speak here (primary subtags)."""
    return sorted({primary(voice.language) for voice in EspeakClient.shared().voices} | set(EIGHT))


def installed(package: str) -> bool:
    """Return True if a package is installed, or the name is empty."""
    try:
        return not package or bool(version(package))
    except PackageNotFoundError:
        return False


def run_detector(name: str, among: Collection[str], phrases: Phrases) -> DetectorResult:
    """Detect the phrases' languages in a process of its own."""
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.text.language_detection_peers", name],
        cwd=ROOT,
        input=json.dumps({"among": list(among), "texts": [text for _, text in phrases]}),
        capture_output=True,
        text=True,
        check=True,
    )
    return DetectorResult(**json.loads(found.stdout))


def share(part: int, whole: int) -> str:
    """``part`` of ``whole``, and in per cent."""
    return f"{part / whole:.1%} ({part} of {whole})"


def detectors() -> None:
    """Print the results of each detector."""
    phrases = read_phrases(EVALUATION)
    rows = []
    for name, (package, _) in DETECTORS.items():
        if not installed(package):
            print(f"{name}: {package} is not installed, passed over\n")
            continue
        for among_name, among in (("all spoken here", spoken()), ("the eight", EIGHT)):
            found = run_detector(name, among, phrases)
            right = Counter(
                language for (language, _), told in zip(phrases, found.told, strict=True) if told == language
            )
            rows.append(
                (
                    f"{name} ({package} {found.version})" if package else name,
                    among_name,
                    share(right.total(), len(phrases)),
                    share(found.told.count(None), len(phrases)),
                    " ".join(f"{language} {right[language]}" for language in EIGHT),
                    ms(found.start_s),
                    mib(found.bytes),
                    f"{found.spent_s / len(phrases) * 1e6:.0f} µs",
                )
            )
    head = ("detector", "among", "right", "left open", "of 50 each", "start", "memory", "a phrase")
    print(table(head, rows) + "\n", flush=True)


def clients() -> None:
    """Print the effect of the client's languages."""
    phrases, known = read_phrases(EVALUATION), spoken()

    def row(name: str, some: Phrases, expected: Sequence[str] | None) -> tuple[str, str]:
        right = 0
        for language, text in some:
            wanted = [language] if expected is None else expected
            right += (detect(text, known, expected=wanted) or next(iter(wanted), None)) == language
        return name, share(right, len(some))

    unlisted = [each for each in phrases if common_word_shares(each[1]).get(each[0], 0.0) < 1.0]
    rows = [
        row("nothing", phrases, ()),
        row("nothing; phrases with a word that is not in the table", unlisted, ()),
        row("its language", phrases, None),
        row("English, of phrases in others", [each for each in phrases if each[0] != "en"], ("en-US", "en")),
        row("Spanish, of phrases in others", [each for each in phrases if each[0] != "es"], ("es",)),
        row("German, English, French, Italian", phrases, ("de-CH", "en", "fr", "it")),
    ]
    print(table(("what the client says", "right"), rows) + "\n", flush=True)


if __name__ == "__main__":
    measure(
        "text.language_detection",
        __doc__,
        "The language of short texts",
        {"detectors": detectors, "clients": clients},
        "py3langid",
    )
