"""Choices of the caller for a normalization."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kani_text.lexicon import Lexicon
from kani_text.types import Replacement


@dataclass(frozen=True, slots=True)
class NormalizerOptions:
    """Options of ``normalize``, which depend on the engine and the request."""

    language: str = ""
    """BCP 47; without a table for it ("" has none) numbers and abbreviations are left as they are."""
    lexicon: Lexicon | None = None
    """Words with a pronunciation of their own, which comes before any rule."""
    accepts_ipa: bool = False
    """True if the engine takes IPA; if not, an entry's spelling is spoken, or its written form."""
    said_in: str = ""
    """BCP 47 language of what ``replacements`` have said as dates and the like, where ``language`` is ""
    too."""
    replacements: Mapping[int, Replacement] = field(default_factory=dict)
    """Parts of the client's text that something else is spoken for, by position."""
    readings: bool = True
    """False for what a row of [readings] has read: its rows are not asked again."""
    homographs: bool = False
    """True if the engine reads by espeak-ng, which takes imperatives for nouns ("Close the door")."""


VERBATIM = NormalizerOptions()
"""The written form is spoken."""
