"""Segments, pauses and foreign passages of a text, however long it is and however it comes."""

from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core.types import Boundary
from kani_text.foreign_passages import MAX_DETECTION_TEXT, LanguageRun, ScriptSplitter
from kani_text.markup import MASK
from kani_text.normalizer import NormalizerOptions
from kani_text.segment_pipeline import Pause, SegmentPipeline
from kani_text.segment_queue import SegmentQueue
from kani_text.segmenter import WHOLE_SENTENCES, Growth, TextSegment

SENTENCES = [f"Esta es la frase número {n} de un texto muy largo, que nadie espera. " for n in range(80)]


async def parts_of(*pieces: str | float) -> list[tuple[str, int] | float]:
    """Parts of texts and pauses that are fed before the first part is taken."""
    queue = SegmentQueue()
    queue.start(SegmentPipeline(WHOLE_SENTENCES, "es", {"es", "ru"}), open_segments=False)
    for piece in pieces:
        if isinstance(piece, str):
            queue.feed(piece)
        else:
            queue.pause(piece)
    queue.finish()
    parts: list[tuple[str, int] | float] = []
    while (part := await queue.next()) is not None:
        assert isinstance(part, Pause | TextSegment)
        parts.append(part.seconds if isinstance(part, Pause) else (part.text, part.start))
    assert queue.empty and queue.length == sum(len(piece) for piece in pieces if isinstance(piece, str))
    return parts


async def test_long_text_is_cut_as_in_pieces() -> None:
    whole = await parts_of("".join(SENTENCES))
    assert "".join(part[0] for part in whole if isinstance(part, tuple)) == "".join(SENTENCES)
    assert whole == await parts_of(*SENTENCES)
    assert len(whole) > 20


async def test_pauses_stay_in_their_place() -> None:
    half = len(SENTENCES) // 2
    parts = await parts_of("".join(SENTENCES[:half]), 1.5, "".join(SENTENCES[half:]))
    at = parts.index(1.5)
    before = "".join(part[0] for part in parts[:at] if isinstance(part, tuple))
    assert before.strip() == "".join(SENTENCES[:half]).strip()


async def test_flush_behind_a_long_text_ends_a_segment() -> None:
    queue = SegmentQueue()
    queue.start(SegmentPipeline(WHOLE_SENTENCES, "es", {"es", "ru"}), open_segments=False)
    first = "".join(SENTENCES[:40]) + "y aquí se acaba"
    queue.feed(first)
    queue.flush()
    queue.feed(" pero sigue.")
    queue.finish()
    texts = []
    while (part := await queue.next()) is not None:
        assert isinstance(part, TextSegment)
        texts.append(part.text)
    assert "".join(texts) == first + " pero sigue."
    assert any(text.rstrip().endswith("y aquí se acaba") for text in texts)


@pytest.mark.parametrize("word", ["[casa](/ˈmesa/)", '<phoneme ph="ˈmesa">casa</phoneme>'])
async def test_phonemes_are_kept_until_they_are_spoken(word: str) -> None:
    queue, options = SegmentQueue(), NormalizerOptions("es", accepts_ipa=True)
    queue.start(SegmentPipeline(WHOLE_SENTENCES, "es", {"es"}), open_segments=True)
    found = []
    for number in range(60):
        # In two pieces, so that the segment is open.
        queue.feed(f"Esta es la frase {number} de la {word} ")
        queue.feed("y esto es lo demás. ")
    queue.finish()
    while (part := await queue.next()) is not None:
        assert isinstance(part, TextSegment)
        text = queue.begin_segment(part, nullcontext, options)
        while text.boundary is None:
            await queue.wait_for_more()
        found += [text.text[each.start : each.end] + each.ipa for each in text.spoken.pronunciations]
        assert len(queue._replacements) < 20
    assert found == ["casaˈmesa"] * 60 and queue.has_phonemes


def test_pipeline_masks_splits_and_segments() -> None:
    pipeline = SegmentPipeline(WHOLE_SENTENCES, "es", {"es", "ru"})
    parts = pipeline.feed('**Dijo** «добрый день» y<break time="1s"/> se fue.')
    assert parts + pipeline.flush(more_to_come=False) == [
        TextSegment(0, f"  Dijo{MASK * 2} ", Boundary.SEAM),
        TextSegment(9, "«добрый день»", Boundary.SEAM, language="ru"),
        TextSegment(22, f" y{MASK * 18}", Boundary.CLAUSE),
        Pause(42, 1.0),
        TextSegment(42, " se fue.", Boundary.SENTENCE),
    ]


def test_cut_of_a_long_sentence_is_no_seam() -> None:
    pipeline = SegmentPipeline(WHOLE_SENTENCES, "es", {"es", "ru"})
    parts = pipeline.feed("palabra " * 200 + "«добрый день» y más.") + pipeline.flush(more_to_come=False)
    found = [(part.language, part.boundary) for part in parts if isinstance(part, TextSegment)]
    assert found[0] == (None, Boundary.WORD)
    seams = [language for language, boundary in found if boundary is Boundary.SEAM]
    assert seams == [None, "ru"]


