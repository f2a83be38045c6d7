"""The file of languages' names."""

from __future__ import annotations

from kani.text.languages import NAMES_FILE, resolve
from tests.text.language_names import text_of_cldr


def test_file_has_the_names_of_the_installed_cldr_data() -> None:
    written = NAMES_FILE.read_text(encoding="utf-8")
    assert written == text_of_cldr(), "run python -m tests.text.language_names"
    assert sum(len(line.split("|")) for line in written.splitlines()) > 15_000


def test_name_is_found_whatever_its_capitals_and_punctuation() -> None:
    assert resolve("Español  Latinoamericano") == "es-419"
    assert resolve("CHINESE (traditional)") == "zh-Hant"
