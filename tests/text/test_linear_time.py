"""Each stage takes time linear in the text, whatever it looks like and however it comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest

from kani.text.foreign_passages import ScriptSplitter
from kani.text.lexicon import MAX_UNITS, Lexicon
from kani.text.markup import MarkupMasker
from kani.text.normalizer import NormalizerOptions, normalize
from kani.text.segmenter import EARLY_PHRASE, Segmenter

LEXICON = Lexicon().with_request({" ".join("a" * 11) + " b": "x", "!" * MAX_UNITS: "y", "é " * 12: "z"})

MARKUP = """
* _ ~ = ` < <a <a" <! <!-- <break & &a &# [ [a [a]( ] [[a] [a][ ![ ! # | |- \\ ```a www. :// <b> [^ '](|
](a( **a** `␣``␣ <a␣b=c␣ #␣ >␣ -␣a⏎ |␣ <x␣y- [a]:␣ ⏎ ⏎␣ ~~~⏎` \ue000 ␣
"""
NUMBERS = "1- 1. A.␣ 1␣ a@ (555)␣ 1/2␣ 1e5 a_ a- é. $1- ½ +34␣ AM-5 1k-2k 5/kg␣ XV-XV␣"
UNITS = {
    "mask": MARKUP,
    "mask in pieces": MARKUP,
    "split by script": "Texto␣normal␣ Привет␣мир␣ α␣ α« 1␣",
    "segment": "x ␣ 。 \u0301 1␣",
    "look up": "a␣ ! a\ue000 \ue000 a\u0301 abc a␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣",
    "normalize es": NUMBERS,
    "normalize en": NUMBERS,
    "normalize zh": "1- 2024年 你 A1 ~5 3: 1/ ￥3 a@ www. 重 ␣ 1e 好 7",
    "normalize ja": "1- 2本 漢 漢字《か 明日( A1 〜5 一歩 デー ¥3 億 1億2 ␣ | 7",
    "segment zh": "你 好 。 1 a ␣ \u0301",
}


def feed(make: Callable[[], MarkupMasker | ScriptSplitter | Segmenter], size: int, text: str) -> None:
    stage = make()
    for at in range(0, len(text), size):
        stage.feed(text[at : at + size])
    stage.flush()


def look_up(text: str) -> None:
    for at in range(len(text)):
        LEXICON.match(text, at)


STAGES: dict[str, Callable[[str], object]] = {
    "mask": partial(feed, MarkupMasker, 4_000),
    "mask in pieces": partial(feed, MarkupMasker, 1),
    "split by script": partial(feed, partial(ScriptSplitter, "es", frozenset(("es", "ru", "el"))), 3),
    "segment": partial(feed, partial(Segmenter, EARLY_PHRASE), 1),
    "look up": look_up,
    "normalize es": lambda text: normalize(text, 0, NormalizerOptions("es")),
    "normalize en": lambda text: normalize(text, 0, NormalizerOptions("en")),
    "normalize zh": lambda text: normalize(text, 0, NormalizerOptions("zh", LEXICON)),
    "normalize ja": lambda text: normalize(text, 0, NormalizerOptions("ja", LEXICON)),
    "segment zh": partial(feed, partial(Segmenter, EARLY_PHRASE, unspaced=True), 1),
}


def seconds(work: Callable[[str], object], text: str) -> float:
    """The shorter of two times: the other may include garbage collection of earlier tests."""

    def once() -> float:
        # The process's time would include threads that earlier tests left.
        began = time.thread_time()
        work(text)
        return time.thread_time() - began

    return min(once(), once())


ROWS = [(stage, unit) for stage, units in UNITS.items() for unit in units.split()]


@pytest.mark.alone
@pytest.mark.parametrize(
    ("stage", "unit"), [(stage, unit) for stage in UNITS for unit in UNITS[stage].split()]
)
def test_stage_takes_linear_time(stage: str, unit: str) -> None:
    work = STAGES[stage]
    unit = unit.replace("␣", " ").replace("⏎", "\n")
    work(unit)
    short, long = seconds(work, (unit * 400)[:400]), seconds(work, (unit * 4_000)[:4_000])
    assert long < 30 * short + 0.05 and long < 4
