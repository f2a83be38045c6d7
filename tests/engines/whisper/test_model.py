"""One pass of Whisper over real speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines import weights
from engines.whisper.model import Whisper
from engines.whisper.passes import PassInput, PassResult
from speech.types import Samples
from tests.engines.whisper.conftest import SENTENCES, Said, silence
from tests.judges.judge import words_of

pytestmark = [pytest.mark.heard, pytest.mark.parametrize("language", SENTENCES)]


@pytest.fixture(scope="session")
def whisper(empty_cache: Path) -> Whisper:
    files = {
        weight.name.rpartition("/")[2]: weights.load(weight, models_dir=None, cache_dir=empty_cache)
        for weight in weights.WHISPER_BASE
    }
    return Whisper(files, threads=1)


def padded(samples: Samples) -> Samples:
    return np.concatenate([silence(0.3), samples, silence(0.3)])


def normalized(result: PassResult) -> list[str]:
    return [timed.word.normalized for timed in result.words]


def test_prefix_words_are_not_recognised_again(
    whisper: Whisper, said: dict[str, Said], language: str
) -> None:
    one = said[language]
    whole = whisper.transcribe(PassInput(padded(one.samples), language, ()))
    text = " ".join(timed.word.text for timed in whole.words)
    assert words_of(text, language) == words_of(one.text, language)
    for known in (1, len(whole.words) // 2, len(whole.words)):
        prefix = tuple(token for timed in whole.words[:known] for token in timed.word.tokens)
        rest = whisper.transcribe(PassInput(padded(one.samples), language, prefix))
        assert rest.has_speech
        assert normalized(rest) == normalized(whole)[known:]


def test_language_is_detected(whisper: Whisper, said: dict[str, Said], language: str) -> None:
    result = whisper.transcribe(PassInput(padded(said[language].samples), None, ()))
    assert result.language == language
    assert 0.5 < result.language_probability <= 1.0
