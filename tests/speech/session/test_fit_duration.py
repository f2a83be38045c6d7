"""Speech of an exact length."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from speech.errors import InvalidRequest
from speech.types import Segment, SpeechChunk, SpeechRequest
from tests.speech.session.test_session import SPANISH, audio, serving, speak
from tests.speech.timing.test_spans import assert_tiles
from tests.support.tone import RATE, ToneEngine

TEXT = "Esta es una frase para doblar, con dos partes. Y esta es la segunda, algo más larga que la otra."


@pytest.mark.parametrize("share", [0.6, 0.75, 1.0, 1.3, 1.6])
@pytest.mark.parametrize("native", [(0.25, 4.0), (0.9, 1.1), (1.0, 1.0)])
async def test_it_lasts_as_long_as_was_asked(
    tmp_path: Path, share: float, native: tuple[float, float]
) -> None:
    """Whether the engine renders speeds, some of them or none; words are where their spans say."""
    async with serving(ToneEngine(native=native), tmp_path) as service:
        natural = await speak(service, TEXT)
        wanted_s = share * len(audio(natural)) / RATE
        chunks = await speak(service, TEXT, replace(SPANISH, duration_s=wanted_s))
    assert len(audio(chunks)) / RATE == pytest.approx(wanted_s, rel=0.01)
    spans = [span for chunk in chunks for span in chunk.spans]
    assert_tiles(spans, len(TEXT))
    words = [span for span in spans if TEXT[span.start : span.end].isalpha() and span.end - span.start > 3]
    assert len(words) == 10
    for span in words:
        middle = audio(chunks)[round((span.start_s + 0.02) * RATE) : round((span.end_s - 0.02) * RATE)]
        assert np.abs(middle).max() > 0.2


async def test_rests_keep_their_length(tmp_path: Path) -> None:
    """What was asked for as half a second stays so, whatever the words become."""
    text = 'Una frase entera. <break time="0.5s"/> Y otra frase.'
    async with serving(ToneEngine(), tmp_path) as service:
        natural_s = len(audio(await speak(service, text))) / RATE
        chunks = await speak(service, text, replace(SPANISH, duration_s=1.4 * natural_s))
    (rest,) = [span for chunk in chunks for span in chunk.spans if span.start == span.end]
    assert rest.end_s - rest.start_s == pytest.approx(0.5)
    assert len(audio(chunks)) / RATE == pytest.approx(1.4 * natural_s, rel=0.01)


class QuietEngine(ToneEngine):
    """Has no sound for one of its words."""

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """Nothing of a segment with the word "mudo" in it."""
        async with aclosing(super().synthesize(segment)) as chunks:
            async for chunk in chunks:
                if "mudo" not in segment.text:
                    yield chunk


@pytest.mark.parametrize(
    "text", ["mudo", "Esto se oye bien, sin duda alguna.\n\nmudo\n\nY esto otra vez se oye."]
)
async def test_a_segment_without_a_sound_is_no_obstacle(tmp_path: Path, text: str) -> None:
    """What is heard lasts as long as was asked, whatever was not."""
    async with serving(QuietEngine(), tmp_path) as service:
        chunks = await speak(service, text, replace(SPANISH, duration_s=7.0))
    assert len(audio(chunks)) / RATE == pytest.approx(7.0, rel=0.01)


async def test_a_break_at_the_end_counts_once(tmp_path: Path) -> None:
    """It takes the place of the pause before it."""
    text = 'Una frase entera que dura algo.<break time="0.5s"/>'
    async with serving(ToneEngine(), tmp_path) as service:
        natural_s = len(audio(await speak(service, text))) / RATE
        for share in (0.7, 1.5):
            chunks = await speak(service, text, replace(SPANISH, duration_s=share * natural_s))
            assert len(audio(chunks)) / RATE == pytest.approx(share * natural_s, rel=0.01)


@pytest.mark.parametrize("wanted_s", [0.5, 60.0])
async def test_a_length_that_would_not_be_intelligible_is_refused(tmp_path: Path, wanted_s: float) -> None:
    """With the range that is possible, which is what the range then is; nothing is heard before."""
    async with serving(ToneEngine(), tmp_path) as service:
        natural_s = len(audio(await speak(service, TEXT))) / RATE
        with pytest.raises(InvalidRequest) as caught:
            await speak(service, TEXT, replace(SPANISH, duration_s=wanted_s))
    assert caught.value.field == "duration_s"
    assert f"{0.6 * natural_s:.2f} to {1.6 * natural_s:.2f} s" in caught.value.reason


async def test_text_in_pieces_is_waited_for(tmp_path: Path) -> None:
    """Nobody knows how fast it has to be said before all of it is there."""
    request = SpeechRequest(language="es", duration_s=8.0)
    async with (
        serving(ToneEngine(writes=True), tmp_path) as service,
        service.open(request, protocol="test") as session,
    ):
        for word in TEXT.split(" "):
            session.feed(word + " ")
        session.finish()
        chunks = [chunk async for chunk in session]
    assert len(audio(chunks)) / RATE == pytest.approx(8.0, rel=0.01)


@pytest.mark.parametrize("text", ["…", '<break time="1s"/>', '¡! <break time="1s"/> …'])
async def test_nothing_to_say_is_silent_for_so_long(tmp_path: Path, text: str) -> None:
    """A text without a word lasts as long as any other."""
    async with serving(ToneEngine(), tmp_path) as service:
        chunks = await speak(service, text, replace(SPANISH, duration_s=3.0))
    assert not audio(chunks).any() and len(audio(chunks)) == 3 * RATE
    rests = [span for chunk in chunks for span in chunk.spans if span.start == span.end]
    assert [span.end_s - span.start_s for span in rests] == [1.0] * text.count("<")


async def test_rests_longer_than_all_of_it_are_refused(tmp_path: Path) -> None:
    """Nothing that was asked for is left out."""
    async with serving(ToneEngine(), tmp_path) as service:
        with pytest.raises(InvalidRequest, match="duration_s"):
            await speak(service, '<break time="3s"/>', replace(SPANISH, duration_s=1.0))


async def test_a_speed_of_one_is_no_other_speed(tmp_path: Path) -> None:
    """Clients send it whatever else they ask for."""
    async with serving(ToneEngine(), tmp_path) as service:
        chunks = await speak(service, TEXT, replace(SPANISH, duration_s=8.0, speed=1.0))
        with pytest.raises(InvalidRequest, match="duration_s"):
            await speak(service, TEXT, replace(SPANISH, duration_s=8.0, speed=1.1))
    assert len(audio(chunks)) / RATE == pytest.approx(8.0, rel=0.01)
