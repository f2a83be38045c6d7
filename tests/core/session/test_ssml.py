"""Sessions that are fed SSML."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kani.core.errors import InvalidRequest
from kani.core.types import Emphasis, SpeechRequest
from tests.core.timing.test_spans import assert_tiles
from tests.support.sessions import SPANISH, audio, build, collect, fed, serving, silent, spans_of, speak
from tests.support.tone import LETTER_S, RATE, ToneEngine, tones

WORD_S = 4 * LETTER_S


async def test_spans_tile_the_document_and_marks_have_times(tmp_path: Path) -> None:
    text = '<speak>casa <mark name="a"/>mesa <break time="2s"/><mark name="b"/>silo<mark name="end"/></speak>'
    async with serving(ToneEngine(), tmp_path) as service, fed(service, text) as session:
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


async def test_voices_and_languages_of_passages(tmp_path: Path) -> None:
    text = (
        '<speak>casa <voice name="tone_en">home</voice> <voice name="nobody">mesa</voice>'
        ' <lang xml:lang="en-GB">table</lang> <lang xml:lang="tlh">silo</lang></speak>'
    )
    async with serving(ToneEngine(), tmp_path) as service, fed(service, text) as session:
        await collect(session)
        passages = session.foreign_passages
        spoken = {text[one.start : one.end].split("<")[0].strip(): one.voice for one in passages}
        unused = session.unused_fields
    assert spoken == {"home": "tone_en", "table": "tone_en"}
    assert unused == ["ssml.lang", "ssml.voice"]


@pytest.mark.parametrize("emphasizes", [True, False])
async def test_emphasized_word_is_part_of_its_phrase_where_an_engine_can(
    tmp_path: Path, emphasizes: bool
) -> None:
    engine = ToneEngine()
    engine.info = replace(engine.info, emphasizes=emphasizes)
    async with serving(engine, tmp_path) as service:
        await speak(service, '<speak>casa <emphasis level="strong">mesa</emphasis> silo</speak>')
    said = [(segment.text, segment.speed, segment.emphases) for segment in engine.segments]
    if emphasizes:
        assert said == [("casa mesa silo", 1.0, (Emphasis(5, 9, 0.85, 1.0, 3.0),))]
    else:
        assert said == [("casa", 1.0, ()), ("mesa", 0.85, ()), ("silo", 1.0, ())]


async def test_emphasis_is_named_where_another_engine_speaks(tmp_path: Path) -> None:
    info = ToneEngine(languages=("es",)).info
    other = ToneEngine(languages=("en",)).info
    engines = tones(replace(info, emphasizes=True), replace(other, name="other"))
    text = '<speak>casa <voice name="tone_en">home <emphasis>table</emphasis></voice></speak>'
    service = build(tmp_path, *engines)  # type: ignore[arg-type]
    await service.start()
    async with fed(service, text) as session:
        await collect(session)
        assert session.unused_ssml == ["ssml.emphasis"]
    await service.stop()
    assert [segment.text for segment in engines[1].segments] == ["home table"]
    assert engines[1].segments[0].emphases == ()


async def test_phoneme_is_named_where_no_ipa_is_spoken(tmp_path: Path) -> None:
    text = '<speak><phoneme ph="ˈmesa">casa</phoneme></speak>'
    async with serving(ToneEngine(), tmp_path) as service, fed(service, text) as session:
        assert len(audio(await collect(session))) / RATE == pytest.approx(WORD_S)
        assert session.unused_ssml == ["ssml.phoneme"]


@pytest.mark.parametrize("duration_s", [None, 4.0])
async def test_fault_ends_the_session_before_any_sound(tmp_path: Path, duration_s: float | None) -> None:
    request = SpeechRequest(language="es", duration_s=duration_s)
    async with serving(ToneEngine(), tmp_path) as service, fed(service, "<speak>uno</p>", request) as session:
        with pytest.raises(InvalidRequest, match="line 1, column 11: </p> comes before </speak>"):
            await collect(session)


async def test_document_fills_the_duration_asked_for(tmp_path: Path) -> None:
    request = SpeechRequest(language="es", duration_s=2.0)
    async with serving(ToneEngine(), tmp_path) as service:
        text = "<speak>casa <prosody rate='50%'>mesa</prosody> silo</speak>"
        chunks = await speak(service, text, request)
    assert len(audio(chunks)) / RATE == pytest.approx(2.0)


async def test_request_may_say_that_tags_are_text(tmp_path: Path) -> None:
    request = SpeechRequest(language="es", ssml=False)
    async with serving(ToneEngine(), tmp_path) as service:
        # Tags are masked as in any text, and nothing is refused.
        chunks = await speak(service, "<speak>casa</p>", request)
    assert len(audio(chunks)) / RATE == pytest.approx(WORD_S)
