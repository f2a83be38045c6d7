"""Post-processing of a segment: speed, prosody, length and spans."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import numpy as np
import pytest

from kani.core.audio.prosody_filter import split_prosody
from kani.core.audio.segment_filter import SegmentFilter
from kani.core.emotions import EMOTIONS
from kani.core.types import NEUTRAL, Prosody, Samples, Span, SpeechChunk

RATE = 24_000
_, HAPPY = split_prosody(EMOTIONS["happy"], frozenset())


def chunks() -> list[SpeechChunk]:
    """A second of noise in four chunks, a word in each."""
    noise = np.random.default_rng(3).standard_normal(RATE).astype(np.float32) / np.float32(8)
    return [
        SpeechChunk(piece, RATE, at / 4, (Span(at, at + 1, at / 4, at / 4 + 0.2, (at / 4 + 0.1,)),))
        for at, piece in enumerate(np.split(noise, 4))
    ]


async def engine() -> AsyncGenerator[SpeechChunk, None]:
    for chunk in chunks():
        yield chunk


async def rendered(
    factor: float, manner: Prosody = NEUTRAL, longest: int = 10 * RATE
) -> tuple[Samples, list[Span], SegmentFilter]:
    rendering = SegmentFilter(engine(), RATE, factor, longest, manner)
    heard = [chunk async for chunk in rendering.chunks()]
    return (
        np.concatenate([chunk.samples for chunk in heard]),
        [span for chunk in heard for span in chunk.spans],
        rendering,
    )


async def test_neutral_filter_passes_samples_through() -> None:
    heard = [chunk async for chunk in SegmentFilter(engine(), RATE, 1.0, 10 * RATE, NEUTRAL).chunks()]
    for own, chunk in zip(heard, chunks(), strict=True):
        assert np.array_equal(own.samples, chunk.samples)
        assert own.spans == chunk.spans


@pytest.mark.parametrize("factor", [0.3, 0.8, 1.0, 1.5, 3.4])
@pytest.mark.parametrize("manner", [NEUTRAL, HAPPY])
async def test_spans_are_rescaled_with_audio(factor: float, manner: Prosody) -> None:
    samples, spans, rendering = await rendered(factor, manner)
    assert len(samples) == round(RATE / factor)
    assert [span.start_s for span in spans] == pytest.approx([at / 4 / factor for at in range(4)])
    assert [span.character_starts[0] for span in spans] == pytest.approx(
        [(at / 4 + 0.1) / factor for at in range(4)]
    )
    assert spans[-1].end_s <= len(samples) / RATE
    assert not rendering.truncated


async def test_prosody_changes_sound_not_times() -> None:
    plain, plain_spans, _ = await rendered(1.0)
    happy, happy_spans, _ = await rendered(1.0, HAPPY)
    assert happy_spans == plain_spans and len(happy) == len(plain)
    assert np.square(happy).mean() > 1.2 * np.square(plain).mean()


@pytest.mark.parametrize("manner", [NEUTRAL, HAPPY])
async def test_long_segment_is_cut(manner: Prosody) -> None:
    samples, spans, rendering = await rendered(0.5, manner, longest=RATE)
    assert len(samples) == RATE and rendering.truncated
    assert all(span.end_s <= 1.0 for span in spans)
