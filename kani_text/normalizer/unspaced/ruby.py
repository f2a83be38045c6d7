"""Readings that are written after Japanese words: 漢字《かんじ》, 明日（あした）, 勉強[べんきょう]."""

from __future__ import annotations

import re

from kani_text.normalizer.spoken import Piece
from kani_text.normalizer.unspaced.scan import Scan, UnspacedReading
from kani_text.phonetics import to_katakana
from kani_text.writing import HAN

_HAN = HAN + "ヶ"
_RUBY = re.compile(
    rf"(?:[|｜](?P<marked>[^\s|｜《》]{{1,30}})|(?P<base>[{_HAN}]{{1,30}}))"
    r"(?:《(?P<ruby>[\u3041-\u3096\u30a1-\u30fcー・]{1,40})》|[(（\[](?P<aside>[\u3041-\u3096ー]{1,40})[)）\]])"
)
_BEGUN = re.compile(
    rf"(?:[|｜][^\s|｜《》]{{0,30}}|[{_HAN}]{{1,30}})(?:[《\[(（][\u3041-\u3096\u30a1-\u30fcー・]{{0,40}})?\Z"
)
_RUN = re.compile(rf"[{_HAN}]+")


def ruby(scan: Scan, at: int) -> UnspacedReading | None:
    """A word with its reading: the reading is spoken for both."""
    if _RUN.match(scan.text[at - 1 : at]) or not (_RUN.match(scan.text, at) or scan.text[at] in "|｜"):
        return None
    if not scan.complete and _BEGUN.match(scan.text, at):
        scan.require(len(scan.text))
    found = _RUBY.match(scan.text, at)
    if found is None:
        return None
    reading = (found["ruby"] or found["aside"]).replace("・", "")
    if not reading:
        return None
    return UnspacedReading((Piece(to_katakana(reading), at, found.end()),), found.end(), number=False)
