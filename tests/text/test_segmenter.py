"""Boundaries of segments."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core.types import Boundary
from kani_text.boundaries import weight, word_count
from kani_text.language_detection import languages_by_word
from kani_text.normalizer import table_for
from kani_text.segmenter import EARLY_PHRASE, WHOLE_SENTENCES, Growth, Segmenter, SegmentPolicy, TextSegment
from tests.support.tables import rows

POLICIES = [
    WHOLE_SENTENCES,
    EARLY_PHRASE,
    WHOLE_SENTENCES.for_speed(0.25),
    SegmentPolicy(max_weight=30, max_growth=2.0),
]

FRAGMENTS = st.sampled_from(
    [
        "Hola", "mundo", " ", "  ", "\n", "\n\n", ". ", ", ", "; ", "? ", "! ", "…", "...", " — ", "—", "-",
        "Dr. ", "EE.UU. ", "p.ej. ", "3,14", "1.250,50 €", "19:30 h", "3. ", "a@b.es",
        "https://ej.es/a,b?c=d. ", "y ", "pero ", "because ", "你好", "。", "，", "！", "مرحبا", "؟ ", "، ",
        "नमस्ते", "।", "e\u0301", "👩‍👩‍👧", "\u200f", "\ud83d", "\x00", "http://ab", "a@b", "a—b", "３．５",
        " »", "¿", "»", "”", ")", "x" * 90, "7" * 70,
    ]
)  # fmt: skip
TEXTS = st.lists(st.one_of(FRAGMENTS, st.text(max_size=12)), max_size=40).map("".join)


def complete(found: list[TextSegment | Growth]) -> list[TextSegment]:
    """Segments of a segmenter while none is open."""
    return [segment for segment in found if isinstance(segment, TextSegment)]


def segments(text: str, policy: SegmentPolicy, language: str = "") -> list[TextSegment]:
    segmenter = Segmenter(policy, language=language)
    return complete(segmenter.feed(text) + segmenter.flush())


def spoken(text: str, policy: SegmentPolicy = WHOLE_SENTENCES, language: str = "") -> list[str]:
    return [cut.text.strip() for cut in segments(text, policy, language)]


@given(TEXTS, st.lists(st.integers(1, 9)), st.sampled_from(POLICIES))
def test_pieces_do_not_change_the_segments(text: str, sizes: list[int], policy: SegmentPolicy) -> None:
    segmenter = Segmenter(policy)
    cuts, at = [], 0
    for size in sizes:
        cuts += complete(segmenter.feed(text[at : at + size]))
        at += size
    cuts += complete(segmenter.feed(text[at:]) + segmenter.flush())
    assert cuts == segments(text, policy)


@given(TEXTS, st.sampled_from(POLICIES))
def test_segments_are_the_text_and_keep_to_max_weight(text: str, policy: SegmentPolicy) -> None:
    cuts = segments(text, policy)
    assert "".join(cut.text for cut in cuts) == text
    assert [cut.start for cut in cuts] == [0, *(cut.end for cut in cuts[:-1])][: len(cuts)]
    assert all(text[cut.start : cut.end] == cut.text for cut in cuts)
    assert all(weight(cut.text) <= max(policy.max_weight, 4) for cut in cuts)


SHORT = SegmentPolicy(min_first_weight=1, min_weight=12)


@pytest.mark.parametrize(("policy", "sentences", "text"), rows(__file__, "sentences.tsv"))
def test_sentences_end_at_their_marks(policy: str, sentences: str, text: str) -> None:
    """Abbreviations and dates end none, where every sentence is a segment too ("short")."""
    segments = spoken(text, SHORT if policy.startswith("short") else WHOLE_SENTENCES, policy[6:8])
    assert len(segments) == int(sentences), segments


@pytest.mark.parametrize("language", ["de", "en", "es", "fr", "hi", "it", "pt"])
def test_no_sentence_ends_between_a_title_and_its_name(language: str) -> None:
    """Each short form that a table has a name's reading for; of those that are words, too, its titles."""
    table = table_for(language)
    assert table is not None
    keys = {key for key, lines in table.abbreviations.items() for line in lines if "name" in line.said}
    sure = {key for key in keys if key.endswith(".") and key[:-1].lower() not in table.also_words}
    cut = [
        key for key in sure | (keys & table.titles) if len(spoken(f"x il {key} Zuppi.", SHORT, language)) > 1
    ]
    words = {key for key in cut if language in languages_by_word().get(key[:-1].lower(), ())}
    assert sure and set(cut) == words - table.titles


