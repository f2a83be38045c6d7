"""Sessions: text in, audio out, whatever happens in between."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speech.errors import (
    Busy,
    EngineFailed,
    InvalidRequest,
    SpeechCancelled,
    TextTooLong,
    UnknownVoice,
)
from speech.observer import Observer
from speech.request import Limits
from speech.service import SpeechService
from speech.session.output import EMPTY_TEXT_SILENCE_S
from speech.session.session import SpeechSession
from speech.session.worker import UNDERRUN_PAUSE_S
from speech.types import Sampling, SpeechChunk, SpeechRequest
from speech.voices.catalogue import VoiceStore
from tests.speech.timing.test_spans import assert_tiles
from tests.support.tone import LETTER_S, RATE, ToneEngine

SPANISH = SpeechRequest(language="es")
TEXTS = st.lists(
    st.sampled_from(
        [
            "hola ",
            "qué tal",
            ". ",
            ", ",
            "\n\n",
            "3,5 € ",
            "¿Sí? ",
            "…",
            "🎉",
            "\u200f",
            "Dr. ",
            "y ",
            "e\u0301 ",
        ]
    ),
    max_size=25,
).map("".join)


@asynccontextmanager
async def serving(engine: ToneEngine, tmp_path: Path, **limits: float) -> AsyncIterator[SpeechService]:
    """A service over one engine; when it ends, nothing is left of any session."""
    service = SpeechService(
        [engine],
        VoiceStore(tmp_path),
        Limits(**limits),  # type: ignore[arg-type]
        default_language="es",
        default_voice=None,
        observer=Observer(),
    )
    await service.start()
    before = asyncio.all_tasks()
    yield service
    assert (service.state().sessions, service.state().slots_in_use, service.state().waiting) == (0, 0, 0)
    assert engine.under_way == 0
    assert asyncio.all_tasks() == before
    await service.stop()


async def collect(session: SpeechSession) -> list[SpeechChunk]:
    """All chunks of a session."""
    return [chunk async for chunk in session]


async def speak(service: SpeechService, text: str, request: SpeechRequest = SPANISH) -> list[SpeechChunk]:
    """All chunks of a text that is fed whole."""
    async with service.open(request, protocol="test") as session:
        session.feed(text)
        session.finish()
        return await collect(session)


def audio(chunks: list[SpeechChunk]) -> np.ndarray:
    """The samples of all chunks."""
    return np.concatenate([chunk.samples for chunk in chunks]) if chunks else np.zeros(0, np.float32)


async def test_words_are_where_their_spans_say(tmp_path: Path) -> None:
    """Spans count the client's characters, times the stream's seconds, over segments and pauses."""
    text = "¡Hola!  Me llamo Ana Belén de la Fuente y Ruiz. ¿Y tú cómo te llamas?"
    async with serving(ToneEngine(), tmp_path) as service:
        chunks = await speak(service, text)
    spans = [span for chunk in chunks for span in chunk.spans]
    assert_tiles(spans, len(text))
    for span in spans:
        word = text[span.start : span.end]
        if word.isalpha():
            assert span.end_s - span.start_s == pytest.approx(len(word) * LETTER_S, abs=2 / RATE)
            samples = audio(chunks)[round(span.start_s * RATE) : round(span.end_s * RATE)]
            assert np.abs(samples).max() > 0.2
    assert [chunk.start_s for chunk in chunks] == pytest.approx(
        np.cumsum([0, *(len(chunk.samples) / RATE for chunk in chunks[:-1])])
    )


class SlowingEngine(ToneEngine):
    """Says each letter of a word longer than the one before it, and tells so."""

    async def _say(self, word: re.Match[str], at_s: float, speed: float) -> SpeechChunk:
        chunk = await super()._say(word, at_s, speed)
        (span,) = chunk.spans
        shares = np.arange(span.end - span.start) / (span.end - span.start)
        marks = tuple((span.start_s + shares**2 * (span.end_s - span.start_s)).tolist())
        return replace(chunk, spans=(replace(span, character_starts=marks),))


@pytest.mark.parametrize("speed", [1.0, 2.0])
async def test_letters_keep_their_times_on_the_way_to_the_client(tmp_path: Path, speed: float) -> None:
    """In the client's characters, at the speed that is heard; what was composed shares its letter's time."""
    text = "¡Hola!  el cafe\u0301 frío"
    slowing = SlowingEngine(native=(1.0, 1.0))
    async with serving(slowing, tmp_path) as service:
        chunks = await speak(service, text, replace(SPANISH, speed=speed))
    spans = [span for chunk in chunks for span in chunk.spans]
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


async def test_a_word_is_told_as_soon_as_it_is_over(tmp_path: Path) -> None:
    """Not with the next one: its span is in the chunk that holds its last sample but a few."""
    async with serving(ToneEngine(), tmp_path) as service:
        chunks = await speak(service, "uno dos tres cuatro cinco")
    for chunk in chunks:
        for span in chunk.spans:
            assert span.end_s >= chunk.start_s - 0.02


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(TEXTS, st.lists(st.integers(1, 7)), st.booleans())
def test_cutting_of_the_text_does_not_matter(
    tmp_path: Path, text: str, sizes: list[int], streams: bool
) -> None:
    """Any cutting of any text gives the same speech requests, audio and spans; spans tile the text.

    Where a text that is still written ends in nothing to say, the part of the pause stands behind it that
    was sent while the text waited.
    """

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
            spans = [span for chunk in pieces for span in chunk.spans]
            told = [replace(span, end_s=end_s) if span.end_s > end_s + 1e-9 else span for span in spans]
            expected = [span for chunk in whole for span in chunk.spans]
            assert [(s.start, s.end, s.character_starts) for s in told] == [
                (s.start, s.end, s.character_starts) for s in expected
            ]
            assert [s.start_s for s in told] == [s.start_s for s in expected]
            assert [s.end_s for s in told] == pytest.approx([s.end_s for s in expected], abs=1e-9)
            assert_tiles(spans, len(text))

    asyncio.run(check())


async def test_the_language_is_told_from_the_same_characters_however_they_come(tmp_path: Path) -> None:
    """Without any hint, words fed one by one are spoken in the language of the whole."""
    text = (
        "The weather is lovely this morning, and we should really go for a long walk by the river together."
    )
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service:
        async with service.open(SpeechRequest(), protocol="test") as session:
            for word in text.split(" "):
                session.feed(word + " ")
                await asyncio.sleep(0)
            session.finish()
            await collect(session)
            assert session.resolved_voice.language == "en"
        assert {segment.voice for segment in engine.segments} == {"tone_en"}


@pytest.mark.parametrize(("heard_at_once", "segments"), [(True, 2), (False, 1)])
async def test_an_early_phrase_only_for_who_hears_it(
    tmp_path: Path, heard_at_once: bool, segments: int
) -> None:
    """Where all is sent at the end, a sentence is spoken in one breath; else its first phrase is early."""
    engine = ToneEngine(streams=False)
    async with serving(engine, tmp_path) as service:
        async with service.open(SPANISH, protocol="test", low_latency=heard_at_once) as session:
            session.feed("Buenos días a todos, hoy hablaremos de esta ciudad.")
            session.finish()
            await collect(session)
    assert len(engine.segments) == segments


async def test_cancel_frees_the_place_within_one_step(tmp_path: Path) -> None:
    """A cancelled session takes not one step more, and the next has its place."""
    engine = ToneEngine()
    engine.allow = 0
    async with serving(engine, tmp_path) as service:
        async with service.open(SPANISH, protocol="test") as session:
            session.feed("uno dos tres cuatro cinco seis siete ocho nueve")
            session.finish()
            await engine.permit(2)
            session.cancel()
            with pytest.raises(SpeechCancelled):
                await collect(session)
        assert engine.steps == 2 and engine.under_way == 0
        await engine.permit(None)
        assert len(await speak(service, "otra vez")) > 0


async def test_text_after_a_cancel_is_not_spoken(tmp_path: Path) -> None:
    """A session that was cancelled before its first word stays silent whatever comes."""
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service:
        async with service.open(SPANISH, protocol="test") as session:
            session.cancel()
            session.feed("Nadie oye esto. Ni esto otro.")
            session.finish()
            with pytest.raises(SpeechCancelled):
                await collect(session)
    assert not engine.segments


async def test_leaving_frees_the_place_of_one_and_the_turn_of_another(tmp_path: Path) -> None:
    """Abandoning a session that speaks and one that waits leaves nothing behind."""
    engine = ToneEngine()
    engine.allow = 0
    async with serving(engine, tmp_path) as service:
        async with service.open(SPANISH, protocol="test") as speaking:
            speaking.feed("uno dos tres cuatro.")
            speaking.finish()
            await engine.permit(1)
            async with service.open(SPANISH, protocol="test") as waiting:
                waiting.feed("otra cosa.")
                waiting.finish()
                while not service.state().waiting:
                    await asyncio.sleep(0)
            assert service.state().waiting == 0 and service.state().slots_in_use == 1
        assert service.state().slots_in_use == 0


async def test_a_slow_reader_bounds_what_is_made(tmp_path: Path) -> None:
    """Nobody reads: no more audio is made than the limit and one segment, and no place is held."""
    engine = ToneEngine()
    sentence = "Esta es una frase de unas cuantas palabras para el lector lento. "
    async with serving(engine, tmp_path, ahead_s=8.0) as service:
        async with service.open(SPANISH, protocol="test") as session:
            session.feed(sentence * 20)
            session.finish()
            for _ in range(2000):
                await asyncio.sleep(0)
            made = len(engine.segments)
            assert session.duration_s < 8.0 + 7.0
            assert service.state().slots_in_use == 0
            assert audio([await anext(aiter(session))]).size
            chunks = await collect(session)
        assert made == 2
        assert len(engine.segments) == 20
        assert sum(chunk.duration_s for chunk in chunks) > 100


async def test_concurrent_streams_equal_their_solo_runs(tmp_path: Path) -> None:
    """Streams that share the engine, with some cancelled and some abandoned, sound as if alone."""
    texts = [f"Frase número {n}. Otra frase, la segunda, de {n} palabras. Fin." for n in range(30)]
    async with serving(ToneEngine(places=3), tmp_path) as service:
        solo = [audio(await speak(service, text)) for text in texts]

        async def one(n: int) -> np.ndarray | None:
            async with service.open(SPANISH, protocol="test") as session:
                session.feed(texts[n])
                session.finish()
                if n % 5 == 1:
                    await anext(aiter(session))
                    return None
                if n % 5 == 3:
                    await asyncio.sleep(0)
                    session.cancel()
                    with pytest.raises(SpeechCancelled):
                        await collect(session)
                    return None
                return audio(await collect(session))

        together = await asyncio.gather(*(one(n) for n in range(30)))
    for n, samples in enumerate(together):
        if samples is not None:
            assert np.array_equal(samples, solo[n])
    assert sum(samples is None for samples in together) == 12
    gc.collect()


async def test_a_broken_engine_is_told_after_what_it_said(tmp_path: Path) -> None:
    """What was spoken before the failure is heard; then it is told, and the next session speaks."""
    async with serving(ToneEngine(), tmp_path) as service:
        async with service.open(SPANISH, protocol="test") as session:
            session.feed("Primero esto. kaputt")
            session.finish()
            heard = []
            with pytest.raises(EngineFailed):
                async for chunk in session:
                    heard.append(chunk)
        assert audio(heard).size
        assert audio(await speak(service, "Y sigue.")).size


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("text", ["…", "🎉", " \n ", "\u200f\x00", "?!"])
async def test_nothing_to_say_is_a_short_silence(tmp_path: Path, text: str, streams: bool) -> None:
    """Text without a word is answered by silence, spans and all, without the engine."""
    engine = ToneEngine(streams=streams)
    async with serving(engine, tmp_path) as service:
        async with service.open(SPANISH, protocol="test") as session:
            session.feed(text)
            session.finish()
            chunks = await collect(session)
        assert session.nothing_speakable
    assert not engine.segments
    assert len(audio(chunks)) == round(EMPTY_TEXT_SILENCE_S * RATE) and not audio(chunks).any()
    assert_tiles([span for chunk in chunks for span in chunk.spans], len(text))


async def test_no_text_is_no_audio(tmp_path: Path) -> None:
    """A session that is finished before any text ends at once."""
    async with serving(ToneEngine(), tmp_path) as service:
        assert await speak(service, "") == []


@pytest.mark.parametrize(
    ("speed", "native"), [(2.0, (0.25, 4.0)), (2.0, (0.8, 1.25)), (0.25, (0.8, 1.25)), (4.0, (1.0, 1.0))]
)
async def test_speed_scales_audio_and_spans(
    tmp_path: Path, speed: float, native: tuple[float, float]
) -> None:
    """Speed is met natively or by a filter; words keep to their audio."""
    text = "palabras cortas sueltas"
    async with serving(ToneEngine(native=native), tmp_path) as service:
        chunks = await speak(service, text, SpeechRequest(language="es", speed=speed))
    expected_s = sum(map(len, text.split())) * LETTER_S / speed
    assert len(audio(chunks)) / RATE == pytest.approx(expected_s, rel=0.02, abs=0.02)
    spans = [span for chunk in chunks for span in chunk.spans]
    assert_tiles(spans, len(text))
    assert spans[-1].end_s == pytest.approx(expected_s, rel=0.02, abs=0.02)


async def test_max_tokens_cuts_each_segment_and_is_told(tmp_path: Path) -> None:
    """Fifty tokens are a second of a segment's speech; the spans still tile the text."""
    text = "unas cuantas palabras seguidas. otras cuantas palabras."
    async with serving(ToneEngine(), tmp_path) as service:
        async with service.open(SpeechRequest(language="es", max_tokens=50), protocol="test") as session:
            session.feed(text)
            session.finish()
            chunks = await collect(session)
            assert session.truncated
        assert len(audio(chunks)) == RATE
        spans = [span for chunk in chunks for span in chunk.spans]
        assert_tiles(spans, len(text))
        assert spans[-1].end_s == 1.0


