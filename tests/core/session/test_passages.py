"""Passages of a text: SSML, pauses, other scripts and languages, and what is no speech."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kani.core.audio.prosody_filter import PAUSES_S
from kani.core.engine import Reading
from kani.core.errors import InvalidRequest
from kani.core.service import SpeechService
from kani.core.session.worker import UNDERRUN_PAUSE_S
from kani.core.types import Boundary, Emphasis, SpeechChunk, SpeechRequest
from kani.engines.espeak.engine import EspeakEngine
from kani_text.foreign_passages import ForeignPassage, outside_quotations
from tests.core.timing.test_spans import assert_tiles
from tests.support.event_loop import settle
from tests.support.sessions import SPANISH, audio, collect, fed, serving, silent, spans_of, speak, started
from tests.support.tone import LETTER_S, RATE, ToneEngine, tones


def two_engines(folder: Path) -> AbstractAsyncContextManager[SpeechService]:
    """Tones for Spanish and English; espeak-ng, with another sample rate, for the rest."""
    return started(folder, ToneEngine(), EspeakEngine())


async def test_foreign_passage_is_spoken_by_engine_of_its_language(tmp_path: Path) -> None:
    text = "Dijo «добрый день» y se fue."
    async with two_engines(tmp_path) as service, fed(service, text) as session:
        chunks = await collect(session)
        assert session.resolved_voice.voice == "tone_es"
        assert session.foreign_passages == [ForeignPassage(5, 18, "ru", "espeak:ru", "espeak")]
    spans = spans_of(chunks)
    assert_tiles(spans, len(text))
    assert {chunk.sample_rate for chunk in chunks} == {RATE}
    words = {text[span.start : span.end]: span for span in spans}
    for word in ("добрый", "день", "fue"):
        span = words[word]
        assert span.end_s - span.start_s > 0.1
        assert np.abs(audio(chunks)[round(span.start_s * RATE) : round(span.end_s * RATE)]).max() > 0.02


QUOTING = 'Dice "could not connect to the server" otra vez.'
INSIDE = QUOTING.index('"'), QUOTING.index(" otra")


@pytest.mark.parametrize(
    ("request_", "voice"),
    [
        (SpeechRequest(), "tone_es"), (SPANISH, "tone_es"), (SpeechRequest(voice="tone_en"), "tone_en"),
        (SpeechRequest(voices={"en": "tone_en"}), "tone_en"),
    ],
)  # fmt: skip
async def test_quotation_is_in_its_language_by_the_same_speaker(
    engine: ToneEngine, service: SpeechService, request_: SpeechRequest, voice: str
) -> None:
    async with fed(service, QUOTING, request_) as session:
        chunks = await collect(session)
    assert session.foreign_passages == [ForeignPassage(*INSIDE, "en", voice, engine.info.name)]
    assert_tiles(spans_of(chunks), len(QUOTING))
    assert [segment.language for segment in engine.segments] == ["es", "en", "es"]
    # No pause is at a place without a mark.
    assert {segment.boundary for segment in engine.segments[:2]} == {Boundary.SEAM}


async def test_quotation_is_spoken_as_the_rest_where_that_is_wanted(
    engine: ToneEngine, service: SpeechService
) -> None:
    await speak(service, QUOTING, replace(SPANISH, quotations=False))
    assert {segment.language for segment in engine.segments} == {"es"}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ('Me dijo: "we could not connect to the server, please try again later" y ya.', "es"),
        ('She said "no te vayas todavía, que es muy pronto para irse" to him.', "en"),
        ('"could not connect to the server"', "en"),
    ],
)
async def test_language_of_a_text_is_that_outside_of_quotations(
    service: SpeechService, text: str, language: str
) -> None:
    async with service.open(SpeechRequest(), protocol="test") as session:
        for word in text.split(" "):
            session.feed(f"{word} ")
        session.finish()
        await collect(session)
        assert session.resolved_voice.language == language


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("pt", 'A professora leu "once upon a time there was a little girl" alto.'),
        ("pt", 'O que significa "the customer is always right in matters of taste"?'),
        ("fr", "L'affiche montre « the show must go on »."),
        ("de", "Anna flüsterte „it is much too late for that“."),
    ],
)
async def test_words_around_a_quotation_are_in_the_likeliest_language(
    tmp_path: Path, language: str, text: str
) -> None:
    """None of them has half of the probability, so that without a quotation the default would speak."""
    engine = ToneEngine(languages=("de", "en", "es", "fr", "it", "pt"))
    async with started(tmp_path, engine, default_language="en") as service:
        async with fed(service, text, SpeechRequest()) as session:
            await collect(session)
            assert session.resolved_voice.language == language
        async with fed(service, outside_quotations(text), SpeechRequest()) as session:
            await collect(session)
            assert session.resolved_voice.language == "en"


async def test_name_before_a_bracket_does_not_tell_the_language(tmp_path: Path) -> None:
    engine = ToneEngine(languages=("de", "en", "es", "fr", "it", "pt"))
    text = "Angela Merkel (born in 1954)"
    async with started(tmp_path, engine, default_language="en") as service:
        async with fed(service, text, SpeechRequest()) as session:
            await collect(session)
            assert session.resolved_voice.language == "en"


async def test_greek_and_code_are_read(tmp_path: Path, engine: ToneEngine, service: SpeechService) -> None:
    async with two_engines(tmp_path) as both, fed(both, "El número π es algo más que tres.") as session:
        await collect(session)
        assert session.foreign_passages == []
    await speak(service, "Mira:\n```\nx = 1\n```\nFin.")
    assert [word.lower() for word in engine.words] == ["mira", "bloque", "de", "código", "fin"]


async def test_spoken_forms_join_to_engine_text(engine: ToneEngine, service: SpeechService) -> None:
    text = "**Hay 21 casas** y `3 km`, ¿no? Sí."
    chunks = await speak(service, text)
    spans = spans_of(chunks)
    assert_tiles(spans, len(text))
    said = "".join(span.spoken_form or "" for span in spans)
    assert said.split() == " ".join(segment.text for segment in engine.segments).split()
    by_written = {text[span.start : span.end]: span.spoken_form for span in spans}
    assert (by_written["21"], by_written["casas"]) == ("veintiuna", "casas")


@pytest.mark.parametrize(
    ("text", "request_", "words"),
    [
        ("Usa SQL ya.", replace(SPANISH, lexicon={"SQL": "sícuel"}), ["Usa", "sícuel", "ya"]),
        ("Hay 21 casas.", replace(SPANISH, normalize=False), ["Hay", "21", "casas"]),
    ],
)
async def test_request_changes_spoken_form(
    engine: ToneEngine, service: SpeechService, text: str, request_: SpeechRequest, words: list[str]
) -> None:
    await speak(service, text, request_)
    assert engine.words == words


@pytest.mark.parametrize("writes", [False, True])
async def test_number_at_segment_start_is_read_alone(tmp_path: Path, writes: bool) -> None:
    engine = ToneEngine(writes=writes)
    async with serving(engine, tmp_path) as service, service.open(SPANISH, protocol="test") as session:
        session.feed("Nací en 1990")
        session.flush()
        session.feed(" 30 casas hay.")
        session.finish()
        await collect(session)
    assert engine.words[-3:] == ["treinta", "casas", "hay"]


WORD_S = 4 * LETTER_S


async def test_spans_tile_the_document_and_marks_have_times(service: SpeechService) -> None:
    text = '<speak>casa <mark name="a"/>mesa <break time="2s"/><mark name="b"/>silo<mark name="end"/></speak>'
    async with fed(service, text) as session:
        chunks = await collect(session)
        marks = {mark.name: (mark.at, round(mark.time_s, 3)) for mark in session.marks}
    assert_tiles(spans_of(chunks), len(text), pauses=1)
    words = [span for span in spans_of(chunks) if span.spoken_form in ("mesa", "silo")]
    assert [text[word.start : word.end] for word in words] == ["mesa", "silo"]
    length_s = len(audio(chunks)) / RATE
    assert length_s == pytest.approx(3 * WORD_S + 2)
    assert silent(chunks, 2 * WORD_S, 2 * WORD_S + 2)
    assert marks == {
        "a": (text.index("mesa"), pytest.approx(WORD_S, abs=0.01)),
        "b": (text.index("silo"), pytest.approx(2 * WORD_S + 2, abs=0.01)),
        "end": (len(text), pytest.approx(length_s)),
    }


@pytest.mark.parametrize("writes", [False, True])
async def test_pieces_of_a_document_are_one(tmp_path: Path, writes: bool) -> None:
    text = "<speak>casa <prosody rate='50%'>mesa</prosody></speak>"
    async with serving(ToneEngine(writes=writes), tmp_path) as service:
        whole = audio(await speak(service, text))
        async with service.open(SPANISH, protocol="test") as session:
            session.feed("<speak")
            for character in text.removeprefix("<speak"):
                session.feed(character)
                session.flush()
            session.finish()
            pieces = audio(await collect(session))
    assert len(whole) / RATE == pytest.approx(WORD_S + 2 * WORD_S)
    assert len(pieces) == len(whole)


async def test_voices_and_languages_of_passages(service: SpeechService) -> None:
    text = (
        '<speak>casa <voice name="tone_en">home</voice> <voice name="nobody">mesa</voice>'
        ' <lang xml:lang="en-GB">table</lang> <lang xml:lang="tlh">silo</lang></speak>'
    )
    async with fed(service, text) as session:
        await collect(session)
        passages = session.foreign_passages
        spoken = {text[one.start : one.end].split("<")[0].strip(): one.voice for one in passages}
        unused = session.unused_fields
    assert spoken == {"home": "tone_en", "table": "tone_en"}
    assert unused == ["ssml.lang", "ssml.voice"]


@pytest.mark.parametrize("emphasizes", [True, False])
async def test_emphasized_word_is_part_of_its_phrase_where_an_engine_can(
    engine: ToneEngine, service: SpeechService, emphasizes: bool
) -> None:
    engine.info = replace(engine.info, reading=Reading(emphasizes=emphasizes))
    await speak(service, '<speak>casa <emphasis level="strong">mesa</emphasis> silo</speak>')
    said = [(segment.text, segment.speed, segment.emphases) for segment in engine.segments]
    if emphasizes:
        assert said == [("casa mesa silo", 1.0, (Emphasis(5, 9, 0.85, 1.0, 3.0),))]
    else:
        assert said == [("casa", 1.0, ()), ("mesa", 0.85, ()), ("silo", 1.0, ())]


async def test_emphasis_is_named_where_another_engine_speaks(tmp_path: Path) -> None:
    info = ToneEngine(languages=("es",)).info
    other = ToneEngine(languages=("en",)).info
    engines = tones(replace(info, reading=Reading(emphasizes=True)), replace(other, name="other"))
    text = '<speak>casa <voice name="tone_en">home <emphasis>table</emphasis></voice></speak>'
    async with started(tmp_path, *engines) as service:  # type: ignore[arg-type]
        async with fed(service, text) as session:
            await collect(session)
            assert session.unused_ssml == ["ssml.emphasis"]
    assert [segment.text for segment in engines[1].segments] == ["home table"]
    assert engines[1].segments[0].emphases == ()


@pytest.mark.parametrize("duration_s", [None, 4.0])
async def test_fault_comes_before_any_sound(service: SpeechService, duration_s: float | None) -> None:
    async with fed(service, "<speak>uno</p>", replace(SPANISH, duration_s=duration_s)) as session:
        with pytest.raises(InvalidRequest, match="line 1, column 11: </p> comes before </speak>"):
            await collect(session)


@pytest.mark.parametrize(
    ("text", "request_", "length_s", "unused"),
    [
        ("<speak>casa <prosody rate='50%'>mesa</prosody> silo</speak>", {"duration_s": 2.0}, 2.0, []),
        # Tags are masked as in any text, and nothing is refused.
        ("<speak>casa</p>", {"ssml": False}, WORD_S, []),
        ('<speak><phoneme ph="ˈmesa">casa</phoneme></speak>', {}, WORD_S, ["ssml.phoneme"]),
        ("[casa](/ˈmesa/)", {}, WORD_S, ["ssml.phoneme"]),
        ("[casa](/mesa/)", {}, WORD_S, []),
    ],
    ids=["fills the duration", "tags are text", "no IPA is spoken", "nor in a link", "a link"],
)
async def test_document_is_spoken_as_the_request_and_the_engine_say(
    service: SpeechService, text: str, request_: dict[str, Any], length_s: float, unused: list[str]
) -> None:
    async with fed(service, text, replace(SPANISH, **request_)) as session:
        assert len(audio(await collect(session))) / RATE == pytest.approx(length_s)
        assert session.unused_ssml == unused


@pytest.mark.parametrize("writes", [False, True])
async def test_pause_is_silence_with_empty_span(tmp_path: Path, writes: bool) -> None:
    async with serving(ToneEngine(writes=writes), tmp_path) as service:
        async with service.open(SPANISH, protocol="test") as session:
            session.feed("uno ")
            session.add_pause(2.0)
            session.add_pause(0.5)
            session.feed("dos")
            session.finish()
            chunks = await collect(session)
    spans = spans_of(chunks)
    rests = [span for span in spans if span.start == span.end]
    assert [(span.start, span.end) for span in rests] == [(4, 4), (4, 4)]
    assert [span.end_s - span.start_s for span in rests] == pytest.approx([2.0, 0.5])
    assert rests[1].start_s == pytest.approx(rests[0].end_s)
    assert silent(chunks, rests[0].start_s, rests[1].end_s)
    assert not silent(chunks, rests[1].end_s, rests[1].end_s + 3 * LETTER_S)
    assert len(audio(chunks)) == round((6 * LETTER_S + 2.5) * RATE)
    assert_tiles(spans, len("uno dos"), pauses=2)


async def test_pause_before_text_waits_for_voice(service: SpeechService) -> None:
    text = "Buenos días, ¿cómo está usted?"
    async with service.open(SpeechRequest(), protocol="test") as session:
        session.add_pause(1.0)
        await settle()
        session.feed(text)
        session.finish()
        chunks = await collect(session)
    assert silent(chunks, 0.0, 1.0) and not silent(chunks, 1.0, 1.5)
    spans = spans_of(chunks)
    assert (spans[0].start_s, spans[0].end_s) == (0.0, 1.0)
    assert_tiles(spans, len(text), pauses=1)
    async with service.open(SpeechRequest(), protocol="test") as session:
        session.add_pause(1.0)
        session.finish()
        assert await collect(session) == []


def said_s(text: str) -> float:
    return sum(map(str.isalpha, text)) * LETTER_S


@pytest.mark.parametrize(
    ("writes", "text", "rest", "pause"),
    [
        (False, "Uno dos tres cuatro cinco seis siete ocho nueve. A", "diós.", Boundary.SENTENCE),
        (True, "uno dos ", "tres", Boundary.CLAUSE),
    ],
    ids=["sentence", "flush"],
)
async def test_underrun_sends_part_of_pause_and_a_flush_the_whole(
    tmp_path: Path, writes: bool, text: str, rest: str, pause: Boundary
) -> None:
    found: list[SpeechChunk] = []

    async def read() -> None:
        async for chunk in session:
            found.append(chunk)

    async with serving(ToneEngine(writes=writes), tmp_path) as service:
        async with service.open(SPANISH, protocol="test") as session:
            session.feed(text)
            if pause is Boundary.CLAUSE:
                session.flush()
            reader = asyncio.create_task(read())
            await settle()
            before_s = said_s(text.rpartition(". ")[0] or text)
            sent_s = UNDERRUN_PAUSE_S if pause is Boundary.SENTENCE else PAUSES_S[pause]
            assert len(audio(found)) == round((before_s + sent_s) * RATE)
            session.feed(rest)
            session.finish()
            await reader
    assert len(audio(found)) == round((said_s(text + rest) + PAUSES_S[pause]) * RATE)
    assert [one.end_s for one in found[:-1]] == pytest.approx([two.start_s for two in found[1:]])


async def test_complete_text_has_no_underrun_silence(service: SpeechService) -> None:
    text = "Uno dos tres cuatro cinco seis siete ocho nueve. Adiós a todos."
    expected_s = said_s(text) + PAUSES_S[Boundary.SENTENCE]
    assert len(audio(await speak(service, text))) == round(expected_s * RATE)


LONG = {
    "es": "El viejo relojero de la esquina todavía repara todos los relojes de sus vecinos con sus manos.",
    "en": "The old watchmaker on the corner still repairs every clock that his neighbours bring to him.",
}


@pytest.mark.parametrize("language", LONG)
async def test_language_is_detected_early_however_text_is_cut(service: SpeechService, language: str) -> None:
    tags, text = set(), LONG[language]
    for step in (1, 7, 24, len(text)):
        async with service.open(SpeechRequest(), protocol="test") as session:
            for first, last in pairwise([*range(0, len(text), step), len(text)]):
                session.feed(text[first:last])
                if last >= 40:
                    assert session.resolved_voice.language == language
            session.finish()
            chunks = await collect(session)
            tags.add((session.resolved_voice.voice, len(audio(chunks))))
    assert len(tags) == 1


async def test_undetected_language_falls_back_after_80_characters(service: SpeechService) -> None:
    async with service.open(SpeechRequest(), protocol="test") as session:
        for _ in range(79 // 4):
            session.feed("12, ")
            with pytest.raises(RuntimeError):
                assert session.resolved_voice
        session.feed("12, 12.")
        assert session.resolved_voice.language == "es"
        session.finish()
        await collect(session)
