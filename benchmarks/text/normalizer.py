"""Accuracy and speed of the normalizer, beside other projects.

The pairs are those of tests/text/normalizer/normalizer_pairs. In words: the normalizer's output is one
of a pair's readings. In sounds: espeak-ng gives it the phonemes of one of them (stress and spaces aside),
which is how espeak-ng's own normalization is compared with the others. Two peers are measured
where the python that KANI_JUDGE_PYTHON names has tests/judges/requirements-judges.txt:
nemo-text-processing, and Kokoro-FastAPI's normaliser, from the checkout that --kokoro-fastapi names.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from babel.numbers import NumberFormatError, get_currency_name, parse_decimal
from num2words import num2words

from benchmarks.report import JUDGE_VARIABLE, ms, report_section, table
from benchmarks.text.normalizer_heard import measure_heard
from kani.engines.espeak.client import EspeakClient
from kani.text.normalizer import NormalizerOptions, normalize
from tests.text.normalizer.normalizer_pairs.table import LANGUAGES, OWN, Pair, as_expected, pairs

ESPEAK_VOICES = {"en": "en-us", "pt": "pt-br", "zh": "cmn"}
LENGTHS = (100, 1_000, 10_000)
REPEATS = 5
_SAMPLE = {
    "es": "El 3/4 a las 19:30 h, el Dr. Ruiz pagó 1.250,50 € (+12 %) por 21 pisos; más en ej.es/a_b. ",
    "en": "On 3/4 at 7:30 pm, Dr. Lee paid $1,250.50 (+12%) for 21 rooms; see example.com/a_b. ",
}
_START = (
    "import time; begun = time.perf_counter(); "
    "from kani.text.normalizer import NormalizerOptions, normalize; "
    "normalize('1', 0, NormalizerOptions(language={!r})); print(time.perf_counter() - begun)"
)
_CURRENCIES = {"€": "EUR", "$": "USD", "£": "GBP"}
_FIGURE = re.compile(r"([€$£]?) ?(\d+(?:[.,]\d+)*) ?([€$£]?)")
_STRESS = re.compile("[ˈˌ ]")
# A pause changes the sounds beside it, and the table's readings have none.
_PAUSES = re.compile(r"[,;:!?¡¿]+(?=\s|$)|(?<!\S)[¡¿]+")

Readings = Mapping[str, Sequence[str | None]]
"""Output of a system for each pair, by language; None where it fails."""


@dataclass(frozen=True, slots=True)
class System:
    """One way of reading, and what it cost: seconds until ready, and to read all pairs, by language."""

    name: str
    readings: Readings
    start_s: Mapping[str, float]
    spent_s: Mapping[str, float]


def ours(language: str, written: str) -> str:
    """This server's spoken form."""
    return normalize(written, 0, NormalizerOptions(language=language)).text


def libraries(language: str, written: str) -> str:
    """num2words and Babel by themselves: each number in words, and its currency's name."""

    def words(figure: re.Match[str]) -> str:
        try:
            value = parse_decimal(figure[2], locale=language)
        except NumberFormatError:
            return figure[0]
        try:
            said = str(num2words(int(value) if value == value.to_integral_value() else value, lang=language))
        except (NotImplementedError, OverflowError, InvalidOperation, IndexError):
            return figure[0]
        code = _CURRENCIES.get(figure[1] or figure[3])
        return f" {said} {get_currency_name(code, Decimal(value), locale=language) if code else ''} "

    return _FIGURE.sub(words, written)


def local(name: str, read: Callable[[str, str], str]) -> System:
    """A system of this process."""
    readings, spent = {}, {}
    for language in LANGUAGES:
        written = [pair.written for pair in pairs(language)]
        # A server has the caches of the first texts too.
        readings[language] = [read(language, text) for text in written]
        begun = time.perf_counter()
        for text in written:
            read(language, text)
        spent[language] = time.perf_counter() - begun
    return System(name, readings, {}, spent)