async def test_too_much_text_is_refused_with_the_limit(tmp_path: Path) -> None:
    """The limit counts all that is fed to one session."""
    async with serving(ToneEngine(), tmp_path, max_text=10) as service:
        async with service.open(SPANISH, protocol="test") as session:
            session.feed("12345")
            with pytest.raises(TextTooLong, match="at most 10 characters"):
                session.feed("678901")
        async with service.open(SPANISH, protocol="test") as session:
            session.feed("12345 7890 ")
            with pytest.raises(TextTooLong):
                session.feed(" ")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (SpeechRequest(speed=0.2), "speed"),
        (SpeechRequest(speed=float("nan")), "speed"),
        (SpeechRequest(max_tokens=0), "max_tokens"),
        (SpeechRequest(sampling=Sampling(temperature=-1)), "temperature"),
        (SpeechRequest(sampling=Sampling(top_p=1.1)), "top_p"),
        (SpeechRequest(sampling=Sampling(top_k=1001)), "top_k"),
        (SpeechRequest(sampling=Sampling(repetition_penalty=0.5)), "repetition_penalty"),
        (SpeechRequest(sampling=Sampling(seed=-1)), "seed"),
        (SpeechRequest(sampling=Sampling(seed=10**400)), "seed"),
        (SpeechRequest(emotion="bored"), "emotion"),
        (SpeechRequest(voice="nobody"), "voice"),
        (SpeechRequest(language="xx"), "language"),
        (SpeechRequest(language="es", emotion="happy:0.5,joyful:0.5"), "emotion"),
        (SpeechRequest(language="es", emotion="happy", emotion_strength=1.5), "emotion_strength"),
        (SpeechRequest(language="es", duration_s=0.01), "duration_s"),
        (SpeechRequest(language="es", duration_s=3.0, speed=1.5), "duration_s"),
        (SpeechRequest(language="es", lexicon={"uno": "/qqq!/"}), "lexicon"),
    ],
)
async def test_a_bad_request_names_its_field_and_is_never_admitted(
    tmp_path: Path, request_: SpeechRequest, field: str
) -> None:
    """What is out of range or unknown is refused before a session exists."""
    async with serving(ToneEngine(), tmp_path) as service:
        with pytest.raises(InvalidRequest) as caught:
            service.open(request_, protocol="test")
        assert caught.value.field == field


