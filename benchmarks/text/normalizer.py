"""Accuracy of the normalizer, beside other projects.

The pairs are those of tests/text/normalizer/normalizer_pairs: an output is one of a pair's readings. Peers
are measured where the python that KANI_JUDGE_PYTHON names has tests/judges/requirements-judges.txt:
nemo-text-processing, and Kokoro-FastAPI's normaliser, from the checkout that --kokoro-fastapi names.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from babel.numbers import NumberFormatError, get_currency_name, parse_decimal
from num2words import num2words

from benchmarks.report import JUDGE_VARIABLE, report_section, table
from kani_text.normalizer import NormalizerOptions, normalize
from tests.text.normalizer.normalizer_pairs.table import LANGUAGES, OWN, Pair, as_expected, pairs

_CURRENCIES = {"€": "EUR", "$": "USD", "£": "GBP"}
_FIGURE = re.compile(r"([€$£]?) ?(\d+(?:[.,]\d+)*) ?([€$£]?)")

Readings = Mapping[str, Sequence[str | None]]
"""Output of a system for each pair, by language; None where it fails."""


@dataclass(frozen=True, slots=True)
class System:
    """One way of reading."""

    name: str
    readings: Readings


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
    readings = {
        language: [read(language, pair.written) for pair in pairs(language)] for language in LANGUAGES
    }
    return System(name, readings)


def peer(name: str, python: str, system: str, folder: str, languages: Sequence[str]) -> System:
    """Run a system of another environment. Raises CalledProcessError."""
    readings, version = {}, ""
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
    return System(f"{name} ({version})", readings)


def right_in_words(system: System) -> dict[Pair, bool]:
    """Pairs with an expected reading."""
    return {
        pair: reading is not None and as_expected(pair, reading)
        for language, readings in system.readings.items()
        for pair, reading in zip(pairs(language), readings, strict=True)
    }


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


def compare(kokoro_fastapi: str | None, grammars: str) -> None:
    """Print the tables of one sitting."""
    systems = [local("this server", ours), local("only num2words and Babel", libraries)]
    own = systems[0]
    if python := os.environ.get(JUDGE_VARIABLE, ""):
        systems.append(peer("nemo-text-processing", python, "nemo", grammars, LANGUAGES))
        if kokoro_fastapi:
            systems.append(peer("Kokoro-FastAPI", python, "kokoro-fastapi", kokoro_fastapi, ["en"]))
    words = {system.name: right_in_words(system) for system in systems}
    print(f"As expected, in words:\n\n{shares(words)}\n\n{by_source(words)}\n", flush=True)

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
    given = options.parse_args()
    with report_section("What is written and how it is read", "num2words", "babel"):
        compare(given.kokoro_fastapi, given.grammars)


if __name__ == "__main__":
    main()
