"""Every spoken character knows what it stands for, and nothing that was said is taken back."""

from collections import defaultdict

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kani_text.boundaries import unspaced_end
from kani_text.lexicon import Lexicon
from kani_text.normalizer import NormalizerOptions, normalize
from kani_text.normalizer.tables.loaded import TABLES_FOLDER
from kani_text.writing import HAN_AND_KANA_LANGUAGES
from tests.support.tables import rows

LANGUAGES = sorted(path.stem for path in TABLES_FOLDER.rglob("*.toml"))

LEXICON = Lexicon().with_request(
    {
        "sql": "sequel",
        "buenos aires de": "baires",
        "21": "blackjack",
        "c++": "ce",
        "重庆": "/chong2 qing4/",
        "会议在": "开会",
        "長男": "/ちょうなん/",
        "データ": "/ˈdeːta/",
    }
)

WORDS: dict[str, list[str]] = defaultdict(list)
"""Pieces of text by language (words.tsv); those of "-" are for all."""
for language, words in rows(__file__, "words.tsv"):
    WORDS[language] += words.split()

ODD = "\n 🎉 \u2029 \u00a0 \u202f \ue000 \ue001 \u200d \ud83d مرحبا \u0301 ١٢".split(" ")


@st.composite
def written_texts(draw: st.DrawFn) -> tuple[str, NormalizerOptions]:
    """A text of its language's pieces and general ones, or of any characters."""
    language = draw(st.sampled_from(["", *LANGUAGES]))
    own = st.sampled_from(WORDS.get(language, WORDS["-"]))
    pieces = st.tuples(
        st.one_of(own, st.sampled_from(WORDS["-"] + ODD)), st.sampled_from([" ", " ", " ", ""])
    )
    texts = st.lists(pieces, max_size=12).map(lambda parts: "".join(part + space for part, space in parts))
    lexicon = draw(st.sampled_from([None, None, LEXICON]))
    anything = st.text(st.characters(codec=None), max_size=40)
    written = draw(st.one_of(texts, texts, anything))
    return written, NormalizerOptions(language, lexicon, draw(st.booleans()))


@given(written_texts(), st.integers(0, 50))
def test_origins_are_in_order_and_inside_the_text(text: tuple[str, NormalizerOptions], offset: int) -> None:
    written, options = text
    spoken = normalize(written, offset, options)
    assert len(spoken.text) == len(spoken.starts) == len(spoken.ends)
    assert list(spoken.starts) == sorted(spoken.starts) and list(spoken.ends) == sorted(spoken.ends)
    for start, end in zip(spoken.starts, spoken.ends, strict=True):
        assert offset <= start < end <= offset + len(written)
    assert spoken.text.isprintable() and spoken.text == spoken.text.strip() and "  " not in spoken.text
    spoken.text.encode()
    for pronunciation in spoken.pronunciations:
        assert 0 <= pronunciation.start < pronunciation.end <= len(spoken.text)


@given(written_texts())
@example(("El 3 de abril de 2024 a las 7:05 p. m. en EE. UU.", NormalizerOptions("es")))
@example(("Am 3. und 4. Mai", NormalizerOptions("de")))
@example(("Es sind 3 Mio. Euro", NormalizerOptions("de")))
@example(("بين 10 و20 كتابا", NormalizerOptions("ar")))
@example(("2024年4月3日下午3:05我有2个苹果和12公斤米", NormalizerOptions("zh", LEXICON, True)))
@example(("明日（あした）は1億2000万円と3本で一歩ずつ", NormalizerOptions("ja", LEXICON, True)))
def test_further_text_never_changes_what_was_spoken(text: tuple[str, NormalizerOptions]) -> None:
    """The spoken form of a text's beginning, up to where a word ends, is the beginning of the whole's."""
    written, options = text
    ends = [at for at in range(1, len(written)) if written[at] == " " and written[at - 1] != " "]
    if options.language in HAN_AND_KANA_LANGUAGES:
        ends += [at for at in range(1, len(written)) if unspaced_end(written[: at + 1], at - 1, 1000) == at]
    whole = normalize(written, 3, options)
    for end in ends:
        begun = normalize(written[:end], 3, options, complete=False)
        length = len(begun.text)
        assert whole.text[:length] == begun.text
        assert (whole.starts[:length], whole.ends[:length]) == (begun.starts, begun.ends)
        assert whole.pronunciations[: len(begun.pronunciations)] == begun.pronunciations


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Esto se dice ya", "Esto se dice ya"), ("Hay 21", "Hay"), ("Hay 21 casas", "Hay veintiuna casas"),
        ("Fue el 3", "Fue el"), ("Fue el 3 de", "Fue el"), ("Fue el 3 de abril", "Fue el tres de abril"),
        ("El Dr.", "El"), ("Me llamo Ana", "Me llamo Ana"),
    ],
)  # fmt: skip
def test_only_words_that_may_change_are_held_back(written: str, said: str) -> None:
    assert normalize(written, 0, NormalizerOptions(language="es"), complete=False).text == said


def test_words_of_one_number_share_their_origin() -> None:
    spoken = normalize("Son 31, sí", 0, NormalizerOptions(language="es"))
    assert spoken.text == "Son treinta y uno, sí"
    assert spoken.origin(4, 17) == (4, 6)
    assert [spoken.shares_origin(end) for end in (3, 11, 13, 17)] == [False, True, True, False]


@pytest.mark.parametrize("language", LANGUAGES)
def test_numbers_of_thousands_of_digits_are_spoken(language: str) -> None:
    """Python makes no integer of more than 4,300 digits, and Babel no plural of more than 28."""
    for digits in ("9" * 30, "9" * 5000, "٣" * 5000):
        for written in ("{} km", "{} %", "{}.{} kg", "{}º", "{}-{}", "{}/{}", "{}人〜{}人", "第{}", "{}万{}"):
            assert normalize(written.format(digits, digits), 0, NormalizerOptions(language)).text
