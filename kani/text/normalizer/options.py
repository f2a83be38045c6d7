"""Choices of the caller for a normalization."""

from __future__ import annotations

from dataclasses import dataclass

from kani.text.lexicon import Lexicon


@dataclass(frozen=True, slots=True)
class NormalizerOptions:
    """Options of ``normalize``, which depend on the engine and the request."""

    language: str = ""
    """BCP 47; without a table for it ("" has none) numbers and abbreviations are left as they are."""
    lexicon: Lexicon | None = None
    """Words with a pronunciation of their own, which comes before any rule."""
    accepts_ipa: bool = False
    """True if the engine takes IPA; if not, an entry's spelling is spoken, or its written form."""


VERBATIM = NormalizerOptions()
"""The written form is spoken."""
