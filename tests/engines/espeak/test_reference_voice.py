"""espeak-ng as the reference voice of forced alignment."""

from __future__ import annotations

import numpy as np
import pytest

from kani.core.errors import UnsupportedLanguage
from kani.core.timing.word_times import add_word_times
from kani.core.types import Segment, Span, SpeechChunk
from kani.engines.espeak.reference_voice import EspeakReferenceVoice
from kani.engines.kokoro.engine import KokoroEngine


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


async def test_speed_is_limited_to_the_librarys_range() -> None:
    lengths = [
        len((await EspeakReferenceVoice().render("Buenos días a todos", "es", speed)).samples)
        for speed in (0.5, 1, 1.5, 9)
    ]
    assert lengths[0] > lengths[1] > lengths[2] == lengths[3]


async def test_unsupported_language_is_an_error() -> None:
    with pytest.raises(UnsupportedLanguage):
        await EspeakReferenceVoice().render("Hello", "xx", 1.0)


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
    letters = [
        abs(ours - theirs)
        for span in found
        for ours, theirs in zip(span.character_starts, true[span.start].character_starts, strict=True)
    ]
    assert np.mean(words) < 0.035 and np.mean(letters) < 0.035
