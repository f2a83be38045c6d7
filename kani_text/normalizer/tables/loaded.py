"""The tables by language and region, each loaded at its first use."""

import functools
import re
from collections.abc import Mapping
from pathlib import Path

from kani_text.normalizer.tables.file import read_table_file
from kani_text.normalizer.tables.load import parse_table
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.unspaced.table import check_unspaced_tables

TABLES_FOLDER = Path(__file__).parent

_REGION = re.compile(r"^\[regions\.([A-Z]{2}|419)\b", re.MULTILINE)

_loaded: dict[tuple[str, str], LanguageTable] = {}
"""Tables by language and region."""


def table_for(tag: str) -> LanguageTable | None:
    """The table of a language (BCP 47), with the conventions of its region; None where there is none.

    Takes 10 ms unless ``is_loaded``. Raises TableError.
    """
    language, region = _language_and_region(tag)
    if language not in _languages():
        return None
    if (language, region) not in _loaded:
        path = TABLES_FOLDER / f"{language}.toml"
        _loaded[language, region] = parse_table(language, read_table_file(path, region))
    return _loaded[language, region]


def is_loaded(tag: str) -> bool:
    """True if ``table_for`` reads no file for a language (BCP 47)."""
    language, region = _language_and_region(tag)
    return language not in _languages() or (language, region) in _loaded


def _language_and_region(tag: str) -> tuple[str, str]:
    """The language, and its region if the table has conventions of that."""
    language, *subtags = tag.replace("_", "-").split("-")
    language = language.lower()
    region = next((part.upper() for part in subtags if len(part) == 2 or part == "419"), "")
    return language, region if region in _languages().get(language, ()) else ""


@functools.cache
def _languages() -> Mapping[str, frozenset[str]]:
    """The languages that have a table, and the regions of each that it has conventions of."""
    paths = TABLES_FOLDER.glob("*.toml")
    return {path.stem: frozenset(_REGION.findall(path.read_text(encoding="utf-8"))) for path in paths}


def check_tables() -> None:
    """Load every table there is. Raises TableError for the first broken one."""
    for path in sorted(TABLES_FOLDER.glob("*.toml")):
        table_for(path.stem)
    check_unspaced_tables()
