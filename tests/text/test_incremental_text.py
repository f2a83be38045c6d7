"""Sessions that speak growing text, and that yield their slot inside a segment."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kani.core.audio.prosody_filter import PAUSES_S
from kani.core.errors import EngineFailed, SpeechCancelled
from kani.core.observer import Observer
from kani.core.service import SpeechService
from kani.core.session.context import Terms
from kani.core.session.output import TAIL_S
from kani.core.session.session import SpeechSession
from kani.core.types import Boundary, SpeechRequest
from kani_text.incremental_text import IncrementalText
from kani_text.normalizer import VERBATIM, NormalizerOptions, normalize
from kani_text.normalizer.tables import loaded
from kani_text.segmenter import TextSegment
from tests.core.timing.test_spans import assert_tiles
from tests.support.event_loop import settle
from tests.support.patience import WITHIN_S
from tests.support.sessions import SPANISH, audio, collect, serving, spans_of, speak
from tests.support.tone import HELD, LETTER_S, RATE, WORD, ToneEngine
from tests.text.normalizer.test_reading_rows import with_rows

FRAGMENTS = "hola |qué tal|. |, |\n\n|3,5 € |¿Sí? |…|🎉|\u200f|Dr. |y |e\u0301 |\u0301|una casa grande |"
FRAGMENTS += "palabra |—| |。|你好"
TEXTS = st.lists(st.sampled_from(FRAGMENTS.split("|")), max_size=60).map("".join)


@asynccontextmanager
async def opened(
    folder: Path,
    request: SpeechRequest = SPANISH,
    observer: Observer | None = None,
    ahead_s: float = 30.0,
    **how: Any,
) -> AsyncIterator[tuple[ToneEngine, SpeechService, SpeechSession]]:
    """An engine with ``how`` it is, a service over it, and a session."""
    engine = ToneEngine(**how)
    async with serving(engine, folder, observer, ahead_s=ahead_s) as service:
        async with service.open(request, protocol="test") as session:
            yield engine, service, session


async def feed(session: SpeechSession, text: str) -> None:
    """Feed word by word, each when the one before it has had all its effects."""
    for word in text.split(" "):
        session.feed(word + " ")
        await settle()


async def test_words_are_spoken_a_few_words_behind(tmp_path: Path) -> None:
    """Waiting for the next word holds no slot."""
    text = "esto lo escribe alguien palabra por palabra mientras se oye"
    async with opened(tmp_path, writes=True) as (engine, service, session):
        for count, word in enumerate(text.split(), 1):
            session.feed(word)
            await settle()
            session.feed(" ")
            await settle()
            said = text.split()[: max(0, count - HELD)]
            assert engine.words == said
            assert session.duration_s == pytest.approx(len("".join(said)) * LETTER_S, abs=0.011)
            assert service.state().slots_in_use == service.state().waiting == 0
        session.finish()
        chunks = await collect(session)
        assert service.state().slots_in_use == 0
    assert engine.words == text.split()
    assert len(engine.segments) == len(engine.written) == 1
    assert_tiles(spans_of(chunks), len(text) + 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TEXTS, st.lists(st.tuples(st.integers(1, 12), st.integers(0, 6))), st.booleans())
@example("hola 。Dr. ", [], False)
def test_pieces_do_not_change_the_words(
    tmp_path: Path, text: str, pieces: list[tuple[int, int]], one_by_one: bool
) -> None:
    async def check() -> None:
        async with opened(tmp_path, writes=True, rests=True) as (engine, _, session):
            at = 0
            for size, turns in [(1, 4)] * len(text) if one_by_one else pieces:
                session.feed(text[at : at + size])
                at += size
                for _ in range(turns):
                    await asyncio.sleep(0)
            session.feed(text[at:])
            session.finish()
            chunks = await collect(session)
        said = "".join(span.spoken_form or "" for span in spans_of(chunks))
        assert engine.words == WORD.findall(said)
        # A figure is read with what is beside it in its segment.
        if "3" not in text:
            assert engine.words == WORD.findall(normalize(text, 0, NormalizerOptions("es")).text)
        for *parts, whole in engine.seen:
            for part in parts:
                assert whole.startswith(part)
                assert not (part[-1:].isalnum() and whole[len(part) :][:1].isalnum())
        spans = spans_of(chunks)
        assert_tiles(spans, len(text))
        samples = audio(chunks)
        spoken = [span for span in spans if WORD.search(text[span.start : span.end]) and engine.words]
        for span in spoken:
            assert np.abs(samples[round(span.start_s * RATE) : round(span.end_s * RATE)]).max() > 0.2

    asyncio.run(check())


async def test_rows_read_the_same_letter_by_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one of plain words, for which nothing else waits."""
    monkeypatch.setattr(loaded, "_loaded", dict(loaded._loaded))
    with_rows(tmp_path, "en", "'green tea house by the old town hall' = 'salon'")
    text = "its 10-K filing at a green tea house by the old town hall, no green tea house by the old town "
    text += "gate, at a 5:1 ratio as they said"
    async with opened(tmp_path, replace(SPANISH, language="en"), writes=True) as (engine, _, session):
        for letter in text:
            session.feed(letter)
            await settle()
        session.finish()
        await collect(session)
    said = "its ten K filing at a salon, no green tea house by the old town gate, "
    said += "at a five to one ratio as they said"
    assert engine.words == WORD.findall(said)