def test_open_segment_grows_until_a_foreign_passage() -> None:
    pipeline = SegmentPipeline(WHOLE_SENTENCES, "es", {"es", "ru"})
    assert pipeline.feed("Ella le dijo ") == []
    assert pipeline.open() == TextSegment(0, "Ella le dijo")
    assert pipeline.feed("ayer ") == [Growth(" ayer", None)]
    assert pipeline.feed("добрый день") + pipeline.flush(more_to_come=True) == [
        Growth(" ", Boundary.CLAUSE),
        TextSegment(18, "добрый день", Boundary.CLAUSE, language="ru"),
    ]
    assert pipeline.open() is None


KNOWN = frozenset("ar de el en es fr he it ja ko pt ru uk zh".split())


def passages_of(*pieces: str, language: str = "es") -> list[tuple[str, str | None]]:
    """Passages of a text that comes in pieces, neighbours of one language joined."""
    passages = ScriptSplitter(language, KNOWN)
    found: list[LanguageRun] = []
    for piece in pieces:
        found += passages.feed(piece)
    found += passages.flush()
    joined: list[tuple[str, str | None]] = []
    for part in found:
        if joined and joined[-1][1] == part.language:
            joined[-1] = (joined[-1][0] + part.text, part.language)
        else:
            joined.append((part.text, part.language))
    return joined


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Texto normal, ¿no?", [("Texto normal, ¿no?", None)]),
        ("Dijo «добрый день» y se fue.", [("Dijo ", None), ("«добрый день»", "ru"), (" y se fue.", None)]),
        ("Привіт, як справи? Yo, bien.", [("Привіт, як справи?", "uk"), (" Yo, bien.", None)]),
        ("Es 你好世界。Y ya", [("Es ", None), ("你好世界。", "zh"), ("Y ya", None)]),
        ("日本語のテキスト en japonés", [("日本語のテキスト", "ja"), (" en japonés", None)]),
        ("Se dice (שלום עולם) allí", [("Se dice ", None), ("(שלום עולם)", "he"), (" allí", None)]),
        ("مرحبا", [("مرحبا", "ar")]),
        ("Di مَرحبا ya", [("Di ", None), ("مَرحبا", "ar"), (" ya", None)]),
        (
            "Dice: привет, 你好, καλημέρα y adiós.",
            [
                *(("Dice: ", None), ("привет,", "ru"), (" ", None), ("你好,", "zh"), (" ", None)),
                *(("καλημέρα", "el"), (" y adiós.", None)),
            ],
        ),
        # A single letter is a sign of the text's own language.
        ("π, Ω y α", [("π, Ω y α", None)]),
        ("5 µm", [("5 µm", None)]),
        # Nobody speaks Georgian here.
        ("Dijo გამარჯობა", [("Dijo გამარჯობა", None)]),
        ("Dijo «", [("Dijo «", None)]),
        ("", []),
    ],
)
def test_script_separates_passages(text: str, parts: list[tuple[str, str | None]]) -> None:
    assert passages_of(text) == parts
    assert passages_of(*text) == parts


def test_latin_words_in_arabic_are_no_passage() -> None:
    assert passages_of("مرحبا بالعالم Hello عالم", language="ar") == [("مرحبا بالعالم Hello عالم", None)]
    found = passages_of("مرحبا Привет мир عالم", language="ar")
    assert found == [("مرحبا ", None), ("Привет мир", "ru"), (" عالم", None)]


def test_plain_text_passes_at_once() -> None:
    passages = ScriptSplitter("es", KNOWN)
    assert passages.feed("Hola, ") == [LanguageRun("Hola, ", None)]
    assert passages.feed("¿qué tal? ") == [LanguageRun("¿qué tal? ", None)]


def test_text_behind_a_passage_is_not_held_back_for_long() -> None:
    passages = ScriptSplitter("es", KNOWN)
    given_out = "".join(part.text for piece in ["Привет "] + ["1 "] * 500 for part in passages.feed(piece))
    assert len(given_out) > 1000 - 2 * MAX_DETECTION_TEXT


@given(st.text("aé «»(.,π1 добрый你好מ\u0301\u200f", max_size=120), st.lists(st.integers(1, 7), max_size=40))
def test_pieces_do_not_change_the_runs(text: str, lengths: list[int]) -> None:
    pieces, at = [], 0
    for length in lengths:
        pieces.append(text[at : at + length])
        at += length
    pieces.append(text[at:])
    parts = passages_of(*pieces)
    assert "".join(part for part, _ in parts) == text
    if len(text) < MAX_DETECTION_TEXT:
        assert parts == passages_of(text)
