"""Rules that a word is shown to: few for a plain word, and no two that claim one place without an order."""

import functools
import itertools
from collections.abc import Iterable

import pytest

from kani_text.normalizer import NormalizerOptions, normalize
from kani_text.normalizer.kinds import RuleFunction
from kani_text.normalizer.spaced import order, reader
from kani_text.normalizer.spoken import Verbalization
from kani_text.normalizer.tables.loaded import table_for
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor
from tests.support.tables import rows
from tests.text.normalizer.normalizer_pairs.table import LANGUAGES
from tests.text.normalizer.proofs.table_rows import proofs

MOST_FOR_A_PLAIN_WORD = 3
PLAIN = [("es", "estás"), ("es", "casa"), ("es", "Hola"), ("en", "house")]

ORDERED = {(first, second) for first, others in order.BEFORE.items() for second in others.split()}
GROUP = {rule.name: at for at, group in enumerate(order.RULES) for rule in group}


def sentences(language: str) -> Iterable[str]:
    yield from (written for written, _, _ in proofs(language))
    yield from (written for of, written, _ in rows(__file__, "readings.tsv") if of == language)


@functools.cache
def claims(language: str) -> dict[tuple[str, str], str]:
    """Return pairs of rules of a group that read a place in two ways, the first one first, and a sentence."""
    claimed = dict[tuple[str, str], str]()

    def asked(core: str, stopped: bool, table: LanguageTable) -> tuple[RuleFunction, ...]:
        def ask_all(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
            said = [
                (rule.name, verbalization)
                for rule in order.rules_of(order.class_of(core, stopped, table))
                if (verbalization := rule.function(cursor, table)) is not None
            ]
            for (first, verbalization), (second, other) in itertools.combinations(said, 2):
                if other != verbalization and GROUP[first] == GROUP[second]:
                    claimed.setdefault((first, second), written)
            return said[0][1] if said else None

        return (ask_all,)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "rules_for", asked)
        for written in sentences(language):
            normalize(written, 0, NormalizerOptions(language))
    return claimed


@pytest.mark.parametrize("language", LANGUAGES)
def test_two_rules_that_claim_a_place_have_an_order(language: str) -> None:
    assert {pair: written for pair, written in claims(language).items() if pair not in ORDERED} == {}


def test_each_order_is_needed() -> None:
    needed = {pair for language in LANGUAGES for pair in claims(language)}
    assert ORDERED - needed == set(), "rules that no longer claim one place: their order goes"


def test_order_names_rules_of_one_group() -> None:
    for first, others in order.BEFORE.items():
        assert {GROUP[name] for name in others.split()} == {GROUP[first]}


def test_names_of_classes_are_known() -> None:
    tables = [table for language in LANGUAGES if (table := table_for(language)) is not None]
    lists = frozenset().union(*(names for table in tables for names in order.lists_of(table).values()))
    known = order.MADE_OF | lists | {"marks", "stopped", "repeated", "roman", "word", "*"}
    rows = [row for group in order.RULES for rule in group for row in rule.rows]
    asked = {name for needs, made_of in rows for names in (*needs, made_of) for name in names}
    assert asked - known == set()


def test_order_of_the_rows_says_nothing() -> None:
    for group in order.RULES:
        assert order.in_order(group, order.BEFORE) == order.in_order(group[::-1], order.BEFORE)


@pytest.mark.parametrize(("language", "word"), PLAIN)
def test_plain_word_is_shown_to_few_rules(language: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[RuleFunction]()

    def noted(core: str, stopped: bool, table: LanguageTable) -> tuple[RuleFunction, ...]:
        return tuple(note(rule) for rule in order.rules_for(core, stopped, table))

    def note(rule: RuleFunction) -> RuleFunction:
        def ask(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
            asked.append(rule)
            return rule(cursor, table)

        return ask

    monkeypatch.setattr(reader, "rules_for", noted)
    assert normalize(word, 0, NormalizerOptions(language)).text == word
    assert 0 < len(asked) <= MOST_FOR_A_PLAIN_WORD


@pytest.mark.parametrize(
    ("takes", "core", "expected"),
    [
        ("figure slash|stop", "15/4", True), ("figure slash|stop", "3.1", True),
        ("figure slash|stop", "3", False), ("figure slash", "15/4-5", False),
        ("figure slash hyphen?", "15/4-5", True), ("figure *", "15/4", True), ("word", "Paul", True),
        ("name", "Paul", True), ("capitals, name", "PAUL", True), ("small", "Paul", False),
        ("month", "May", False), ("month *", "May", True), ("stopped word", "Paul", False),
    ],
)  # fmt: skip
def test_classes_that_a_rule_takes(takes: str, core: str, expected: bool) -> None:
    table = table_for("en")
    assert table is not None
    rule = order.Rule(lambda cursor, table: None, takes)
    assert rule.takes(order.class_of(core, False, table)) is expected
