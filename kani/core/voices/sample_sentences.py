"""A sentence to try a voice with, in each language that the server's voices speak."""

import functools
from collections.abc import Mapping
from pathlib import Path

import msgspec

from kani_text.languages import primary

FILE = Path(__file__).with_suffix(".json")
"""The sentences by primary language subtag; the web page offers the same as its examples."""


def sentence(language: str) -> str:
    """Return the sentence of a language (BCP 47), "" where there is none."""
    return _sentences().get(primary(language), "")


@functools.cache
def _sentences() -> Mapping[str, str]:
    return msgspec.json.decode(FILE.read_bytes(), type=dict[str, str])