@pytest.mark.parametrize(("text", "words"), [("好", 1), ("你好吗？", 1), ("Hola, 你好世界", 3), ("— …", 0)])
def test_words_are_counted_where_none_are_written(text: str, words: int) -> None:
    assert word_count(text) == words


CITY = "hoy hablaremos de la historia de esta vieja ciudad "
LATER = "etc. that were brought from the old orchards behind the hills."


@pytest.mark.parametrize(
    ("policy", "parts", "ends"),
    [
        (EARLY_PHRASE, f"Buenos días a todos, |{CITY}|y de su gente.", "clause word sentence"),
        (WHOLE_SENTENCES, f"Buenos días a todos, {CITY}y de su gente.", "sentence"),
        # An enumeration is not cut after its first word, and a single word does not come first.
        (EARLY_PHRASE, f"Well then, |we offer apples, pears, |{LATER}", "clause clause sentence"),
        (EARLY_PHRASE, "¡Felicidades! Lo has conseguido por fin.", "sentence"),
        (EARLY_PHRASE, "Naturalmente, eso no lo sabe nadie.", "sentence"),
        (WHOLE_SENTENCES, "De acuerdo. |Sí. No. Vale. Mañana hablaremos de todo esto.", "sentence sentence"),
        (WHOLE_SENTENCES, "Título\n\n|El texto que sigue es otra cosa.", "paragraph sentence"),
    ],
)
def test_phrases_sentences_and_paragraphs_are_segments(policy: SegmentPolicy, parts: str, ends: str) -> None:
    cuts = segments(parts.replace("|", ""), policy)
    assert [cut.text for cut in cuts] == parts.split("|")
    assert [cut.boundary.value for cut in cuts if cut.boundary] == ends.split()


@pytest.mark.parametrize(
    "whole",
    [
        "1.250,50", "19:30", "Dr. Ruiz", "ana.garcia@ejemplo.com", "https://ej.es/a,b?c=d", "3,14", "EE.UU.",
        "1 000 000",
    ],
)  # fmt: skip
def test_numbers_and_addresses_are_not_cut(whole: str) -> None:
    for before in range(30):
        text = "palabra " * before + whole + " " + "palabra " * 40
        assert any(whole in cut.text for cut in segments(text, EARLY_PHRASE)), before


def test_growth_of_segments_is_bounded() -> None:
    text = (
        "Buenos días, hoy hablaremos de la larga historia de esta vieja ciudad, de sus calles y de su gente, "
        "de los ríos que la cruzan, y de todo aquello que la hace distinta a las demás ciudades."
    )
    cuts = segments(text, EARLY_PHRASE)
    weights = [weight(cut.text) for cut in cuts]
    assert weights[1] <= 50
    assert all(later <= 2 * sum(weights[:i]) for i, later in enumerate(weights) if i > 1)
    assert {cut.boundary for cut in cuts[:-1]} <= {Boundary.CLAUSE, Boundary.WORD}
    assert all(
        cut.text.rstrip()[-1] == "," or cuts[i + 1].text.split()[0] in ("y", "que")
        for i, cut in enumerate(cuts[:-1])
    )


def test_text_without_marks_is_cut_before_conjunctions_and_not_inside_a_number() -> None:
    text = "la casa que compramos el año pasado en la sierra tiene muchas habitaciones " * 4
    for cut in segments(text + "pero no tiene jardín", WHOLE_SENTENCES)[1:]:
        assert cut.text.split()[0] in ("que", "pero")
    text = "这是一个没有任何标点的很长的句子它一直写下去直到比任何一段都长所以必须在某处切开在202456789年也是"
    found = segments(text * 2, WHOLE_SENTENCES)
    assert len(found) > 2
    assert not any(cut.text[-1].isdigit() and after.text[0].isdigit() for cut, after in pairwise(found))