async def test_unused_parameters_are_named(tmp_path: Path) -> None:
    """What was given and the engine has no use for is named; what it uses, and an emotion, is not."""
    request = SpeechRequest(language="es", emotion="happy", sampling=Sampling(temperature=0.6, seed=3))
    async with serving(ToneEngine(), tmp_path) as service:
        async with service.open(request, protocol="test") as session:
            assert session.unused_fields == ["temperature"]


async def test_ipa_that_nobody_can_say_is_named(tmp_path: Path) -> None:
    """A word that has no spelling to be said by instead."""
    async with serving(ToneEngine(), tmp_path) as service:
        for how, unused in (("/kasa/", ["lexicon"]), ("kasa /kasa/", []), ("kasa", [])):
            async with service.open(replace(SPANISH, lexicon={"casa": how}), protocol="test") as session:
                assert session.unused_fields == unused


@pytest.mark.parametrize("text", ["uno dos tres", "uno dos 19", "uno dos <b", "uno dos привет"])
async def test_draining_says_what_is_there_and_waits_for_no_more(tmp_path: Path, text: str) -> None:
    """The beginning of a sentence, a number or a tag too, which more text might have changed."""
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service:
        async with service.open(SPANISH, protocol="test") as session, asyncio.timeout(300):
            session.feed(text)
            draining = asyncio.create_task(service.drain(60.0))
            await collect(session)
        await draining
    assert engine.words[:2] == ["uno", "dos"] and len(engine.words) > 2


async def test_draining_refuses_the_new_and_ends_the_slow(tmp_path: Path) -> None:
    """On shutdown what finishes in time is heard whole, what doesn't is cancelled, nobody new comes in."""
    engine = ToneEngine()
    engine.allow = 0
    async with serving(engine, tmp_path) as service:

        async def one() -> int:
            async with service.open(SPANISH, protocol="test") as session:
                session.feed("uno dos")
                session.finish()
                return len(await collect(session))

        speaking = asyncio.create_task(one())
        await engine.permit(1)
        draining = asyncio.create_task(service.drain(0.05))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            service.open(SPANISH, protocol="test")
        await draining
        with pytest.raises(SpeechCancelled):
            await speaking


async def test_an_unknown_voice_is_refused_even_where_the_language_is_open(tmp_path: Path) -> None:
    """A voice is checked at once, before any text."""
    async with serving(ToneEngine(), tmp_path) as service:
        with pytest.raises(UnknownVoice):
            service.open(SpeechRequest(voice="custom:nobody"), protocol="test")
