"""Each stage takes time linear in the text, whatever it looks like and however it comes."""

from collections.abc import Callable
from functools import partial

import pytest

from kani_text.foreign_passages import LanguageSplitter
from kani_text.lexicon import MAX_UNITS, Lexicon
from kani_text.lexicon_file import LexiconParser
from kani_text.markup import MarkupMasker
from kani_text.normalizer import NormalizerOptions, normalize
from kani_text.segmenter import EARLY_PHRASE, Segmenter
from tests.text.linear_time import is_linear

LEXICON = Lexicon().with_request({" ".join("a" * 11) + " b": "x", "!" * MAX_UNITS: "y", "é " * 12: "z"})

MARKUP = """
* _ ~ = ` < <a <a" <! <!-- <break & &a &# [ [a [a]( ] [[a] [a][ ![ ! # | |- \\ ```a www. :// <b> [^ '](|
](a( **a** `␣``␣ <a␣b=c␣ #␣ >␣ -␣a⏎ |␣ <x␣y- [a]:␣ ⏎ ⏎␣ ~~~⏎` \ue000 ␣
"""
NUMBERS = "1- 1. A.␣ 1␣ a@ (555)␣ 1/2␣ 1e5 a_ a- é. $1- ½ +34␣ AM-5 1k-2k 5/kg␣ XV-XV␣ क ऽ ॐ कि é-क क."
UNITS = {
    "mask": MARKUP,
    "mask in pieces": MARKUP,
    "split by language": 'Texto␣normal␣ Привет␣мир␣ α␣ α« 1␣ "the␣ "a"␣ («„ the" )␣ «⏎',
    "split by language at once": '"the␣ "a"␣ («„ a" )␣ «⏎ «a␣b␣c»',
    "segment": "x ␣ 。 \u0301 1␣",
    "look up": "a␣ ! a\ue000 \ue000 a\u0301 abc a␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣␣",
    "normalize es": NUMBERS,
    "normalize en": NUMBERS,
    "normalize hi": NUMBERS,
    "normalize zh": "1- 2024年 你 A1 ~5 3: 1/ ￥3 a@ www. 重 ␣ 1e 好 7",
    "normalize ja": "1- 2本 漢 漢字《か 明日( A1 〜5 一歩 デー ¥3 億 1億2 ␣ | 7",
    "segment zh": "你 好 。 1 a ␣ \u0301",
    "lexicon": "␣ # ␣# [ [a ] a␣ a=",
}


SPLITTER = partial(LanguageSplitter, "es", frozenset(("en", "es", "ru", "el")))


def feed(make: Callable[[], MarkupMasker | LanguageSplitter | Segmenter], size: int, text: str) -> None:
    stage = make()
    for at in range(0, len(text), size):
        stage.feed(text[at : at + size])
    stage.flush()


def read_lexicon(text: str) -> None:
    lines = (f"a = b{text}c", f"[{text}c", f"[{text}]", f"{text}c = d")
    LexiconParser().parse("\n".join(lines).encode(), "words.txt", "*")


def look_up(text: str) -> None:
    for at in range(len(text)):
        LEXICON.match(text, at)


STAGES: dict[str, Callable[[str], object]] = {
    "mask": partial(feed, MarkupMasker, 4_000),
    "mask in pieces": partial(feed, MarkupMasker, 1),
    "split by language": partial(feed, SPLITTER, 3),
    "split by language at once": partial(feed, SPLITTER, 250),
    "segment": partial(feed, partial(Segmenter, EARLY_PHRASE), 1),
    "look up": look_up,
    "normalize es": lambda text: normalize(text, 0, NormalizerOptions("es")),
    "normalize en": lambda text: normalize(text, 0, NormalizerOptions("en")),
    "normalize hi": lambda text: normalize(text, 0, NormalizerOptions("hi")),
    "normalize zh": lambda text: normalize(text, 0, NormalizerOptions("zh", LEXICON)),
    "normalize ja": lambda text: normalize(text, 0, NormalizerOptions("ja", LEXICON)),
    "segment zh": partial(feed, partial(Segmenter, EARLY_PHRASE, unspaced=True), 1),
    "lexicon": read_lexicon,
}


@pytest.mark.parametrize(
    ("stage", "unit"), [(stage, unit) for stage in UNITS for unit in UNITS[stage].split()]
)
def test_stage_takes_linear_time(stage: str, unit: str) -> None:
    assert is_linear(STAGES[stage], unit.replace("␣", " ").replace("⏎", "\n"))


@pytest.mark.parametrize("begun", ["5 €/kg", "5 m/s", "5 N·m", "$5 /s"])
def test_unit_without_end_is_read(begun: str) -> None:
    assert normalize(begun + begun[3:] * 3_000, 0, NormalizerOptions("en")).text