def test_flush_ends_the_segment() -> None:
    segmenter = Segmenter(WHOLE_SENTENCES)
    assert segmenter.feed("Espera un momento") == []
    assert [cut.text for cut in segmenter.flush()] == ["Espera un momento"]
    assert segmenter.feed(" que ya voy") == []
    assert [(cut.start, cut.text) for cut in segmenter.flush()] == [(17, " que ya voy")]


class Opener:
    """Opens each segment as soon as it can be, and joins it with its growth."""

    start: int | None = None
    text = ""

    def __init__(self, policy: SegmentPolicy = WHOLE_SENTENCES, *, unspaced: bool = False) -> None:
        self._segmenter = Segmenter(policy, unspaced=unspaced)
        self.found: list[TextSegment] = []

    def feed(self, text: str, *, last: bool = False) -> None:
        for part in self._segmenter.feed(text) + (self._segmenter.flush() if last else []):
            if isinstance(part, TextSegment):
                assert self.start is None
                self.found.append(part)
                continue
            assert self.start is not None
            self.text += part.text
            if part.boundary is not None:
                self.found.append(TextSegment(self.start, self.text, part.boundary))
                self.start = None
        begun = self._segmenter.open()
        assert begun is None or self.start is None
        if begun is not None and begun.boundary is None:
            self.start, self.text = begun.start, begun.text
        elif begun is not None:
            self.found.append(begun)


def opened(
    text: str, policy: SegmentPolicy = WHOLE_SENTENCES, sizes: Sequence[int] = (), *, unspaced: bool = False
) -> list[TextSegment]:
    """Every segment of a text that comes in pieces (else by characters), opened where it can be."""
    opener, at = Opener(policy, unspaced=unspaced), 0
    for size in sizes or [1] * len(text):
        opener.feed(text[at : at + size])
        at += size
    opener.feed(text[at:], last=True)
    assert opener.start is None
    return opener.found


@given(TEXTS, st.lists(st.integers(1, 9)), st.sampled_from(POLICIES), st.booleans())
def test_open_segment_only_grows(text: str, sizes: list[int], policy: SegmentPolicy, unspaced: bool) -> None:
    cuts = opened(text, policy, sizes, unspaced=unspaced)
    assert "".join(cut.text for cut in cuts) == text
    assert [cut.start for cut in cuts] == [sum(len(cut.text) for cut in cuts[:i]) for i in range(len(cuts))]
    assert all(weight(cut.text) <= max(policy.max_weight, 4) for cut in cuts)


@pytest.mark.parametrize(
    ("unspaced", "pieces", "certain", "last"),
    [
        # Two words open a segment; a word is certain at its space, a mark once it is known what it ends.
        (False, "Hola mun|do |qu|e| t|al, |Dr|. |Ruiz. ", (0, 10, 10, 10, 14, 14, 19, 19, 23), "Y"),
        # Without spaces a character is certain once another follows; a figure, a Latin word and a mark wait.
        (True, "今天天|气很|好，|我|有2|0|个iPh|one新手|机。", (0, 4, 5, 7, 8, 8, 8, 19, 20), "我"),
    ],
)
def test_open_segment_is_certain(unspaced: bool, pieces: str, certain: tuple[int, ...], last: str) -> None:
    opener, text = Opener(unspaced=unspaced), pieces.replace("|", "")
    for piece, count in zip(pieces.split("|"), certain, strict=True):
        opener.feed(piece)
        assert (opener.text.rstrip(), opener.found) == (text[:count], [])
    opener.feed(last, last=True)
    assert [cut.text for cut in opener.found] == [text, last]
    assert {cut.boundary for cut in opener.found} == {Boundary.SENTENCE}


