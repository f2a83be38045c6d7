"""The espeak-ng engine: voices, chunks and spans, cancellation, prosody, and its reference voice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from kani.core.errors import UnknownVoice, UnsupportedLanguage
from kani.core.timing.spans import spread
from kani.core.timing.word_times import add_word_times
from kani.core.types import NEUTRAL, Prosody, Segment, Span, SpeechChunk
from kani.engines.espeak.engine import SPEED_RANGE, EspeakEngine, EspeakReferenceVoice, pitch_parameters
from kani.engines.espeak.native import PhonemeEvent, WordEvent
from kani.engines.espeak.words import KEPT_SILENCE_S, SILENCE_LEVEL, WordChunker, WordGroup, WordGrouper
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE
from tests.engines.packages.life import started
from tests.support.kokoro import semitones

RATE = 22050


@pytest.fixture
async def engine() -> AsyncIterator[EspeakEngine]:
    async with started(EspeakEngine()) as engine:
        yield engine


async def say(
    engine: EspeakEngine, text: str, voice: str = "es", language: str = "es", **options: Any
) -> list[SpeechChunk]:
    segment = Segment(text, f"espeak:{voice}", language, **options)
    return [chunk async for chunk in engine.synthesize(segment)]


def samples_of(chunks: list[SpeechChunk]) -> np.ndarray:
    return np.concatenate([chunk.samples for chunk in chunks])


def said(text: str, chunks: list[SpeechChunk]) -> list[str]:
    return [text[span.start : span.end] for chunk in chunks for span in chunk.spans]


async def test_info_lists_voices_and_default_voices(engine: EspeakEngine) -> None:
    info = engine.info
    voices = {voice.id: voice for voice in info.voices}
    assert info.name == "espeak" and info.sample_rate == RATE and info.times_words
    assert info.native_prosody == {"pitch", "pitch_range"}
    assert len(voices) == len(info.voices) > 120 and len(info.default_voices) > 100
    assert all(voice.id.startswith("espeak:") and voice.engine == "espeak" for voice in info.voices)
    tags = {"es-419": "es-419", "en-us": "en-US", "cmn": "zh"}
    assert {name: voices[f"espeak:{name}"].language for name in tags} == tags
    for language, voice in info.default_voices.items():
        assert voices[voice].language.partition("-")[0] == language
    expected = {"en": "en-us", "es": "es", "pt": "pt-br", "zh": "cmn", "ar": "ar", "fr": "fr", "nb": "nb"}
    expected = {language: f"espeak:{name}" for language, name in expected.items()}
    assert expected.items() <= info.default_voices.items()


@pytest.mark.parametrize(
    ("voice", "text", "words"),
    [
        ("es", "¿Qué tal, José? ¡Bien!", ["Qué", "tal", "José", "Bien"]),
        ("es", "Son 1.234,56 euros.", ["Son", "1.234,56", "euros"]),
        ("es", "«Hola» (dijo) él", ["Hola", "dijo", "él"]),
        ("en-us", "one of the well-known in it", ["one", "of", "the", "well-known", "in", "it"]),
        ("en-us", "It’s “fine”—really", ["It’s", "fine”—really"]),
        ("fr", "l'homme n'est-ce pas", ["l'homme", "n'est-ce", "pas"]),
        ("ar", "مرحبا، كيف حالك؟", ["مرحبا", "كيف", "حالك"]),
        ("es", "  dos   espacios ", ["dos", "espacios"]),
    ],
)
async def test_spans_are_written_words(engine: EspeakEngine, voice: str, text: str, words: list[str]) -> None:
    chunks = await say(engine, text, voice, voice[:2])
    assert said(text, chunks) == words
    spans = [span for chunk in chunks for span in chunk.spans]
    times = [time for span in spans for time in (span.start_s, span.end_s)]
    assert times == sorted(times)
    assert spans[0].start_s <= 0.05 and times[-1] <= chunks[-1].end_s
    assert all(span.end_s > span.start_s for span in spans)


def phoneme_starts(engine: EspeakEngine, text: str, voice: str) -> list[float]:
    samples: list[int] = []
    engine._client.synthesize(text, voice, lambda *audio: samples.extend(event.sample for event in audio[2]))
    return [sample / RATE for sample in samples]


async def test_letters_are_spread_over_the_phonemes_of_their_word_or_of_joined_words(
    engine: EspeakEngine,
) -> None:
    """A word ends with its sound, before the pause after it."""
    starts = phoneme_starts(engine, "Hola, amigo", "es")
    chunks = await say(engine, "Hola, amigo")
    first, second = (span for chunk in chunks for span in chunk.spans)
    # Three phonemes, ˈo l a, for four letters; five for five.
    assert first.character_starts == pytest.approx(spread(4, [*starts[:3], first.end_s]))
    assert second.character_starts == pytest.approx(starts[3:])
    assert second.start_s - first.end_s > 0.05
    gap = samples_of(chunks)[round(first.end_s * RATE) + 1 : round(second.start_s * RATE) - 1]
    assert np.abs(gap).max() * 32768 <= SILENCE_LEVEL
    text = "One of the well-known in it"
    chunks = await say(engine, text, "en-us", "en")
    begins = {text[span.start : span.end]: span.start_s for chunk in chunks for span in chunk.spans}
    phonemes = phoneme_starts(engine, text, "en-us")
    assert (begins["of"], begins["the"]) == pytest.approx((phonemes[3], phonemes[5]))
    group = WordGroup(((0, 1), (2, 11), (12, 13)), (1, 9, 1), 0, 300, (0, 100, 200))
    assert group.phonemes_by_word() == [(0,), (100,), (200,)]


@pytest.mark.parametrize("cut", [1, 2, 3, 9])
def test_groups_do_not_depend_on_the_batches_of_events(cut: int) -> None:
    words = [WordEvent(1, 3, 0), WordEvent(5, 3, 300), WordEvent(9, 4, 700)]
    phonemes = [PhonemeEvent(*event) for event in ((1, 0), (1, 300), (5, 380), (5, 500), (9, 750))]
    events = [words[0], *phonemes[:2], words[1], *phonemes[2:4], words[2], phonemes[4]]

    def groups(size: int) -> list[WordGroup]:
        grouping = WordGrouper("one old ship")
        found: list[WordGroup] = []
        for start in range(0, len(events), size):
            some = events[start : start + size]
            kinds = (
                [event for event in some if isinstance(event, kind)] for kind in (WordEvent, PhonemeEvent)
            )
            found += grouping.feed(*kinds)
        return found + list(grouping.finish(900))

    assert groups(cut) == groups(len(events))
    # The second word begins after the last consonant of the first, though its event does not.
    assert [(group.start_sample, group.end_sample, group.phonemes) for group in groups(cut)] == [
        *((0, 380, (0, 300)), (380, 700, (380, 500)), (700, 900, (750,)))
    ]


async def test_chunks_begin_with_their_words_and_silence_is_trimmed(engine: EspeakEngine) -> None:
    chunks = await say(engine, "Uno dos tres cuatro cinco seis siete ocho. " * 4)
    assert len(chunks) > 4 and len(chunks[0].spans) == 1
    for chunk in chunks:
        assert all(chunk.start_s <= span.start_s < chunk.end_s for span in chunk.spans)
    audio = samples_of(await say(engine, "«Hola», sí... "))
    loud = np.flatnonzero(np.abs(audio) * 32768 > SILENCE_LEVEL)
    assert loud[0] <= 0.05 * RATE
    assert len(audio) - loud[-1] <= 0.05 * RATE
    words = said("今天天气很好。", await say(engine, "今天天气很好。", "cmn", "zh"))
    assert len(words) >= 4 and "".join(words) == "今天天气很好"
    for text in ("…", " ", "?!", "\u200f"):
        assert await say(engine, text) == [], text


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("es", "El tren sale a las ocho, pero hoy llega tarde por la lluvia."),
        ("en", "The train leaves at eight, but it is late today because of the rain."),
        ("de", "Der Zug fährt um acht, aber heute hat er wegen des Regens Verspätung."),
        ("fr", "Le train part à huit heures, mais il est en retard à cause de la pluie."),
        ("ar", "القطار يغادر في الثامنة، لكنه متأخر اليوم بسبب المطر."),
    ],
)
async def test_speed_divides_the_length(engine: EspeakEngine, language: str, text: str) -> None:
    voice = engine.info.default_voices[language].removeprefix("espeak:")
    own_s = (await say(engine, text, voice, language))[-1].end_s
    for speed in (*SPEED_RANGE, 0.75, 1.25):
        chunks = await say(engine, text, voice, language, speed=speed)
        assert chunks[-1].end_s * speed == pytest.approx(own_s, rel=0.06)


async def test_voice_of_another_language_is_replaced_and_of_another_region_kept(engine: EspeakEngine) -> None:
    """One that is unknown is refused, and speech has its longest."""
    arabic, spanish = [samples_of(await say(engine, "مرحبا كيف حالك", voice, "ar")) for voice in ("ar", "es")]
    assert np.array_equal(arabic, spanish)
    spain, america = [samples_of(await say(engine, "Gracias", voice, "es-MX")) for voice in ("es", "es-419")]
    assert not np.array_equal(spain, america)
    with pytest.raises(UnknownVoice, match="espeak:nobody"):
        await say(engine, "Hola", "nobody")
    chunks = await say(engine, "palabra " * 400, max_seconds=3.0)
    assert 3.0 <= chunks[-1].end_s < 4.5


async def test_closed_generator_frees_the_engine_and_cancelled_tasks_disturb_no_other(
    engine: EspeakEngine,
) -> None:
    """Also those that wait for the thread."""
    text = "palabra " * 2000
    async with aclosing(engine.synthesize(Segment(text, "espeak:es", "es", max_seconds=2000.0))) as chunks:
        first = await anext(chunks)
    assert len(first.samples)
    # The pool has one thread: what is run in it now runs at once if it is free.
    assert await asyncio.wrap_future(engine._pool.submit(lambda: "free")) == "free"
    tasks = [asyncio.create_task(say(engine, text, max_seconds=2000.0)) for _ in range(4)]
    last = asyncio.create_task(say(engine, "Hola"))
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    assert await last


def chunked(text: str, rate: int, audio: np.ndarray, events: list[WordEvent], size: int) -> list[SpeechChunk]:
    """What of the audio and its events comes out, given in pieces of ``size`` samples."""
    chunker = WordChunker(text, rate, 1.0)
    chunks = []
    for start in range(0, max(1, len(audio)), size):
        begun = [event for event in events if start <= event.sample < start + size]
        chunks.append(chunker.feed(audio[start : start + size], begun))
    return [chunk for chunk in (*chunks, chunker.finish()) if chunk is not None]


def test_times_do_not_depend_on_the_batches_of_samples() -> None:
    audio = np.full(22050, 1000, np.int16)
    audio[8000:10000] = 0
    events = [WordEvent(1, 3, 0), WordEvent(5, 3, 10000)]
    one, other = (
        [span for chunk in chunked("uno dos", RATE, audio, events, size) for span in chunk.spans]
        for size in (1000, 22050)
    )
    assert one == other == [Span(0, 3, 0.0, 8000 / RATE), Span(4, 7, 10000 / RATE, 1.0)]


@given(
    st.text("ab ,.今é1-", max_size=30),
    st.lists(st.tuples(st.integers(-2, 40), st.integers(0, 20), st.integers(0, 4000)), max_size=12),
    st.lists(st.tuples(st.integers(0, 900), st.sampled_from([0, 5, 900])), max_size=12),
)
def test_any_events_give_valid_chunks(
    text: str, events: list[tuple[int, int, int]], runs: list[tuple[int, int]]
) -> None:
    """The samples that were received, trimmed; spans in order and within the text."""
    pieces = [np.full(length, level, np.int16) for length, level in runs]
    audio = np.concatenate([np.zeros(0, np.int16), *pieces])
    words = [WordEvent(*event) for event in sorted(events, key=lambda event: event[2])]
    got = chunked(text, 1000, audio, [word for word in words if word.sample <= len(audio)], 250)
    loud = np.flatnonzero(audio > SILENCE_LEVEL)
    if not len(loud):
        assert not got
        return
    kept = round(KEPT_SILENCE_S * 1000)
    expected = audio[max(0, loud[0] - kept) : loud[-1] + 1 + kept]
    assert np.array_equal(np.concatenate([c.samples for c in got]) * 32768, expected)
    at, before = 0.0, 0
    for chunk in got:
        for span in chunk.spans:
            assert before <= span.start < span.end <= len(text)
            assert at - 1e-9 <= span.start_s <= span.end_s <= got[-1].end_s + 1e-9
            before, at = span.end, span.end_s


TEXTS = {
    "es": "Mis primos viven en una casa de madera junto al faro.",
    "ar": "مرحبا، كيف حالك اليوم يا صديقي العزيز؟",
}


def test_neutral_prosody_is_the_voices_own_and_parameters_stay_within_the_librarys_range() -> None:
    assert pitch_parameters(NEUTRAL) == (50, 50)
    for prosody in (Prosody(pitch=99.0, pitch_range=9.0), Prosody(pitch=-99.0, pitch_range=0.1)):
        assert all(0 <= number <= 99 for number in pitch_parameters(prosody)), prosody


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize(
    "prosody",
    [
        Prosody(pitch=2.0, pitch_range=1.4),
        Prosody(pitch=-2.0, pitch_range=0.6),
        Prosody(pitch=3.5, pitch_range=1.6),
        Prosody(pitch=1.0),
    ],
)
async def test_prosody_is_rendered(engine: EspeakEngine, language: str, prosody: Prosody) -> None:
    """The pitch within 0.6 semitones, the range within three tenths."""
    spoken = [
        await say(engine, TEXTS[language], language, language, prosody=each) for each in (NEUTRAL, prosody)
    ]
    heard = (soxr.resample(samples_of(chunks), RATE, SAMPLE_RATE) for chunks in spoken)
    (own_level, own_width), (level, width) = map(semitones, heard)
    assert level - own_level == pytest.approx(prosody.pitch, abs=0.6)
    assert width / own_width == pytest.approx(prosody.pitch_range, rel=0.3)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hola, a todos los 21 de la casa.", "es"),
        ("One of the old church-men, isn't it?", "en-GB"),
        ("مرحبا، كيف حالك", "ar"),
        ("今天天气很好。", "zh"),
    ],
)
async def test_every_word_has_its_samples(text: str, language: str) -> None:
    rendered = await EspeakReferenceVoice().render(text, language, 1.0)
    assert 0.1 < np.abs(rendered.samples).max() <= 1.0
    assert 0.5 < len(rendered.samples) / rendered.sample_rate < 4.0
    at, before = 0, 0
    for word in rendered.words:
        assert at <= word.start < word.end <= len(text) and word.phonemes
        assert before <= word.sample <= word.phonemes[0]
        assert list(word.phonemes) == sorted(word.phonemes)
        at, before = word.end, word.phonemes[-1]
    assert before < len(rendered.samples)


async def test_reference_voice_has_the_librarys_speeds_and_languages() -> None:
    render = EspeakReferenceVoice().render
    lengths = [len((await render("Buenos días a todos", "es", speed)).samples) for speed in (0.5, 1, 1.5, 9)]
    assert lengths[0] > lengths[1] > lengths[2] == lengths[3]
    with pytest.raises(UnsupportedLanguage):
        await render("Hello", "xx", 1.0)


@pytest.mark.heard
@pytest.mark.parametrize(
    ("text", "voice", "language"),
    [
        ("El cartero dejó un paquete enorme delante de la puerta del garaje.", "em_alex", "es"),
        ("The postman left a huge parcel right in front of the garage door.", "bf_emma", "en"),
        ("Le facteur a laissé un énorme colis devant la porte du garage.", "ff_siwis", "fr"),
    ],
)
async def test_alignment_finds_the_words_of_natural_speech(
    onnx_engine: KokoroEngine, text: str, voice: str, language: str
) -> None:
    """Words and letters of Kokoro's speech are 35 ms off its own times on average."""
    segment = Segment(text, voice, language)
    chunks = [chunk async for chunk in onnx_engine.synthesize(segment)]
    true = {span.start: span for chunk in chunks for span in chunk.spans}

    async def mute():
        for chunk in chunks:
            yield SpeechChunk(chunk.samples, chunk.sample_rate, chunk.start_s)

    found: list[Span] = []
    async for chunk in add_word_times(mute(), segment, EspeakReferenceVoice(), pytest.fail):
        found += chunk.spans
    assert [span.start for span in found] == list(true)
    words = [abs(span.start_s - true[span.start].start_s) for span in found]
    pairs = [(span.character_starts, true[span.start].character_starts) for span in found]
    letters = [abs(one - other) for pair in pairs for one, other in zip(*pair, strict=True)]
    assert np.mean(words) < 0.035 and np.mean(letters) < 0.035
