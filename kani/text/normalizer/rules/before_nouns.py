"""English measures that describe the noun after them and have no plural: "a 60 L tank", "4 mm needles"."""

from __future__ import annotations

from kani.text.normalizer.rules.acronyms import common_words
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import TokenCursor

_SHORTEST_PLURAL = 5
_NO_PLURALS = ("ss", "us", "is")
_OF_INGREDIENTS = frozenset(
    """gram kilogram milligram ounce pound milliliter centiliter deciliter liter pint quart gallon cup
    tablespoon teaspoon package packet can dollar euro""".split()
)
"""Measures before the plural of a thing they are an amount of ("500 g carrots", "£5 adults")."""
_HELD = frozenset(
    "bottle bag pack tin can jar carton tub sack dumbbell bill note coin voucher tank drum".split()
)
_OF_SIZES = ("meter", "inch", "foot", "yard", "byte", "watt", "volt", "amp", "pixel")


def describes(cursor: TokenCursor, end: int, name: str, table: LanguageTable) -> bool:
    """True if the measure ``name`` before ``end`` describes a noun: after an article, or before a plural."""
    agreement = table.agreement
    if not agreement.measures_after or name == "time":
        return False
    ahead = 1
    while cursor.token(ahead).core and cursor.token(ahead).core_end <= end:
        ahead += 1
    noun = cursor.token(ahead)
    word = noun.core
    apart = noun.start != noun.core_start or cursor.token(ahead - 1).end > end
    if apart or not word[1:].islower() or len(word) < 3:
        return False
    if not word.replace("-", "").isalpha() or word in agreement.not_nouns or word.endswith("ly"):
        return False
    before = cursor.previous()
    if not before.suffix and before.core.lower() in agreement.measures_after:
        # "a 5 mm Allen key", too
        return True
    owner, apostrophe, ending = before.core.replace("’", "'").rpartition("'")
    owned = apostrophe and ending == "s" and owner.lower() not in common_words(table.language)
    if owned and not before.suffix and not word.endswith("er") and table.is_money(name):
        # "NASA's $2.7bn probe", but "that's $5 more" and "Bill's $5 richer"
        return True
    if name in _OF_INGREDIENTS:
        return word.removesuffix("s") in _HELD
    if name.endswith(_OF_SIZES) and (not before.core or before.suffix in (",", ";", ":")):
        # "Bike, 54 cm frame"
        return True
    plural = word.islower() and word.endswith("s") and not word.endswith(_NO_PLURALS)
    return plural and len(word) >= _SHORTEST_PLURAL
