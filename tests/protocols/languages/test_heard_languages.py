"""The languages beyond the first five, three sentences each; three of them through each protocol that speaks.

Each language is heard by Whisper once, through OpenAI's API. The engine's audio of such short sentences
depends on nothing but text, voice and speed, so the other protocols have to send the very same samples: to
the last of 16 bits at OpenAI's rate, and within a resampler's rounding at another one. A protocol with text
in pieces may begin before the sentence is complete, and intone it otherwise: if its samples differ, they are
heard by themselves. ``benchmarks/languages/heard.py`` measures on more sentences.
"""

from collections.abc import Iterator
from difflib import SequenceMatcher

import numpy as np
import pytest
import soxr

from benchmarks.languages.heard import units
from kani.core.types import Samples
from kani.engines.kokoro.voices import ACCENTED_VOICES
from tests.conftest import server_process
from tests.judges.judge import hear
from tests.protocols.languages.speakers import (
    ALL,
    IN_PIECES,
    RATE,
    SENTENCES,
    Place,
    Speak,
    Speech,
    kyutai_http,
    openai,
)

pytestmark = pytest.mark.heard

BY_ALL = ("de", "zh", "hi")
"""Languages that every protocol speaks: with Latin letters, without spaces, and with letters of its own."""
ALIKE = 0.75
"""Share of each sentence's letters that are heard in order; of Hindi its consonants, of Japanese its kana."""
ROUNDING = 1 / 32768
SIGNAL_TO_ROUNDING_DB = 40


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server that speaks all the languages by Kokoro, and Wyoming too."""
    options = ("--wyoming", "--recognizer", "none")
    accented = {"KANI_ACCENTED_LANGUAGES": ",".join(ACCENTED_VOICES)}
    with server_process(tmp_path_factory.mktemp("server"), *options, **accented) as running:
        running.wait_until_settled()
        yield Place(running.url, running.http_url, running.wyoming_port)


@pytest.fixture(scope="module")
def references() -> dict[str, Samples]:
    """Samples at ``RATE`` by language, once they were heard."""
    return {}


def letters(text: str, language: str) -> str:
    return "".join(units(text, language))


def assert_heard(speech: Speech, language: str) -> None:
    """Assert that each of the language's sentences is heard, and not much else."""
    heard = hear(*speech, language)
    sentences = [letters(sentence, language) for sentence in SENTENCES[language]]
    matcher = SequenceMatcher(None, "".join(sentences), letters(heard, language), autojunk=False)
    assert matcher.ratio() >= ALIKE, heard
    matched = {at for start, _, size in matcher.get_matching_blocks() for at in range(start, start + size)}
    start = 0
    for sentence in sentences:
        own = range(start, start := start + len(sentence))
        assert len(matched.intersection(own)) >= ALIKE * len(sentence), (sentence, heard)


def are_same(speech: Speech, reference: Samples) -> bool:
    """True if speech is the reference, but for its rate and silence after it."""
    samples, rate = speech
    expected = reference if rate == RATE else soxr.resample(reference, RATE, rate)
    longest = max(len(samples), len(expected))
    samples, expected = (np.pad(one, (0, longest - len(one))) for one in (samples, expected))
    wrong = samples - expected
    if rate == RATE:
        return bool(np.abs(wrong).max() <= ROUNDING)
    return bool(np.sum(expected**2) >= 10 ** (SIGNAL_TO_ROUNDING_DB / 10) * np.sum(wrong**2))


async def reference(place: Place, references: dict[str, Samples], language: str) -> Samples:
    """The samples through OpenAI's API, heard the first time."""
    if language not in references:
        speech = await openai(place, [" ".join(SENTENCES[language])])
        assert_heard(speech, language)
        references[language] = speech.samples
    return references[language]


@pytest.mark.parametrize("language", SENTENCES)
async def test_sentences_are_heard(place: Place, references: dict[str, Samples], language: str) -> None:
    await reference(place, references, language)


@pytest.mark.parametrize("speak", [speak for speak in ALL if speak not in (openai, kyutai_http)])
@pytest.mark.parametrize("language", BY_ALL)
async def test_sentences_are_the_same_through_each_protocol(
    place: Place, references: dict[str, Samples], language: str, speak: Speak
) -> None:
    expected = await reference(place, references, language)
    speech = await speak(place._replace(language=language), [" ".join(SENTENCES[language])])
    if not are_same(speech, expected):
        assert speak in IN_PIECES
        assert_heard(speech, language)
