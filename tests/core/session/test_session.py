"""Sessions: text in, audio out, whatever happens in between."""

import asyncio
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kani.core.errors import Busy, EngineFailed, InvalidRequest, SpeechCancelled, UnknownVoice
from kani.core.service import SpeechService
from kani.core.session.output import EMPTY_TEXT_SILENCE_S
from kani.core.session.worker import UNDERRUN_PAUSE_S
from kani.core.types import Sampling, Segment, SpeechChunk, SpeechRequest
from tests.core.timing.test_spans import assert_tiles
from tests.support.event_loop import settle
from tests.support.patience import happens
from tests.support.sessions import SPANISH, audio, collect, fed, serving, spans_of, speak
from tests.support.tone import LETTER_S, RATE, ToneEngine

TEXTS = st.lists(
    st.sampled_from("hola |qué tal|. |, |\n\n|3,5 € |¿Sí? |…|🎉|\u200f|Dr. |y |e\u0301 ".split("|")),
    max_size=25,
).map("".join)


async def test_spans_locate_words_in_audio(service: SpeechService) -> None:
    text = "¡Hola!  Me llamo Ana Belén de la Fuente y Ruiz. ¿Y tú cómo te llamas?"
    chunks = await speak(service, text)
    spans = spans_of(chunks)
    assert_tiles(spans, len(text))
    for span in spans:
        word = text[span.start : span.end]
        if word.isalpha():
            assert span.end_s - span.start_s == pytest.approx(len(word) * LETTER_S, abs=2 / RATE)
            samples = audio(chunks)[round(span.start_s * RATE) : round(span.end_s * RATE)]
            assert np.abs(samples).max() > 0.2
    assert all(span.end_s >= chunk.start_s - 0.02 for chunk in chunks for span in chunk.spans)
    ends_s = np.cumsum([len(chunk.samples) / RATE for chunk in chunks])
    assert [chunk.start_s for chunk in chunks] == pytest.approx([0, *ends_s[:-1]])


async def test_segments_state_audio_left_to_play(engine: ToneEngine, service: SpeechService) -> None:
    await speak(service, "Una frase entera que dura algo. Y otra frase que le sigue.")
    first, second = (segment.ahead_s for segment in engine.segments)
    assert first == 0.0
    # The first sentence is made at once and is then played.
    assert 1.0 < second <= len("Unafraseenteraqueduraalgo") * LETTER_S
    engine.segments.clear()
    await speak(service, "Una frase entera que dura algo.", replace(SPANISH, duration_s=2.5))
    assert {segment.ahead_s for segment in engine.segments} == {math.inf}


class SlowingEngine(ToneEngine):
    """Says each letter of a word longer than the one before it, and tells so."""

    async def _say(self, word: re.Match[str], at_s: float, segment: Segment) -> SpeechChunk:
        chunk = await super()._say(word, at_s, segment)
        (span,) = chunk.spans
        shares = np.arange(span.end - span.start) / (span.end - span.start)
        marks = tuple((span.start_s + shares**2 * (span.end_s - span.start_s)).tolist())
        return replace(chunk, spans=(replace(span, character_starts=marks),))


@pytest.mark.parametrize("speed", [1.0, 2.0])
async def test_character_starts_map_to_client_text(tmp_path: Path, speed: float) -> None:
    text = "¡Hola!  el cafe\u0301 frío"
    slowing = SlowingEngine(native=(1.0, 1.0))
    async with serving(slowing, tmp_path) as service:
        chunks = await speak(service, text, replace(SPANISH, speed=speed))
    spans = spans_of(chunks)
    assert_tiles([replace(span, character_starts=()) for span in spans], len(text))
    told = {text[span.start : span.end]: span for span in spans if span.character_starts}
    assert list(told) == ["Hola", "el", "cafe\u0301", "frío"]
    letter_s = LETTER_S / speed
    for word in ("Hola", "el", "frío"):
        since = np.array(told[word].character_starts) - told[word].start_s
        count = len(word)
        assert since == pytest.approx(letter_s * np.arange(count) ** 2 / count, abs=2 / RATE)
    since = np.array(told["cafe\u0301"].character_starts) - told["cafe\u0301"].start_s
    assert since == pytest.approx(letter_s * np.array([0, 1, 4, 9, 12.5]) / 4, abs=2 / RATE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, st.lists(st.integers(1, 7)), st.booleans())
