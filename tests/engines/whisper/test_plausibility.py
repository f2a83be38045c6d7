"""Limits of plausible answers, in many scripts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import tokenizers

from benchmarks.recognition.sentences import ARTICLE_1
from kani.core.types import Segment
from kani.engines.espeak.engine import EspeakEngine
from kani.engines.whisper.model import LANGUAGES
from kani.engines.whisper.plausibility import MAX_TOKENS, TokenLimits, echoes, is_repetitive
from kani.runtime import weights


@pytest.fixture(scope="module")
def tokenizer(empty_cache: Path) -> tokenizers.Tokenizer:
    (file,) = (weight for weight in weights.WHISPER_BASE if weight.name.endswith("tokenizer.json"))
    return tokenizers.Tokenizer.from_buffer(weights.load(file, models_dir=None, cache_dir=empty_cache))


@pytest.fixture(scope="module")
def spoken_s() -> dict[str, float]:
    """Seconds that espeak-ng needs for the article in each language."""

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
def test_fast_speech_is_plausible_in_every_script(
    tokenizer: tokenizers.Tokenizer, spoken_s: dict[str, float], language: str
) -> None:
    """Also at one and a half times espeak-ng's speed."""
    text = ARTICLE_1[language]
    tokens = len(tokenizer.encode(text, add_special_tokens=False).ids)
    limits = TokenLimits(tokenizer)
    # Half of the text in half of the time: in some scripts all of it exceeds Whisper's longest answer.
    assert tokens / 2 < limits.max_tokens(language, spoken_s[language] / 2 / 1.5)
    assert not is_repetitive(text)


@pytest.mark.parametrize("language", ARTICLE_1)
def test_repetition_is_detected_in_every_script(language: str) -> None:
    text = ARTICLE_1[language]
    assert is_repetitive(" ".join([text] * 3))
    assert is_repetitive(text.split()[0][:10] * 20)


def test_every_language_has_a_limit_below_the_longest_answer(tokenizer: tokenizers.Tokenizer) -> None:
    limits = TokenLimits(tokenizer)
    for language in LANGUAGES:
        assert 15 < limits.max_tokens(language, 1.0) < 120
        assert limits.max_tokens(language, 30.0) <= MAX_TOKENS


def test_latin_script_has_a_limit_of_ten_tokens_a_second(tokenizer: tokenizers.Tokenizer) -> None:
    limits = TokenLimits(tokenizer)
    for language in ("en", "es", "fr", "it", "pt", "de"):
        assert limits.max_tokens(language, 5.0) <= 5.0 * 10 + 12


@pytest.mark.parametrize(
    ("text", "echoed"),
    [
        ("नमस्ते, नमस्ते, नमस्ते", True),
        ("गला आपकेसी नमस्ते नमस्ते नमस्ते।", True),
        ("नमस्ते, आप कैसे हैं? नमस्ते!", False),
        ("पानी पानी पानी", False),
        ("", False),
    ],
)
def test_words_of_the_text_before_are_an_echo_if_they_come_three_times(text: str, echoed: bool) -> None:
    assert echoes(text, "नमस्ते, आप कैसे हैं? मैं ठीक हूँ।") is echoed