async def test_open_segments_end_with_sentences(tmp_path: Path) -> None:
    sentences = [
        "Esta es la primera frase de un texto largo.",
        "¿No sería mejor que viniera la segunda de inmediato?",
        "Y con la tercera termina el párrafo entero de hoy.\n\n",
        "El segundo párrafo dice otra cosa distinta de todo aquello.",
    ]
    text = " ".join(sentences).replace("\n ", "\n")
    async with opened(tmp_path, writes=True) as (engine, _, session):
        for character in text:
            session.feed(character)
            await settle()
        session.finish()
        chunks = await collect(session)
    assert [seen[-1] for seen in engine.seen] == [sentence.strip() for sentence in sentences]
    assert len(engine.written) == 4
    boundaries = [written.boundary for written in engine.written]
    assert boundaries == [Boundary.SENTENCE, Boundary.SENTENCE, Boundary.PARAGRAPH, Boundary.SENTENCE]
    expected_s = len("".join(engine.words)) * LETTER_S
    expected_s += 2 * PAUSES_S[Boundary.SENTENCE] + PAUSES_S[Boundary.PARAGRAPH]
    assert len(audio(chunks)) / RATE == pytest.approx(expected_s, abs=0.01)


@pytest.mark.parametrize("end", ["flush", "finish"])
async def test_flush_and_finish_speak_half_a_word(tmp_path: Path, end: str) -> None:
    async with opened(tmp_path, writes=True) as (engine, _, session):
        session.feed("uno dos tres cua")
        await settle()
        assert engine.seen[-1][-1] == "uno dos tres"
        getattr(session, end)()
        await settle()
        assert engine.words == ["uno", "dos", "tres", "cua"]
        if end == "flush":
            session.feed("tro cinco seis ")
            await settle()
            assert engine.seen[-1][-1] == "tro cinco seis"
            session.finish()
        await collect(session)
    assert engine.words[4:] == (["tro", "cinco", "seis"] if end == "flush" else [])


@pytest.mark.parametrize("later", [False, True])
async def test_complete_text_is_not_streamed(tmp_path: Path, later: bool) -> None:
    """Neither are complete sentences, nor text that is played back later."""
    engine = ToneEngine(writes=True)
    async with serving(engine, tmp_path) as service:
        async with service.open(SPANISH, protocol="test", terms=Terms(low_latency=not later)) as session:
            for text in ("Una frase de unas cuantas palabras. ", "Y otra que la sigue sin más"):
                session.feed(text)
                if later:
                    await settle()
            session.finish()
            await collect(session)
    assert not engine.written
    assert len(engine.segments) == 2