@example("hola 🎉. 🎉\n\n. ", [1, 1, 7, 3, 1], False)  # two waits, with nothing to speak between them
def test_any_cutting_gives_same_speech(tmp_path: Path, text: str, sizes: list[int], streams: bool) -> None:

    async def check() -> None:
        engine = ToneEngine(streams=streams)
        async with serving(engine, tmp_path) as service:
            whole = await speak(service, text)
            requests = engine.segments
            engine.segments = []
            async with service.open(SPANISH, protocol="test") as session:
                at = 0
                for size in sizes:
                    session.feed(text[at : at + size])
                    at += size
                    await asyncio.sleep(0)
                session.feed(text[at:])
                session.finish()
                pieces = await collect(session)
            assert engine.segments == requests
            heard, end_s = audio(pieces), len(audio(whole)) / RATE
            assert np.array_equal(heard[: len(audio(whole))], audio(whole))
            waited = heard[len(audio(whole)) :]
            assert len(waited) <= UNDERRUN_PAUSE_S * RATE and not waited.any()
            spans = spans_of(pieces)
            told = [replace(span, end_s=end_s) if span.end_s > end_s + 1e-9 else span for span in spans]
            expected = spans_of(whole)
            assert [replace(s, end_s=0.0) for s in told] == [replace(s, end_s=0.0) for s in expected]
            assert [s.end_s for s in told] == pytest.approx([s.end_s for s in expected], abs=1e-9)
            assert_tiles(spans, len(text))

    asyncio.run(check())


@pytest.mark.parametrize(("low_latency", "segments"), [(True, 2), (False, 1)])
async def test_early_phrase_needs_low_latency(tmp_path: Path, low_latency: bool, segments: int) -> None:
    engine, text = ToneEngine(streams=False), "Buenos días a todos, hoy hablaremos de esta ciudad."
    async with serving(engine, tmp_path) as service:
        async with fed(service, text, low_latency=low_latency) as session:
            await collect(session)
    assert len(engine.segments) == segments


async def test_cancelled_and_left_sessions_free_slots(engine: ToneEngine, service: SpeechService) -> None:
    engine.allow = 0
    async with fed(service, "uno dos tres cuatro cinco seis siete ocho nueve") as session:
        await engine.permit(2)
        session.cancel()
        with pytest.raises(SpeechCancelled):
            await collect(session)
    assert engine.steps == 2 and engine.under_way == 0
    await engine.permit(None)
    assert len(await speak(service, "otra vez")) > 0
    engine.allow = engine.steps
    async with fed(service, "uno dos tres cuatro."):
        await engine.permit(1)
        async with fed(service, "otra cosa."):
            await happens(lambda: service.state().waiting)
        assert service.state().waiting == 0 and service.state().slots_in_use == 1
    assert service.state().slots_in_use == 0


async def test_slow_reader_bounds_buffer_and_frees_slot(tmp_path: Path) -> None:
    engine = ToneEngine()
    sentence = "Esta es una frase de unas cuantas palabras para el lector lento. "
    async with serving(engine, tmp_path, ahead_s=8.0) as service, fed(service, sentence * 20) as session:
        await happens(lambda: len(engine.segments) == 2)
        for _ in range(2000):
            await asyncio.sleep(0)
        assert len(engine.segments) == 2
        assert session.duration_s < 8.0 + 7.0
        assert service.state().slots_in_use == 0
        chunks = aiter(session)
        taken = [await anext(chunks) for _ in range(8)]
        await settle()
        # It goes on once half of the bound is left.
        assert 4.0 < session.duration_s - taken[-1].end_s < 8.0 and len(engine.segments) == 2
        taken += [chunk async for chunk in chunks]
    assert len(engine.segments) == 20
    assert sum(chunk.duration_s for chunk in taken) > 100


async def test_engine_failure_follows_earlier_audio(service: SpeechService) -> None:
    async with fed(service, "Primero esto. kaputt") as session:
        heard = []
        with pytest.raises(EngineFailed):
            async for chunk in session:
                heard.append(chunk)
    assert audio(heard).size
    assert audio(await speak(service, "Y sigue.")).size


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("text", ["…", "🎉", " \n ", "\u200f\x00", "?!"])
async def test_unspeakable_text_is_short_silence(tmp_path: Path, text: str, streams: bool) -> None:
    engine = ToneEngine(streams=streams)
    async with serving(engine, tmp_path) as service, fed(service, text) as session:
        chunks = await collect(session)
    assert session.nothing_speakable and not engine.segments
    assert len(audio(chunks)) == round(EMPTY_TEXT_SILENCE_S * RATE) and not audio(chunks).any()
    assert_tiles(spans_of(chunks), len(text))


