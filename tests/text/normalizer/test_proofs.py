"""Proofs: each row of a language's table has a sentence that needs it.

``proofs/LANGUAGE.tsv`` has what is written, how it is spoken, and the row as SECTION/KEY; the rows of
[spellings] and [readings] that a sentence needs are found by reading it. A text needs a row, too, if it falls
into other sentences without it.
"""

from collections import defaultdict
from collections.abc import Collection

import pytest

from tests.text.normalizer.normalizer_pairs.table import LANGUAGES
from tests.text.normalizer.proofs.table_rows import Row, TableRows, proofs

_GROUPS = 16
"""Rows are removed in so many groups, divided in two ways; a row that no sentence misses then by itself."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_proofs_are_read_as_they_say(language: str) -> None:
    read = TableRows(language).reading
    wrong = {written: said for written, spoken, _ in proofs(language) if (said := read(written)) != spoken}
    assert not wrong


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_row_is_needed_by_a_proof(language: str) -> None:
    """A row that is not needed goes, or gets a proof."""
    table = TableRows(language)
    of_row = defaultdict[Row, list[tuple[str, str]]](list)
    for written, spoken, named in proofs(language):
        for row in [named] if named else table.patterns_of(written):
            of_row[row].append((written, spoken))
    sentences = {written: table.sentences(written) for written, _, _ in proofs(language)}

    def unneeded(removed: Collection[Row]) -> set[Row]:
        with table.removed(removed):
            return {
                row
                for row in removed
                if all(
                    table.reading(written) == spoken and table.sentences(written) == sentences[written]
                    for written, spoken in of_row[row]
                )
            }

    unproven = set[Row]()
    for step in (1, _GROUPS):
        for group in range(_GROUPS):
            removed = [row for at, row in enumerate(table.rows) if at // step % _GROUPS == group]
            unproven |= unneeded(removed)
    assert {row for row in unproven if unneeded([row])} == set(), "rows that no proof needs"