async def test_complete_sentences_come_before_an_open_one(tmp_path: Path) -> None:
    async with opened(tmp_path, writes=True, allow=0) as (engine, _, session):
        session.feed("La primera frase se abre mientras ")
        await settle()
        session.feed("se escribe. La segunda, que es algo más larga, llega entera. La tercera no acaba ")
        await engine.permit(None)
        await settle()
        assert [segment.text.split()[1] for segment in engine.segments] == ["primera", "segunda,", "tercera"]
        assert [written.text.split()[1] for written in engine.written] == ["primera", "tercera"]
        session.cancel()


async def test_sessions_that_wait_for_text_share_a_slot(tmp_path: Path) -> None:
    texts = ["uno dos tres cuatro cinco seis", "siete ocho nueve diez once doce"]
    async with opened(tmp_path, writes=True) as (engine, service, first):
        async with service.open(SPANISH, protocol="test") as second:
            for pair in zip(*(text.split() for text in texts), strict=True):
                for session, word in zip([first, second], pair, strict=True):
                    session.feed(word + " ")
                await settle()
                assert service.state().slots_in_use == 0
            assert engine.under_way == 2
            assert sorted(engine.words) == sorted("uno dos tres cuatro siete ocho nueve diez".split())
            for session in (first, second):
                session.finish()
            lengths = [len(audio(await collect(session))) / RATE for session in (first, second)]
    assert lengths == pytest.approx([len(text.replace(" ", "")) * LETTER_S for text in texts], abs=0.01)


@pytest.mark.parametrize("how", ["cancel", "leave"])
async def test_cancel_while_waiting_for_text(tmp_path: Path, how: str) -> None:
    engine = ToneEngine(writes=True)
    async with serving(engine, tmp_path) as service:
        async with service.open(SPANISH, protocol="test") as session:
            await feed(session, "uno dos tres cuatro")
            assert engine.under_way == 1
            if how == "cancel":
                session.cancel()
                session.feed("cinco seis ")
                with pytest.raises(SpeechCancelled):
                    await collect(session)
        assert engine.under_way == 0
        await speak(service, "otra vez")
    assert engine.words == ["uno", "dos", "otra", "vez"]


@pytest.mark.parametrize("turns", [0, 1, 2, 30])
async def test_cancel_while_waiting_for_a_slot(tmp_path: Path, turns: int) -> None:
    """Also ``turns`` turns of the event loop after the slot became free."""
    async with opened(tmp_path, writes=True) as (engine, service, other):
        async with service.open(SPANISH, protocol="test") as session:
            await feed(session, "uno dos tres cuatro")
            engine.allow = 0
            other.feed("cinco")
            other.finish()
            await settle()
            session.feed("seis ")
            await settle()
            assert (service.state().slots_in_use, service.state().waiting) == (1, 1)
            if turns:
                engine.allow = None
                engine.moved.set()
                for _ in range(turns):
                    await asyncio.sleep(0)
            session.cancel()
        assert service.state().waiting == 0
        await engine.permit(None)
        await collect(other)
    assert engine.words[:2] == ["uno", "dos"] and "cinco" in engine.words


async def paced(session: SpeechSession) -> None:
    """Feed ``session`` one long sentence, a word of it said in a second."""
    session.feed("abcdefghij " * 15)
    session.finish()
    await settle()


