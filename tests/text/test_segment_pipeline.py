"""Masking, splitting by script and segmenting, one after the other."""

from __future__ import annotations

from kani.core.types import Boundary
from kani.text.markup import MASK
from kani.text.segment_pipeline import Pause, SegmentPipeline
from kani.text.segmenter import WHOLE_SENTENCES, Growth, OpenTextSegment, TextSegment


def test_pipeline_masks_splits_and_segments() -> None:
    pipeline = SegmentPipeline(WHOLE_SENTENCES, "es", {"es", "ru"})
    parts = pipeline.feed('**Dijo** «добрый день» y<break time="1s"/> se fue.')
    assert parts + pipeline.flush(more_to_come=False) == [
        TextSegment(0, 9, f"  Dijo{MASK * 2} ", Boundary.CLAUSE),
        TextSegment(9, 22, "«добрый день»", Boundary.CLAUSE, language="ru"),
        TextSegment(22, 42, f" y{MASK * 18}", Boundary.CLAUSE),
        Pause(42, 1.0),
        TextSegment(42, 50, " se fue.", Boundary.SENTENCE),
    ]


def test_open_segment_grows_until_a_foreign_passage() -> None:
    pipeline = SegmentPipeline(WHOLE_SENTENCES, "es", {"es", "ru"})
    assert pipeline.feed("Ella le dijo ") == []
    assert pipeline.open() == OpenTextSegment(0, "Ella le dijo")
    assert pipeline.feed("ayer ") == [Growth(" ayer", None)]
    assert pipeline.feed("добрый день") + pipeline.flush(more_to_come=True) == [
        Growth(" ", Boundary.CLAUSE),
        TextSegment(18, 29, "добрый день", Boundary.CLAUSE, language="ru"),
    ]
    assert pipeline.open() is None
