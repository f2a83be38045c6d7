"""What can have been said, and what cannot, in many scripts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import tokenizers

from benchmarks.recognition.sentences import ARTICLE_1
from engines import weights
from engines.espeak.engine import EspeakEngine
from engines.whisper.model import LANGUAGES
from engines.whisper.plausibility import MAX_TOKENS, TokenLimits, is_repetitive
from speech.types import Segment


@pytest.fixture(scope="module")
def tokenizer(nowhere: Path) -> tokenizers.Tokenizer:
    """Whisper's own."""
    (file,) = (weight for weight in weights.WHISPER_BASE if weight.name.endswith("tokenizer.json"))
    return tokenizers.Tokenizer.from_buffer(weights.load(file, models_dir=None, cache_dir=nowhere))


@pytest.fixture(scope="module")
def spoken_s() -> dict[str, float]:
    """How long espeak-ng speaks for the article in each language, in seconds."""

    async def say() -> dict[str, float]:
        engine = EspeakEngine()
        await engine.start()
        lengths = {}
        for language, text in ARTICLE_1.items():
            segment = Segment(text, engine.info.default_voices[language], language)
            lengths[language] = sum([chunk.duration_s async for chunk in engine.synthesize(segment)])
        await engine.stop()
        return lengths

    return asyncio.run(say())


@pytest.mark.parametrize("language", ARTICLE_1)
def test_what_is_said_can_be_told_in_every_script(
    tokenizer: tokenizers.Tokenizer, spoken_s: dict[str, float], language: str
) -> None:
    """The right answer stays below the limit, at half as fast again too, and does not count as repetition."""
    text = ARTICLE_1[language]
    tokens = len(tokenizer.encode(text, add_special_tokens=False).ids)
    limits = TokenLimits(tokenizer)
    # Half of the text in half of the time: all of it is more than Whisper can answer at once in some scripts.
    assert tokens / 2 < limits.max_tokens(language, spoken_s[language] / 2 / 1.5)
    assert not is_repetitive(text)


@pytest.mark.parametrize("language", ARTICLE_1)
def test_an_answer_that_has_lost_its_way_is_not_told(language: str) -> None:
    """The same three times over, and a short word again and again."""
    text = ARTICLE_1[language]
    assert is_repetitive(" ".join([text] * 3))
    assert is_repetitive(text.split()[0][:10] * 20)


def test_an_answer_without_end_is_cut_in_every_language(tokenizer: tokenizers.Tokenizer) -> None:
    """In each language fewer tokens than Whisper can answer, in a second; never more than those."""
    limits = TokenLimits(tokenizer)
    for language in LANGUAGES:
        assert 15 < limits.max_tokens(language, 1.0) < 120
        assert limits.max_tokens(language, 30.0) <= MAX_TOKENS


def test_languages_in_latin_script_are_held_as_tight_as_before(tokenizer: tokenizers.Tokenizer) -> None:
    """Some ten tokens a second, which is fast speech."""
    limits = TokenLimits(tokenizer)
    for language in ("en", "es", "fr", "it", "pt", "de"):
        assert limits.max_tokens(language, 5.0) <= 5.0 * 10 + 12