async def test_slow_reader_yields_its_slot_unless_the_engine_cannot_pause(tmp_path: Path) -> None:
    async with opened(tmp_path, rests=True, ahead_s=4.0) as (engine, service, slow):
        await paced(slow)
        assert len(engine.words) == 5
        assert (engine.under_way, service.state().slots_in_use) == (1, 0)
        await speak(service, "otra voz")
        assert engine.words[5:] == ["otra", "voz"]
        reader = aiter(slow)
        for _ in range(2):
            heard = [await anext(reader)]
            await settle()
            assert len(engine.words) == 7
        heard.append(await anext(reader))
        await settle()
        assert len(engine.words) == 9 and service.state().slots_in_use == 0
        heard += [chunk async for chunk in reader]
    assert len(engine.segments) == 2
    assert engine.words.count("abcdefghij") == 15
    assert len(audio(heard)) == 14 * RATE + round(TAIL_S * RATE)
    async with opened(tmp_path, ahead_s=4.0) as (engine, service, slow):
        await paced(slow)
        assert engine.words == ["abcdefghij"] * 15
        assert service.state().slots_in_use == 0


@pytest.mark.parametrize("how", ["cancel", "leave"])
@pytest.mark.parametrize("waits_for_its_slot", [False, True])
async def test_cancel_while_the_slot_is_yielded(tmp_path: Path, how: str, waits_for_its_slot: bool) -> None:
    async with opened(tmp_path, rests=True, ahead_s=4.0) as (engine, service, other):
        async with service.open(SPANISH, protocol="test") as slow:
            await paced(slow)
            assert (engine.under_way, service.state().slots_in_use) == (1, 0)
            if waits_for_its_slot:
                engine.allow = engine.steps
                other.feed("otra voz")
                other.finish()
                await settle()
                reader = aiter(slow)
                for _ in range(3):
                    await anext(reader)
                await settle()
                assert (service.state().slots_in_use, service.state().waiting) == (1, 1)
            if how == "cancel":
                slow.cancel()
                await settle()
                assert engine.under_way == service.state().slots_in_use == int(waits_for_its_slot)
        assert engine.under_way == service.state().slots_in_use == int(waits_for_its_slot)
        await engine.permit(None)
        other.finish()
        await collect(other)


async def test_slow_reader_of_growing_text(tmp_path: Path) -> None:
    async with opened(tmp_path, rests=True, writes=True, ahead_s=4.0) as (engine, service, session):
        await feed(session, " ".join(["abcdefghij"] * 12))
        assert len(engine.words) == 5 and service.state().slots_in_use == 0
        reader = aiter(session)
        heard = [await anext(reader) for _ in range(3)]
        await settle()
        assert len(engine.words) == 7 and service.state().slots_in_use == 0
        session.finish()
        heard += [chunk async for chunk in reader]
    assert len(engine.words) == 12
    assert len(audio(heard)) == pytest.approx(12 * RATE, abs=2)


async def test_text_behind_max_tokens_is_not_spoken(tmp_path: Path) -> None:
    """The next sentence is, with its pause."""
    text = "unas cuantas palabras que nadie oye ya hasta el final de la frase. Otras dos y más palabras "
    async with opened(tmp_path, replace(SPANISH, max_tokens=50), writes=True) as (engine, service, session):
        for count, word in enumerate(text.split(), 1):
            session.feed(word + " ")
            await settle()
            if count == 7:
                assert session.truncated and engine.under_way == 0 and service.state().slots_in_use == 0
        session.finish()
        chunks = await collect(session)
    assert engine.words == ["unas", "cuantas", "Otras", "dos", "y", "más"]
    samples = audio(chunks)
    pause = round(PAUSES_S[Boundary.SENTENCE] * RATE)
    assert len(samples) == 2 * RATE + pause
    assert not samples[RATE : RATE + pause].any()
    assert_tiles(spans_of(chunks), len(text))
    # The session may also be finished amid such text.
    async with opened(tmp_path, replace(SPANISH, max_tokens=25), writes=True) as (_, _, session):
        await feed(session, "palabras que sobran y sobran")
        session.finish()
        assert len(audio(await collect(session))) == RATE // 2
        assert session.truncated