def peer(name: str, python: str, system: str, folder: str, languages: Sequence[str]) -> System:
    """Run a system of another environment. Raises CalledProcessError."""
    readings, start, spent = {}, {}, {}
    version = ""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        given, out = Path(scratch, "texts.json"), Path(scratch, "readings.json")
        for language in languages:
            given.write_text(json.dumps([pair.written for pair in pairs(language)]), encoding="utf-8")
            worker = Path(__file__).with_name("normalizer_peers.py")
            subprocess.run(
                [python, "-P", worker, system, language, folder, given, out],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            answer = json.loads(out.read_text(encoding="utf-8"))
            readings[language], version = answer["readings"], answer["version"]
            start[language], spent[language] = answer["start_s"], answer["spent_s"]
    return System(f"{name} ({version})", readings, start, spent)


def start_s(language: str) -> float:
    """Seconds from a fresh interpreter to our first reading, imports and tables included."""
    done = subprocess.run(
        [sys.executable, "-c", _START.format(language)], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def right_in_words(system: System) -> dict[Pair, bool]:
    """Pairs with an expected reading."""
    return {
        pair: reading is not None and as_expected(pair, reading)
        for language, readings in system.readings.items()
        for pair, reading in zip(pairs(language), readings, strict=True)
    }


def right_in_sounds(system: System, sounds: Mapping[Pair, frozenset[str]]) -> dict[Pair, bool]:
    """Pairs with the phonemes of an expected reading, with espeak-ng for the rest."""
    return {
        pair: reading is not None and phonemes(language, reading) in sounds[pair]
        for language, readings in system.readings.items()
        for pair, reading in zip(pairs(language), readings, strict=True)
    }


def phonemes(language: str, text: str) -> str:
    """``text`` in IPA, without pauses, stress and spaces."""
    said = EspeakClient.shared().phonemize(_PAUSES.sub("", text), ESPEAK_VOICES.get(language, language))
    return _STRESS.sub("", said)


def shares(rows: Mapping[str, Mapping[Pair, bool]]) -> str:
    """A table of shares by system and language; the last column is of all languages together."""
    lines = []
    for name, right in rows.items():
        cells = [name]
        for languages in (*((language,) for language in LANGUAGES), LANGUAGES):
            found = [good for pair, good in right.items() if pair.language in languages]
            complete = len({pair.language for pair in right}) >= len(languages)
            cells.append(f"{sum(found) / len(found):.1%}" if found and complete else "–")
        lines.append(cells)
    counts = [len(pairs(language)) for language in LANGUAGES]
    lines.append(["pairs", *map(str, counts), str(sum(counts))])
    return table(("", *LANGUAGES, "all"), lines)


def by_source(rows: Mapping[str, Mapping[Pair, bool]]) -> str:
    """A table of shares by system and by the source of a pair's test set."""
    sources = list(dict.fromkeys(pair.source for language in LANGUAGES for pair in pairs(language)))
    lines = []
    for name, right in rows.items():
        cells = [name]
        for source in sources:
            found = [good for pair, good in right.items() if pair.source == source]
            cells.append(f"{sum(found) / len(found):.1%} of {len(found)}" if found else "–")
        lines.append(cells)
    heads = ["our own pairs" if source == OWN else f"{source}'s pairs" for source in sources]
    return table(("in words", *heads), lines)


def costs(systems: Sequence[System]) -> str:
    """A table of start-up and time, by system, from the quickest language to the slowest."""
    lines = []
    for system in systems:
        begins = sorted(system.start_s.values())
        letters = {
            language: sum(len(pair.written) for pair in pairs(language)) for language in system.readings
        }
        spent = sorted(system.spent_s[language] / count * 100 for language, count in letters.items())
        lines.append(
            [
                system.name,
                f"{begins[0]:.2f}–{begins[-1]:.2f} s" if begins else "–",
                f"{ms(spent[0])} to {ms(spent[-1])}",
            ]
        )
    return table(("by language", "ready after", "for 100 characters"), lines)


def growth() -> str:
    """A table of our own time by the text's length."""
    lines = []
    for language, sample in _SAMPLE.items():
        cells = [language]
        for length in LENGTHS:
            text = (sample * (length // len(sample) + 1))[:length]
            normalize(text, 0, NormalizerOptions(language=language))
            times = []
            for _ in range(REPEATS):
                begun = time.perf_counter()
                normalize(text, 0, NormalizerOptions(language=language))
                times.append(time.perf_counter() - begun)
            cells.append(f"{ms(min(times))} ({ms(min(times) / length * 100)} for 100)")
        lines.append(cells)
    return table(("", *(f"{length:,} characters" for length in LENGTHS)), lines)


def compare(kokoro_fastapi: str | None, grammars: str) -> None:
    """Print the tables of one sitting."""
    own = local("this server", ours)
    own = System(own.name, own.readings, {language: start_s(language) for language in LANGUAGES}, own.spent_s)
    systems = [own, local("num2words and Babel alone", libraries)]
    if python := os.environ.get(JUDGE_VARIABLE, ""):
        systems.append(peer("nemo-text-processing", python, "nemo", grammars, LANGUAGES))
        if kokoro_fastapi:
            systems.append(peer("Kokoro-FastAPI", python, "kokoro-fastapi", kokoro_fastapi, ["en"]))
    words = {system.name: right_in_words(system) for system in systems}
    print(f"As expected, in words:\n\n{shares(words)}\n\n{by_source(words)}\n", flush=True)

    sounds = {
        pair: frozenset(phonemes(language, reading) for reading in pair.readings)
        for language in LANGUAGES
        for pair in pairs(language)
    }
    espeak = local("espeak-ng", lambda language, written: written)
    heard = {system.name: right_in_sounds(system, sounds) for system in (*systems, espeak)}
    print(f"As expected, in espeak-ng's sounds:\n\n{shares(heard)}\n", flush=True)
    print(f"{costs(systems)}\n\n{growth()}\n")
    missed = [
        [pair.language, pair.source, f"`{pair.written}`", reading or "", pair.readings[0]]
        for language in LANGUAGES
        for pair, reading in zip(pairs(language), own.readings[language], strict=True)
        if not words[own.name][pair]
    ]
    print(table(("", "source", "written", "read by this server", "expected"), missed))


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.text.normalizer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--kokoro-fastapi", metavar="FOLDER", help="a checkout of Kokoro-FastAPI")
    options.add_argument(
        "--grammars",
        metavar="FOLDER",
        default=str(Path(tempfile.gettempdir(), "nemo-grammars")),
        help="where nemo-text-processing keeps its compiled grammars (default: %(default)s)",
    )
    options.add_argument("--heard", action="store_true", help="have 60 spoken sentences heard instead")
    given = options.parse_args()
    if given.heard:
        with report_section("Numbers, times and money, heard by whisper-base", "faster-whisper"):
            measure_heard()
    else:
        with report_section("What is written and how it is read", "num2words", "babel"):
            compare(given.kokoro_fastapi, given.grammars)


if __name__ == "__main__":
    main()
