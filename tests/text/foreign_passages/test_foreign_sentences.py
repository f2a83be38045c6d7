"""Sentences, lines and clauses in another language in the text's own script, and what stays with the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani_text.segment_pipeline import SegmentPipeline
from kani_text.segmenter import EARLY_PHRASE, WHOLE_SENTENCES, SegmentPolicy, TextSegment
from kani_text.ssml import Style

SPOKEN = frozenset("ar de en es fr hi it ja pt ru zh".split())
Run = tuple[str, str | None]


def runs(
    language: str, *pieces: str, policy: SegmentPolicy = EARLY_PHRASE, quotations: bool = True
) -> list[Run]:
    """Runs of a text that comes in pieces, neighbours of one language joined."""
    pipeline = SegmentPipeline(policy, language, SPOKEN, quotations=quotations)
    parts = [part for piece in pieces for part in pipeline.feed(piece)] + pipeline.flush(more_to_come=False)
    segments = [part for part in parts if isinstance(part, TextSegment)]
    at = 0
    joined: list[Run] = []
    for segment in segments:
        assert segment.start == at and segment.text
        at = segment.end
        if joined and joined[-1][1] == segment.language:
            joined[-1] = (joined[-1][0] + segment.text, segment.language)
        else:
            joined.append((segment.text, segment.language))
    return joined


@pytest.mark.parametrize(
    ("own", "language", "text"),
    [
        ("es", "en", "Luego llamó mi madre. [[She wants to know if you are coming. ]]Dile que sí."),
        ("es", "en", "El aviso dice: [[this door must be kept closed.]]"),
        ("en", "fr", "I asked him twice.\n[[Il ne veut pas venir avec nous.\n]]That is all."),
        ("en", "es", "And then, [[no me lo podía creer, ]]she was there."),
        ("fr", "en", "Il nous a regardés [[— what are you waiting for? ]]— puis il est parti."),
        ("de", "en", "Wir haben gelacht. [[I have never seen him so happy, my friend, never. ]]Dann kam er."),
        ("it", "es", "Ha chiuso la porta. [[Ya no hay nada que hacer. ]]Siamo tornati a casa."),
        ("pt", "en", "Ele respondeu logo: [[we will see about that tomorrow. ]]Depois foi embora."),
    ],
)
def test_sentence_or_clause_is_in_its_language(own: str, language: str, text: str) -> None:
    before, _, rest = text.partition("[[")
    inside, _, after = rest.partition("]]")
    expected = [(before, None), (inside, language), *([(after, None)] if after else [])]
    whole = before + inside + after
    assert runs(own, whole) == expected == runs(own, *whole)
    assert runs(own, whole, policy=WHOLE_SENTENCES) == expected
    assert runs(own, whole, quotations=False) == [(whole, None)]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("es", "Me gusta mucho Simon and Garfunkel, The Lord of the Rings, y el Rock and Roll."),
        ("es", "Fuimos a Los Angeles, New York City y Washington. Allí compramos un Big Mac."),
        ("es", "Trabaja de product manager, hace coaching, y le encanta el feedback. OK, perfecto."),
        ("en", "We had chili con carne, pasta al dente, and a café au lait in San Pietro al Monte."),
        ("fr", "Il a réservé un bed and breakfast, puis un week-end à New York. Merci."),
        ("it", "San Pietro al Natisone, San Giovanni al Natisone e Corno di Rosazzo sono comuni."),
        ("pt", "Abre o ficheiro /usr/share/the_file_is_in_here.txt: depois, corre git push origin."),
        ("de", "Wir kamen. Jeanne de la Croix, Paul und ihre Freunde waren schon da."),
        ("tr", "Rosa de la Vega, Ali ve arkadaşları geldi."),
        ("en", "The little girl asked me ¿por qué estás tan triste? and gave me her old doll."),
        # All of it: nothing shows that it is in another language than the text around it.
        ("es", "I do not know what to do about it. Please call me when you are back."),
    ],
)
def test_names_loanwords_and_a_whole_text_stay(language: str, text: str) -> None:
    assert runs(language, text) == [(text, None)]


def test_document_that_names_its_language_is_spoken_in_that() -> None:
    pipeline = SegmentPipeline(EARLY_PHRASE, "es", SPOKEN)
    text = "Aquí no hay nadie. I do not know what to do about it."
    parts = [*pipeline.use_style(Style(language="es-MX")), *pipeline.feed_plain(text)]
    parts += pipeline.flush(more_to_come=False)
    assert [part.language for part in parts if isinstance(part, TextSegment)] == [None] * len(parts)


WORDS = "no sé qué hacer I do not know what you mean der Hund ist müde je ne sais pas Juan OK".split()


@given(
    st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from((" ", " ", ", ", ". ", ": ", '"', "\n\n")))),
    st.lists(st.integers(1, 9), max_size=60),
)
def test_pieces_do_not_change_the_languages(words: list[tuple[str, str]], lengths: list[int]) -> None:
    text = "".join(word + mark for word, mark in words)
    pieces, at = [], 0
    for length in lengths:
        pieces.append(text[at : at + length])
        at += length
    whole = runs("es", text)
    assert runs("es", *pieces, text[at:]) == whole
    assert "".join(part for part, _ in whole) == text