async def test_speed_beyond_the_engines_range(tmp_path: Path) -> None:
    text = "palabras cortas sueltas que alguien escribe despacio "
    how = {"writes": True, "native": (0.8, 1.25)}
    async with opened(tmp_path, replace(SPANISH, speed=2.0), **how) as (engine, _, session):
        reading = asyncio.create_task(collect(session))
        await feed(session, text.strip())
        session.finish()
        chunks = await reading
    assert len(engine.written) == 1
    expected_s = len(text.replace(" ", "")) * LETTER_S / 2
    assert len(audio(chunks)) / RATE == pytest.approx(expected_s, rel=0.02, abs=0.02)
    spans = spans_of(chunks)
    assert_tiles(spans, len(text))
    assert spans[-1].end_s == pytest.approx(expected_s, rel=0.02, abs=0.02)


async def test_engine_breaks_on_growing_text(tmp_path: Path) -> None:
    async with opened(tmp_path, writes=True) as (engine, _, session):
        await feed(session, "uno kaputt tres cuatro cinco. Y otra frase")
        session.finish()
        heard = []
        with pytest.raises(EngineFailed):
            async for chunk in session:
                heard.append(chunk)
    assert audio(heard).any() and engine.words == ["uno"]


class Watch(Observer):
    def __init__(self) -> None:
        self.reported: list[tuple[str, float]] = []

    def first_audio(self, protocol: str, engine: str, seconds: float) -> None:
        self.reported.append(("first audio", seconds))

    def segment_synthesized(self, protocol: str, engine: str, wall_s: float, audio_s: float) -> None:
        self.reported += [("wall", wall_s), ("audio", audio_s)]

    def session_cancelled(self, protocol: str) -> None:
        self.reported.append(("cancelled", 0.0))


async def test_reports_of_sessions_hold_no_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch, waited_s = Watch(), 0.0
    clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() + waited_s)
    monkeypatch.setattr("kani.core.session.slots.time", clock)
    async with opened(tmp_path, observer=watch, ahead_s=4.0, writes=True, rests=True) as (_, _, session):
        await feed(session, "abcdefghij " * 3)
        waited_s += 2 * WITHIN_S
        await feed(session, "abcdefghij " * 5)
        waited_s += 2 * WITHIN_S
        session.finish()
        await collect(session)
    reported = dict(watch.reported)
    assert [name for name, _ in watch.reported] == ["first audio", "wall", "audio"]
    assert reported["audio"] == pytest.approx(8.0, abs=0.01)
    assert 0 < reported["wall"] < WITHIN_S
    watch.reported.clear()
    async with opened(tmp_path, observer=watch, writes=True) as (_, _, session):
        await feed(session, "uno dos tres cuatro")
    assert [name for name, _ in watch.reported] == ["first audio", "cancelled"]


class Rests:
    """Counts how often, and tells when, a place rests."""

    count, now = 0, False

    @asynccontextmanager
    async def rest(self) -> AsyncIterator[None]:
        self.count += 1
        self.now = True
        yield
        self.now = False


async def test_wait_for_more_returns_at_once_if_text_is_there() -> None:
    rests = Rests()
    written = IncrementalText(TextSegment(3, "uno dos"), rests.rest, VERBATIM)
    await written.wait_for_more(4)
    assert rests.count == 0
    await written.wait_for_more(7, timeout_s=0.001)
    assert (rests.count, rests.now, written.text) == (1, False, "uno dos")
    waiting = asyncio.create_task(written.wait_for_more(7))
    await settle()
    written.extend("")
    await settle()
    assert rests.now and not waiting.done()
    written.extend(" tres")
    await waiting
    assert written.text == "uno dos tres" and written.spoken.origin(8, 12) == (11, 15)
    waiting = asyncio.create_task(written.wait_for_more(12))
    await settle()
    written.close(Boundary.SENTENCE)
    await waiting
    await written.wait_for_more(12)
    assert rests.count == 3 and written.boundary is Boundary.SENTENCE
