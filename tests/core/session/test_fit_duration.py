"""Speech of an exact length."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kani.core.errors import InvalidRequest
from kani.core.service import SpeechService
from kani.core.types import Segment, SpeechChunk
from tests.core.timing.test_spans import assert_tiles
from tests.support.sessions import SPANISH, audio, collect, serving, spans_of, speak
from tests.support.tone import RATE, ToneEngine

TEXT = "Esta es una frase para doblar, con dos partes. Y esta es la segunda, algo más larga que la otra."


@pytest.mark.parametrize("share", [0.6, 0.75, 1.0, 1.3, 1.6])
@pytest.mark.parametrize("native", [(0.25, 4.0), (0.9, 1.1), (1.0, 1.0)])
async def test_speech_lasts_as_asked(tmp_path: Path, share: float, native: tuple[float, float]) -> None:
    async with serving(ToneEngine(native=native), tmp_path) as service:
        natural = await speak(service, TEXT)
        wanted_s = share * len(audio(natural)) / RATE
        chunks = await speak(service, TEXT, replace(SPANISH, duration_s=wanted_s))
    assert len(audio(chunks)) / RATE == pytest.approx(wanted_s, rel=0.01)
    spans = spans_of(chunks)
    assert_tiles(spans, len(TEXT))
    words = [span for span in spans if TEXT[span.start : span.end].isalpha() and span.end - span.start > 3]
    assert len(words) == 10
    for span in words:
        middle = audio(chunks)[round((span.start_s + 0.02) * RATE) : round((span.end_s - 0.02) * RATE)]
        assert np.abs(middle).max() > 0.2


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ('Una frase entera. <break time="0.5s"/> Y otra frase.', (1.4,)),
        ('Una frase entera que dura algo.<break time="0.5s"/>', (0.7, 1.5)),
    ],
)
async def test_pauses_count_once_and_are_not_stretched(
    service: SpeechService, text: str, shares: tuple[float, ...]
) -> None:
    natural_s = len(audio(await speak(service, text))) / RATE
    for share in shares:
        chunks = await speak(service, text, replace(SPANISH, duration_s=share * natural_s))
        (rest,) = [span for span in spans_of(chunks) if span.start == span.end]
        assert rest.end_s - rest.start_s == pytest.approx(0.5)
        assert len(audio(chunks)) / RATE == pytest.approx(share * natural_s, rel=0.01)


class QuietEngine(ToneEngine):
    """Has no sound for one of its words."""

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        async with aclosing(super().synthesize(segment)) as chunks:
            async for chunk in chunks:
                if "mudo" not in segment.text:
                    yield chunk


@pytest.mark.parametrize(
    "text", ["mudo", "Esto se oye bien, sin duda alguna.\n\nmudo\n\nY esto otra vez se oye."]
)
async def test_silent_segment_does_not_change_duration(tmp_path: Path, text: str) -> None:
    async with serving(QuietEngine(), tmp_path) as service:
        chunks = await speak(service, text, replace(SPANISH, duration_s=7.0))
    assert len(audio(chunks)) / RATE == pytest.approx(7.0, rel=0.01)


async def test_duration_waits_for_complete_text(tmp_path: Path) -> None:
    async with serving(ToneEngine(writes=True), tmp_path) as service:
        async with service.open(replace(SPANISH, duration_s=8.0), protocol="test") as session:
            for word in TEXT.split(" "):
                session.feed(word + " ")
            session.finish()
            chunks = await collect(session)
    assert len(audio(chunks)) / RATE == pytest.approx(8.0, rel=0.01)


@pytest.mark.parametrize("text", ["…", '<break time="1s"/>', '¡! <break time="1s"/> …'])
async def test_unspeakable_text_is_silence_of_requested_duration(service: SpeechService, text: str) -> None:
    chunks = await speak(service, text, replace(SPANISH, duration_s=3.0))
    assert not audio(chunks).any() and len(audio(chunks)) == 3 * RATE
    rests = [span for span in spans_of(chunks) if span.start == span.end]
    assert [span.end_s - span.start_s for span in rests] == [1.0] * text.count("<")


async def test_duration_has_its_limits(service: SpeechService) -> None:
    natural_s = len(audio(await speak(service, TEXT))) / RATE
    intelligible = f"{0.6 * natural_s:.2f} to {1.6 * natural_s:.2f} s"
    for text, how, reason in (
        *((TEXT, {"duration_s": wanted_s}, intelligible) for wanted_s in (0.5, 60.0)),
        ('<break time="3s"/>', {"duration_s": 1.0}, ""),
        (TEXT, {"duration_s": 8.0, "speed": 1.1}, ""),
    ):
        with pytest.raises(InvalidRequest) as caught:
            await speak(service, text, replace(SPANISH, **how))
        assert caught.value.field == "duration_s" and reason in caught.value.reason, how
    chunks = await speak(service, TEXT, replace(SPANISH, duration_s=8.0, speed=1.0))
    assert len(audio(chunks)) / RATE == pytest.approx(8.0, rel=0.01)