async def test_empty_and_cancelled_text_has_no_audio(service: SpeechService, engine: ToneEngine) -> None:
    assert await speak(service, "") == []
    async with service.open(SPANISH, protocol="test") as session:
        session.cancel()
        session.feed("Nadie oye esto. Ni esto otro.")
        session.finish()
        with pytest.raises(SpeechCancelled):
            await collect(session)
    assert not engine.segments


@pytest.mark.parametrize(
    ("speed", "native"), [(2.0, (0.25, 4.0)), (2.0, (0.8, 1.25)), (0.25, (0.8, 1.25)), (4.0, (1.0, 1.0))]
)
async def test_speed_scales_speech(tmp_path: Path, speed: float, native: tuple[float, float]) -> None:
    text = "palabras cortas sueltas"
    async with serving(ToneEngine(native=native), tmp_path) as service:
        chunks = await speak(service, text, SpeechRequest(language="es", speed=speed))
    expected_s = sum(map(len, text.split())) * LETTER_S / speed
    assert len(audio(chunks)) / RATE == pytest.approx(expected_s, rel=0.02, abs=0.02)
    spans = spans_of(chunks)
    assert_tiles(spans, len(text))
    assert spans[-1].end_s == pytest.approx(expected_s, rel=0.02, abs=0.02)


async def test_max_tokens_truncates_each_segment(service: SpeechService) -> None:
    text = "unas cuantas palabras seguidas. otras cuantas palabras."
    async with fed(service, text, SpeechRequest(language="es", max_tokens=50)) as session:
        chunks = await collect(session)
        assert session.truncated
    assert len(audio(chunks)) == RATE
    spans = spans_of(chunks)
    assert_tiles(spans, len(text))
    assert spans[-1].end_s == 1.0


BAD_SAMPLING = [("temperature", -1), ("top_p", 1.1), ("top_k", 1001), ("repetition_penalty", 0.5)]
BAD_SAMPLING += [("seed", -1), ("seed", 10**400)]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        *((SpeechRequest(speed=speed), "speed") for speed in (0.2, math.nan)),
        (SpeechRequest(max_tokens=0), "max_tokens"),
        *((SpeechRequest(sampling=Sampling(**{name: value})), name) for name, value in BAD_SAMPLING),
        *((SpeechRequest(voice=voice), "voice") for voice in ("nobody", "custom:nobody")),
        (SpeechRequest(language="xx"), "language"),
        (SpeechRequest(emotion="bored"), "emotion"),
        (replace(SPANISH, emotion="happy:0.5,joyful:0.5"), "emotion"),
        (replace(SPANISH, emotion="happy", emotion_strength=1.5), "emotion_strength"),
        (replace(SPANISH, duration_s=0.01), "duration_s"),
        (replace(SPANISH, duration_s=3.0, speed=1.5), "duration_s"),
        (replace(SPANISH, lexicon={"uno": "/qqq!/"}), "lexicon"),
    ],
)
async def test_invalid_field_is_named(service: SpeechService, request_: SpeechRequest, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        service.open(request_, protocol="test")
    assert caught.value.field == field
    assert isinstance(caught.value, UnknownVoice) is (field == "voice")


@pytest.mark.parametrize(
    ("request_", "unused"),
    [
        (replace(SPANISH, emotion="happy", sampling=Sampling(temperature=0.6, seed=3)), ["temperature"]),
        (replace(SPANISH, lexicon={"casa": "/kasa/"}), ["lexicon"]),
        (replace(SPANISH, lexicon={"casa": "kasa /kasa/"}), []),
        (replace(SPANISH, lexicon={"casa": "kasa"}), []),
    ],
)
async def test_unused_is_named(service: SpeechService, request_: SpeechRequest, unused: list[str]) -> None:
    async with service.open(request_, protocol="test") as session:
        assert session.unused_fields == unused


@pytest.mark.parametrize("text", ["uno dos tres", "uno dos 19", "uno dos <b", "uno dos привет"])
async def test_drain_speaks_unfinished_text_and_refuses_new_one(
    engine: ToneEngine, service: SpeechService, text: str
) -> None:
    async with service.open(SPANISH, protocol="test") as session, asyncio.timeout(300):
        session.feed(text)
        draining = asyncio.create_task(service.drain(60.0))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            service.open(SPANISH, protocol="test")
        await collect(session)
    await draining
    assert engine.words[:2] == ["uno", "dos"] and len(engine.words) > 2