def test_marks_and_text_without_the_spaces_of_its_language_open_no_segment() -> None:
    segmenter = Segmenter(WHOLE_SENTENCES)
    for character in "今天天气很好，我们一起去公园散步好不好":
        segmenter.feed(character)
        assert segmenter.open() is None
    segmenter = Segmenter(WHOLE_SENTENCES)
    segmenter.feed("— … uno ")
    assert segmenter.open() is None
    segmenter.feed("dos ")
    assert segmenter.open() is not None


def test_open_segment_ends_at_a_sentence() -> None:
    cuts = opened("¡Hola! Me alegro de verte. Sí. No sé si vendrán mañana todos los demás.\n\nAdiós a todos.")
    assert [(cut.text, cut.boundary) for cut in cuts] == [
        ("¡Hola! Me alegro de verte. ", Boundary.SENTENCE),
        ("Sí. No sé si vendrán mañana todos los demás.\n\n", Boundary.PARAGRAPH),
        ("Adiós a todos.", Boundary.SENTENCE),
    ]


def test_long_open_segment_ends_at_worse_breaks() -> None:
    """The longer it grows, the worse the break may be; slow speech lasts as long in seconds."""
    words = "palabra " * 40
    comma = opened("palabra " * 18 + "bien, " + words)[0]
    assert (comma.text[-6:], comma.boundary) == ("bien, ", Boundary.CLAUSE)
    conjunction = opened("palabra " * 18 + "porque " + words)[0]
    assert (weight(conjunction.text), conjunction.boundary) == (18 * 7, Boundary.WORD)
    early = opened("palabra, " * 30)[0]
    assert 120 < weight(early.text) <= 120 + weight("palabra,")
    space = opened(words)[0]
    assert 160 < weight(space.text) <= 167
    torn = opened("palabra " * 22 + "12 " + words)[0]
    assert torn.text.endswith(" 12 palabra ")
    digits = opened("palabra casa " + "12 " * 60)[0]
    assert 192 < weight(digits.text) <= 200
    slow = opened(words, WHOLE_SENTENCES.for_speed(0.5))[0]
    assert 80 < weight(slow.text) <= 87
    before, part = opened("dos palabras " + "x" * 300 + " y más")[:2]
    assert (before.text, part.text) == ("dos palabras ", "x" * 200)


@pytest.mark.parametrize("last", ["12 1", "1234 y"])
def test_text_that_waited_is_opened_up_to_the_last_space(last: str) -> None:
    """Text that is too long by less than settles it is opened up to the last space before the limit."""
    first = "palabra casa " + "12 " * 23
    assert weight(first) == 195
    segmenter = Segmenter(WHOLE_SENTENCES)
    assert segmenter.feed(first + last) == []
    cut = segmenter.open()
    assert isinstance(cut, TextSegment) and cut.text == first


def test_sentence_without_spaces_comes_alone() -> None:
    segmenter = Segmenter(WHOLE_SENTENCES, unspaced=True)
    found = complete(segmenter.feed("好。今天天气很好。我们去公园散步吧。") + segmenter.flush())
    assert [cut.text for cut in found] == ["好。今天天气很好。", "我们去公园散步吧。"]


@pytest.mark.parametrize(
    ("text", "boundary"),
    [
        ("I think that we should ", Boundary.CLAUSE),
        ("I think, ", Boundary.CLAUSE),
        ("I think so. ", Boundary.SENTENCE),
        ("«I think so!» \n", Boundary.SENTENCE),
        ("そうです。", Boundary.SENTENCE),
    ],
)
@pytest.mark.parametrize("opened", [False, True])
def test_flush_inside_a_sentence_ends_like_a_clause(text: str, boundary: Boundary, opened: bool) -> None:
    for more_to_come, expected in ((True, boundary), (False, Boundary.SENTENCE)):
        segmenter = Segmenter(WHOLE_SENTENCES)
        segmenter.feed(text)
        if opened:
            segmenter.open()
        assert [cut.boundary for cut in segmenter.flush(more_to_come=more_to_come)] == [expected]
