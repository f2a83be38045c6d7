"""Segments, pauses and foreign passages of a text, however long it is and however it comes."""

from __future__ import annotations

from kani.core.types import Boundary
from kani.text.markup import MASK
from kani.text.segment_pipeline import Pause, SegmentPipeline
from kani.text.segment_queue import SegmentQueue
from kani.text.segmenter import WHOLE_SENTENCES, Growth, TextSegment

SENTENCES = [f"Esta es la frase número {n} de un texto muy largo, que nadie espera. " for n in range(80)]


async def parts_of(*pieces: str | float) -> list[tuple[str, int] | float]:
    """Parts of texts and pauses that are fed before the first part is taken."""
    queue = SegmentQueue()
    queue.start(WHOLE_SENTENCES, "es", {"es", "ru"}, open_segments=False)
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
    queue.start(WHOLE_SENTENCES, "es", {"es", "ru"}, open_segments=False)
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


def test_pipeline_masks_splits_and_segments() -> None:
    pipeline = SegmentPipeline(WHOLE_SENTENCES, "es", {"es", "ru"})
    parts = pipeline.feed('**Dijo** «добрый день» y<break time="1s"/> se fue.')
    assert parts + pipeline.flush(more_to_come=False) == [
        TextSegment(0, f"  Dijo{MASK * 2} ", Boundary.CLAUSE),
        TextSegment(9, "«добрый день»", Boundary.CLAUSE, language="ru"),
        TextSegment(22, f" y{MASK * 18}", Boundary.CLAUSE),
        Pause(42, 1.0),
        TextSegment(42, " se fue.", Boundary.SENTENCE),
    ]


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
